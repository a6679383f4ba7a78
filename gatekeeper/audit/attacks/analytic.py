"""Attack A: analytic inversion through a planted linear row, by the best linear read-out.

A server that plants a linear row in front of the network reads images off its gradient (Fowl et al. 2022, "Robbing the
fed"; Boenisch et al. 2023, "When the curious abandon honesty"). Played here at its strongest (Riess et al. 2024,
"From Mean to Extreme"): the row isolates one image x, subtracts the held-out mean image m first so that the clip is
not spent on what all images share, and scales the loss until the clip binds. What is observed is then
C·(x − m)/‖x − m‖ + N(0, σ²C²/k), the mean over k participations; it is the read-out itself. Nothing is known of
the norm, so NCC, which is free of scale, judges it; for SSIM the adversary is granted the true norm ‖x − m‖. (The
scale that fits x best would shrink pure noise to nothing and hand in m, which on images of one kind has a higher SSIM
with x than most real images have: a success without any reconstruction.)

Each image of a unit is attacked as though it were alone in its unit's gradient, and any success counts: more than one
real run could give, never less. All arithmetic is in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper.audit.rows import Rows
from gatekeeper.audit.similarity import centred, mean_image, ncc, ssim
from gatekeeper.core.adversary import AttackName
from gatekeeper.core.risk import Measure
from gatekeeper.core.units import UnitImages

_TINY = 1e-300


class PlantedRow(torch.nn.Module):
    """One row of a linear layer, w·(x − m), whose weight's gradient is the image itself.

    Args:
        mean: m, the held-out mean image, float64, shape (channels, *spatial) in [0, 1].
        loss_scale: what the malicious loss multiplies the row's output by.
    """

    mean: torch.Tensor

    def __init__(self, mean: NDArray[np.float64], *, loss_scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.reshape(-1).copy()))
        self.weight = torch.nn.Parameter(torch.zeros(mean.size, dtype=torch.float64))
        self.loss_scale = loss_scale

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The loss of each image: images float64 (images, pixels) in [0, 1] → (images,)."""
        return self.loss_scale * ((images - self.mean) @ self.weight)

    def per_image_gradients(self, images: torch.Tensor) -> torch.Tensor:
        """∂loss/∂w of each image in closed form, scale·(x − m): shape (images, pixels)."""
        return self.loss_scale * (images - self.mean)


def clip(gradients: torch.Tensor, *, clipping_norm: float) -> torch.Tensor:
    """Each row scaled to a norm of at most C."""
    norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
    return gradients * torch.clamp(clipping_norm / norms.clamp_min(_TINY), max=1.0)


def observe(
    images: NDArray[np.uint8],
    *,
    row: PlantedRow,
    clipping_norm: float,
    noise_std: NDArray[np.float64],
    generator: torch.Generator,
) -> NDArray[np.float64]:
    """The mean noisy gradient that the adversary reads for each image, by numerically exact clip and Gaussian noise.

    Args:
        images: uint8, shape (images, channels, *spatial).
        row: the planted row.
        clipping_norm: C.
        noise_std: standard deviation of the noise on the mean, σC/√k, for each image, shape (images,).
        generator: draws the noise.

    Returns:
        float64, shape (images, pixels).
    """
    flat = torch.from_numpy(images.reshape(len(images), -1).astype(np.float64) / 255)
    with torch.no_grad():
        clipped = clip(row.per_image_gradients(flat), clipping_norm=clipping_norm)
        scale = torch.from_numpy(noise_std)[:, None]
        if noise_std.any():
            clipped += scale * torch.randn(clipped.shape, generator=generator, dtype=torch.float64)
    return np.asarray(clipped.numpy())


def compare(
    readout: NDArray[np.float64], *, images: NDArray[np.uint8], mean: NDArray[np.float64], measure: Measure
) -> NDArray[np.float64]:
    """How alike each read-out and the image at the same place are, shape (images,).

    Args:
        readout: shape (images, pixels), of any scale.
        images: uint8, shape (images, channels, *spatial).
        mean: m, shape (channels, *spatial).
        measure: `ncc` compares the read-out with x − m; `ssim` compares x with the read-out brought to the
            norm ‖x − m‖, plus m, clipped to [0, 1].
    """
    truth = centred(images, mean=mean)
    if measure == "ncc":
        return ncc(truth, readout)
    norms = np.linalg.norm(truth, axis=1) / np.maximum(np.linalg.norm(readout, axis=1), _TINY)
    pictures = (norms[:, None] * readout).reshape(images.shape) + mean
    return ssim(images / 255.0, np.clip(pictures, 0.0, 1.0))


def plant(held_out: UnitImages, *, clipping_norm: float) -> PlantedRow:
    """The row that subtracts the held-out mean image; its loss makes the clip bind wherever ‖x − m‖ > 10⁻⁶."""
    return PlantedRow(mean_image(held_out.images), loss_scale=clipping_norm * 1e6)


def reconstruct(
    data: UnitImages,
    *,
    rows: Rows,
    row: PlantedRow,
    measure: Measure,
    clipping_norm: float,
    noise_multiplier: float,
    participations: NDArray[np.int64],
    generator: torch.Generator,
) -> NDArray[np.float64]:
    """The best similarity that one noise draw reaches over each unit's images; 0 for a unit that took part in no step.

    Args:
        data: the units attacked.
        rows: the chosen units' images.
        row: the planted row.
        measure: how read-outs are compared with the truth.
        clipping_norm: C.
        noise_multiplier: σ, at least 0; 0 is the positive control.
        participations: k of each chosen unit, shape (units,).
        generator: draws the noise.

    Returns:
        Shape (units,).
    """
    mean = row.mean.numpy().reshape(data.images.shape[1:])
    values = []
    for piece in rows.batches(pixels=mean.size):
        images = data.images[piece.image]
        counts = np.maximum(participations[piece.owner], 1)
        noise_std = noise_multiplier * clipping_norm / np.sqrt(counts)
        readout = observe(images, row=row, clipping_norm=clipping_norm, noise_std=noise_std, generator=generator)
        values.append(compare(readout, images=images, mean=mean, measure=measure))
    best = rows.best(np.concatenate(values))
    return np.where(participations > 0, best, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Analytic:
    """Attack A, with everything that it plants.

    Attributes:
        row: the planted row.
        clipping_norm: C, above 0.
    """

    row: PlantedRow
    clipping_norm: float

    @property
    def name(self) -> AttackName:
        """Which attack it is."""
        return "analytic"

    def reconstruct(
        self,
        data: UnitImages,
        *,
        rows: Rows,
        measure: Measure,
        noise_multiplier: float,
        participations: NDArray[np.int64],
        generator: torch.Generator,
    ) -> NDArray[np.float64]:
        """See `reconstruct`."""
        return reconstruct(
            data,
            rows=rows,
            row=self.row,
            measure=measure,
            clipping_norm=self.clipping_norm,
            noise_multiplier=noise_multiplier,
            participations=participations,
            generator=generator,
        )


def fresh_generator() -> torch.Generator:
    """A generator seeded by the operating system; the seed is kept nowhere else."""
    generator = torch.Generator()
    generator.seed()
    return generator
