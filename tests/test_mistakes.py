"""The likeliest mistakes of a user: each is told where it is, what it is, and what to do about it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gatekeeper.cli.passphrase import VARIABLE
from gatekeeper.config import render_policy
from gatekeeper.signing.keys import generate
from tests.command_line import gatekeeper
from tests.facts import sample_policy
from tests.test_cli_report import judged_run
from tests.test_end_to_end import CANDIDATE, POLICY

ROOT = Path(__file__).resolve().parent.parent
CERTIFY = "certify candidate.yaml --policy policy.yaml"
LEDGER = "--ledger ours.sqlite"
VERIFY = "verify golden/release --public-key golden/gate.pub"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as its user left it, with a judged run, a key, a ledger and somebody's release."""
    here = tmp_path_factory.mktemp("mistakes")
    (here / "candidate.yaml").write_text(CANDIDATE.format(epsilon="1.0e+3"))
    policy = POLICY.format(minimum="0.1", attempts=1, total="")
    (here / "policy.yaml").write_text(policy)
    (here / "typo.yaml").write_text(policy.replace("max_attempts", "max_atempts"))
    (here / "judged.yaml").write_text(render_policy(sample_policy()))
    (here / "empty.yaml").touch()
    (here / "empty.key").touch(mode=0o600)
    (here / "folder").mkdir(mode=0o755)
    shutil.copytree(ROOT / "tests" / "golden" / "v1", here / "golden")
    generate(prefix=here / "release", passphrase=b"right")
    made = gatekeeper("ledger", "init", "--ledger", f"{here}/ours.sqlite", "--ledger-key", f"{here}/ledger.key")
    assert made.code == 0, made.stderr
    Path(judged_run(here)).rename(here / "run")
    return here


@pytest.fixture
def here(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In that project, with a passphrase that doesn't open the key."""
    monkeypatch.chdir(prepared)
    monkeypatch.setenv(VARIABLE, "wrong")
    return prepared


# What was typed, the exit code, and what the message must hold: where, what, and the remedy.
MISTAKES = [
    # A file that isn't there, or is another one.
    ("certify nowhere.yaml --policy policy.yaml --no-sign", 2, "nowhere.yaml", "No such file", "check the path"),
    ("certify candidate.yaml --policy folder --no-sign", 2, "--policy", "is a directory", "--help"),
    ("certify empty.yaml --policy policy.yaml --no-sign", 2, "empty.yaml:1:1", "is empty", "`gatekeeper init`"),
    ("certify policy.yaml --policy policy.yaml --no-sign", 2, "policy.yaml:", "is a release policy", "the right file?"),
    ("candidate validate folder", 2, "folder", "Is a directory", "check the path"),
    ("policy validate empty.yaml", 2, "empty.yaml:1:1", "is empty", "`gatekeeper init`"),
    ("trust validate empty.yaml", 2, "empty.yaml:1:1", "is empty", "is it the right file?"),
    # A word that was mistyped.
    ("policy validate typo.yaml", 2, "typo.yaml:", "max_atempts", "did you mean `max_attempts`?"),
    ("policy explain acuracy --policy policy.yaml", 2, "policy tiny", "acuracy", "it has accuracy"),
    ("certify candidate.yaml --polcy policy.yaml", 2, "--polcy", "No such option", "--policy"),
    ("report run -o jsn:report.json", 2, "jsn:report.json", "is not FORMAT:PATH", "text, json"),
    # A key that won't do.
    (f"{CERTIFY} --out out", 2, "certify", "needs --key and --out", "--no-sign"),
    (f"{CERTIFY} --key nokey --out out", 4, "nokey", "no such key", "`gatekeeper keys generate`"),
    (f"{CERTIFY} --key release.pub --out out", 4, "release.pub", "holds no private key", "give the .key file"),
    (f"{CERTIFY} --key folder --out out", 4, "folder", "Is a directory", "give the private key's file"),
    (f"{CERTIFY} --key empty.key --out out", 4, "empty.key", "holds no private key", "give the .key file"),
    ("policy lock policy.yaml --key release.key --out lock", 4, "release.key", "can't be decrypted", "check the pass"),
    ("keys generate release", 4, "release.key", "exists already", "choose another name"),
    # A place that won't do.
    (f"{CERTIFY} --key release.key --out folder", 4, "folder", "exists already", "choose another --out"),
    (f"{CERTIFY} --key release.key --out a/b", 4, "a/b", "parent directory does not exist", "mkdir -p a"),
    (f"{CERTIFY} --no-sign -o json:a/report.json", 2, "a/report.json", "no directory that can be", "mkdir -p a"),
    ("report run -o json:a/report.json", 2, "a/report.json", "no directory that can be written", "mkdir -p a"),
    ("report run -o json:folder", 2, "folder", "is no file that can be written", "choose another file"),
    # A ledger that isn't there, or another one's key.
    (f"{CERTIFY} --no-sign", 2, "ledger.sqlite", "no ledger", "`gatekeeper ledger init`"),
    ("ledger show --ledger candidate.yaml", 2, "candidate.yaml", "is not a database", "the ledger's own file"),
    (f"ledger show {LEDGER} --ledger-key empty.key", 2, "empty.key", "is no ledger key", "`gatekeeper ledger init`"),
    (f"ledger show {LEDGER} --ledger-key nokey", 2, "nokey", "no such key file", "or a copy"),
    ("ledger check --head abc", 2, "--head", "got 'abc'", "ID:LENGTH:DIGEST"),
    # A run that isn't there, or isn't one, or didn't get so far.
    ("report nowhere", 2, "nowhere", "no such run directory", "`gatekeeper runs list`"),
    ("report candidate.yaml", 2, "candidate.yaml", "is no directory", "`gatekeeper runs list`"),
    ("report folder", 2, "folder", "others can read", "`gatekeeper runs list`"),
    ("report run --policy policy.yaml", 2, "policy.yaml", "the run is judged by", "leave --policy out"),
    (
        f"{CERTIFY} --no-sign {LEDGER} --ledger-key ledger.key --resume nowhere",
        2,
        "nowhere",
        "no such run directory",
        "`gatekeeper runs list`",
    ),
    ("sign run --policy judged.yaml --key release.key --out out", 2, "run", "no evidence.json", "certify again"),
    ("runs list --runs nowhere", 0, "nowhere", "there are no runs", "--runs names another place"),
    ("runs prune --runs nowhere", 0, "nowhere", "nothing to delete", "the newest 10 stay"),
    # A release, or what it is checked against.
    (
        "verify nowhere --public-key release.pub --any-policy",
        4,
        "nowhere",
        "can't be found",
        "of the release",
    ),
    ("verify folder --public-key release.pub --any-policy", 4, "folder/model", "is missing", "get the whole release"),
    ("verify candidate.yaml --public-key release.pub --any-policy", 4, "candidate.yaml", "Not a dir", "whole release"),
    ("verify golden/release --public-key nokey --any-policy", 4, "nokey", "can't be found", "your own copy"),
    ("verify golden/release --public-key release.pub --any-policy", 4, "model.sig", "another key", "of the gate"),
    ("verify golden/release --public-key release.key --any-policy", 4, "release.key", "private key", "the .pub file"),
    (f"{VERIFY}", 2, "verify", "which policy must have passed", "--any-policy"),
    (f"{VERIFY} --policy policy.yaml", 4, "certificate", "passed policy golden", "the policy that you demand"),
    (f"{VERIFY} --policy nowhere.yaml", 2, "nowhere.yaml", "No such file", "check the path"),
    (f"{VERIFY} --policy-digest abc", 2, "--policy-digest", "got 'abc'", "64 lower-case"),
    (f"{VERIFY} --any-policy --ledger-head abc", 2, "--ledger-head", "got 'abc'", "ID:LENGTH:DIGEST"),
    ("verify golden/release --any-policy", 2, "verify", "whose signature it must be", "--public-key, --trust"),
]


@pytest.mark.parametrize(("typed", "code", "where", "what", "remedy"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_told_with_its_remedy(
    here: Path, typed: str, code: int, where: str, what: str, remedy: str
) -> None:
    before = _written(here)
    ran = gatekeeper(*typed.split())
    assert ran.code == code, ran.stderr
    for part in (where, what, remedy):
        assert part in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Errno" not in ran.stderr
    assert "wrong" not in ran.stderr
    assert _written(here) == before


def _written(here: Path) -> dict[Path, int]:
    """When each file was written, but those that only say that somebody was here."""
    passing = ("lock", "ours.sqlite-shm", "ours.sqlite-wal")
    return {path: path.stat().st_mtime_ns for path in here.rglob("*") if path.is_file() and path.name not in passing}


def test_a_key_that_wants_a_passphrase_says_how_to_give_it(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    ran = gatekeeper(*f"{CERTIFY} --key release.key --out out".split())
    assert ran.code == 4
    assert "is encrypted" in ran.stderr
    assert f"{VARIABLE} or by --passphrase-fd" in ran.stderr


def test_a_private_key_that_others_can_read_is_still_refused(here: Path, tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes((here / "release.key").read_bytes() + (here / "release.pub").read_bytes())
    key.chmod(0o644)
    ran = gatekeeper(*f"{CERTIFY} --key {key} --out out".split())
    assert (ran.code, f"chmod 600 {key}" in ran.stderr) == (4, True)
