"""How images of one kind vary, as an attacker with a linear prior knows it: the eigenvalues of their covariance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from gatekeeper.core.checks import check_integer, check_positive, check_tuple
from gatekeeper.errors import InvalidValueError

# A few dozen numbers of a few digits: enough for the attacker's arithmetic, too little to identify anybody.
MOST_BANDS = 48

# A covariance from fewer than half as many is a guess, and one half is what the other is a control for.
FEWEST_UNITS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Directions of image space that vary alike.

    Attributes:
        count: how many directions, at least 1.
        variance: the variance along each, above 0, in squared units of the pixel range [0, 1].
    """

    count: int
    variance: float

    def __post_init__(self) -> None:
        check_integer(count=self.count, at_least=1)
        check_positive(variance=self.variance)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spectrum:
    """The covariance spectrum of held-out images about their mean image.

    Attributes:
        bands: from the largest variance to the smallest, each strictly below the one before; 1 to 48 of them.
        units: how many held-out units it was estimated from, at least 2.
    """

    bands: tuple[Band, ...]
    units: int

    def __post_init__(self) -> None:
        check_tuple(bands=self.bands, of=Band)
        check_integer(units=self.units, at_least=2)
        if not 1 <= len(self.bands) <= MOST_BANDS:
            raise InvalidValueError(f"bands must be 1 to {MOST_BANDS}, got {len(self.bands)}")
        variances = [band.variance for band in self.bands]
        if any(after >= before for before, after in pairwise(variances)):
            raise InvalidValueError(f"the variances of the bands must fall, got {variances!r}")
        if self.pixels < 2:
            raise InvalidValueError("a spectrum needs at least 2 directions, got 1")

    @property
    def pixels(self) -> int:
        """N, the number of values of an image: the directions of all bands."""
        return sum(band.count for band in self.bands)

    @property
    def energy(self) -> float:
        """E‖X − m‖², the sum of the variances.

        >>> Spectrum(bands=(Band(count=1, variance=0.5), Band(count=3, variance=0.25)), units=2).energy
        1.25
        """
        return math.fsum(band.count * band.variance for band in self.bands)
