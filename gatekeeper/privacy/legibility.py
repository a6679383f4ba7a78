"""The noise at which an attacker without prior reads out an image no better than a given likeness."""

from __future__ import annotations

import math

from gatekeeper.core.checks import check_integer, check_open_probability


def noise_for_ncc(target: float, *, pixels: int, participations: int) -> float:
    """The noise multiplier at which the median correlation of a read-out with the image is `target`.

    A planted layer that isolates one image gives X̂ ~ N(X, s² I_N) with s² = σ²‖X‖²/k (Riess et al., "From mean to
    extreme", arXiv 2402.12861), so that the typical normalised cross-correlation is ‖X‖/√(‖X‖² + N s²) =
    1/√(1 + Nσ²/k), and σ = √(k (1/NCC² − 1)/N). A median, not a bound: half of the read-outs do better, and an
    attacker with a prior on images does better still.

    Args:
        target: the correlation, strictly between 0 and 1.
        pixels: N, the number of pixel values of an image, at least 1.
        participations: k, the noisy gradients that the unit takes part in and the attacker sees; an upper quantile of
            `participations` for one who sees all steps.

    Returns:
        σ, rounded up.

    Raises:
        InvalidValueError: an argument outside its range.

    >>> f"{noise_for_ncc(0.2, pixels=784, participations=50):.4g}"
    '1.237'
    """
    check_open_probability(target=target)
    check_integer(pixels=pixels, at_least=1)
    check_integer(participations=participations, at_least=1)
    odds = (1 - target) * (1 + target) / target**2
    return math.sqrt(participations * odds / pixels) * (1 + 1e-14)
