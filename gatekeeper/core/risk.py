"""How the reconstruction of training images is judged, and what was proven or measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.adversary import (
    ATTACKS,
    PAPER_ATTACKS,
    PLAYS,
    SOURCE_OF,
    SOURCES,
    WEIGHTS_ATTACKS,
    Adversary,
    AttackName,
    Source,
)
from gatekeeper.core.binomial import lower_limit, upper_limit
from gatekeeper.core.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_open_probability,
    check_positive,
    check_probability,
    check_text,
    check_tuple,
)
from gatekeeper.core.spectrum import Spectrum
from gatekeeper.errors import InvalidValueError

Measure = Literal["ncc", "ssim"]
Evidence = Literal["bound", "attack"]

MEASURES: tuple[str, ...] = get_args(Measure)
EVIDENCE: tuple[str, ...] = get_args(Evidence)


@dataclass(frozen=True, kw_only=True, slots=True)
class Similarity:
    """When a reconstruction counts as a success.

    The threshold τ is `at_least` where that is set; otherwise it is calibrated on the null: the
    `above_null` quantile, over units, of the similarity that somebody else's image reaches, by its lower
    confidence limit, and never above `at_most`.

    Attributes:
        measure: `ncc`: the cosine of two images after subtracting the held-out mean image; `ssim`.
        above_null: the quantile in (0, 1), or None with a fixed threshold.
        at_least: a fixed threshold in (0, 1), or None.
        at_most: a cap on the calibrated threshold, or None; lower is stricter.
    """

    measure: Measure = "ncc"
    above_null: float | None = 0.99
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        check_choice(measure=self.measure, choices=MEASURES)
        if (self.above_null is None) == (self.at_least is None):
            raise InvalidValueError("similarity needs exactly one of above_null and at_least")
        if self.at_least is not None and self.at_most is not None:
            raise InvalidValueError("at_most caps a calibrated threshold; it can't be combined with at_least")
        for name in ("above_null", "at_least", "at_most"):
            value = getattr(self, name)
            if value is not None:
                check_open_probability(**{name: value})


@dataclass(frozen=True, kw_only=True, slots=True)
class NullCalibration:
    """The threshold τ that a similarity rule uses, and what those reach who saw nothing of the image.

    Attributes:
        similarity: the rule's definition of success.
        threshold: τ.
        quantile_low, quantile_high: limits of the null's quantile (all equal to τ where the threshold is fixed); with a
            `guesser`, of the larger of the strangers' and the guesses'.
        confidence: one-sided confidence of each of the two.
        units: how many units strangers' images were compared with, at least 1; guesses with 1,000 of them at most.
        strangers_passing: the share of strangers' images at or above τ.
        candidates: c, how many strangers' images each unit was compared with, the best of which counts: as many as an
            attack hands in for each unit.
        guesser: an adversary with a prior, who can guess: read the run's noise as if an image were in it. Its successes
            are those that beat such guesses too. None: strangers' images alone.
        guesses_passing: the share of guesses at or above τ; 0 without a guesser.
    """

    similarity: Similarity
    threshold: float
    quantile_low: float
    quantile_high: float
    confidence: float
    units: int
    strangers_passing: float
    candidates: int = 1
    guesser: Adversary | None = None
    guesses_passing: float = 0.0

    def __post_init__(self) -> None:
        check_probability(guesses_passing=self.guesses_passing)
        if self.guesser is None and self.guesses_passing:
            raise InvalidValueError(f"guesses_passing is {self.guesses_passing!r}, and nobody guessed")
        if self.guesser is not None and (self.guesser.prior == "none" or self.candidates != 1):
            raise InvalidValueError(
                f"who guesses has a prior and hands in one image, not {self.candidates} of the {self.guesser.title}"
            )
        check_integer(candidates=self.candidates, at_least=1)
        check_open_probability(threshold=self.threshold)
        check_finite(quantile_low=self.quantile_low)
        check_finite(quantile_high=self.quantile_high)
        if self.quantile_low > self.quantile_high:
            raise InvalidValueError(
                f"quantile_low must be at most quantile_high, got {self.quantile_low!r} and {self.quantile_high!r}"
            )
        check_open_probability(confidence=self.confidence)
        check_integer(units=self.units, at_least=1)
        check_probability(strangers_passing=self.strangers_passing)

    def is_of(self, adversary: Adversary, *, candidates: int = 1) -> bool:
        """Whether the success of an adversary who hands in so many images is judged by it."""
        guesser = None if adversary.prior == "none" else adversary
        return (self.guesser, self.candidates) == (guesser, candidates)


@dataclass(frozen=True, kw_only=True, slots=True)
class IdentificationPower:
    """How often adversaries who know candidates can pick the target, whatever they compute.

    The adversary is right by chance with probability κ; its success is at most γ = 1 − f(κ), f being the trade-off
    function of the mechanism (Balle, Cherubin and Hayes 2022, "Reconstructing training data with informed
    adversaries"; Kaissis et al. 2023, "Bounding data reconstruction attacks with the hypothesis testing
    interpretation of differential privacy").

    Attributes:
        prior_success: κ, above 0 and at most 1; the reciprocal of the number of candidates.
        worst_case: γ of an adversary who knows every other training record; in [κ, 1], rounded up.
        worst_case_method: which proof gave it, such as `privacy-loss-distribution`.
        relaxed: γ of an adversary who knows the target's gradient in each step up to its sign; at least κ and at most
            `worst_case`, rounded up.
        relaxed_method: which proof gave it.
    """

    prior_success: float
    worst_case: float
    worst_case_method: str
    relaxed: float
    relaxed_method: str

    def __post_init__(self) -> None:
        check_positive(prior_success=self.prior_success)
        check_probability(prior_success=self.prior_success)
        check_probability(worst_case=self.worst_case)
        check_text(worst_case_method=self.worst_case_method)
        check_probability(relaxed=self.relaxed)
        check_text(relaxed_method=self.relaxed_method)
        if not self.prior_success <= self.relaxed <= self.worst_case:
            raise InvalidValueError(
                f"prior_success ≤ relaxed ≤ worst_case must hold, got {self.prior_success!r}, {self.relaxed!r} and "
                f"{self.worst_case!r}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskBound:
    """An upper bound on an adversary's probability of success, under a named read-out.

    Attributes:
        adversary: whose success it bounds.
        quantity: what is bounded, such as `P(NCC ≥ τ) for a unit of at most 3 images`.
        similarity: the rule's definition of success, or None for adversaries who pick among candidates.
        threshold: τ, or None for adversaries who pick among candidates.
        value: the bound, in [0, 1], rounded up.
        proven_against: `every attack` or the class of read-outs that it covers.
        read_out: how the adversary reads the image out.
        participations: k, the most noisy gradients it was computed for (its upper quantile under Poisson).
        prior_success: κ, the success of guessing among candidates, or None.
    """

    adversary: Adversary
    quantity: str
    similarity: Similarity | None
    threshold: float | None
    value: float
    proven_against: str
    read_out: str
    participations: int
    prior_success: float | None = None

    def __post_init__(self) -> None:
        check_probability(value=self.value)
        check_text(quantity=self.quantity)
        check_text(proven_against=self.proven_against)
        check_text(read_out=self.read_out)
        check_integer(participations=self.participations, at_least=0)
        if self.threshold is not None:
            check_finite(threshold=self.threshold)
        if self.prior_success is not None:
            check_probability(prior_success=self.prior_success)


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """Successes among independent trials.

    Attributes:
        successes: at most `trials`.
        trials: at least 0.
    """

    successes: int
    trials: int

    def __post_init__(self) -> None:
        check_integer(successes=self.successes, at_least=0)
        check_integer(trials=self.trials, at_least=0)
        if self.successes > self.trials:
            raise InvalidValueError(f"successes must be at most trials, got {self.successes!r} of {self.trials!r}")

    @property
    def rate(self) -> float:
        """The observed share of successes; 0 where there was no trial."""
        return self.successes / self.trials if self.trials else 0.0

    def upper(self, *, confidence: float) -> float:
        """The one-sided upper Clopper–Pearson limit; 1 where there was no trial."""
        if not self.trials:
            return 1.0
        return upper_limit(successes=self.successes, trials=self.trials, confidence=confidence)

    def lower(self, *, confidence: float) -> float:
        """The one-sided lower Clopper–Pearson limit; 0 where there was no trial."""
        if not self.trials:
            return 0.0
        return lower_limit(successes=self.successes, trials=self.trials, confidence=confidence)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackOutcome:
    """What one attack achieved on the audited units.

    Attributes:
        attack: which.
        adversary: whom it plays.
        similarity: the rule's definition of success.
        threshold: τ, calibrated for as many candidates.
        sample: units of the random sample reconstructed in any noise draw; by adversaries with a prior, in the draw in
            which most were: of many guesses one always comes close.
        worst: the same for the worst-k stratum: a finding of its own, never a population bound.
        positive_control: units reconstructed with the noise off, by the same read-out; of an attack on the released
            model, see `core.weights_only`.
        negative_control: held-out units "reconstructed" from gradients, or a model, that they took no part in.
        noise_draws: independent noise draws for each unit.
        participations: k, how many noisy gradients the attack averages; 0 where it sees none.
        median_similarity: median over the sample's units of the first draw's best similarity.
        source: `simulated`: the attack's own clip and noise; `production-step`: the run's own code;
            `released-model`: the network that the run trained.
        candidates: c, how many images the attack hands in for each unit, the best of which counts.
    """

    attack: AttackName
    adversary: Adversary
    similarity: Similarity
    threshold: float
    sample: Count
    worst: Count
    positive_control: Count
    negative_control: Count
    noise_draws: int
    participations: int
    median_similarity: float
    source: Source
    candidates: int = 1

    def __post_init__(self) -> None:
        check_choice(attack=self.attack, choices=tuple(ATTACKS))
        check_integer(candidates=self.candidates, at_least=1)
        check_finite(threshold=self.threshold)
        check_integer(noise_draws=self.noise_draws, at_least=1)
        check_integer(participations=self.participations, at_least=0)
        check_finite(median_similarity=self.median_similarity)
        if not -1.000001 <= self.median_similarity <= 1.000001:
            raise InvalidValueError(f"median_similarity must lie in [-1, 1], got {self.median_similarity!r}")
        check_choice(source=self.source, choices=SOURCES)
        if self.source != SOURCE_OF[self.attack]:
            raise InvalidValueError(f"attack {self.attack} is {SOURCE_OF[self.attack]}, not {self.source}")
        if self.candidates != 1 and self.attack not in (*PAPER_ATTACKS, *WEIGHTS_ATTACKS):
            raise InvalidValueError(f"attack {self.attack} hands in one image for each, not {self.candidates}")
        if self.adversary not in PLAYS[self.attack]:
            raise InvalidValueError(f"attack {self.attack} can't play the adversary: {self.adversary.title}")

    @property
    def title(self) -> str:
        """What the attack is."""
        return ATTACKS[self.attack]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackReport:
    """All that attacks measured.

    Attributes:
        nulls: one calibration for each definition of success that was asked for, number of candidates and guesser.
        outcomes: one outcome for each (attack, adversary, definition of success).
        spectrum: what the adversaries with a prior know of such images, from held-out units.
    """

    nulls: tuple[NullCalibration, ...]
    outcomes: tuple[AttackOutcome, ...]
    spectrum: Spectrum

    def __post_init__(self) -> None:
        check_tuple(nulls=self.nulls, of=NullCalibration)
        check_tuple(outcomes=self.outcomes, of=AttackOutcome)
        if len({(null.similarity, null.candidates, null.guesser) for null in self.nulls}) != len(self.nulls):
            raise InvalidValueError(
                "each definition of success is calibrated once for each number of candidates and guesser"
            )
        keys = {(outcome.attack, outcome.adversary, outcome.similarity) for outcome in self.outcomes}
        if len(keys) != len(self.outcomes):
            raise InvalidValueError("each attack plays each adversary once")
