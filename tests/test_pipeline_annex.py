from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatekeeper.core.record import PlannedRun
from gatekeeper.errors import InvalidInputError
from gatekeeper.pipeline import child
from gatekeeper.pipeline.annex import check_annex, deliver_annex
from gatekeeper.rundir import RunDirectory
from tests.facts import sample_policy
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run whose child draws a sheet of two bytes."""
    made = RunDirectory.create(tmp_path / "runs", policy=sample_policy(), candidate=tiny_candidate())
    made.write_planned(PlannedRun(dataset=tiny_card(tiny_units()), plan=tiny_plan(), non_private=False))
    monkeypatch.setattr(child, "run_private_part", lambda run, task, **_: run.annex.write_bytes(task[:2].encode()))
    return made


def test_the_sheet_is_moved_to_a_folder_of_its_owners_alone(run: RunDirectory, tmp_path: Path) -> None:
    path = deliver_annex(run, tmp_path / "for" / "review", quiet=True, device="cpu")
    assert path.read_bytes() == b"an"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    assert "CONFIDENTIAL" in (path.parent / "CONFIDENTIAL.txt").read_text()
    assert not run.annex.exists()
    assert path.name.startswith(f"epsilon-{run.read_planned().plan.budget.epsilon:.0f}".replace("+", "")[:9])


def test_a_folder_that_others_can_read_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    os.chmod(folder, 0o755)
    for refused in (
        lambda: check_annex(folder, apart_from=None),
        lambda: deliver_annex(run, folder, quiet=True, device="cpu"),
    ):
        with pytest.raises(InvalidInputError, match="chmod 700"):
            refused()
    assert list(folder.iterdir()) == []


def test_an_annex_never_leaves_with_a_release(tmp_path: Path) -> None:
    release = tmp_path / "release"
    for folder in (release, release / "annex"):
        with pytest.raises(InvalidInputError, match="inside the release"):
            check_annex(folder, apart_from=release)
    check_annex(tmp_path / "annex", apart_from=release)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="no folder"):
        check_annex(tmp_path / "file", apart_from=None)
