"""How often an attacker who knows candidates picked the target from noisy sums of the run's own code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.checks import check_choice, check_integer, check_probability, check_text
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import Count
from gatekeeper.errors import AuditContradiction, InvalidValueError

# Attackers who see the same noisy sums: one forms the candidates' gradients itself, one replays the run's own step.
MATCHING = ("candidate matching, own gradients", "candidate matching, replayed sums")

# Chance is 1 in 16; of large networks so many sums would fill the memory.
CANDIDATES, CANDIDATES_OF_LARGE = 16, 4
TRIALS = 400

# A contradiction is claimed only where chance is out of the question.
CONTRADICTION_CONFIDENCE = 1 - 1e-6


def candidates_among(units: int, *, most: int) -> int:
    """How many of some units are candidates: half of few, so that others are in play beside the target; at least 2."""
    return max(2, min(most, units // 2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Identification:
    """What an attack achieved who sees noisy sums, knows all other records, and picks the target among candidates.

    In each trial the target is drawn anew, uniformly, and takes part in every step of the mechanism, at weights that
    don't depend on the draw. So a trial succeeds with probability at most γ(κ) whatever the candidates are, and the
    number of successes is at most binomial (Balle, Cherubin and Hayes 2022, "Reconstructing training data with
    informed adversaries"; see `IdentificationPower`).

    Attributes:
        attack: the attack's name.
        candidates: n, at least 2.
        identified: trials in which the target was picked, among all trials; at least one trial.
        mechanism: whose noisy sums the attack saw; every unit takes part in every step, of which there is at least one.
        bound: γ(κ) of that mechanism at κ = 1/n, the proven limit of every attack, rounded up; in [κ, 1].
        positive_control: the same with the noise all but off, each candidate being the target once.
        source: `production-step`: clipping, noise and sampling were the run's own code.
    """

    attack: str
    candidates: int
    identified: Count
    mechanism: Mechanism
    bound: float
    positive_control: Count
    source: Literal["production-step"] = "production-step"

    def __post_init__(self) -> None:
        check_text(attack=self.attack)
        check_integer(candidates=self.candidates, at_least=2)
        check_integer(trials=self.identified.trials, at_least=1)
        check_integer(positive_control=self.positive_control.trials, at_least=1)
        check_integer(steps=self.mechanism.steps, at_least=1)
        if self.mechanism.sampling_rate != 1:
            raise InvalidValueError(
                f"candidates are matched where every unit takes part, got a rate of {self.mechanism.sampling_rate!r}"
            )
        check_probability(bound=self.bound)
        if self.bound < self.chance:
            raise InvalidValueError(f"bound must be at least 1/{self.candidates}, got {self.bound!r}")
        check_choice(source=self.source, choices=("production-step",))

    @property
    def chance(self) -> float:
        """κ = 1/n, the success of guessing."""
        return 1 / self.candidates

    def contradicts(self, *, confidence: float = CONTRADICTION_CONFIDENCE) -> bool:
        """Whether the lower Clopper–Pearson limit of the success rate is above γ.

        >>> run = Mechanism(sampling="poisson", sampling_rate=1.0, noise_multiplier=0.6, steps=1,
        ...                 adjacency="zero-out", unit="image")
        >>> def found(successes):
        ...     return Identification(attack="matching", candidates=16, mechanism=run, bound=0.6,
        ...                           identified=Count(successes=successes, trials=400),
        ...                           positive_control=Count(successes=16, trials=16))
        >>> found(250).contradicts(), found(300).contradicts()
        (False, True)
        """
        return self.identified.lower(confidence=confidence) > self.bound


def check_identification(found: Identification) -> None:
    """Refuse an attack that beat the bound on every attack.

    Raises:
        AuditContradiction: the code that trained leaks more than its mechanism, or the bound is wrong.
    """
    if found.contradicts():
        low = found.identified.lower(confidence=CONTRADICTION_CONFIDENCE)
        raise AuditContradiction(
            f"attack {found.attack} picks the target among {found.candidates} candidates in at least {low:.4f} of "
            f"trials, and no attack on the mechanism can in more than {found.bound:.4g}",
            hint="the code that trained leaks more than its mechanism, or the bound is wrong; nothing may be released "
            "before it is known which",
        )
