"""Attack E: what attack A observes, read out by an attacker who knows mean and covariance of such images.

`wiener` plants the row of attack A and filters its read-out. `shaped` also weights the covariance's directions before
the clip, so that the clip is spent where it tells most (`audit.shaping` derives both). The attacker knows σ, C and k,
but not the norm of the image: it assumes the expected one, (E‖x − m‖²)^½. Which of the two is played is chosen before
anything is observed (`contests`): the attack hands in one reconstruction, and so does the null.

Images, clip and noise are those of attack A; with the noise off both read-outs return x − m. A guess
is the same read-out of the same noise with no image in it. All arithmetic is in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks.analytic import clip, compare
from gatekeeper.audit.prior import LinearPrior
from gatekeeper.audit.rows import Rows
from gatekeeper.audit.shaping import Gains, ReadOut, gains
from gatekeeper.audit.similarity import centred
from gatekeeper.core.adversary import AttackName
from gatekeeper.core.checks import check_non_negative, check_positive
from gatekeeper.core.risk import Measure
from gatekeeper.core.units import UnitImages

# The malicious loss makes the clip bind wherever the weighted image is longer than a millionth of its typical length.
_LOSS_SCALE = 1e6


def observe(
    centred_images: NDArray[np.float64],
    *,
    prior: LinearPrior,
    planted: NDArray[np.float64],
    clipping_norm: float,
    noise_std: NDArray[np.float64],
    generator: torch.Generator,
) -> NDArray[np.float64]:
    """The mean noisy gradient of a layer that weights the prior's directions, as the adversary receives it.

    Args:
        centred_images: x − m, shape (images, pixels).
        prior: whose directions are weighted.
        planted: weights of each image's layer, shape (images, directions + 1).
        clipping_norm: C.
        noise_std: σC/√k for each image, shape (images,).
        generator: draws the noise.

    Returns:
        float64, shape (images, pixels).
    """
    gradients = torch.from_numpy(prior.weighted(centred_images, weights=planted))
    clipped = clip(_LOSS_SCALE * clipping_norm * gradients, clipping_norm=clipping_norm)
    if noise_std.any():
        clipped += torch.from_numpy(noise_std)[:, None] * torch.randn(
            clipped.shape, generator=generator, dtype=torch.float64
        )
    return np.asarray(clipped.numpy())


def _gains_of(read_out: ReadOut, prior: LinearPrior, *, noise: float) -> Gains:
    return gains(read_out, variances=prior.all_variances, counts=prior.counts, noise=noise)


def reconstruct(
    data: UnitImages,
    *,
    rows: Rows,
    prior: LinearPrior,
    read_out: ReadOut,
    measure: Measure,
    clipping_norm: float,
    noise_multiplier: float,
    participations: NDArray[np.int64],
    generator: torch.Generator,
    absent: bool = False,
) -> NDArray[np.float64]:
    """The best similarity that one noise draw reaches over each unit's images; 0 for a unit that took part in no step.

    Args:
        data: the units attacked.
        rows: the chosen units' images.
        prior: what the attacker knows, from held-out units.
        read_out: `wiener` or `shaped`.
        measure: how read-outs are compared with the truth (`analytic.compare`).
        clipping_norm: C, above 0.
        noise_multiplier: σ, at least 0; 0 is the positive control.
        participations: k of each chosen unit, shape (units,).
        generator: draws the noise.
        absent: read noise alone, as if the images had taken part in it: guess.

    Returns:
        Shape (units,).

    Raises:
        InvalidValueError: an argument is out of its range.
        DataError: the images are too small for SSIM.
    """
    check_positive(clipping_norm=clipping_norm)
    check_non_negative(noise_multiplier=noise_multiplier)
    counts, which = np.unique(np.maximum(participations, 1), return_inverse=True)
    noises = noise_multiplier / np.sqrt(counts)
    chosen = [_gains_of(read_out, prior, noise=float(noise)) for noise in noises]
    planted, read = np.stack([item.planted for item in chosen]), np.stack([item.read for item in chosen])
    values = []
    for piece in rows.batches(pixels=prior.mean.size):
        images, level = data.images[piece.image], which[piece.owner]
        truth = centred(images, mean=prior.mean)
        received = observe(
            np.zeros_like(truth) if absent else truth,
            prior=prior,
            planted=planted[level],
            clipping_norm=clipping_norm,
            noise_std=noises[level] * clipping_norm,
            generator=generator,
        )
        readout = prior.weighted(received, weights=read[level])
        values.append(compare(readout, images=images, mean=prior.mean, measure=measure))
    best = rows.best(np.concatenate(values))
    return np.where(participations > 0, best, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Denoised:
    """Attack E, with what it knows beforehand.

    Attributes:
        prior: mean and covariance of held-out images.
        read_out: `wiener` or `shaped`.
        clipping_norm: C, above 0.
    """

    prior: LinearPrior
    read_out: ReadOut
    clipping_norm: float

    @property
    def name(self) -> AttackName:
        """Which attack it is."""
        return "denoised"

    def reconstruct(
        self,
        data: UnitImages,
        *,
        rows: Rows,
        measure: Measure,
        noise_multiplier: float,
        participations: NDArray[np.int64],
        generator: torch.Generator,
        absent: bool = False,
    ) -> NDArray[np.float64]:
        """See `reconstruct`."""
        return reconstruct(
            data,
            rows=rows,
            prior=self.prior,
            read_out=self.read_out,
            measure=measure,
            clipping_norm=self.clipping_norm,
            noise_multiplier=noise_multiplier,
            participations=participations,
            generator=generator,
            absent=absent,
        )
