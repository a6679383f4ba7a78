"""Slow, obvious twins of the linear prior: one image, one direction and one fold at a time."""

from __future__ import annotations

import math

import numpy as np

from gatekeeper.core.spectrum import Spectrum


def water_filling(variances: list[float], *, noise: float) -> list[float]:
    """(c√λ − t²)₊ with the sum 1, c by bisection."""

    def shares(c: float) -> list[float]:
        return [max(0.0, c * math.sqrt(variance) - noise**2) for variance in variances]

    low, high = 0.0, (1 + noise**2) / math.sqrt(max(variances))
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(shares(middle)) > 1 else (middle, high)
    return shares(high)


def directions_of(spectrum: Spectrum) -> list[float]:
    """The variance of each single direction."""
    return [band.variance for band in spectrum.bands for _ in range(band.count)]


def simulated_ncc(
    variances: list[float], *, noise: float, shaped: bool, images: int, rng: np.random.Generator
) -> np.ndarray:
    """The NCC of Gaussian images and of what is read of them through the clip, image by image."""
    energy = sum(variances)
    power = water_filling(variances, noise=noise) if shaped else [variance / energy for variance in variances]
    layer = np.sqrt(np.array(power) / np.array(variances))
    result = []
    for _ in range(images):
        x = np.sqrt(variances) * rng.standard_normal(len(variances))
        gradient = layer * x
        received = gradient / np.linalg.norm(gradient) + noise * rng.standard_normal(len(x))
        # E(x | received), had the gradient its expected norm, 1.
        estimate = layer * variances / (layer**2 * variances + noise**2) * received
        result.append(x @ estimate / (np.linalg.norm(x) * np.linalg.norm(estimate)))
    return np.array(result)


def crosswise_variances(
    images: np.ndarray, unit: np.ndarray, *, folds: int, directions: int
) -> tuple[np.ndarray, float]:
    """Variances along principal directions of other units' images, and along each remaining direction.

    Args:
        images: float, shape (images, pixels).
        unit: 0 … units − 1, shape (images,).
        folds: every how many units are left out at once.
        directions: how many principal directions.
    """
    squares, energy = [], []
    for fold in range(folds):
        own, others = images[unit % folds != fold], images[unit % folds == fold]
        mean = own.mean(axis=0)
        _, _, principal = np.linalg.svd(own - mean, full_matrices=False)
        for image in others:
            squares.append((principal[:directions] @ (image - mean)) ** 2)
            energy.append(np.sum((image - mean) ** 2))
    variances = np.mean(squares, axis=0)
    return variances, (np.mean(energy) - variances.sum()) / (images.shape[1] - directions)


def wiener(values: np.ndarray, *, covariance: np.ndarray, noise_variance: float) -> np.ndarray:
    """Σ(Σ + s²I)⁻¹ y for each row y, by solving linear equations."""
    return np.linalg.solve(covariance + noise_variance * np.eye(len(covariance)), values.T).T @ covariance
