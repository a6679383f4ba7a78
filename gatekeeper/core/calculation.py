"""A question to the calculator and its answer: noise, ε, steps and risk, each from the others, without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.adversary import Adversary
from gatekeeper.core.budget import Guarantee
from gatekeeper.core.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_open_probability,
    check_positive,
    check_probability,
    check_tuple,
)
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import IdentificationPower
from gatekeeper.errors import InvalidValueError

Sought = Literal["epsilon", "noise-multiplier", "steps"]
SamplingChoice = Literal["poisson", "balls-and-bins", "best"]


def steps_of_an_epoch(*, units: int, expected_batch: int) -> int:
    """How many steps make an epoch of so many training units: the rule of a candidate's `training` section.

    >>> steps_of_an_epoch(units=1000, expected_batch=64)
    16
    """
    check_integer(units=units, at_least=1)
    check_integer(expected_batch=expected_batch, at_least=1)
    return max(1, round(units / expected_batch))


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is known of a run, and by that what is sought.

    | given                               | sought                                                        |
    | ----------------------------------- | ------------------------------------------------------------- |
    | steps or epochs, noise multiplier   | ε                                                             |
    | steps or epochs, ε                  | the least noise multiplier                                    |
    | steps or epochs, NCC and pixels     | the least noise multiplier by the closed form                 |
    | ε and noise multiplier              | the most steps                                                |

    Attributes:
        sampling: how units are sampled; `best` where the noise is sought: whichever needs less.
        sampling_rate: q in (0, 1].
        delta: δ, strictly between 0 and 1.
        steps: T, at least 1, or None.
        epochs: E, at least 1, instead of `steps`: E times the steps of an epoch.
        noise_multiplier: σ, or None.
        epsilon: the largest ε in nats, or None.
        ncc: the largest median NCC of the realistic adversary who sees all steps, in (0, 1), or None.
        units: training units, or None.
        candidates: how many candidates the worst-case and relaxed adversaries pick among, at least 2, or None.
        pixels: N, the number of values of an image, at least 2, or None.
        threshold: τ in (0, 1), or None.
    """

    sampling: SamplingChoice
    sampling_rate: float
    delta: float
    steps: int | None = None
    epochs: int | None = None
    noise_multiplier: float | None = None
    epsilon: float | None = None
    ncc: float | None = None
    units: int | None = None
    candidates: int | None = None
    pixels: int | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        check_choice(sampling=self.sampling, choices=("poisson", "balls-and-bins", "best"))
        check_positive(sampling_rate=self.sampling_rate)
        check_probability(sampling_rate=self.sampling_rate)
        check_open_probability(delta=self.delta)
        for name in ("noise_multiplier", "epsilon"):
            if getattr(self, name) is not None:
                check_positive(**{name: getattr(self, name)})
        for name in ("ncc", "threshold"):
            if getattr(self, name) is not None:
                check_open_probability(**{name: getattr(self, name)})
        for name, least in (("steps", 1), ("epochs", 1), ("units", 1), ("candidates", 2), ("pixels", 2)):
            if getattr(self, name) is not None:
                check_integer(at_least=least, **{name: getattr(self, name)})
        if self.ncc is not None and self.pixels is None:
            raise InvalidValueError("ncc needs pixels: an image of more pixels needs less noise")
        sought = self.sought
        if self.sampling == "best" and sought != "noise-multiplier":
            raise InvalidValueError("best is the sampling that needs less noise; where noise is given, name one")

    @property
    def sought(self) -> Sought:
        """What the question asks for.

        Raises:
            InvalidValueError: what is given determines nothing, or too much.
        """
        given = {name for name in ("noise_multiplier", "epsilon", "ncc") if getattr(self, name) is not None}
        lengths = (self.steps is not None) + (self.epochs is not None)
        if lengths == 1 and len(given) == 1:
            return "epsilon" if "noise_multiplier" in given else "noise-multiplier"
        if lengths == 0 and given == {"noise_multiplier", "epsilon"}:
            return "steps"
        raise InvalidValueError(
            "give steps or epochs and one of noise_multiplier, epsilon and ncc; or noise_multiplier and epsilon alone"
        )

    @property
    def epoch(self) -> int:
        """The steps of one epoch: 1/q, rounded to a whole number of batches."""
        return max(1, round(1 / self.sampling_rate))

    @property
    def has_whole_batches(self) -> bool:
        """Whether q is 1/batches, as balls and bins must have it."""
        return 1 / self.epoch == self.sampling_rate

    @property
    def length(self) -> int:
        """T, the number of steps; 0 where it is what is sought."""
        return self.steps or (self.epochs or 0) * self.epoch

    @property
    def choices(self) -> int | None:
        """How many candidates an identifying adversary picks among: as given, or all units; None if fewer than 2."""
        count = self.candidates or self.units
        return None if count is None or count < 2 else count


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOut:
    """How much of an image a realistic adversary reads out, by the closed form.

    Attributes:
        adversary: who.
        participations: k, how many noisy gradients are averaged for the median: under Poisson sampling the 99 %
            quantile, where all steps are seen.
        median_ncc: the median NCC of image and read-out: typical, not a bound.
        threshold: τ, or None where none was given.
        rate: P(NCC ≥ τ), rounded up, or None with `threshold`.
    """

    adversary: Adversary
    participations: int
    median_ncc: float
    threshold: float | None
    rate: float | None

    def __post_init__(self) -> None:
        check_integer(participations=self.participations, at_least=1)
        check_probability(median_ncc=self.median_ncc)
        if (self.threshold is None) != (self.rate is None):
            raise InvalidValueError("a rate needs a threshold, and a threshold has a rate")
        if self.threshold is not None:
            check_open_probability(threshold=self.threshold)
            check_probability(rate=self.rate)


@dataclass(frozen=True, kw_only=True, slots=True)
class Risks:
    """The matrix of adversaries; None where the question lacks what a figure needs.

    Attributes:
        identification: of the worst-case and the relaxed adversary; needs candidates or units.
        realistic_one_step: needs pixels.
        realistic_all_steps: needs pixels.
    """

    identification: IdentificationPower | None
    realistic_one_step: ReadOut | None
    realistic_all_steps: ReadOut | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OpacusClaim:
    """What another library's accountant says of the same noise, sampling rate and steps.

    Attributes:
        epsilon: its ε in nats, or None where it failed.
        order: the Rényi order that gave it, or None where it failed.
        failure: how it failed, or None.
    """

    epsilon: float | None
    order: float | None
    failure: str | None

    def __post_init__(self) -> None:
        if (self.epsilon is None) != (self.failure is not None) or (self.epsilon is None) != (self.order is None):
            raise InvalidValueError("a claim is an epsilon with its order, or a failure")
        if self.epsilon is not None:
            check_finite(epsilon=self.epsilon)
            check_finite(order=self.order)


@dataclass(frozen=True, kw_only=True, slots=True)
class Calculation:
    """The answer: a whole mechanism with its guarantee and its risks.

    Attributes:
        sought: which part of it the question left open.
        mechanism: the mechanism, complete.
        guarantee: its proven ε at the question's δ.
        risks: the matrix of adversaries.
        opacus: the other library's figure, or None where it wasn't asked for.
        notes: what else a reader should know, each a sentence.
    """

    sought: Sought
    mechanism: Mechanism
    guarantee: Guarantee
    risks: Risks
    opacus: OpacusClaim | None
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_choice(sought=self.sought, choices=("epsilon", "noise-multiplier", "steps"))
        check_tuple(notes=self.notes, of=str)
