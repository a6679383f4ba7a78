"""Other verifiers accept the golden release, and refuse every bad one that they can know of."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from gatekeeper.signing.attestations import ATTESTATION_FILES
from tests.bad_releases import CORPUS, IN_TOTO, MODEL_SIGNING, SCRIPT, SECURESYSTEMSLIB, SIGSTORE_JS, Bad
from tests.golden.make_release import GOLDEN
from tests.scripts import run_script
from tests.spoiling import copy_good

pytestmark = pytest.mark.interop

BUNDLES = ("model.sig", *ATTESTATION_FILES)
HERE = Path(__file__).parent


def program(variable: str) -> str:
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} names no program")
    return path


def seen_by(name: str) -> list[object]:
    return [pytest.param(bad, id=bad.name) for bad in CORPUS if name in bad.seen_by]


def answer(*command: str | Path, **environment: str) -> dict[str, object]:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def bundles(release: Path) -> list[Path]:
    """The bundles that are there; one that is missing nobody accepts."""
    return [release / name for name in BUNDLES if (release / name).exists()]


def spoilt(bad: Bad, tmp_path: Path) -> Path:
    release = copy_good(tmp_path)
    bad.spoil(release)
    return release


# verify.sh, in the shells that read POSIX's language.


@pytest.mark.parametrize("shell", [("sh",), ("bash", "--posix")])
def test_the_script_accepts_the_golden_release_in_every_shell(shell: tuple[str, ...]) -> None:
    assert run_script(GOLDEN / "release", shell=shell).returncode == 0


def test_the_script_lets_additions_be_and_says_that_they_are_unchecked(tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    for folder, name in (("approvals", "officer.sigstore.json"), ("timestamps", "model.tsr")):
        (release / "attestations" / folder).mkdir()
        (release / "attestations" / folder / name).write_bytes(b"anything")
    done = run_script(release)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not looked at" in done.stdout


@pytest.mark.parametrize("bad", seen_by(SCRIPT))
def test_the_script_refuses(bad: Bad, tmp_path: Path) -> None:
    done = run_script(spoilt(bad, tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("NOT VERIFIED: ")
    assert "VERIFIED " + str(tmp_path) not in done.stdout


@pytest.mark.parametrize("bad", [pytest.param(bad, id=bad.name) for bad in CORPUS if SCRIPT not in bad.seen_by])
def test_the_script_says_itself_what_it_does_not_do(bad: Bad, tmp_path: Path) -> None:
    """What only `gatekeeper verify` finds: the table of who sees what is true in both directions."""
    assert run_script(spoilt(bad, tmp_path)).returncode == 0


# The reference verifier of OpenSSF Model Signing.


def model_signing(release: Path) -> int:
    command = (program("GATEKEEPER_MODEL_SIGNING"), "verify", "key", "--public_key", GOLDEN / "gate.pub")
    arguments = ("--signature", release / "model.sig", release)
    return subprocess.run((*command, *arguments), capture_output=True, check=False).returncode


def test_model_signing_accepts_the_golden_release() -> None:
    assert model_signing(GOLDEN / "release") == 0


@pytest.mark.parametrize("bad", seen_by(MODEL_SIGNING))
def test_model_signing_refuses(bad: Bad, tmp_path: Path) -> None:
    assert model_signing(spoilt(bad, tmp_path)) != 0


# sigstore-js.


def sigstore_js(release: Path) -> dict[str, object]:
    modules = program("GATEKEEPER_SIGSTORE_JS")
    script = HERE / "interop" / "sigstore.cjs"
    return answer("node", script, GOLDEN / "gate.pub", *bundles(release), NODE_PATH=modules)


@pytest.mark.nodejs
def test_sigstore_js_accepts_every_bundle() -> None:
    answers = sigstore_js(GOLDEN / "release")
    assert len(answers) == len(BUNDLES)
    assert set(answers.values()) == {None}


@pytest.mark.nodejs
@pytest.mark.parametrize("bad", seen_by(SIGSTORE_JS))
def test_sigstore_js_refuses(bad: Bad, tmp_path: Path) -> None:
    answers = sigstore_js(spoilt(bad, tmp_path))
    assert answers.get(Path(bad.file).name, "missing") is not None


# securesystemslib, in-toto's parsers and CycloneDX' schema.


def witness(release: Path) -> dict[str, dict[str, str | None]]:
    python = program("GATEKEEPER_WITNESS")
    return answer(python, HERE / "interop" / "witness.py", GOLDEN / "gate.pub", *bundles(release))  # type: ignore[return-value]


def test_securesystemslib_in_toto_and_cyclonedx_accept_every_bundle() -> None:
    for name, answers in witness(GOLDEN / "release").items():
        assert len(answers) == len(BUNDLES)
        assert set(answers.values()) == {None}, name


@pytest.mark.parametrize("bad", seen_by(SECURESYSTEMSLIB))
def test_securesystemslib_refuses(bad: Bad, tmp_path: Path) -> None:
    assert witness(spoilt(bad, tmp_path))["securesystemslib"].get(Path(bad.file).name, "missing") is not None


@pytest.mark.parametrize("bad", seen_by(IN_TOTO))
def test_in_toto_refuses(bad: Bad, tmp_path: Path) -> None:
    assert witness(spoilt(bad, tmp_path))["in-toto"][Path(bad.file).name] is not None


def test_cyclonedx_refuses_a_bill_of_materials_that_is_none(tmp_path: Path) -> None:
    from tests.spoiling import MLBOM, predicate

    release = copy_good(tmp_path)
    predicate(MLBOM, "metadata", "component", "type", value="brain")(release)
    assert witness(release)["cyclonedx"]["mlbom.sigstore.json"] is not None
