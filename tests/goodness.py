"""Whether counts fit stated probabilities: a chi-square test that fails once in 10⁹ by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

LEVEL = 1e-9


def fits(counts: NDArray[np.int64], probabilities: NDArray[np.float64]) -> bool:
    """Pearson's statistic of `counts` against their expectations, of which each should be at least 5.

    Args:
        counts: how often each outcome was seen; every outcome has a place.
        probabilities: of the outcomes, adding up to 1.
    """
    expected = counts.sum() * probabilities
    assert expected.min() >= 5, "the approximation needs more draws"
    return bool(((counts - expected) ** 2 / expected).sum() < chdtri(len(counts) - 1, LEVEL))
