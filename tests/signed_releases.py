"""Signed releases for tests: one that verifies, and the tools to break it as its signer could."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.policy import Policy
from gatekeeper.signing.dsse import sign_statement
from gatekeeper.signing.keys import SigningKey, signing_key
from gatekeeper.signing.layout import SideFile, digests_of
from gatekeeper.signing.release import standard_side_files, write_release
from tests.certificates import sample_certificate

MODEL = b"these bytes stand for an ONNX model" * 50
KEY = signing_key(ec.derive_private_key(20_250_601, ec.SECP256R1()))
OTHER_KEY = signing_key(ec.derive_private_key(20_250_602, ec.SECP256R1()))
REPORTS = (
    SideFile(name="report.json", content=b'{"verdict":"approved"}\n'),
    SideFile(name="report.txt", content=b"approved\n"),
)
SIDE_FILES = (*REPORTS, *standard_side_files(sample_certificate(MODEL)))


def bound_certificate(*, policy: Policy | None = None) -> Certificate:
    """The sample certificate of `MODEL`, under `policy`, which binds what lies beside it."""
    unbound = sample_certificate(MODEL, policy=policy)
    return sample_certificate(MODEL, policy=policy, files=digests_of((*REPORTS, *standard_side_files(unbound))))


def accept(directory: Path) -> None:
    """A recomputation that agrees."""


def write_sample(
    root: Path,
    *,
    name: str = "release",
    certificate: Certificate | None = None,
    side_files: tuple[SideFile, ...] = SIDE_FILES,
    key: SigningKey = KEY,
    check: Callable[[Path], None] = accept,
) -> Path:
    """Write a release to `root/name` from a run directory `root/run`, and give its path."""
    run = root / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    (run / "model.onnx").write_bytes(MODEL)
    write_release(
        out=root / name,
        staging=run / "staging",
        model=run / "model.onnx",
        certificate=certificate or bound_certificate(),
        side_files=side_files,
        key=key,
        check=check,
    )
    return root / name


def payload_of(bundle: Path) -> bytes:
    """The signed bytes in a bundle file."""
    return base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"])


def sign_again(bundle: Path, payload: bytes) -> None:
    """Put other bytes under the same key's signature."""
    bundle.write_bytes(sign_statement(payload, key=KEY))


def edit_statement(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a signed statement in place and sign it again, as a careless or hostile signer could."""
    statement = json.loads(payload_of(bundle))
    edit(statement)
    sign_again(bundle, codec.canonical(statement).encode())


def edit_bundle(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change a bundle around its signature."""
    plain = json.loads(bundle.read_text())
    edit(plain)
    bundle.write_text(codec.canonical(plain))
