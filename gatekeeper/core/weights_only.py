"""What attacks on the released model are: on which networks they can be made, how hard they search, their controls."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.adversary import AttackName
from gatekeeper.core.checks import check_integer, check_open_probability
from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import ModelSpec, Network

# ReLU and max pooling alone: but for its biases, such a network's outputs grow with a power of its weights' scale.
RELU_NETWORKS: tuple[Network, ...] = ("mlp", "lenet")

# A network that is trained without noise on so few units can hold them all.
CONTROL_UNITS = 10

# How many images the control of `stationarity` hands in for each of them.
CONTROL_IMAGES = 2

# What the positive control of each attack counts.
CONTROLS: dict[AttackName, str] = {
    "stationarity": "held-out units reconstructed from a network that the same recipe trained on them alone, "
    "without noise",
    "class-inversion": "images handed in that the network takes for their class, and that resemble the mean of that "
    "class's held-out images more than any other class's",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsSearch:
    """How hard attacks on the released model search.

    Attributes:
        candidates: c, how many images an attack hands in, at least 2; a threshold is calibrated on the best of as many
            strangers, and no more than about c units can be reconstructed.
        starts: searches from random images, of which the one is kept that explains the weights best; at least 1.
        iterations: of each search, at least 1.
        min_positive_control: the least share of the units of its positive control that `stationarity` must
            reconstruct.
    """

    candidates: int = 100
    starts: int = 2
    iterations: int = 3000
    min_positive_control: float = 0.2

    def __post_init__(self) -> None:
        check_integer(candidates=self.candidates, at_least=2)
        check_integer(starts=self.starts, at_least=1)
        check_integer(iterations=self.iterations, at_least=1)
        check_open_probability(min_positive_control=self.min_positive_control)


def unfit(attack: AttackName, *, model: ModelSpec, task: Task) -> str | None:
    """Why an attack on the released model can't be made on such a model, or None."""
    if task != "classification":
        return f"it looks for images of a class, and this is {task}"
    plain = model.network in RELU_NETWORKS and model.base is None and model.trainable is None
    if attack == "stationarity" and not plain:
        return (
            "it explains weights that were trained from random ones, of a network of ReLU layers alone "
            f"({', '.join(RELU_NETWORKS)})"
        )
    return None


def control_trials(attack: AttackName, *, candidates: int, test_units: int) -> int:
    """How many trials the positive control of an attack on the released model has."""
    return min(CONTROL_UNITS, test_units) if attack == "stationarity" else candidates


def reach(candidates: int, *, successes: int, trials: int, classes: int) -> float:
    """How many units so many images would reconstruct, if they were as good as those of the control of `stationarity`.

    Args:
        candidates: images that are handed in.
        successes: units of the control that were reconstructed.
        trials: units of the control.
        classes: each has an image at least.
    """
    return candidates * successes / max(CONTROL_IMAGES * trials, classes, 1)


def least_control(attack: AttackName, search: WeightsSearch, *, classes: int) -> float:
    """The least share of its positive control that an attack on the released model must reach.

    Images that resemble nothing are most like their own class's mean with probability 1/classes; half-way from there to
    all is asked of `class-inversion`.
    """
    return search.min_positive_control if attack == "stationarity" else (1 + 1 / classes) / 2
