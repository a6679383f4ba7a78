"""Upper limits of norms from float32 arithmetic: what is returned is never below the true norm."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.training.clipping.rounding import gamma

# Squares are added up in float32 within a row of this length, and in float64 across rows: a norm errs by 4e-6.
_ROW = 128

# Squares of entries below 2⁻⁷⁴ vanish in float32; what up to 2⁴⁰ of them could add to a norm.
VANISHING = 2.0**-54


def squared_norms(rows: Tensor) -> Tensor:
    """An upper limit of each row's squared norm, at most 2γ₁₃₀ ≈ 1.6e-5 above it (relative), and 2⁻¹⁰⁸ (absolute).

    Args:
        rows: float32, shape (units, entries), contiguous.

    Returns:
        float64, shape (units,).
    """
    units, entries = rows.shape
    whole = entries - entries % _ROW
    total = torch.zeros(units, dtype=torch.float64, device=rows.device)
    if whole:
        norms = torch.linalg.vector_norm(rows[:, :whole].reshape(units, -1, _ROW), dim=2)
        total += norms.double().square().sum(1)
    if whole < entries:
        total += torch.linalg.vector_norm(rows[:, whole:], dim=1).double().square()
    return total * (1 + 2 * gamma(_ROW + 2)) + VANISHING**2
