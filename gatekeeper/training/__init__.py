"""Trains networks with differential privacy, unit by unit, and says what ran."""

from gatekeeper.training.loop import TrainedModel, train, train_twin
from gatekeeper.training.timing import estimate_seconds

__all__ = ["TrainedModel", "estimate_seconds", "train", "train_twin"]
