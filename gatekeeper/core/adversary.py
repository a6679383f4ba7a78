"""Who might reconstruct training images, by what it sees and knows, and the attacks that play it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice
from gatekeeper.errors import InvalidValueError

Observes = Literal["one-step", "all-steps", "weights-only"]
Prior = Literal["none", "spectral"]
Knows = Literal["nothing", "candidates", "everything-else"]
Source = Literal["simulated", "production-step", "released-model"]

OBSERVES: tuple[str, ...] = get_args(Observes)
PRIORS: tuple[str, ...] = get_args(Prior)
KNOWS: tuple[str, ...] = get_args(Knows)
SOURCES: tuple[str, ...] = get_args(Source)

# Each attack by the name that policies call it by, and what it is.
AttackName = Literal[
    "analytic", "denoised", "imprint-bins", "imprint-trap", "inversion", "stationarity", "class-inversion"
]
ATTACKS: dict[AttackName, str] = {
    "analytic": "analytic inversion, planted row",
    "denoised": "analytic inversion, planted row shaped by the spectrum, Wiener read-out",
    "imprint-bins": "imprint block of brightness bins in front of the network",
    "imprint-trap": "trap weights in front of the network",
    "inversion": "gradient inversion by optimisation",
    "stationarity": "images that explain the trained weights as a stationary point",
    "class-inversion": "images that the network takes most surely for each class",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Adversary:
    """An attacker, by what it sees and what it knows.

    Attributes:
        observes: `one-step`: a single noisy gradient that the unit took part in; `all-steps`: every one;
            `weights-only`: no gradient, but the released model, its architecture and the training recipe.
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
        if self.observes == "weights-only" and (self.knows, self.prior) != ("nothing", "none"):
            raise InvalidValueError(
                "no attack plays an adversary of the weights alone who knows images or has a prior; set knows to "
                "nothing and prior to none"
            )
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
        if self.observes == "weights-only":
            return "weights only"
        steps = "one step" if self.observes == "one-step" else "all steps"
        return f"realistic, {steps}" if self.prior == "none" else f"realistic, {steps}, with prior"

    @property
    def has_bound(self) -> bool:
        """Whether anything but attacks tells what it can do."""
        return self.observes != "weights-only"

    @property
    def closed_form(self) -> str:
        """What its closed form is: a bound on the attacks that it names, or, with a prior, a figure of Gaussian images.

        Real images are not Gaussian, so attacks on them may exceed the latter. Of an adversary who has the weights
        alone none is known; what is proven against whoever sees every gradient holds for it too.
        """
        if not self.has_bound:
            return "no bound of its own"
        return "bound" if self.prior == "none" else "model figure"

    @property
    def description(self) -> str:
        """The adversary in plain words."""
        if self.observes == "weights-only":
            return "sees the released model alone, knows its architecture and training recipe, and no training image"
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
WEIGHTS_ONLY = Adversary(observes="weights-only", knows="nothing")
WORST_CASE = Adversary(observes="all-steps", knows="everything-else")

REALISTIC = (ONE_STEP, ALL_STEPS, ONE_STEP_SPECTRAL, ALL_STEPS_SPECTRAL)

# Whom each attack can play.
PLAYS: dict[AttackName, tuple[Adversary, ...]] = {
    "analytic": (ONE_STEP, ALL_STEPS),
    "denoised": (ONE_STEP_SPECTRAL, ALL_STEPS_SPECTRAL),
    "imprint-bins": (ONE_STEP, ALL_STEPS),
    "imprint-trap": (ONE_STEP, ALL_STEPS),
    "inversion": (ONE_STEP,),
    "stationarity": (WEIGHTS_ONLY,),
    "class-inversion": (WEIGHTS_ONLY,),
}

# Whether an attack makes its own gradients, is made on the run's own code, or reads the network that the run trained.
SOURCE_OF: dict[AttackName, Source] = {
    "analytic": "simulated",
    "denoised": "simulated",
    "imprint-bins": "production-step",
    "imprint-trap": "production-step",
    "inversion": "production-step",
    "stationarity": "released-model",
    "class-inversion": "released-model",
}

# Adversaries by the names that a policy may call them by.
PRESETS: dict[str, Adversary] = {
    "paper-2024": ONE_STEP,
    "all-steps": ALL_STEPS,
    "all-steps-spectral": ALL_STEPS_SPECTRAL,
    "weights-only": WEIGHTS_ONLY,
}

# What Ziller et al. 2024 judged by: the attack through the network itself, with all that it fails to reach.
PAPER_ATTACKS: tuple[AttackName, ...] = ("imprint-bins", "imprint-trap")

# What is made on the released model alone.
WEIGHTS_ATTACKS: tuple[AttackName, ...] = ("stationarity", "class-inversion")
