from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gatekeeper.audit.attacks.gallery import most_readily_read
from gatekeeper.audit.contact_sheet import contact_sheet
from gatekeeper.errors import InvalidValueError
from tests.tiny import tiny_segmentation_units, tiny_units


def _gallery(sigma: float, *, count: int = 5):
    return most_readily_read(
        tiny_units(units=30),
        held_out=tiny_units(units=20, seed=1),
        noise_multiplier=sigma,
        participations=4,
        count=count,
        rng=np.random.default_rng(0),
    )


def test_the_best_are_shown_first_beside_their_originals() -> None:
    found = _gallery(0.05)
    assert len(found.originals) == len(found.read) == 5
    assert list(found.similarities) == sorted(found.similarities, reverse=True)
    assert found.similarities[0] > 0.9
    np.testing.assert_allclose(found.read[0], found.originals[0], atol=0.3)


def test_noise_shows_as_noise() -> None:
    assert abs(_gallery(100.0).similarities.mean()) < 0.5 < _gallery(0.05).similarities.mean()


def test_fewer_images_than_asked_for_are_all_shown() -> None:
    assert len(_gallery(1.0, count=1000).originals) == len(tiny_units(units=30).images)


@pytest.mark.parametrize("wrong", [{"noise_multiplier": 0.0}, {"participations": 0}, {"count": 0}])
def test_what_is_no_attack_is_refused(wrong: dict[str, float]) -> None:
    terms = {"noise_multiplier": 1.0, "participations": 1, "count": 5} | wrong
    with pytest.raises(InvalidValueError):
        most_readily_read(tiny_units(), held_out=tiny_units(seed=1), **terms)  # type: ignore[arg-type]


def test_a_sheet_shows_images_of_every_kind() -> None:
    grey, colour = np.full((2, 1, 8, 8), 0.5), np.zeros((5, 3, 8, 8))
    colour[:, 0] = 1.0
    volume = tiny_segmentation_units(units=3, size=(7, 9, 8)).images[:2] / 255
    with Image.open(io.BytesIO(contact_sheet([("a", grey), ("b", colour), ("c", volume)]))) as sheet:
        pixels = np.asarray(sheet)
        assert sheet.mode == "RGB"
    assert pixels.shape[0] == 14 + 3 * (14 + 96 + 4)
    assert (pixels == [255, 0, 0]).all(2).sum() >= 5 * 96 * 96
    assert (pixels == [128, 128, 128]).all(2).sum() >= 2 * 96 * 96
