"""`certify --audit-only` and `certify --cache`: nothing is signed for an audit, and nothing is passed by a cache."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import jsonschema
import pytest

from gatekeeper.cache import CacheFolder, Parcel, load_key
from gatekeeper.cli.resuming import LATEST, find_interrupted
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.record import Permit, Provenance, Software
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import CacheError, InvalidInputError, InvalidValueError, SigningError
from gatekeeper.gate import decide
from gatekeeper.pipeline import counting, reusing
from gatekeeper.pipeline.inputs import read_candidate, read_policy
from gatekeeper.pipeline.judgement import release
from gatekeeper.pipeline.ledgers import find_ledger
from gatekeeper.pipeline.locking import lock_policy
from gatekeeper.pipeline.refusing import sign_refusal
from gatekeeper.pipeline.verification import verify
from gatekeeper.report import FORMATS, notices_of, render, report_schema
from gatekeeper.rundir import Judgement, RunDirectory
from tests.command_line import gatekeeper
from tests.endorsements import LOCK_KEY, trust_file
from tests.facts import sample_facts, sample_policy
from tests.hostile import report_of
from tests.recorded_runs import CACHE, HERE, Workshop, workshop  # noqa: F401  (fixture)
from tests.sarif import sarif_schema
from tests.signed_releases import KEY
from tests.test_rejudging import stricter
from tests.tiny import tiny_candidate

NOW = "2030-01-02T03:04:05Z"
APPROVED = decide(sample_policy(), sample_facts())
AUDIT = ("--audit-only", "--format", "json")


def _entries(workshop: Workshop) -> list[Path]:  # noqa: F811  (the fixture)
    return sorted((workshop.path / "cache").glob("*.entry"))


def _counted() -> int:
    """How many runs the ledger counts."""
    ledger = find_ledger(".gatekeeper/ledger.sqlite", key=Path(".gatekeeper/ledger.key"))
    return len(ledger.account().runs)


# Audits


def test_an_audit_reports_as_one_is_counted_and_is_never_signed(workshop: Workshop) -> None:  # noqa: F811
    _other_policy(workshop)
    ran = workshop.certify(*AUDIT, "--cache-key", "cache.key")
    assert ran.code == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["verdict"] == "audit-passed"
    assert "ledger" in report["notices"][0]["text"]
    assert "nothing is signed, and this run never will be" in ran.stderr
    # Runs that began in the same second have no order.
    (run,) = [each for each in workshop.runs() if each.read_policy().version == 2]
    assert _counted() == 2
    assert f"{run.path.name}  audit: passed\n" in gatekeeper("runs", "list").stdout
    assert "audit passed: audit only, never signed" in gatekeeper("ledger", "show").stdout
    for mark in ("audit-only", "judgement.json"):
        _refuses_to_sign(run)
        (run.path / mark).unlink()
    _refuses_to_sign(run)
    copied = RunDirectory.create(Path("copied"), policy=run.read_policy(), candidate=run.read_candidate())
    for name in ("salt", "evidence.json", "ledger.json", "model.onnx"):
        shutil.copy(run.path / name, copied.path / name)
    _refuses_to_sign(copied)
    with pytest.raises(Exception, match="the ledger says that the run was certified with --audit-only"):
        counting.check_no_audit(run, find_ledger(".gatekeeper/ledger.sqlite", key=Path(".gatekeeper/ledger.key")))
    ran = workshop.certify("--no-sign", "--resume", str(run.path))
    assert (ran.code, "certified with --audit-only" in ran.stderr) == (2, True), (
        "nor does it lose that name by going on"
    )
    assert "audit only, never signed" in gatekeeper("ledger", "show").stdout


def test_no_certificate_is_made_of_an_audit() -> None:
    facts, policy = sample_facts(), sample_policy()
    audit = dataclasses.replace(facts, ledger=dataclasses.replace(facts.ledger, audit_only=True))
    approval = decide(policy, audit)
    assert isinstance(approval, Approval)
    with pytest.raises(InvalidValueError, match="was counted as an audit: it is never signed"):
        Certificate(gatekeeper_version="1", created=NOW, policy=policy, facts=audit, approval=approval, files=())


def _refuses_to_sign(run: RunDirectory) -> None:
    policy, candidate = read_policy(Path("policy.yaml")), read_candidate(Path("candidate.yaml"))
    for sign in (release, sign_refusal):
        with pytest.raises(SigningError, match="certified with --audit-only: it is never signed"):
            sign(run, policy=policy, candidate=candidate, key=lambda: KEY, out=Path("out"))
        assert not Path("out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--exit-zero", "--no-sign"), "--exit-zero goes with --audit-only"),
        (("--audit-only", "--key", "k", "--out", "o"), "leave out --key"),
        (("--audit-only", "--no-sign"), "does not go with --no-sign"),
        (("--audit-only", "--dry-run"), "does not go with --dry-run"),
        (("--no-sign", "--cache", "cache"), "--cache needs --cache-key"),
        (("--no-sign", "--cache", "cache", "--cache-key", "cache/key"), "lies inside the cache"),
    ],
)
def test_what_does_not_go_together_trains_nothing(options: tuple[str, ...], said: str, workshop: Workshop) -> None:  # noqa: F811
    ran = workshop.certify(*options)
    assert (ran.code, said in ran.stderr) == (2, True), ran.stderr
    assert workshop.tasks == []


@pytest.mark.slow
def test_exit_zero_is_for_verdicts_alone(workshop: Workshop) -> None:  # noqa: F811
    for version, extra, code in ((8, (), 1), (9, ("--exit-zero",), 0)):
        workshop.write(dataclasses.replace(stricter(), version=version), "strict.yaml")
        ran = workshop.certify(*AUDIT, *extra, policy="strict.yaml")
        assert ran.code == code, ran.stderr
    assert json.loads(ran.stdout)["verdict"] == "refused"
    declined = workshop.certify("--audit-only", "--exit-zero")
    assert declined.code == 0
    assert "AUDIT: REFUSED before its first step" in declined.stderr, "the only attempt was made"
    missing = workshop.certify("--audit-only", "--exit-zero", "--ledger", "none.sqlite")
    assert missing.code == 2


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "html" else name for name in FORMATS]
)
def test_an_audit_that_passes_is_called_approved_in_no_format(name: str) -> None:
    audit = notices_of(Judgement(created=NOW, facts=sample_facts(), verdict=APPROVED, audit_only=True))
    report = dataclasses.replace(report_of(sample_policy(), sample_facts()), notices=audit)
    text = render(report, name)
    assert "audit" in text
    if name == "html":
        assert "Audit: passed</span>" in text
        assert "may be released" not in text
        assert 'class="verdict approved"' not in text
    elif name != "openmetrics":
        assert "approved" not in text.lower()
    if name == "sarif":
        jsonschema.Draft4Validator(sarif_schema()).validate(json.loads(text))
    if name == "json":
        jsonschema.validate(json.loads(text), report_schema())
    refused = dataclasses.replace(report, verdict=decide(stricter(sample_policy()), sample_facts()))
    if name in ("text", "markdown", "junit", "github"):
        assert "AUDIT: PASSED" in text
        assert "AUDIT: REFUSED" in render(refused, name)


def test_an_audit_goes_on_as_an_audit_and_no_other_run_does(tmp_path: Path) -> None:
    policy, candidate = sample_policy(), tiny_candidate()
    runs = [RunDirectory.create(tmp_path, policy=policy, candidate=candidate) for _ in range(2)]
    runs[0].forbid_signing()
    for run in runs:
        run.write_permit(Permit(attempt=1))

    def find(resume: str, *, audit_only: bool) -> Path:
        return find_interrupted(resume, runs=tmp_path, policy=policy, candidate=candidate, audit_only=audit_only).path

    for run, is_audit in zip(runs, (True, False), strict=True):
        assert find(LATEST, audit_only=is_audit) == find(str(run.path), audit_only=is_audit) == run.path
        with pytest.raises(InvalidInputError, match="--audit-only"):
            find(str(run.path), audit_only=not is_audit)


# Reuse


def test_unchanged_evidence_is_reused_counted_once_and_can_be_released(workshop: Workshop) -> None:  # noqa: F811
    first = workshop.runs()[0]
    kept = (first.path / "evidence.json").read_bytes()
    shutil.rmtree(first.path)
    ran = workshop.certify("--no-sign", *CACHE, "--format", "json")
    assert ran.code == 0, ran.stderr
    assert f"cache: reused run {first.path.name}" in ran.stderr
    assert workshop.trained() == 0
    assert _counted() == 1
    report = json.loads(ran.stdout)
    assert (report["verdict"], report["notices"][0]["kind"]) == ("approved", "reuse")
    (run,) = workshop.runs()
    assert (run.path / "evidence.json").read_bytes() == kept
    assert run.model.read_bytes() == workshop.model
    checked = gatekeeper("check", str(run.path), "--policy", "policy.yaml", "--cache-key", "cache.key")
    assert checked.code == 0, "a run that is restored is sealed, too"


@pytest.mark.slow
def test_a_release_of_reused_evidence_verifies(workshop: Workshop) -> None:  # noqa: F811
    shutil.rmtree(workshop.runs()[0].path)
    assert workshop.certify("--no-sign", *CACHE).code == 0
    (run,) = workshop.runs()
    policy = read_policy(Path("policy.yaml"))
    counting.check_statement(
        run, find_ledger(".gatekeeper/ledger.sqlite", key=Path(".gatekeeper/ledger.key")), policy=policy
    )
    release(run, policy=policy, candidate=run.read_candidate(), key=lambda: KEY, out=Path("release"))
    Path("signer.pub").write_bytes(KEY.public.pem)
    assert verify(Path("release"), public_key=Path("signer.pub"), policy_digest=None).steps


def _other_data(workshop: Workshop) -> None:  # noqa: F811
    workshop.data = b"the data, and one image more"


def _other_candidate(workshop: Workshop) -> None:  # noqa: F811
    text = Path("candidate.yaml").read_text(encoding="utf-8")
    assert "lr: 0.001" in text
    Path("candidate.yaml").write_text(text.replace("lr: 0.001", "lr: 0.002"), encoding="utf-8")


def _other_policy(workshop: Workshop) -> None:  # noqa: F811
    workshop.write(dataclasses.replace(read_policy(Path("policy.yaml")), version=2))


def _other_code(workshop: Workshop) -> None:  # noqa: F811
    workshop.surroundings = dataclasses.replace(HERE, code="d" * 64)


def _other_software(workshop: Workshop) -> None:  # noqa: F811
    workshop.surroundings = dataclasses.replace(HERE, software=(Software(name="python", version="4"),))


def _other_device(workshop: Workshop) -> None:  # noqa: F811
    workshop.surroundings = dataclasses.replace(HERE, device="2 × auto on a machine")


def _other_weights(workshop: Workshop) -> None:  # noqa: F811
    workshop.provenance = Provenance(base_weights="9" * 64)


def _other_ledger(workshop: Workshop) -> None:  # noqa: F811
    for name in ("ledger.sqlite", "ledger.key"):
        Path(".gatekeeper", name).unlink()
    assert gatekeeper("ledger", "init").code == 0


# The slow ones are told by `differences` alone, which has its own tests.
CHANGES = [
    (_other_data, "the data"),
    pytest.param(_other_candidate, "the candidate", marks=pytest.mark.slow),
    (_other_policy, "the policy"),
    pytest.param(_other_code, "gatekeeper's code", marks=pytest.mark.slow),
    pytest.param(_other_software, "installed software (python 3 → 4)", marks=pytest.mark.slow),
    pytest.param(_other_device, "the device", marks=pytest.mark.slow),
    (_other_weights, "the candidate's weights or code"),
    (_other_ledger, "the ledger does not confirm the run: it was never reserved"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_what_changed_is_named_and_nothing_is_reused(
    change: Callable[[Workshop], None],
    said: str,
    workshop: Workshop,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether the run may begin is the ledger's to say; here it declines, or the training is played."""
    change(workshop)
    monkeypatch.setattr(counting, "reserve", lambda *_, **__: counting.Permission(permit=None, objection="enough"))
    ran = workshop.certify("--no-sign", *CACHE)
    assert f"cache: not reused, trained anew: {said}" in ran.stderr, ran.stderr
    assert (ran.code, "REFUSED before its first step: enough" in ran.stderr) == (1, True)


def test_a_run_that_was_counted_without_a_lock_is_not_reused_with_one(
    workshop: Workshop,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = read_policy(Path("policy.yaml"))
    key = LOCK_KEY
    Path("policy.lock.yaml").write_text(lock_policy(policy, key=key), encoding="utf-8")
    monkeypatch.setattr(counting, "reserve", lambda *_, **__: counting.Permission(permit=None, objection="enough"))
    lock = ("--lock", "policy.lock.yaml", "--trust", str(trust_file(workshop.path)))
    ran = workshop.certify("--no-sign", *CACHE, *lock)
    assert "not reused, trained anew: the lock on the policy" in ran.stderr, ran.stderr
    monkeypatch.setattr("gatekeeper.core.reuse.differences", lambda then, now: ())
    monkeypatch.setattr("gatekeeper.pipeline.reusing.differences", lambda then, now: ())
    forced = workshop.certify("--no-sign", *CACHE, *lock)
    assert (forced.code, "the ledger counted the run with" in forced.stderr) == (2, True), "nor where nobody compares"


def test_a_run_that_goes_on_is_sealed_and_not_kept(workshop: Workshop) -> None:  # noqa: F811
    """What it did before it was interrupted, other code may have done."""
    _other_policy(workshop)
    (entry,) = _entries(workshop)
    before = entry.read_bytes()
    with mock.patch.object(counting, "settle", side_effect=KeyboardInterrupt):
        assert workshop.certify("--no-sign", *CACHE).code == 130
    ran = workshop.certify("--no-sign", *CACHE, "--resume")
    assert (ran.code, "resuming" in ran.stderr) == (0, True), ran.stderr
    assert entry.read_bytes() == before
    (sealed,) = [run for run in workshop.runs() if run.read_policy().version == 2]
    assert sealed.has("seal")


@pytest.mark.slow
def test_after_a_change_the_newer_run_takes_the_earlier_ones_place(workshop: Workshop) -> None:  # noqa: F811
    _other_policy(workshop)
    before = _entries(workshop)[0].read_bytes()
    assert workshop.certify("--no-sign", *CACHE).code == 0
    (entry,) = _entries(workshop)
    assert entry.read_bytes() != before
    again = workshop.certify("--no-sign", *CACHE)
    assert "cache: reused run" in again.stderr
    assert workshop.trained() == 1


# Attacks on the cache: nothing is trained, counted or judged


def _refused(workshop: Workshop) -> None:  # noqa: F811
    ran = workshop.certify("--no-sign", *CACHE)
    (entry,) = _entries(workshop)
    assert (ran.code, entry.name in ran.stderr, ran.stdout) == (2, True, ""), ran.stderr
    assert workshop.tasks == []
    assert _counted() == 1


def test_a_spoilt_entry_stops_before_anything_is_spent(workshop: Workshop) -> None:  # noqa: F811
    (entry,) = _entries(workshop)
    entry.write_bytes(entry.read_bytes()[:-1])
    _refused(workshop)


def test_an_entry_of_a_run_that_another_key_kept_is_refused(workshop: Workshop) -> None:  # noqa: F811
    """Somebody with gatekeeper, a ledger of the same runs and a key of their own puts their entry in our place."""
    (entry,) = _entries(workshop)
    theirs = CacheFolder(Path("theirs"), key=_another_key())
    parcel = CacheFolder(Path("cache"), key=load_key(Path("cache.key"))).find(_origin(workshop))
    assert parcel is not None
    shutil.copy(theirs.keep(_better(parcel)), entry)
    _refused(workshop)


@pytest.mark.slow
def test_a_run_of_a_laxer_policy_does_not_pass_in_the_place_of_a_stricter(workshop: Workshop) -> None:  # noqa: F811
    """An older entry, authentic and of the same names, is put back."""
    (entry,) = _entries(workshop)
    lax = entry.read_bytes()
    workshop.write(stricter())
    assert workshop.certify("--no-sign", *CACHE).code == 1
    entry.write_bytes(lax)
    ran = workshop.certify("--no-sign", *CACHE)
    assert "not reused, trained anew: the policy" in ran.stderr
    assert ran.code == 1


def test_even_the_keys_holder_can_not_pass_a_run_that_the_ledger_tells_otherwise(workshop: Workshop) -> None:  # noqa: F811
    folder = CacheFolder(Path("cache"), key=load_key(Path("cache.key")))
    parcel = folder.find(_origin(workshop))
    assert parcel is not None
    ledger = dataclasses.replace(parcel.run.ledger, non_private_runs=0)
    folder.keep(dataclasses.replace(parcel, run=dataclasses.replace(parcel.run, ledger=ledger)))
    ran = workshop.certify("--no-sign", *CACHE)
    assert "the ledger does not confirm the run: it tells of other runs" in ran.stderr


def test_a_swapped_model_is_refused_though_it_is_sealed(workshop: Workshop) -> None:  # noqa: F811
    folder = CacheFolder(Path("cache"), key=load_key(Path("cache.key")))
    parcel = folder.find(_origin(workshop))
    assert parcel is not None
    folder.keep(dataclasses.replace(parcel, model=b"another model"))
    ran = workshop.certify("--no-sign", *CACHE)
    assert (ran.code, "the evidence is about" in ran.stderr) == (2, True)


@pytest.mark.slow
def test_an_audits_evidence_is_no_evidence_for_a_release(workshop: Workshop) -> None:  # noqa: F811
    _other_policy(workshop)
    (entry,) = _entries(workshop)
    entry.unlink()
    assert workshop.certify("--audit-only", *CACHE).code == 0
    ran = workshop.certify("--no-sign", *CACHE)
    assert "cache: nothing that this version reads is kept" in ran.stderr
    assert "REFUSED before its first step" in ran.stderr, "the audit was the only attempt"
    again = workshop.certify("--audit-only", *CACHE)
    assert (again.code, "cache: reused run" in again.stderr) == (0, True)
    assert [run.audit_only for run in workshop.runs() if run.path.name in again.stderr] == [True]


def test_an_audit_is_marked_before_it_is_restored(workshop: Workshop) -> None:  # noqa: F811
    folder = CacheFolder(Path("cache"), key=load_key(Path("cache.key")))
    parcel = folder.find(_origin(workshop))
    assert parcel is not None
    origin = dataclasses.replace(parcel.run.origin, audit_only=True)
    counted = dataclasses.replace(parcel.run.ledger, audit_only=True)
    parcel = dataclasses.replace(parcel, run=dataclasses.replace(parcel.run, origin=origin, ledger=counted))
    Path("elsewhere").mkdir()
    with (
        mock.patch.object(reusing, "write_atomically", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        reusing._restore(parcel, Path("elsewhere"))
    (restored,) = Path("elsewhere").iterdir()
    assert RunDirectory(restored).audit_only


@pytest.mark.slow
def test_a_cache_that_can_not_be_written_costs_no_verdict(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    _other_policy(workshop)
    full = CacheError("can't be written: No space left on device")
    monkeypatch.setattr(CacheFolder, "keep", mock.Mock(side_effect=full))
    ran = workshop.certify("--no-sign", *CACHE)
    assert (ran.code, "warning: the evidence was not kept" in ran.stderr) == (0, True), ran.stderr


def _origin(workshop: Workshop):  # type: ignore[no-untyped-def]  # noqa: F811
    from gatekeeper.pipeline.reusing import origin_of

    policy, candidate = read_policy(Path("policy.yaml")), read_candidate(Path("candidate.yaml"))
    return origin_of(policy, candidate, lock=None, audit_only=False, device="auto")


def _another_key():  # type: ignore[no-untyped-def]
    from gatekeeper.cache import load_or_create_key

    return load_or_create_key(Path("their.key"))


def _better(parcel: Parcel) -> Parcel:
    """The same run, of which the attacks found nothing."""
    evidence = parcel.run.evidence
    better = dataclasses.replace(evidence, model=dataclasses.replace(evidence.model, parity=0.0))
    return dataclasses.replace(parcel, run=dataclasses.replace(parcel.run, evidence=better))
