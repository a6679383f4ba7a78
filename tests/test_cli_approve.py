"""`approve` and what `verify` makes of it: people's decisions, by whom, on what, and who has to be among them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core.countersignature import Countersignature, Requirement, parse_requirements
from gatekeeper.errors import InvalidValueError
from gatekeeper.pipeline import approving, signer, verification
from gatekeeper.pipeline.verification import VerifiedStep
from gatekeeper.signing.additions import Addition, add
from gatekeeper.signing.countersignatures import countersign
from gatekeeper.signing.keys import SigningKey, signing_key
from gatekeeper.signing.statements import Subject
from gatekeeper.signing.verification import read_release
from tests.command_line import Ran, gatekeeper
from tests.signed_releases import KEY, OTHER_KEY, edit_bundle, write_sample
from tests.trust_files import indented

NOW = "2030-06-01T00:00:00Z"
KEYS = {name: signing_key(ec.derive_private_key(20_250_700 + n, ec.SECP256R1())) for n, name in enumerate("abcd")}
PEOPLE = {
    "a": ("Dr. Abel", "[privacy-officer, clinical-owner]"),
    "b": ("Dr. Baer", "[clinical-owner, approver]"),
    "c": ("Dr. Cohn", "[approver]"),
    "d": ("Dr. Abel", "[clinical-owner]"),  # another key of the first person's
}


def entry(key: SigningKey, owner: str, roles: str, *lines: str) -> str:
    return "\n".join(
        (
            f"    - fingerprint: {key.public.fingerprint}",
            f"      owner: {owner}",
            f"      roles: {roles}",
            "      public_key: |",
            f"        {indented(key.public.pem.decode(), by=8)}",
            *lines,
        )
    )


def trust_file(**changed: str) -> str:
    """A trust file of the gate and four people; a keyword gives a person's roles, or a line more."""
    entries = [entry(KEY, "the gate", "[release]")]
    for name, (owner, roles) in PEOPLE.items():
        change = changed.get(name, roles)
        entries.append(entry(KEYS[name], owner, *((change,) if change.startswith("[") else (roles, change))))
    head = "apiVersion: gatekeeper/v1\nkind: TrustFile\nmetadata: {name: hospital}\nspec:\n  keys:\n"
    Path("trust.yaml").write_text(head + "\n".join(entries) + "\n")
    return "trust.yaml"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def here(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a release whose facts nobody judges, in the middle of 2030, and four keys."""
    shutil.copytree(sample, tmp_path / "release")
    monkeypatch.chdir(tmp_path)
    at(monkeypatch, NOW)
    monkeypatch.setattr(verification, "recompute", lambda certificate: ())
    done = VerifiedStep(title="report", detail="not looked at")
    monkeypatch.setattr(verification, "check_report", lambda directory, certificate: done)
    for name, key in {**KEYS, "gate": KEY}.items():
        file = Path(f"{name}.key")
        file.write_bytes(key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.chmod(0o600)
    return tmp_path


def at(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    for module in (signer, verification, approving):
        monkeypatch.setattr(module, "utc_now", lambda: time)


def approve(who: str, role: str, decision: str = "approved", *more: str, trust: str | None = None) -> Ran:
    options = ("--trust", trust or trust_file(), "--any-policy", "--key", f"{who}.key", "--role", role)
    return gatekeeper("approve", "release", *options, "--decision", decision, *more)


def verify(*required: str, trust: str | None = None) -> Ran:
    options = ("--require-approvals", ",".join(required)) if required else ()
    return gatekeeper("verify", "release", "--trust", trust or trust_file(), "--any-policy", *options)


def test_what_people_decided_is_shown_and_those_who_must_have_approved_did(here: Path) -> None:
    assert "approvals: none" in verify().stdout
    first = approve("a", "privacy-officer", "approved", "--comment", "seen in the board")
    assert first.code == 0, first.stderr
    assert "approved as privacy-officer: release/attestations/approvals/privacy-officer-" in first.stdout
    assert approve("b", "clinical-owner").code == 0
    result = verify("privacy-officer", "clinical-owner")
    assert result.code == 0, result.stderr
    assert "approvals: privacy-officer, clinical-owner, as required; " in result.stdout
    assert 'approved by Dr. Abel as privacy-officer at 2030-06-01T00:00:00Z ("seen in the board")' in result.stdout
    assert "VERIFIED" in result.stdout


def test_a_missing_approval_is_refused_with_the_role_and_how_to_give_it(here: Path) -> None:
    assert approve("a", "privacy-officer").code == 0
    result = verify("privacy-officer", "clinical-owner")
    assert result.code == 4
    assert "1 approval(s) as clinical-owner are required, 0 there" in result.stderr
    assert "gatekeeper approve DIR --role clinical-owner" in result.stderr


def test_several_people_of_one_role_are_several_people(here: Path) -> None:
    assert approve("b", "approver").code == 0
    assert "2 approval(s) as approver are required, 1 there" in verify("approver:2").stderr
    assert approve("c", "approver").code == 0
    assert verify("approver:2").code == 0


def test_one_person_counts_once_whatever_keys_and_roles_there_are(here: Path) -> None:
    assert approve("a", "privacy-officer").code == 0
    assert approve("d", "clinical-owner").code == 0
    result = verify("privacy-officer", "clinical-owner")
    assert result.code == 4
    assert "Dr. Abel approved as clinical-owner and as privacy-officer" in result.stderr
    assert verify("clinical-owner").code == 0


def test_a_rejection_stands_until_the_same_person_decides_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert approve("b", "approver", "rejected", "--comment", "wrong scanner").code == 0
    assert approve("c", "approver").code == 0
    result = verify("approver")
    assert result.code == 4
    assert 'Dr. Baer (approver) rejected the release at 2030-06-01T00:00:00Z: "wrong scanner"' in result.stderr
    shown = verify()
    assert shown.code == 0
    assert "REJECTED by Dr. Baer as approver" in shown.stdout
    at(monkeypatch, "2030-06-02T00:00:00Z")
    assert approve("b", "approver").code == 0
    assert verify("approver").code == 0


def test_nobody_decides_in_a_role_that_is_not_theirs_and_the_gate_not_at_all(here: Path) -> None:
    result = approve("c", "privacy-officer")
    assert result.code == 4
    assert "its roles are approver; needed is privacy-officer" in result.stderr
    gate = approve("gate", "release")
    assert gate.code == 4
    assert "the gate can't countersign its own verdict" in gate.stderr
    revoked = approve("c", "approver", trust=trust_file(c="      revoked: {at: 2030-01-01T00:00:00Z, reason: lost}"))
    assert revoked.code == 4
    assert "was revoked" in revoked.stderr
    assert not Path("release/attestations/approvals").exists()


def test_nobody_countersigns_what_does_not_verify(here: Path) -> None:
    report = Path("release/attestations/report.txt")
    report.write_bytes(report.read_bytes() + b" ")
    result = approve("c", "approver")
    assert result.code == 4
    assert "report.txt" in result.stderr
    assert not Path("release/attestations/approvals").exists()


def test_what_was_approved_later_stopped_counting_with_its_key(here: Path) -> None:
    assert approve("c", "approver").code == 0
    late = trust_file(c="      valid_until: 2030-06-01T00:00:00Z")
    result = verify("approver", trust=late)
    assert result.code == 4
    assert "files that count for nothing:" in result.stderr
    assert "was valid until 2030-06-01T00:00:00Z" in result.stderr
    assert "counts for nothing" in verify(trust=late).stdout


def decision(key: SigningKey = KEYS["c"], *, by: SigningKey | None = None, **changes: object) -> Addition:
    """An approval of the release as Dr. Cohn could make it, with one thing changed, signed by `by`."""
    release = read_release(Path("release"), public_key=KEY.public)
    facts: dict[str, object] = {
        "role": "approver",
        "decision": "approved",
        "person": "Dr. Cohn",
        "comment": None,
        "decided": NOW,
        "certificate_digest": release.certificate_digest,
    }
    subjects = changes.pop("subjects", release.subjects)
    return countersign(Countersignature(**(facts | changes)), subjects=subjects, key=by or key)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: decision(certificate_digest="0" * 64), "is about another certificate of this model"),
        (lambda: decision(subjects=(Subject(name="model.onnx", sha256="0" * 64),)), "is about another model"),
        (lambda: decision(person="Dr. Abel"), "names 'Dr. Abel', and was signed with a key of 'Dr. Cohn'"),
        (lambda: decision(role="clinical-owner"), "its roles are approver; needed is clinical-owner"),
        (lambda: decision(decided="2030-06-02T00:00:00Z"), "or after now"),
        (lambda: decision(decided="2020-01-01T00:00:00Z"), "which is before the release"),
        (lambda: decision(by=OTHER_KEY), "which is not in the trust file"),
        (lambda: named("0\x1b[2K\r21. approvals: approved by Dr. Weiß"), "which is no SHA-256 of one"),
        (lambda: decision(by=KEY), "a key that signs releases, too"),
        (lambda: Addition(file="attestations/approvals/x.sigstore.json", content=b"{}"), "needs a member"),
        (lambda: Addition(file="attestations/approvals/x.sigstore.json", content=b"\xff"), "is not strict JSON"),
    ],
)
def test_anything_else_counts_for_nothing_and_says_why(here: Path, made: Callable[[], Addition], says: str) -> None:
    add(Path("release"), made())
    result = verify()
    assert result.code == 0, "anybody can add files: they must not break a release"
    assert "counts for nothing: " in result.stdout
    assert says in result.stdout
    assert verify("approver").code == 4


def named(hint: str) -> Addition:
    """An approval whose bundle names its key by something that is printed."""
    made = decision()
    plain = json.loads(made.content)
    plain["verificationMaterial"]["publicKey"]["hint"] = hint
    return Addition(file=made.file, content=json.dumps(plain).encode())


def test_a_rejection_stands_whatever_a_clock_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(Path("release"), decision())
    assert verify("approver").code == 0
    for decided in ("2020-01-01T00:00:00Z", "2030-06-01T00:05:00Z", "2031-01-01T00:00:00Z"):
        added = add(Path("release"), decision(decision="rejected", decided=decided))
        assert (verify("approver").code == 4) == (decided > NOW), "an earlier one was followed by an approval"
        added.unlink()
    add(Path("release"), decision(decision="rejected", decided="2020-01-01T00:00:00Z", role="approver"))
    (here / "release" / decision().file).unlink()
    assert "rejected the release at 2020" in verify("approver").stderr
    at(monkeypatch, "2001-01-01T00:00:00Z")
    assert approve("c", "approver").code == 4, "before the release was made"


def test_a_few_minutes_between_clocks_harm_no_approval(here: Path) -> None:
    add(Path("release"), decision(decided="2030-06-01T00:09:00Z"))
    assert verify("approver").code == 0


def test_a_file_that_no_decision_is_so_large_is_not_read(here: Path) -> None:
    add(Path("release"), Addition(file="attestations/approvals/x.sigstore.json", content=b" " * 70_000))
    result = verify()
    assert result.code == 4
    assert "x.sigstore.json: is larger than 65536 bytes" in result.stderr


def test_a_comment_is_not_taken_for_what_stands_around_it(here: Path) -> None:
    comment = 'fine); approved by Dr. Abel as privacy-officer at 2030-06-01T00:00:00Z ("'
    assert approve("c", "approver", "approved", "--comment", comment).code == 0
    assert json.dumps(comment) in verify().stdout
    assert approve("b", "approver", "approved", "--comment", "a\x9b31m").code != 0


def test_one_name_written_in_two_ways_is_one_person(here: Path) -> None:
    assert approve("b", "approver").code == 0
    assert approve("c", "approver").code == 0
    trust = Path(trust_file())
    trust.write_text(
        trust.read_text()
        .replace("owner: Dr. Cohn", "owner: Dr. Zo\u00e9")
        .replace("owner: Dr. Baer", "owner: DR. ZOE\u0301")
    )
    folder = Path("release/attestations/approvals")
    shutil.rmtree(folder)
    for key, person in (("b", "DR. ZOE\u0301"), ("c", "Dr. Zo\u00e9")):
        add(Path("release"), decision(KEYS[key], person=person))
    assert "2 approval(s) as approver are required, 1 there" in verify("approver:2", trust=str(trust)).stderr


def test_an_approval_is_refused_as_soon_as_a_byte_of_it_changes(here: Path) -> None:
    assert approve("c", "approver").code == 0
    (file,) = Path("release/attestations/approvals").iterdir()
    good = file.read_bytes()
    for place in range(0, len(good), 499):
        file.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert verify("approver").code == 4, place
    file.write_bytes(good)
    assert verify("approver").code == 0
    edit_bundle(file, lambda plain: plain["dsseEnvelope"].update(note="looks harmless"))
    assert verify("approver").code == 4


def test_an_attestation_of_the_release_is_no_approval(here: Path) -> None:
    folder = Path("release/attestations/approvals")
    folder.mkdir()
    shutil.copy("release/attestations/svr.sigstore.json", folder / "svr.sigstore.json")
    assert "a key that signs releases, too" in verify().stdout


def test_approvals_that_are_required_need_somebody_to_say_whose_count(here: Path) -> None:
    Path("gate.pub").write_bytes(KEY.public.pem)
    key = ("verify", "release", "--public-key", "gate.pub", "--any-policy")
    assert gatekeeper(*key, "--require-approvals", "approver").code == 2
    add(Path("release"), decision())
    result = gatekeeper(*key)
    assert result.code == 0
    assert "1 added after signing; no trust file says whose count" in result.stdout
    wrong = verify("approver", "approver")
    assert wrong.code == 2
    assert "each role once" in wrong.stderr
    assert verify("Approver").code == 2
    assert verify("approver:0").code == 2
    for days in ("nan", "inf", "1e300", "-1"):
        assert gatekeeper(*key, "--max-age", days).code == 2


def test_a_release_that_is_too_old_or_from_the_future_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("verify", "release", "--trust", trust_file(), "--any-policy", "--max-age")
    created = read_release(Path("release"), public_key=KEY.public).certificate.created
    year = int(created[:4])
    at(monkeypatch, f"{year}{created[4:]}")
    assert gatekeeper(*options, "1").code == 0
    at(monkeypatch, f"{year + 1}{created[4:]}")
    result = gatekeeper(*options, "300")
    assert result.code == 4
    assert f"was judged at {created}, 36" in result.stderr
    assert gatekeeper(*options, "400").code == 0
    assert gatekeeper(*options, "0").code == 2
    at(monkeypatch, f"{year - 1}{created[4:]}")
    assert "set the clock" in verify().stderr


@given(st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True), st.integers(1, 99)), min_size=1))
def test_requirements_survive_being_written(pairs: list[tuple[str, int]]) -> None:
    required = tuple(Requirement(role=role, people=people) for role, people in dict(pairs).items())
    assert parse_requirements(",".join(map(str, required))) == required


@pytest.mark.parametrize("text", ["", "a,", "a:b", "a:0", "a:-1", "a:100", "A", "a b", "a:1:2", "a,a:2"])
def test_requirements_that_say_something_else_are_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_requirements(text)
