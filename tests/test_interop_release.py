"""A real release, checked by others: the reference verifier, and an auditor's environment without torch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.test_end_to_end import Bench

pytestmark = pytest.mark.interop


def _program(variable: str) -> str:
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} names no program")
    return path


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """A bench with a good release in `out`."""
    bench = Bench(tmp_path_factory.mktemp("released"))
    result = bench.certify()
    assert result.returncode == 0, result.stderr
    return bench


def _run(released: Bench, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=released.path, capture_output=True, text=True, check=False)


def _model_signing(released: Bench) -> subprocess.CompletedProcess[str]:
    program = _program("GATEKEEPER_MODEL_SIGNING")
    arguments = ("verify", "key", "--public_key", "release.pub", "--signature", "out/model.sig", "out")
    return _run(released, program, *arguments)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_reference_verifier_accepts_the_release_and_both_refuse_a_flipped_byte(released: Bench) -> None:
    accepted = _model_signing(released)
    assert accepted.returncode == 0, accepted.stderr + accepted.stdout
    model = released.path / "out" / "model.onnx"
    _flip(model)
    try:
        theirs, ours = _model_signing(released), released.verify()
    finally:
        _flip(model)
    assert theirs.returncode != 0
    assert "model.onnx" in theirs.stderr + theirs.stdout
    assert ours.returncode == 4
    assert "model.onnx" in ours.stderr


def test_an_auditor_without_torch_verifies(released: Bench) -> None:
    program = _program("GATEKEEPER_AUDITOR")
    python = str(Path(program).with_name("python"))
    assert _run(released, python, "-c", "import torch").returncode != 0
    assert _run(released, python, "-c", "import onnx").returncode != 0
    arguments = ("verify", "out", "--public-key", "release.pub", "--policy", "policy.yaml", "--report")
    result = _run(released, program, *arguments)
    assert result.returncode == 0, result.stderr
    assert "VERIFIED" in result.stdout
    assert "APPROVED" in result.stdout
