"""Locks: a policy that was fixed before the run, by somebody who does not release."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from gatekeeper.config import load_lock, load_policy
from gatekeeper.core.codec import decode, digest
from gatekeeper.core.ledger import Identities
from gatekeeper.core.lock import PolicyLock
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import PlannedRun
from gatekeeper.errors import InvalidInputError, InvalidValueError, SigningError
from gatekeeper.ledger import Ledger, create, open_ledger
from gatekeeper.pipeline import counting, judgement, locking
from gatekeeper.pipeline.endorsing import Endorsed
from gatekeeper.pipeline.locking import lock_policy, read_lock
from gatekeeper.pipeline.trust import read_trust
from gatekeeper.report.content import lock_sentence
from gatekeeper.rundir import Judgement, RunDirectory
from gatekeeper.signing.keys import SigningKey, generate
from tests.command_line import gatekeeper
from tests.config_files import POLICY, file_of
from tests.endorsements import APPROVER_KEY, LOCK_KEY, RELEASE_KEY, STRANGER, trust_file
from tests.facts import sample_facts, sample_policy
from tests.policy_facts import facts_for
from tests.test_cli import CERTIFY, Stage, here, stage  # noqa: F401  (fixtures)
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

NOW = "2030-01-10T12:00:00Z"


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locking, "utc_now", lambda: NOW)


def lock_file(folder: Path, policy: Policy, *, key: SigningKey = LOCK_KEY) -> Path:
    path = folder / "policy.lock.yaml"
    path.write_text(lock_policy(policy, key=key), encoding="utf-8")
    return path


def locked(folder: Path, policy: Policy, **trust: str) -> PolicyLock:
    return read_lock(lock_file(folder, policy), policy, trust=read_trust(trust_file(folder, **trust)))


def test_a_lock_is_on_the_policy_by_the_locker_and_at_the_time_that_it_claims(tmp_path: Path) -> None:
    lock = locked(tmp_path, sample_policy())
    assert (lock.policy_digest, lock.locker) == (digest(sample_policy()), LOCK_KEY.public.fingerprint)
    assert lock.claimed == NOW
    assert decode(load_lock(tmp_path / "policy.lock.yaml").canonical, Policy) == sample_policy()


def test_any_text_of_a_policy_survives_the_file(tmp_path: Path) -> None:
    odd = dataclasses.replace(sample_policy(), owner='O\'Hara "the # owner": \u00a0 ü \\n', description="a: {b}")
    assert locked(tmp_path, odd).policy_digest == digest(odd)


def test_a_changed_policy_is_refused_with_both_digests_and_what_changed(tmp_path: Path) -> None:
    path = lock_file(tmp_path, sample_policy())
    loose = dataclasses.replace(sample_policy(), privacy=dataclasses.replace(sample_policy().privacy, max_epsilon=1e7))
    with pytest.raises(InvalidInputError) as refused:
        read_lock(path, loose, trust=read_trust(trust_file(tmp_path)))
    assert refused.value.exit_code == 2
    for said in (digest(sample_policy()), digest(loose), "privacy.epsilon.max loosened, 1e+06 → 1e+07"):
        assert said in str(refused.value)
    renamed = dataclasses.replace(sample_policy(), version=2)
    with pytest.raises(InvalidInputError, match="names, owners, order or parents alone"):
        read_lock(path, renamed, trust=read_trust(trust_file(tmp_path)))


Spoil = Callable[[Path], None]


def _rewritten(old: str, new: str) -> Spoil:
    def spoil(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def _by(key: SigningKey) -> Spoil:
    return lambda path: path.write_text(lock_policy(sample_policy(), key=key), encoding="utf-8") and None


def _bundle_of_another_policy(path: Path) -> None:
    own = load_lock(path)
    other = lock_policy(dataclasses.replace(sample_policy(), version=9), key=LOCK_KEY)
    path.write_text(other, encoding="utf-8")
    stolen = load_lock(path)
    from gatekeeper.config import render_lock

    path.write_text(render_lock(dataclasses.replace(own, bundle=stolen.bundle)), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "trust", "says"),
    [
        (_by(STRANGER), {}, "is not in the trust file"),
        (_by(APPROVER_KEY), {}, "its roles are approver; needed is policy"),
        (_by(RELEASE_KEY), {}, "its roles are release; needed is policy"),
        (_by(LOCK_KEY), {"policy_roles": "[policy, release]"}, "whoever releases can't lock the policy"),
        (_by(LOCK_KEY), {"policy": "revoked: {at: 2029-01-01T00:00:00Z, reason: lost}"}, "was revoked as of"),
        (_by(LOCK_KEY), {"policy": "valid_until: 2030-01-10T12:00:00Z"}, "was valid until"),
        (_by(LOCK_KEY), {"policy": "valid_from: 2031-01-01T00:00:00Z"}, "is valid only from"),
        (_bundle_of_another_policy, {}, "the signature is not on this policy"),
        (_rewritten('bundle: "{', 'bundle: "{ '), {}, "not in the form that gatekeeper writes"),
        (
            _rewritten('"max_epsilon\\":1000000.0', '"max_epsilon\\":2000000.0'),
            {},
            "canonical form in the lock has digest",
        ),
        (_rewritten("kind: PolicyLock", "kind: TrustFile"), {}, "this is a trust file, where a lock"),
    ],
)
def test_a_lock_that_cannot_be_believed_is_refused(
    tmp_path: Path, spoil: Spoil, trust: dict[str, str], says: str
) -> None:
    path = lock_file(tmp_path, sample_policy())
    spoil(path)
    with pytest.raises(InvalidInputError) as refused:
        read_lock(path, sample_policy(), trust=read_trust(trust_file(tmp_path, **trust)))
    assert refused.value.exit_code == 2
    assert says in str(refused.value)


# --- the command


def test_policy_lock_writes_a_lock_that_certify_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path, POLICY)
    generate(prefix=tmp_path / "compliance", passphrase=b"secret")
    command = ("policy", "lock", "file.yaml", "--key", "compliance.key", "--out", "policy.lock.yaml")
    monkeypatch.setenv("GATEKEEPER_KEY_PASSPHRASE", "secret")
    ran = gatekeeper(*command)
    policy = load_policy(tmp_path / "file.yaml")
    assert (ran.code, digest(policy) in ran.stdout) == (0, True), ran.stderr
    assert load_lock(tmp_path / "policy.lock.yaml").policy_digest == digest(policy)
    monkeypatch.setenv("GATEKEEPER_KEY_PASSPHRASE", "secret")
    again = gatekeeper(*command)
    assert (again.code, "policy.lock.yaml" in again.stderr) == (2, True), "a lock is never overwritten"


def test_certify_wants_a_lock_where_the_policy_does_and_spends_nothing_without(
    stage: Stage,  # noqa: F811
    here: Path,  # noqa: F811
) -> None:
    policy = (here / "policy.yaml").read_text(encoding="utf-8")
    (here / "policy.yaml").write_text(policy.replace("  rules:", "  require_lock: true\n  rules:"), encoding="utf-8")
    ran = gatekeeper(*CERTIFY, "--no-sign")
    assert (ran.code, stage.everything) == (2, [])
    assert "wants a lock before the run" in ran.stderr
    lock = lock_file(here, load_policy(here / "policy.yaml"))
    assert gatekeeper(*CERTIFY, "--no-sign", "--lock", str(lock)).code == 2, "without a trust file"
    assert stage.everything == []
    ran = gatekeeper(*CERTIFY, "--no-sign", "--lock", str(lock), "--trust", str(trust_file(here)))
    assert stage.calls == ["produce", "judge"], ran.stderr
    assert f"--lock {lock} --trust" in ran.stderr, "the command that signs names them"
    (here / "policy.yaml").write_text(policy, encoding="utf-8")
    ran = gatekeeper(*CERTIFY, "--no-sign", "--lock", str(lock), "--trust", str(trust_file(here)))
    assert (ran.code, "since the lock: require_lock loosened" in ran.stderr) == (2, True)


# --- the ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    create(str(tmp_path / "ledger.sqlite"), key=tmp_path / "ledger.key")
    return open_ledger(str(tmp_path / "ledger.sqlite"), key=tmp_path / "ledger.key")


def _planned(root: Path) -> RunDirectory:
    run = RunDirectory.create(root, policy=sample_policy(), candidate=tiny_candidate())
    run.write_planned(PlannedRun(dataset=tiny_card(tiny_units(units=240)), plan=tiny_plan(), non_private=False))
    run.write_identities(Identities(units=tuple((f"unit {number}",) for number in range(240))))
    return run


def test_the_ledger_counts_the_run_with_its_lock(tmp_path: Path, ledger: Ledger) -> None:
    run, lock = _planned(tmp_path / "runs"), locked(tmp_path, sample_policy())
    permit = counting.reserve(run, sample_policy(), ledger, lock=lock).permit
    assert permit is not None
    assert ledger.account().runs[0].reservation.lock == lock.note
    assert counting.reserve_again(run, sample_policy(), ledger, lock=lock).permit == permit
    with pytest.raises(InvalidInputError, match="go on with the lock"):
        counting.reserve_again(run, sample_policy(), ledger)
    run.write_evidence(sample_facts().evidence)
    statement = counting.settle(run, ledger, permit=permit)
    assert statement.lock == lock.note
    facts = dataclasses.replace(sample_facts(), ledger=statement, lock=lock)
    assert lock.locker in lock_sentence(facts)


def test_a_lock_that_came_after_the_run_is_not_believed(tmp_path: Path, ledger: Ledger) -> None:
    run = _planned(tmp_path / "runs")
    permit = counting.reserve(run, sample_policy(), ledger).permit
    assert permit is not None
    run.write_evidence(sample_facts().evidence)
    statement = counting.settle(run, ledger, permit=permit)
    assert statement.lock is None
    with pytest.raises(InvalidValueError, match="counted the run with no lock"):
        dataclasses.replace(sample_facts(), ledger=statement, lock=locked(tmp_path, sample_policy()))


def test_without_a_lock_the_report_says_so() -> None:
    assert lock_sentence(sample_facts()) == "The policy was not locked before the run."


# --- the release key


def test_the_release_key_does_not_lock_its_own_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the trust file says of it: the two signatures would be one person's."""
    policy = sample_policy()
    lock = locked(tmp_path, policy)
    facts = facts_for(policy)
    facts = dataclasses.replace(facts, lock=lock, ledger=dataclasses.replace(facts.ledger, lock=lock.note))
    from gatekeeper.gate import decide

    judged = Judgement(created=NOW, facts=facts, verdict=decide(policy, facts))
    monkeypatch.setattr(judgement, "judge", lambda *args, **kwargs: judged)
    run = RunDirectory.create(tmp_path / "runs", policy=policy, candidate=tiny_candidate())
    with pytest.raises(SigningError, match="locked the policy itself"):
        judgement.release(
            run,
            policy=policy,
            candidate=tiny_candidate(),
            key=lambda: LOCK_KEY,
            out=tmp_path / "release",
            endorsed=Endorsed(lock=lock),
        )
    assert not (tmp_path / "release").exists()
