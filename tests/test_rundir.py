from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.errors import RunDirectoryError
from gatekeeper.rundir import Failure, RunDirectory, list_runs, write_atomically
from tests.facts import sample_facts, sample_policy
from tests.tiny import tiny_candidate


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "runs", policy=sample_policy(), candidate=tiny_candidate())


def test_what_is_written_is_read_back(run: RunDirectory) -> None:
    assert run.read_policy() == sample_policy()
    assert run.read_candidate() == tiny_candidate()
    evidence = sample_facts().evidence
    run.write_evidence(evidence)
    assert run.read_evidence() == evidence
    failure = Failure(code="c", message="m", where=None, hint="h", exit_code=2)
    assert run.read_failure() is None
    run.write_failure(failure)
    assert run.read_failure() == failure


def test_a_run_is_private_and_its_salt_its_own(run: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory.create(tmp_path / "runs", policy=sample_policy(), candidate=tiny_candidate())
    assert run.path.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in run.path.iterdir())
    assert len(run.salt) == 32
    assert run.salt != other.salt


def test_a_run_that_others_can_read_is_refused(run: RunDirectory) -> None:
    run.path.chmod(0o755)
    with pytest.raises(RunDirectoryError, match="chmod 700"):
        RunDirectory(run.path)


def test_a_missing_or_linked_run_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no such run"):
        RunDirectory(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(RunDirectoryError, match="is no directory of its own"):
        RunDirectory(tmp_path / "link")


def test_changed_facts_are_refused(run: RunDirectory) -> None:
    path = run.path / "policy.json"
    path.write_text(path.read_text().replace('"version":1', '"version": 1'))
    with pytest.raises(RunDirectoryError, match="changed or cut short"):
        run.read_policy()


def test_an_unfinished_run_says_how_far_it_got(run: RunDirectory) -> None:
    with pytest.raises(RunDirectoryError, match=r"no evidence\.json"):
        run.read_evidence()
    assert run.state() == "unfinished"
    run.write_evidence(sample_facts().evidence)
    assert run.state() == "measured"


def test_two_processes_cannot_hold_one_run(run: RunDirectory) -> None:
    with run.lock(), pytest.raises(RunDirectoryError, match="another process"), run.lock():
        pass


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    path.chmod(0o600)
    with pytest.raises(TypeError):
        write_atomically(path, "text")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_runs_are_listed_oldest_first_and_other_folders_left_out(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "runs" / "notes").mkdir()
    assert list_runs(tmp_path / "runs") == (run.path,)
    assert list_runs(tmp_path / "none") == ()
