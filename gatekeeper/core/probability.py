"""Probabilities rounded to the safe side."""

from __future__ import annotations

# scipy's ndtr and gammainc err by less than 1e-12 relative, and a threshold found by bisection by a few
# units in the last place; both margins are far above that and far below any digit that is printed.
RELATIVE_MARGIN = 1e-9
ABSOLUTE_MARGIN = 1e-15


def rounded_up(probability: float) -> float:
    """An upper bound on a computed probability: a part in 10⁹ and 1e-15 are added, and 1 is the most."""
    return min(1.0, probability * (1 + RELATIVE_MARGIN) + ABSOLUTE_MARGIN)
