"""The digits of scikit-learn, an optional extra."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from gatekeeper.data import load
from gatekeeper.errors import DataError
from tests.data_layouts import spec


def test_all_digits_are_read() -> None:
    pytest.importorskip("sklearn")
    data = load(spec("digits", None, test=0.2))
    assert data.train.units + data.test.units == 1797
    assert data.test.units == 359
    assert data.classes == tuple("0123456789")
    assert data.train.images.shape[1:] == (1, 8, 8)
    assert (data.train.images.min(), data.train.images.max()) == (0, 255)
    assert not data.synthetic


def test_digits_are_resized_and_coloured_on_demand() -> None:
    pytest.importorskip("sklearn")
    data = load(spec("digits", None, image_size=(16, 12), channels=3))
    assert data.train.images.shape[1:] == (3, 16, 12)
    assert np.array_equal(data.train.images[:, 0], data.train.images[:, 2])


def test_absent_scikit_learn_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r'pip install "gatekeeper\[digits\]"'):
        load(spec("digits", None))


def test_a_writer_that_the_set_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="unit 'writer' is not a column"):
        load(spec("digits", None, unit="writer"))
