"""`keys show` and `fingerprint`, and keys that are URIs: what is asked for, what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME

from gatekeeper.cli import passphrase
from gatekeeper.cli.passphrase import VARIABLE
from gatekeeper.cli.preflight import Signing, prepare_signing
from gatekeeper.errors import SigningError
from gatekeeper.pipeline.inputs import check_certificate
from gatekeeper.signing.keys import generate, signing_key
from tests.authorities import DAY, NOW, certificate, pem
from tests.command_line import gatekeeper
from tests.signed_releases import KEY
from tests.test_signing_remote_keys import PIN, Service


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", Service)
    Path("gate.pub").write_bytes(KEY.public.pem)
    return tmp_path


def prepare(key: str, *, public_key: Path | None = Path("gate.pub")) -> Signing:
    return prepare_signing(key=key, out=Path("out"), runs=Path(), passphrase_fd=None, public_key=public_key)


def test_a_public_key_is_shown_with_its_fingerprint(here: Path) -> None:
    shown = gatekeeper("keys", "show", "gate.pub")
    assert (shown.code, shown.stdout) == (0, KEY.public.pem.decode())
    assert KEY.public.fingerprint in shown.stderr
    assert gatekeeper("keys", "fingerprint", "gate.pub").stdout == KEY.public.fingerprint + "\n"


def test_a_private_key_is_not_shown(here: Path) -> None:
    paths = generate(prefix=here / "release", passphrase=b"correct horse")
    result = gatekeeper("keys", "show", str(paths.private))
    assert (result.code, result.stdout) == (4, "")
    assert "holds a private key" in result.stderr


def test_a_missing_key_and_a_strange_scheme_are_refused(here: Path) -> None:
    assert gatekeeper("keys", "fingerprint", "none.pub").code == 4
    assert gatekeeper("keys", "fingerprint", "pkcs11:token=gate").code == 2
    assert gatekeeper("keys", "fingerprint", "awskms:x").code == 4


def test_a_service_signs_without_a_passphrase(here: Path) -> None:
    assert prepare("awskms:x") == Signing(key="awskms:x", out=Path("out"), passphrase=None, public_key=Path("gate.pub"))


def test_a_passphrase_for_a_service_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "secret")
    with pytest.raises(SigningError, match="takes no passphrase") as caught:
        prepare("awskms:x")
    assert "secret" not in str(caught.value)


def test_a_token_needs_a_pin_and_takes_it_as_a_passphrase(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SigningError, match="needs a PIN"):
        prepare("hsm:2?label=gate")
    monkeypatch.setenv(VARIABLE, PIN.decode())
    signing = prepare("hsm:2?label=gate")
    assert signing.passphrase == PIN
    assert PIN.decode() not in repr(signing)


def test_a_terminal_is_asked_for_a_pin(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return PIN.decode()

    monkeypatch.setattr(passphrase.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(click, "prompt", prompt)
    assert prepare("hsm:2?label=gate").passphrase == PIN
    assert asked == ["PIN of the token"]


@pytest.mark.parametrize(("key", "public_key"), [("awskms:x", None), ("release.key", Path("gate.pub"))])
def test_a_public_key_goes_with_a_uri_and_only_with_one(here: Path, key: str, public_key: Path | None) -> None:
    with pytest.raises(click.UsageError, match="--public-key goes with a --key that is a URI"):
        prepare(key, public_key=public_key)


def test_an_expired_certificate_is_refused_before_anything_runs(here: Path) -> None:
    key = ec.derive_private_key(5, ec.SECP256R1())
    Path("chain.pem").write_text(pem(certificate(key, "gate", uses=(), begins=NOW - 9 * DAY, ends=NOW - DAY)))
    with pytest.raises(SigningError, match=r"chain\.pem: the certificate of CN=gate has expired"):
        prepare_signing(
            key="awskms:x",
            out=Path("out"),
            runs=Path(),
            passphrase_fd=None,
            public_key=Path("gate.pub"),
            certificate=Path("chain.pem"),
        )


def test_the_certificate_must_be_of_the_key_that_signs(here: Path) -> None:
    key = ec.derive_private_key(5, ec.SECP256R1())
    Path("chain.pem").write_text(pem(certificate(key, "gate", uses=())))
    check_certificate(Path("chain.pem"), key=signing_key(key))
    with pytest.raises(SigningError, match="not of the key"):
        check_certificate(Path("chain.pem"), key=KEY)
    with pytest.raises(SigningError, match="can't be read"):
        check_certificate(Path("none.pem"), key=KEY)
