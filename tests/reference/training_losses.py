"""Losses pixel by pixel, in plain floats: what `training.losses` must give."""

from __future__ import annotations

import math

from torch import Tensor


def _softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def _pixels(logits: Tensor, targets: Tensor) -> list[tuple[list[float], int]]:
    """Probabilities and true class of every pixel of one view: logits (classes, *spatial), targets (*spatial)."""
    scores = logits.reshape(len(logits), -1).T.tolist()
    return [(_softmax(row), label) for row, label in zip(scores, targets.reshape(-1).tolist(), strict=True)]


def cross_entropy(logits: Tensor, targets: Tensor) -> float:
    """Of one view."""
    pixels = _pixels(logits, targets)
    return sum(-math.log(probabilities[label]) for probabilities, label in pixels) / len(pixels)


def soft_dice(logits: Tensor, targets: Tensor, *, smooth: float) -> float:
    """Of one view, over the classes 1, 2, …"""
    pixels = _pixels(logits, targets)
    classes = range(1, len(logits))
    overlaps = []
    for index in classes:
        common = sum(probabilities[index] for probabilities, label in pixels if label == index)
        predicted = sum(probabilities[index] for probabilities, _ in pixels)
        true = sum(1 for _, label in pixels if label == index)
        overlaps.append((2 * common + smooth) / (predicted + true + smooth))
    return 1 - sum(overlaps) / len(overlaps)
