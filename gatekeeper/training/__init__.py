"""Trains networks with differential privacy, unit by unit, and says what ran."""

from gatekeeper.training.lifeline import Lifeline
from gatekeeper.training.loop import TrainedModel, software, train
from gatekeeper.training.timing import estimate_seconds
from gatekeeper.training.twin import train_twin

__all__ = ["Lifeline", "TrainedModel", "estimate_seconds", "software", "train", "train_twin"]
