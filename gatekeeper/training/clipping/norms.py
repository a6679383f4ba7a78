"""Norms of long rows from float32 arithmetic, never below the true ones."""

from __future__ import annotations

import torch
from torch import Tensor

from gatekeeper.training.clipping.rounding import gamma

# Numbers are added up in float32 within a piece of this length, and in float64 across pieces: a norm errs by 2e-6.
_PIECE = 64

# Squares of entries below 2⁻⁷⁴ vanish in float32; what up to 2⁴⁰ of them could add to a norm.
VANISHING = 2.0**-54


def squared_norms(rows: Tensor) -> Tensor:
    """An upper limit of each row's squared norm, at most 2γ₆₆ ≈ 8e-6 above it (relative), and 2⁻¹⁰⁸ (absolute).

    Args:
        rows: float32, shape (units, entries).

    Returns:
        float64, shape (units,).
    """
    total = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    for pieces in _pieces(rows):
        total += torch.linalg.vector_norm(pieces, dim=2).double().square().sum(1)
    return total * (1 + 2 * gamma(_PIECE + 2)) + VANISHING**2


def _pieces(rows: Tensor) -> list[Tensor]:
    """Rows cut into pieces: shape (rows, pieces, length), and what is left over at the end."""
    whole = rows.shape[1] - rows.shape[1] % _PIECE
    parts = (rows[:, :whole].reshape(len(rows), -1, _PIECE), rows[:, None, whole:])
    return [part for part in parts if part.numel()]
