"""Trains networks with differential privacy, unit by unit, and says what ran."""

from gatekeeper.training.assistant import assist
from gatekeeper.training.devices import find_device
from gatekeeper.training.distributed import LoneRank, meet
from gatekeeper.training.lifeline import Lifeline
from gatekeeper.training.loop import TrainedModel, software, train
from gatekeeper.training.timing import measure_step
from gatekeeper.training.twin import train_twin

__all__ = [
    "Lifeline",
    "LoneRank",
    "TrainedModel",
    "assist",
    "find_device",
    "measure_step",
    "meet",
    "software",
    "train",
    "train_twin",
]
