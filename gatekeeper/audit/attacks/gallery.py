"""The training images that are read out most readily, beside what is read: for a reviewer's eyes only.

Numbers don't show whether a face can be recognised. So a reviewer may look, as readers of Ziller et al. 2024 can (their
figure of the five most readily reconstructed images at each ε). What is shown is private, never part of a release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import observe, plant
from gatekeeper.audit.rows import Rows
from gatekeeper.audit.similarity import centred, mean_image, ncc
from gatekeeper.core.checks import check_integer, check_positive
from gatekeeper.core.units import UnitImages

# So many training images are tried; more hardly change the best few.
MOST_TRIED = 1000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Gallery:
    """The images that resemble their read-outs most, best first. Private.

    Attributes:
        originals: in [0, 1], shape (images, channels, *spatial).
        read: the read-outs, brought to their originals' contrast, plus the held-out mean image, in [0, 1]; same shape.
        similarities: NCC of each pair, shape (images,).
    """

    originals: NDArray[np.float64]
    read: NDArray[np.float64]
    similarities: NDArray[np.float64]


def most_readily_read(
    train: UnitImages,
    *,
    held_out: UnitImages,
    noise_multiplier: float,
    participations: int,
    count: int = 5,
    rng: np.random.Generator | None = None,
) -> Gallery:
    """Attack A on training images, each from the mean of k noisy gradients, and the `count` that it reads best.

    Args:
        train: the training units. Private.
        held_out: units of other people; their mean image is subtracted.
        noise_multiplier: σ, above 0.
        participations: k, at least 1.
        count: how many to show, at least 1.
        rng: chooses which images are tried, at most `MOST_TRIED`, and the noise; by default seeded by the operating
            system.
    """
    check_positive(noise_multiplier=noise_multiplier)
    check_integer(participations=participations, at_least=1)
    check_integer(count=count, at_least=1)
    rng = np.random.default_rng() if rng is None else rng
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    chosen = np.sort(rng.permutation(len(train.images))[:MOST_TRIED])
    row, mean = plant(held_out, clipping_norm=1.0), mean_image(held_out.images)
    rows = Rows(image=chosen, owner=np.arange(len(chosen)), units=len(chosen))
    best = Gallery(originals=np.zeros((0, *mean.shape)), read=np.zeros((0, *mean.shape)), similarities=np.zeros(0))
    for piece in rows.batches(pixels=mean.size):
        images = train.images[piece.image]
        noise_std = np.full(len(images), noise_multiplier / np.sqrt(participations))
        found = observe(images, row=row, clipping_norm=1.0, noise_std=noise_std, generator=generator)
        best = _best_of(best, _shown(images, found, mean=mean), count=count)
    return best


def _shown(images: NDArray[np.uint8], found: NDArray[np.float64], *, mean: NDArray[np.float64]) -> Gallery:
    truth = centred(images, mean=mean)
    scale = np.linalg.norm(truth, axis=1) / np.maximum(np.linalg.norm(found, axis=1), 1e-300)
    return Gallery(
        originals=images / 255.0,
        read=np.clip((scale[:, None] * found).reshape(images.shape) + mean, 0.0, 1.0),
        similarities=ncc(truth, found),
    )


def _best_of(first: Gallery, second: Gallery, *, count: int) -> Gallery:
    similarities = np.concatenate((first.similarities, second.similarities))
    order = np.argsort(-similarities, kind="stable")[:count]
    return Gallery(
        originals=np.concatenate((first.originals, second.originals))[order],
        read=np.concatenate((first.read, second.read))[order],
        similarities=similarities[order],
    )
