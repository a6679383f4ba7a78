from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.errors import InvalidInputError, InvalidValueError
from gatekeeper.pipeline.child import harmless
from gatekeeper.pipeline.place import Place, find_place

SECOND = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "3"}


def test_without_torchrun_a_process_is_alone() -> None:
    assert find_place({"RANK": "1", "WORLD_SIZE": "3"}) == Place(index=0, count=1)
    assert find_place({}).is_first


def test_torchrun_says_who_is_who() -> None:
    assert find_place(SECOND) == Place(index=1, count=3)
    assert not find_place(SECOND).is_first
    with pytest.raises(InvalidValueError, match="count"):
        find_place({**SECOND, "RANK": "3"})


def test_several_machines_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="must be on one machine"):
        find_place({**SECOND, "LOCAL_WORLD_SIZE": "2"})


def test_a_second_try_of_torchruns_is_refused_because_it_would_be_another_attempt() -> None:
    with pytest.raises(InvalidInputError, match="what had failed is counted"):
        find_place({**SECOND, "TORCHELASTIC_RESTART_COUNT": "1"})


def test_the_child_finds_its_siblings_and_talks_to_them_on_this_machine_only() -> None:
    found = harmless({**SECOND, "MASTER_PORT": "29500", "AWS_SECRET_ACCESS_KEY": "x"})
    assert find_place(found) == Place(index=1, count=3)
    assert found["MASTER_PORT"] == "29500"
    assert found["GLOO_SOCKET_IFNAME"] == "lo"
    assert "AWS_SECRET_ACCESS_KEY" not in found


def test_only_the_first_process_reads_and_reports(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gatekeeper", "certify", "nowhere.yaml", "--policy", "nowhere.yaml", "--dry-run"]
    others = subprocess.run(command, cwd=tmp_path, env=SECOND, capture_output=True, text=True, check=False)
    assert (others.returncode, others.stdout, others.stderr) == (0, "", "")
    first = subprocess.run(
        command, cwd=tmp_path, env={**SECOND, "RANK": "0"}, capture_output=True, text=True, check=False
    )
    assert first.returncode == 2
    assert not any(tmp_path.iterdir())
