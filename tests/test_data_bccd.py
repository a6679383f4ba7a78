"""The real blood-cell crops (BCCD): skipped where the set is not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatekeeper.data import detect, load
from tests.data_layouts import SALT, spec

REPOSITORY = Path(__file__).parent.parent
BCCD = Path(os.environ.get("GATEKEEPER_BCCD", REPOSITORY.parent / "shared" / "data" / "bccd"))

pytestmark = pytest.mark.skipif(not BCCD.is_dir(), reason="the blood-cell set (GATEKEEPER_BCCD) is not there")


def test_blood_cells_are_divided_by_smear() -> None:
    data = load(spec("ham10000", BCCD, unit="lesion_id", test=0.2))
    assert (data.train.units, data.test.units) == (291, 73)
    assert len(data.train.images) + len(data.test.images) == 1063
    assert data.classes == ("platelets", "rbc", "wbc")
    assert data.card(salt=SALT).image_shape == (3, 64, 64)


def test_blood_cells_are_recognised() -> None:
    proposal = detect(BCCD)
    assert (proposal.format, proposal.unit, proposal.image_size) == ("ham10000", "lesion_id", None)
