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
    return squared_norms_from(norms_of_pieces(rows))


def norms_of_pieces(rows: Tensor) -> Tensor:
    """The norms of pieces that each row is cut into, of `_PIECE` numbers or what is left over at the end.

    Args:
        rows: float32, shape (units, entries).

    Returns:
        float32, shape (units, pieces).

    Raises:
        TypeError: the numbers are others: the norm of shorter ones would be rounded like them.
    """
    if rows.dtype != torch.float32:
        raise TypeError(f"norms are taken of float32 numbers, got {rows.dtype}")
    rest = rows.shape[1] % _PIECE
    whole = rows if not rest else rows[:, :-rest]
    norms = torch.linalg.vector_norm(whole.reshape(len(rows), -1, _PIECE), dim=2)
    return torch.cat([norms, torch.linalg.vector_norm(rows[:, -rest:], dim=1, keepdim=True)], 1) if rest else norms


def squared_norms_from(pieces: Tensor) -> Tensor:
    """As `squared_norms`, from what `norms_of_pieces` gives."""
    return pieces.double().square().sum(1) * (1 + 2 * gamma(_PIECE + 2)) + VANISHING**2
