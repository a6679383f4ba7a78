"""The script that checks a release with openssl and jq: it accepts the golden release, and names what it refuses.

Every bad release that it can know of is put before it by the tests against other programs (`test_interop_corpus`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gatekeeper.signing.guide import guide_files
from tests.golden.make_release import GOLDEN
from tests.scripts import SCRIPT, golden_policy, run_script
from tests.signed_releases import OTHER_KEY
from tests.spoiling import MODEL, copy_good, flip

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("jq") is None, reason="needs openssl and jq"
)


@pytest.mark.slow
def test_a_release_may_have_any_name_and_the_key_must_be_a_file_elsewhere(tmp_path: Path) -> None:
    for name in ("rel[1]", "a b", "-rf", "a\\b", "e\x1b[2K"):
        release = tmp_path / name
        shutil.copytree(GOLDEN / "release", release)
        done = run_script(release)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\x1b" not in done.stdout
    linked = tmp_path / "gate.pub"
    linked.symlink_to(release / "attestations/signer.pub")
    key = run_script(release, key=linked)
    assert (key.returncode, "or it is a link" in key.stdout) == (1, True)
    inside = run_script(
        Path("rel[1]"), key=Path("rel[1]/attestations/signer.pub"), cwd=tmp_path, environment={"CDPATH": "."}
    )
    assert (inside.returncode, "lies inside the release" in inside.stdout) == (1, True)


def test_a_second_key_in_signer_pub_is_refused(tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    signer = release / "attestations/signer.pub"
    signer.write_bytes(signer.read_bytes() + OTHER_KEY.public.pem)
    done = run_script(release)
    assert (done.returncode, "signer.pub is not this public key" in done.stdout) == (1, True)


def test_the_golden_release_is_accepted() -> None:
    done = run_script(GOLDEN / "release")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"VERIFIED {GOLDEN / 'release'}\n")
    assert golden_policy() in done.stdout
    assert "not computed again" in done.stdout


def test_another_key_another_policy_and_the_releases_own_key_are_refused(tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    (tmp_path / "other.pub").write_bytes(OTHER_KEY.public.pem)
    for done, why in (
        (run_script(release, key=tmp_path / "other.pub"), "not signed by this key"),
        (run_script(release, policy="f" * 64), "under another policy"),
        (run_script(release, policy="demo"), "64 lower-case hexadecimal digits"),
        (run_script(release, key=release / "attestations/signer.pub"), "lies inside the release"),
        (run_script(release, key=tmp_path / "none.pub"), "there is no public key"),
        (run_script(tmp_path / "none"), "there is no release"),
    ):
        assert done.returncode == 1
        assert why in done.stdout, done.stdout


def test_a_flipped_bit_is_refused_and_named(tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    flip(MODEL)(release)
    done = run_script(release)
    assert done.returncode == 1
    assert done.stdout == "NOT VERIFIED: model.sig signs another model\n"


@pytest.mark.parametrize("words", [(), ("one",), ("1", "2", "3", "4")])
def test_usage(words: tuple[str, ...]) -> None:
    done = subprocess.run(["sh", str(SCRIPT), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_the_command_prints_the_script_that_releases_carry() -> None:
    command = [sys.executable, "-m", "gatekeeper", "verify", "--script"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    assert printed == SCRIPT.read_bytes()
    assert printed in [file.content for file in guide_files()]
    assert printed == (GOLDEN / "release/attestations/verify.sh").read_bytes()


def test_the_guide_names_what_goes_wrong_most_often() -> None:
    guide = next(file.content.decode() for file in guide_files() if file.name == "VERIFY.md")
    for word in ("never from the release", "predicate type", "policy", "verificationResult", "subject", "age", "links"):
        assert word in guide, word
