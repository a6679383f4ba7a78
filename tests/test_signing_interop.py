"""Releases are verified by tools that know nothing of gatekeeper."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.signed_releases import KEY, OTHER_KEY, write_sample

BUNDLES = ("model.sig", "attestations/certificate.sigstore.json", "attestations/svr.sigstore.json")
MODEL_SIGNING = os.environ.get("GATEKEEPER_MODEL_SIGNING")

needs_model_signing = pytest.mark.skipif(
    MODEL_SIGNING is None, reason="needs the model_signing command; name it in GATEKEEPER_MODEL_SIGNING"
)
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release, with the public key and a stranger's beside it."""
    (tmp_path / "gate.pub").write_bytes(KEY.public.pem)
    (tmp_path / "other.pub").write_bytes(OTHER_KEY.public.pem)
    return write_sample(tmp_path)


def model_signing(release: Path, *, key: str = "gate.pub") -> subprocess.CompletedProcess[str]:
    assert MODEL_SIGNING is not None
    return subprocess.run(
        [
            MODEL_SIGNING,
            "verify",
            "key",
            "--public_key",
            release.with_name(key),
            "--signature",
            release / "model.sig",
            release,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.interop
@needs_model_signing
def test_model_signing_accepts_a_release_and_nothing_else(release: Path) -> None:
    done = model_signing(release)
    assert done.returncode == 0, done.stderr
    assert model_signing(release, key="other.pub").returncode != 0
    (release / "attestations" / "later.json").write_bytes(b"{}")
    assert model_signing(release).returncode == 0
    (release / "extra.bin").write_bytes(b"")
    assert "extra.bin" in model_signing(release).stderr
    (release / "extra.bin").unlink()
    (release / "model.onnx").write_bytes(b"another model")
    changed = model_signing(release)
    assert changed.returncode != 0
    assert "model.onnx" in changed.stderr


def openssl_verifies(bundle: Path, *, public_key: Path, scratch: Path) -> bool:
    """The recipe for an auditor: unpack the bundle, build what DSSE signs, and let openssl judge."""
    envelope = json.loads(bundle.read_text())["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"]
    (scratch / "pae").write_bytes(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    (scratch / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "dgst", "-sha256", "-verify", public_key, "-signature", scratch / "sig", scratch / "pae"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@needs_openssl
@pytest.mark.parametrize("name", BUNDLES)
def test_openssl_verifies_every_bundle(release: Path, name: str, tmp_path: Path) -> None:
    bundle = release / name
    assert openssl_verifies(bundle, public_key=tmp_path / "gate.pub", scratch=tmp_path)
    assert not openssl_verifies(bundle, public_key=tmp_path / "other.pub", scratch=tmp_path)
    plain = json.loads(bundle.read_text())
    payload = base64.b64decode(plain["dsseEnvelope"]["payload"])
    plain["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"model.onnx", b"model.0nnx")).decode()
    bundle.write_text(json.dumps(plain))
    assert not openssl_verifies(bundle, public_key=tmp_path / "gate.pub", scratch=tmp_path)


@needs_openssl
@pytest.mark.parametrize("name", BUNDLES[1:])
def test_the_digest_that_openssl_computes_is_a_subject(release: Path, name: str) -> None:
    shown = subprocess.run(
        ["openssl", "dgst", "-sha256", "-r", release / "model.onnx"], capture_output=True, check=True, text=True
    ).stdout
    payload = base64.b64decode(json.loads((release / name).read_text())["dsseEnvelope"]["payload"])
    assert shown.split()[0] in [subject["digest"]["sha256"] for subject in json.loads(payload)["subject"]]


@pytest.mark.parametrize("name", BUNDLES)
def test_securesystemslib_verifies_every_bundle(release: Path, name: str) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="needs securesystemslib")
    signer = pytest.importorskip("securesystemslib.signer", reason="needs securesystemslib")
    envelope = dsse.Envelope.from_dict(json.loads((release / name).read_text())["dsseEnvelope"])
    key = signer.SSlibKey.from_crypto(KEY.public.key, keyid=KEY.public.fingerprint)
    assert list(envelope.verify([key], 1)) == [KEY.public.fingerprint]
