from __future__ import annotations

import pytest

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.spectrum import MOST_BANDS, Band, Spectrum
from gatekeeper.errors import InvalidValueError


def spectrum(*variances: float, units: int = 5) -> Spectrum:
    return Spectrum(bands=tuple(Band(count=3, variance=variance) for variance in variances), units=units)


def test_pixels_and_energy_are_those_of_all_bands() -> None:
    both = Spectrum(bands=(Band(count=1, variance=2.0), Band(count=9, variance=0.5)), units=7)
    assert (both.pixels, both.energy) == (10, 6.5)


def test_a_spectrum_survives_the_codec() -> None:
    noun = spectrum(0.123, 0.00456)
    assert decode(encode(noun), Spectrum) == noun


@pytest.mark.parametrize("variances", [(), (1.0, 1.0), (1.0, 2.0), tuple(1 / i for i in range(1, MOST_BANDS + 2))])
def test_bands_are_few_and_fall(variances: tuple[float, ...]) -> None:
    with pytest.raises(InvalidValueError, match="bands"):
        spectrum(*variances)


@pytest.mark.parametrize(("count", "variance"), [(0, 1.0), (1.5, 1.0), (1, 0.0), (1, -1.0), (1, float("inf"))])
def test_a_band_has_directions_and_variance(count: int, variance: float) -> None:
    with pytest.raises(InvalidValueError):
        Band(count=count, variance=variance)


def test_one_unit_or_one_direction_is_no_spectrum() -> None:
    with pytest.raises(InvalidValueError, match="units"):
        spectrum(1.0, units=1)
    with pytest.raises(InvalidValueError, match="2 directions"):
        Spectrum(bands=(Band(count=1, variance=1.0),), units=2)
