"""Who might reconstruct training images, by what it sees and knows, and the attacks that play it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice
from gatekeeper.errors import InvalidValueError

Observes = Literal["one-step", "all-steps"]
Prior = Literal["none", "spectral"]
Knows = Literal["nothing", "candidates", "everything-else"]
Source = Literal["simulated", "production-step"]

OBSERVES: tuple[str, ...] = get_args(Observes)
PRIORS: tuple[str, ...] = get_args(Prior)
KNOWS: tuple[str, ...] = get_args(Knows)
SOURCES: tuple[str, ...] = get_args(Source)

# Each attack by the name that policies call it by, and what it is.
AttackName = Literal["analytic", "denoised", "imprint-bins", "imprint-trap", "inversion"]
ATTACKS: dict[AttackName, str] = {
    "analytic": "analytic inversion, planted row",
    "denoised": "analytic inversion, planted row shaped by the spectrum, Wiener read-out",
    "imprint-bins": "imprint block of brightness bins in front of the network",
    "imprint-trap": "trap weights in front of the network",
    "inversion": "gradient inversion by optimisation",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Adversary:
    """An attacker, by what it sees and what it knows.

    Attributes:
        observes: `one-step`: a single noisy gradient that the unit took part in; `all-steps`: every one.
        knows: `nothing`: no image (the realistic adversary, who may plant a layer); `candidates`: a set of
            candidates that holds the target (relaxed); `everything-else`: candidates and every other
            training record (worst case).
        prior: what it knows of such images in general: `none`, or `spectral`: their mean and covariance, as held-out
            images show them.
    """

    observes: Observes
    knows: Knows
    prior: Prior = "none"

    def __post_init__(self) -> None:
        check_choice(observes=self.observes, choices=OBSERVES)
        check_choice(knows=self.knows, choices=KNOWS)
        check_choice(prior=self.prior, choices=PRIORS)
        if self.knows != "nothing" and self.observes != "all-steps":
            raise InvalidValueError("an adversary who knows candidates sees all steps; set observes to all-steps")
        if self.knows != "nothing" and self.prior != "none":
            raise InvalidValueError("an adversary who knows candidates needs no prior over images; set prior to none")

    @property
    def title(self) -> str:
        """The adversary's name in tables."""
        if self.knows == "everything-else":
            return "worst case"
        if self.knows == "candidates":
            return "relaxed"
        steps = "one step" if self.observes == "one-step" else "all steps"
        return f"realistic, {steps}" if self.prior == "none" else f"realistic, {steps}, with prior"

    @property
    def closed_form(self) -> str:
        """What its closed form is: a bound on the attacks that it names, or, with a prior, a figure of Gaussian images.

        Real images are not Gaussian, so attacks on them may exceed the latter.
        """
        return "bound" if self.prior == "none" else "model figure"

    @property
    def description(self) -> str:
        """The adversary in plain words."""
        sees = "one noisy gradient" if self.observes == "one-step" else "every noisy gradient of the training"
        if self.knows == "everything-else":
            return f"sees {sees}, knows every other training record and candidates that hold the target"
        if self.knows == "candidates":
            return f"sees {sees} and knows candidates that hold the target"
        prior = "and has no prior over images"
        if self.prior == "spectral":
            prior = "but the mean and the covariance of such images, and shapes the layer by them"
        return f"sees {sees}, may plant a layer, knows no training image {prior}"


ONE_STEP = Adversary(observes="one-step", knows="nothing")
ALL_STEPS = Adversary(observes="all-steps", knows="nothing")
ONE_STEP_SPECTRAL = Adversary(observes="one-step", knows="nothing", prior="spectral")
ALL_STEPS_SPECTRAL = Adversary(observes="all-steps", knows="nothing", prior="spectral")
RELAXED = Adversary(observes="all-steps", knows="candidates")
WORST_CASE = Adversary(observes="all-steps", knows="everything-else")

REALISTIC = (ONE_STEP, ALL_STEPS, ONE_STEP_SPECTRAL, ALL_STEPS_SPECTRAL)

# Whom each attack can play.
PLAYS: dict[AttackName, tuple[Adversary, ...]] = {
    "analytic": (ONE_STEP, ALL_STEPS),
    "denoised": (ONE_STEP_SPECTRAL, ALL_STEPS_SPECTRAL),
    "imprint-bins": (ONE_STEP, ALL_STEPS),
    "imprint-trap": (ONE_STEP, ALL_STEPS),
    "inversion": (ONE_STEP,),
}

# Whether an attack makes its own gradients, or is made on the run's own code.
SOURCE_OF: dict[AttackName, Source] = {
    "analytic": "simulated",
    "denoised": "simulated",
    "imprint-bins": "production-step",
    "imprint-trap": "production-step",
    "inversion": "production-step",
}

# Adversaries by the names that a policy may call them by.
PRESETS: dict[str, Adversary] = {
    "paper-2024": ONE_STEP,
    "all-steps": ALL_STEPS,
    "all-steps-spectral": ALL_STEPS_SPECTRAL,
}

# What Ziller et al. 2024 judged by: the attack through the network itself, with all that it fails to reach.
PAPER_ATTACKS: tuple[AttackName, ...] = ("imprint-bins", "imprint-trap")
