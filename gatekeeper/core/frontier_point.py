"""One budget of a frontier: the noise that ran, what it left of accuracy, and what attackers can do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.adversary import Adversary
from gatekeeper.core.budget import Guarantee
from gatekeeper.core.checks import (
    check_choice,
    check_confidence,
    check_finite,
    check_integer,
    check_non_negative,
    check_probability,
    check_text,
    check_tuple,
)
from gatekeeper.core.clipping import Clipping, check_clipping
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.metric import Metric
from gatekeeper.core.risk import Count, Similarity
from gatekeeper.core.utility import Measurement
from gatekeeper.errors import InvalidValueError

Outcome = Literal["approved", "refused", "inconclusive", "declined", "failed"]

OUTCOMES: tuple[str, ...] = get_args(Outcome)
_UNMEASURED = ("declined", "failed")


def signal_to_noise(*, relative_noise: float, participations: int, pixels: int) -> float:
    """SNR = k/(Nσ²): signal over noise of a pixel, in the mean of k noisy gradients that hold one image alone.

    Args:
        relative_noise: σ, above 0.
        participations: k, at least 0.
        pixels: N, at least 1.

    >>> round(signal_to_noise(relative_noise=0.01, participations=1, pixels=12288), 4)
    0.8138
    """
    return participations / pixels / relative_noise / relative_noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """The noise that ran, and what it is to one image.

    Attributes:
        mechanism: σ, q, T and how units were sampled.
        guarantee: the proven ε, between a lower and an upper end, at δ.
        clipping: the rule by which gradients were clipped.
        clipping_norm: C; of adaptive clipping, that of the first step.
        pixels: N, the number of values of an image.
        participations: k, the noisy gradients that hold one unit: the 99 % quantile of K.
        snr_one_step: SNR of one noisy gradient; see `signal_to_noise`.
        snr_all_steps: SNR of `participations` of them.
    """

    mechanism: Mechanism
    guarantee: Guarantee
    clipping: Clipping
    clipping_norm: float
    pixels: int
    participations: int
    snr_one_step: float
    snr_all_steps: float

    def __post_init__(self) -> None:
        check_clipping(self.clipping, norm=self.clipping_norm)
        check_integer(pixels=self.pixels, at_least=1)
        check_integer(participations=self.participations, at_least=0)
        for name, uses in (("snr_one_step", 1), ("snr_all_steps", self.participations)):
            given = getattr(self, name)
            check_non_negative(**{name: given})
            expected = signal_to_noise(
                relative_noise=self.mechanism.relative_noise, participations=uses, pixels=self.pixels
            )
            if not math.isclose(given, expected, rel_tol=1e-9):
                raise InvalidValueError(f"{name} must be k/(Nσ²) = {expected!r}, got {given!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackFigure:
    """What one attack achieved.

    Attributes:
        attack: its name.
        sample: units reconstructed, of those attacked.
        upper: the one-sided upper Clopper–Pearson limit of the share at `confidence`.
        confidence: of the limit.
        median_similarity: over the units that were attacked.
        threshold: τ of this attack: of one that hands in several images for each unit, calibrated on as many.
    """

    attack: str
    sample: Count
    upper: float
    confidence: float
    median_similarity: float
    threshold: float

    def __post_init__(self) -> None:
        check_finite(threshold=self.threshold)
        check_text(attack=self.attack)
        check_probability(upper=self.upper)
        check_confidence(confidence=self.confidence)
        if self.upper < self.sample.rate:
            raise InvalidValueError(f"upper {self.upper!r} is below the observed share {self.sample.rate!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskFigure:
    """One adversary's risk: a bound, attacks, or both.

    Attributes:
        adversary: whose.
        similarity: what counts as success; None for an adversary who picks among candidates.
        threshold: τ, or None likewise.
        bound: an upper bound on the probability of success, or None where none is known.
        quantity: what is bounded, or None.
        proven_against: which attacks the bound holds against, or None.
        prior_success: κ, what guessing among candidates achieves, or None.
        attacks: every attack that played this adversary.
    """

    adversary: Adversary
    similarity: Similarity | None
    threshold: float | None
    bound: float | None
    quantity: str | None
    proven_against: str | None
    prior_success: float | None
    attacks: tuple[AttackFigure, ...]

    def __post_init__(self) -> None:
        check_tuple(attacks=self.attacks, of=AttackFigure)
        if self.bound is None and not self.attacks:
            raise InvalidValueError(f"{self.adversary.title}: a risk needs a bound or an attack")
        if self.bound is not None:
            check_probability(bound=self.bound)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontierPoint:
    """One budget and seed: what it gave.

    Attributes:
        epsilon: the ε that was asked for; infinite for training without privacy.
        seed: of the initial weights and the augmentations.
        run: the run's id, as the ledger knows it.
        outcome: the policy's verdict; `declined` before the first step, or `failed` without a model.
        reason: why it was declined or failed, or why a model without privacy can't pass; None otherwise.
        setting: the noise that ran; None where none did.
        utility: each metric of the policy on the exported file, with its limits.
        drops: each metric that a rule compares with a non-private twin: twin less model.
        risks: every adversary whose bound or attack is known.
        attempt: which attempt of the policy on these units it was; None where it was none.
        failing: the rules that it violates, in the policy's order.
        undecided: the rules that could not be judged.
    """

    epsilon: float
    seed: int
    run: str
    outcome: Outcome
    reason: str | None
    setting: Setting | None
    utility: tuple[Measurement, ...]
    drops: tuple[Measurement, ...]
    risks: tuple[RiskFigure, ...]
    attempt: int | None
    failing: tuple[str, ...]
    undecided: tuple[str, ...]

    def __post_init__(self) -> None:
        check_non_negative(epsilon=self.epsilon)
        if self.epsilon == 0:
            raise InvalidValueError("epsilon must be above 0, or infinite for training without privacy; got 0")
        check_integer(seed=self.seed, at_least=0)
        check_text(run=self.run)
        check_choice(outcome=self.outcome, choices=OUTCOMES)
        for name, of in (("utility", Measurement), ("drops", Measurement), ("risks", RiskFigure)):
            check_tuple(of=of, **{name: getattr(self, name)})
        check_tuple(failing=self.failing, of=str)
        check_tuple(undecided=self.undecided, of=str)
        if self.reason is not None:
            check_text(reason=self.reason)
        self._check_outcome()

    def _check_outcome(self) -> None:
        where = f"ε = {self.epsilon!r}, seed {self.seed}"
        if (self.reason is None) == (self.outcome in _UNMEASURED or not self.is_private):
            raise InvalidValueError(f"{where}: a reason goes with a point that no policy could approve, and only there")
        if self.outcome in _UNMEASURED and (self.setting is not None or self.utility or self.risks):
            raise InvalidValueError(f"{where}: {self.outcome}, and yet something was measured")
        if self.is_measured and (self.setting is not None) != self.is_private:
            raise InvalidValueError(f"{where}: noise belongs to a finite ε, and to every one")
        if not self.is_private and (self.outcome == "approved" or self.risks):
            raise InvalidValueError(f"{where}: without privacy nothing passes, and no bound holds")
        if (self.outcome == "approved") != (self.is_measured and not self.failing and not self.undecided):
            raise InvalidValueError(f"{where}: {self.outcome} with failing rules {self.failing + self.undecided!r}")

    @property
    def is_private(self) -> bool:
        """Whether noise was asked for."""
        return math.isfinite(self.epsilon)

    @property
    def is_measured(self) -> bool:
        """Whether a model came out."""
        return self.outcome not in _UNMEASURED

    def measured(self, subject: tuple[Metric, str | None]) -> Measurement | None:
        """One metric's measurement, or None."""
        return next((each for each in self.utility if each.subject == subject), None)
