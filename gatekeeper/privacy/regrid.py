"""A discrete loss on any points, moved to multiples of a width so that the result dominates it."""

from __future__ import annotations

import math

import numpy as np

from gatekeeper.privacy.intervals import SLACK, Array
from gatekeeper.privacy.losses import GridLoss


def regrid(losses: Array, log_masses: Array, *, width: float, infinite: float, error: float) -> GridLoss:
    """Each mass split between the two nearest grid points so that P's and Q's mass are kept.

    A loss s between g and g + h sends the share (1 − e^{−(s−g)})/(1 − e^{−h}) up (Doroshenko et al. 2022, section 4).

    Args:
        losses: the values in nats, increasing.
        log_masses: the logarithms of P's masses, rounded up.
        width: h in nats, above 0.
        infinite: P's mass of an infinite loss.
        error: how far `losses` may be from the true ones, in nats.
    """
    places = np.floor(losses / width).astype(np.int64)
    rest = np.clip(losses - places * width, 0.0, width)
    share = np.expm1(-rest) / math.expm1(-width)
    first, largest = int(places[0]), float(log_masses.max())
    masses = np.exp(log_masses - largest)
    count = int(places[-1]) - first + 2
    stays = np.bincount(places - first, weights=masses * (1 - share), minlength=count)
    rises = np.bincount(places - first + 1, weights=masses * share, minlength=count)
    extent = max(abs(float(losses[0])), abs(float(losses[-1])))
    with np.errstate(divide="ignore"):
        logs = np.log(stays + rises) + largest + SLACK * len(losses)
    return GridLoss(
        width=width,
        indices=np.arange(first, first + count, dtype=np.int64),
        log_masses=logs,
        infinite=infinite,
        clipped=0.0,
        inflation=2 * SLACK * len(losses),
        lift=width * width / 8,
        error=error + SLACK * (1 + extent + width),
    )
