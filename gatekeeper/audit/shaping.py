"""What an attacker who knows the covariance of images plants, and how the noisy gradient is read out.

In the eigenbasis of the covariance, direction i has variance λᵢ, and Σλᵢ = L = E‖X − m‖². The planted layer weights it
by aᵢ before the clip, which scales the whole to norm 1 (the clipping norm cancels); noise of standard deviation
t = σ/√k joins; the attacker reads bᵢ times what arrives. The attacker knows the norm before the clip on average alone,
and scales so that it is 1, Σaᵢ²λᵢ = 1. With zᵢ ~ N(0, 1) and the norm at its average,

    yᵢ = aᵢxᵢ + t·zᵢ,   x̂ᵢ = bᵢyᵢ,   bᵢ = aᵢλᵢ/(aᵢ²λᵢ + t²),   E(xᵢ − x̂ᵢ)² = λᵢt²/(pᵢ + t²),   pᵢ = aᵢ²λᵢ.

*Wiener*: the layer is not shaped, aᵢ = 1/√L. *Shaped*: the pᵢ make the mean squared error least subject to Σpᵢ = 1 and
pᵢ ≥ 0. By Lagrange's condition λᵢt²/(pᵢ + t²)² is the same wherever pᵢ > 0:

    pᵢ = (c√λᵢ − t²)₊,   c such that Σpᵢ = 1,

water-filling; it is the best of all linear layers (Lee and Petersen 1976, "Optimal linear coding for vector channels").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_choice, check_non_negative

Floats = NDArray[np.float64]
ReadOut = Literal["wiener", "shaped"]
READ_OUTS: tuple[str, ...] = get_args(ReadOut)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gains:
    """A diagonal planted layer and its read-out in the eigenbasis.

    Attributes:
        planted: aᵢ, at least 0, shape (directions,), with Σ aᵢ²λᵢ = 1.
        read: bᵢ, at least 0, shape (directions,).
        error: the mean squared error as a share of L, in [0, 1].
    """

    planted: Floats
    read: Floats
    error: float

    @property
    def ncc(self) -> float:
        """The typical NCC √(1 − error): a typical figure, no bound."""
        return math.sqrt(max(0.0, 1.0 - self.error))


def _water_filling(*, variances: Floats, counts: Floats, noise: float) -> Floats:
    """The shares p = (c√λ − t²)₊ with Σ count·p = 1, shape (directions,)."""
    order = np.argsort(-variances, kind="stable")
    roots = np.sqrt(variances)
    number, total = np.cumsum(counts[order]), np.cumsum((counts * roots)[order])
    # With the j most varied directions alone c = (1 + t²·number)/total. Written so that large t² do not cancel; the
    # right j is the last whose own direction still gets a share.
    used = np.flatnonzero(roots[order] + noise**2 * (number * roots[order] - total) > 0)[-1]
    power = (roots + noise**2 * (number[used] * roots - total[used])) / total[used]
    return np.asarray(np.maximum(power, 0.0))


def gains(read_out: ReadOut, *, variances: Floats, counts: Floats, noise: float) -> Gains:
    """The planted layer and the linear read-out of least mean squared error.

    Args:
        read_out: `wiener`: the layer is not shaped; `shaped`: it is, by water-filling.
        variances: λ, above 0, shape (directions,); in any order and of any scale.
        counts: how many directions have each variance, shape (directions,).
        noise: t = σ/√k, at least 0; at 0 the read-out inverts the layer.

    Raises:
        InvalidValueError: an argument is out of its range.
    """
    check_choice(read_out=read_out, choices=READ_OUTS)
    check_non_negative(noise=noise)
    energy = float(counts @ variances)
    if read_out == "shaped":
        power = _water_filling(variances=variances, counts=counts, noise=noise)
    else:
        power = variances / energy
    planted, received = np.sqrt(power / variances), power + noise**2
    # A direction that gets no share of the budget is not read; with the noise off every direction gets one.
    read = np.where(power > 0, np.sqrt(power * variances) / np.where(power > 0, received, 1.0), 0.0)
    error = noise**2 * float(counts @ (variances / np.where(received > 0, received, 1.0))) / energy
    return Gains(planted=planted, read=read, error=min(1.0, error))
