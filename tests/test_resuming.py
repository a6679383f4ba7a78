"""Which run is gone on with, what is refused, and where a training keeps what it goes on from."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
from pathlib import Path

import pytest

from gatekeeper.cli.resuming import LATEST, find_interrupted, prepare_to_go_on
from gatekeeper.core.codec import digest
from gatekeeper.core.ledger import Identities
from gatekeeper.core.record import Permit, PlannedRun
from gatekeeper.errors import InvalidInputError, LedgerError, RunDirectoryError
from gatekeeper.ledger import Ledger, create, open_ledger
from gatekeeper.pipeline import counting
from gatekeeper.pipeline.planning import make_plan
from gatekeeper.pipeline.stopping import interrupts_deferred
from gatekeeper.pipeline.vault import open_vault
from gatekeeper.privacy import account
from gatekeeper.rundir import Failure, Judgement, RunDirectory
from tests.facts import sample_facts, sample_policy
from tests.test_cli import REFUSAL
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

POLICY, CANDIDATE = sample_policy(), tiny_candidate()
FAILURE = Failure(code="c", message="m", where=None, hint=None, exit_code=2)


def _run(root: Path, *, begun: bool = True) -> RunDirectory:
    run = RunDirectory.create(root, policy=POLICY, candidate=CANDIDATE)
    if begun:
        run.write_permit(Permit(attempt=1))
    return run


def _find(resume: str, root: Path) -> Path:
    return find_interrupted(resume, runs=root, policy=POLICY, candidate=CANDIDATE).path


# Which run


def test_without_a_name_it_is_the_newest_of_this_candidate_and_policy_that_began_and_did_not_end(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidInputError, match="no run of this candidate and policy was interrupted"):
        _find(LATEST, tmp_path)
    runs = sorted((_run(tmp_path) for _ in range(3)), key=lambda run: run.path)
    assert _find(LATEST, tmp_path) == runs[2].path
    runs[2].write_failure(FAILURE)
    assert _find(LATEST, tmp_path) == runs[1].path
    judgement = Judgement(created="2026-01-01T00:00:00Z", facts=sample_facts(), verdict=REFUSAL)
    runs[1].write_judgement(judgement)
    _run(tmp_path, begun=False)
    other = tiny_candidate(epochs=3)
    RunDirectory.create(tmp_path, policy=POLICY, candidate=other).write_permit(Permit(attempt=1))
    assert _find(LATEST, tmp_path) == runs[0].path
    runs[0].path.chmod(0o755)
    with pytest.raises(InvalidInputError, match="no run of this candidate"):
        _find(LATEST, tmp_path)


def test_a_run_by_name_may_have_failed_and_then_forgets_it(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_failure(FAILURE)
    assert _find(str(run.path), tmp_path) == run.path
    assert prepare_to_go_on(run) == "its training had not begun"
    assert run.read_failure() is None


def test_a_run_with_a_verdict_is_not_gone_on_with(tmp_path: Path) -> None:
    run = _run(tmp_path)
    run.write_judgement(
        Judgement(
            created="2026-01-01T00:00:00Z",
            facts=sample_facts(),
            verdict=dataclasses.replace(REFUSAL, policy_digest=digest(POLICY)),
        )
    )
    with pytest.raises(InvalidInputError, match="has its verdict already: refused"):
        _find(str(run.path), tmp_path)


def test_a_changed_candidate_or_policy_is_refused_and_the_change_is_named(tmp_path: Path) -> None:
    run = _run(tmp_path)
    candidate = tiny_candidate(epochs=7)
    with pytest.raises(InvalidInputError, match=r"candidate\.training\.epochs was 2, now 7"):
        find_interrupted(str(run.path), runs=tmp_path, policy=POLICY, candidate=candidate)
    policy = dataclasses.replace(POLICY, owner="somebody else")
    with pytest.raises(InvalidInputError, match=r"policy\.owner was privacy-office, now somebody else"):
        find_interrupted(str(run.path), runs=tmp_path, policy=policy, candidate=CANDIDATE)


# The ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    create(str(tmp_path / "ledger.sqlite"), key=tmp_path / "ledger.key")
    return open_ledger(str(tmp_path / "ledger.sqlite"), key=tmp_path / "ledger.key")


def _planned(root: Path) -> RunDirectory:
    """A run that is planned, for a data set that can satisfy the policy."""
    run = _run(root, begun=False)
    data = tiny_units(units=240)
    run.write_planned(PlannedRun(dataset=tiny_card(data), plan=tiny_plan(), non_private=False))
    run.write_identities(Identities(units=tuple((f"unit {number}",) for number in range(240))))
    return run


def test_a_run_that_goes_on_is_the_same_attempt_and_counted_once(tmp_path: Path, ledger: Ledger) -> None:
    run = _planned(tmp_path / "runs")
    permission = counting.reserve(run, POLICY, ledger)
    assert permission.permit == Permit(attempt=1)
    for _ in range(2):
        assert counting.reserve_again(run, POLICY, ledger) == permission
    (run.path / "permit.json").unlink()  # killed between the ledger's entry and the permit
    assert counting.reserve_again(run, POLICY, ledger) == permission
    assert run.read_permit() == Permit(attempt=1)
    assert len(ledger.account().runs) == 1


def test_a_run_that_was_planned_and_not_counted_is_counted_when_it_goes_on(tmp_path: Path, ledger: Ledger) -> None:
    run = _planned(tmp_path / "runs")
    assert counting.reserve_again(run, POLICY, ledger).permit == Permit(attempt=1)
    assert len(ledger.account().runs) == 1


def test_another_ledger_or_another_plan_is_refused(tmp_path: Path, ledger: Ledger) -> None:
    run = _planned(tmp_path / "runs")
    run.write_permit(Permit(attempt=1))
    with pytest.raises(InvalidInputError, match="this ledger never counted the run"):
        counting.reserve_again(run, POLICY, ledger)
    (run.path / "permit.json").unlink()
    counting.reserve(run, POLICY, ledger)
    planned = run.read_planned()
    run.write_planned(dataclasses.replace(planned, plan=tiny_plan(steps=9)))
    with pytest.raises(InvalidInputError, match="counted another plan or policy"):
        counting.reserve_again(run, POLICY, ledger)
    run.write_planned(planned)
    with pytest.raises(InvalidInputError, match="counted another plan or policy"):
        counting.reserve_again(run, dataclasses.replace(POLICY, version=2), ledger)
    assert digest(POLICY) == ledger.account().runs[0].reservation.policy_digest


def test_a_run_that_was_settled_already_is_not_settled_again(tmp_path: Path, ledger: Ledger) -> None:
    run, evidence = _planned(tmp_path / "runs"), sample_facts().evidence
    permit = counting.reserve(run, POLICY, ledger).permit
    assert permit is not None
    run.write_evidence(evidence)
    first = counting.settle(run, ledger, permit=permit)
    assert counting.settle(run, ledger, permit=permit) == first == run.read_ledger()
    fewer = dataclasses.replace(evidence.record, mechanism=dataclasses.replace(evidence.record.mechanism, steps=5))
    run.write_evidence(dataclasses.replace(evidence, record=fewer))
    with pytest.raises(LedgerError, match="a second time"):
        counting.settle(run, ledger, permit=permit)


@pytest.mark.parametrize("sampling", ["poisson", "balls-and-bins"])
def test_noise_is_planned_for_the_steps_that_may_be_done_again(sampling: str) -> None:
    card = tiny_card(tiny_units(units=40))
    plain, more = (
        make_plan(tiny_candidate(epsilon=1e3, sampling=sampling, resume_allowance=allowance), POLICY, card)
        for allowance in (0, 15)
    )
    assert (plain.steps, more.steps) == (20, 20)
    assert (plain.mechanism.steps, more.mechanism.steps) == (20, 35)
    assert more.mechanism.noise_multiplier > plain.mechanism.noise_multiplier
    assert account(more.mechanism, more.budget.delta).epsilon.high <= 1e3


# Interrupts that wait


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_for_the_end_and_is_told_of_at_once(number: int) -> None:
    before = signal.signal(number, signal.default_int_handler)
    told = []

    def work() -> None:
        with interrupts_deferred() as asked:
            told.append(asked())
            signal.raise_signal(number)
            told.append(asked())

    try:
        with pytest.raises(KeyboardInterrupt):
            work()
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert told == [False, True]


def test_without_an_interrupt_nothing_is_raised_and_an_ignored_one_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts_deferred() as asked:
            signal.raise_signal(signal.SIGHUP)
            assert not asked()
    finally:
        signal.signal(signal.SIGHUP, before)


# The vault


def test_a_vault_is_its_owners_alone_and_keeps_what_it_is_told(tmp_path: Path) -> None:
    with open_vault(tmp_path / "training") as vault:
        assert vault.read("one") is None
        vault.write("one", b"1")
        vault.append("two", b"2")
        vault.append("two", b"3")
        vault.write("three", b"3")
        vault.keep({"one", "two"})
        assert (vault.read("one"), vault.read("two"), vault.read("three")) == (b"1", b"23", None)
    for path in (tmp_path / "training", *(tmp_path / "training").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_two_trainings_never_share_a_vault(tmp_path: Path) -> None:
    with (
        open_vault(tmp_path / "training"),
        pytest.raises(RunDirectoryError, match="another process trains"),
        open_vault(tmp_path / "training"),
    ):
        pass
    with open_vault(tmp_path / "training"):
        pass


def test_a_vault_follows_no_link_and_names_what_the_disk_refuses(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    with open_vault(tmp_path / "training") as vault:
        os.symlink(tmp_path / "other", tmp_path / "training/link")
        with pytest.raises(RunDirectoryError, match="link"):
            vault.read("link")
        with pytest.raises(RunDirectoryError, match="link"):
            vault.append("link", b"more")
    assert (tmp_path / "other").read_text() == "other"
