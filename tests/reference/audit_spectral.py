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
    images: np.ndarray, unit: np.ndarray, *, folds: int, principal: int, fixed: np.ndarray
) -> tuple[np.ndarray, float]:
    """Variances along directions that other units' images gave, and along each remaining direction.

    Args:
        images: float, shape (images, pixels).
        unit: 0 … units − 1, shape (images,).
        folds: every how many units are left out at once.
        principal: how many principal directions.
        fixed: vectors made orthogonal to these, shape (vectors, pixels).
    """
    squares, energy = [], []
    for fold in range(folds):
        own, others = images[unit % folds != fold], images[unit % folds == fold]
        mean = own.mean(axis=0)
        _, _, vectors = np.linalg.svd(own - mean, full_matrices=False)
        basis = list(vectors[:principal])
        for vector in fixed:
            for direction in basis:
                vector = vector - (vector @ direction) * direction
            basis.append(vector / np.linalg.norm(vector))
        for image in others:
            squares.append([(direction @ (image - mean)) ** 2 for direction in basis])
            energy.append(np.sum((image - mean) ** 2))
    variances = np.mean(squares, axis=0)
    return variances, (np.mean(energy) - variances.sum()) / (images.shape[1] - len(variances))


def wiener(values: np.ndarray, *, covariance: np.ndarray, noise_variance: float) -> np.ndarray:
    """Σ(Σ + s²I)⁻¹ y for each row y, by solving linear equations."""
    return np.linalg.solve(covariance + noise_variance * np.eye(len(covariance)), values.T).T @ covariance
