"""Keys in devices and services: a double that signs, refuses or lies, and a real PKCS #11 token."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, Signature, Signer, SSlibKey

from gatekeeper.core.key_uri import EXTRAS, scheme_of
from gatekeeper.errors import InvalidValueError, SigningError
from gatekeeper.signing.keys import SigningKey
from gatekeeper.signing.remote_keys import load_remote, read_public
from tests.command_line import gatekeeper
from tests.signed_releases import KEY, OTHER_KEY, write_sample

PIN = b"123456"


class Service(Signer):
    """A key management service whose every key is `key`."""

    key: SigningKey = KEY

    def __init__(self, public_key: SSlibKey) -> None:
        self._public_key = public_key

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: SSlibKey, secrets_handler: Callable[[str], str] | None = None
    ) -> Service:
        return cls(public_key)

    @property
    def public_key(self) -> SSlibKey:
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._public_key.keyid, self.key.sign(payload).hex())


class Liar(Service):
    key = OTHER_KEY


class Unreachable(Service):
    def sign(self, payload: bytes) -> Signature:
        raise ConnectionError("the service is down")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Service]], SigningKey]:
    def make(kind: type[Service]) -> SigningKey:
        monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", kind)
        return load_remote("awskms:alias/gate", public_key=KEY.public, pin=None)

    return make


def test_a_service_signs_a_release_that_verifies(
    service: Callable[[type[Service]], SigningKey], tmp_path: Path
) -> None:
    assert (write_sample(tmp_path, key=service(Service)) / "model.sig").read_bytes()


def test_a_service_that_signs_with_another_key_is_found_out(
    service: Callable[[type[Service]], SigningKey], tmp_path: Path
) -> None:
    key = service(Liar)
    with pytest.raises(SigningError, match="awskms:alias/gate: signed with another key than"):
        write_sample(tmp_path, key=key)
    assert not (tmp_path / "release").exists()


def test_a_service_that_is_down_is_an_error_with_its_reason(service: Callable[[type[Service]], SigningKey]) -> None:
    with pytest.raises(SigningError, match="did not sign: ConnectionError: the service is down"):
        service(Unreachable).sign(b"message")


@pytest.mark.parametrize("scheme", ["awskms", "gcpkms", "azurekms"])
def test_a_missing_package_is_named_with_its_extra(scheme: str) -> None:
    with pytest.raises(SigningError, match=r"need the extra \[kms\]") as caught:
        load_remote(f"{scheme}://name/keys/key/1", public_key=KEY.public, pin=None)
    assert 'pip install "gatekeeper[kms]"' in str(caught.value)


@pytest.mark.parametrize("uri", ["hsm:2", "awskms:x"])
def test_without_securesystemslib_the_extra_is_named(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", None)
    with pytest.raises(SigningError, match=rf"need the extra \[{EXTRAS[uri.split(':')[0]]}\]"):
        load_remote(uri, public_key=KEY.public, pin=PIN)


@pytest.mark.parametrize(
    ("key", "scheme"),
    [
        ("release.key", None),
        ("/a/b:c", None),
        ("./hsm:2", None),
        ("a", None),
        ("hsm:", "hsm"),
        ("gcpkms:p/1", "gcpkms"),
    ],
)
def test_a_uri_is_told_from_a_path(key: str, scheme: str | None) -> None:
    assert scheme_of(key) == scheme


@pytest.mark.parametrize(
    ("key", "hint"), [("pkcs11:token=x", "hsm:KEYID"), ("file:x", "./file:x"), ("hv:gate/1", "./hv:gate/1")]
)
def test_a_scheme_that_is_not_understood_is_refused_with_the_remedy(key: str, hint: str) -> None:
    with pytest.raises(InvalidValueError, match="begins with one of hsm:, awskms:") as caught:
        scheme_of(key)
    assert hint in str(caught.value)


def test_a_malformed_hsm_uri_is_refused() -> None:
    with pytest.raises(SigningError, match="hsm:two: can't be used: ValueError"):
        load_remote("hsm:two", public_key=KEY.public, pin=PIN)


def test_only_an_hsm_gives_its_public_key() -> None:
    with pytest.raises(SigningError, match="only an HSM's public key"):
        read_public("awskms:x", pin=lambda: None)


# The rest needs SoftHSM2: a token in software, behind the same interface as a device's.

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
MODULE = next((path for path in MODULES if Path(path).exists()), None)

softhsm = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None, reason="needs SoftHSM2 (package softhsm2)"
)


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A token "gate" with two P-256 keys, 2 and 3, and a P-384 key 4; the library reads its place once a process."""
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n")
    os.environ |= {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "PYKCS11LIB": str(MODULE)}
    command = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "gate",
        "--pin",
        PIN.decode(),
        "--so-pin",
        "87654321",
    ]
    subprocess.run(command, check=True, capture_output=True)
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    with pkcs11.lib(MODULE).get_token(token_label="gate").open(rw=True, user_pin=PIN.decode()) as session:
        for number, curve in ((2, "secp256r1"), (3, "secp256r1"), (4, "secp384r1")):
            parameters = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            domain = session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True)
            domain.generate_keypair(store=True, label=f"key {number}", id=bytes([number]))


@softhsm
@pytest.mark.interop
def test_a_token_signs_a_release_that_verifies(token: None, tmp_path: Path) -> None:
    public = read_public("hsm:2?label=gate", pin=lambda: PIN)
    key = load_remote("hsm:2?label=gate", public_key=public, pin=PIN)
    assert write_sample(tmp_path, key=key).exists()
    assert "123456" not in repr(key)


@softhsm
@pytest.mark.interop
@pytest.mark.parametrize(
    ("uri", "pin", "says"),
    [
        ("hsm:2?label=gate", b"654321", "did not sign: PinIncorrect"),
        ("hsm:2?label=gate", None, "none was given"),
        ("hsm:9?label=gate", PIN, "could not find"),
        ("hsm:2?label=other", PIN, "No PKCS#11 token found for label other"),
        ("hsm:3?label=gate", PIN, "signed with another key than"),
    ],
)
def test_what_a_token_refuses_is_an_error_with_its_reason(token: None, uri: str, pin: bytes | None, says: str) -> None:
    public = read_public("hsm:2?label=gate", pin=lambda: PIN)
    with pytest.raises(SigningError) as caught:
        load_remote(uri, public_key=public, pin=pin).sign(b"message")
    assert says in str(caught.value)
    assert "654321" not in str(caught.value)


@softhsm
@pytest.mark.interop
def test_a_key_of_another_curve_is_refused(token: None) -> None:
    with pytest.raises(SigningError, match="is not a P-256 key"):
        read_public("hsm:4?label=gate", pin=lambda: PIN)


@softhsm
@pytest.mark.interop
def test_two_keys_of_one_token_are_two_keys(token: None) -> None:
    one, other = (read_public(f"hsm:{number}?label=gate", pin=lambda: PIN) for number in (2, 3))
    assert one != other
    assert isinstance(one.key, ec.EllipticCurvePublicKey)


@softhsm
@pytest.mark.interop
@pytest.mark.usefixtures("token")
def test_a_tokens_public_key_is_shown_without_its_pin(tmp_path: Path) -> None:
    result = gatekeeper("keys", "show", "hsm:2?label=gate")
    assert result.code == 0, result.stderr
    assert result.stdout.startswith("-----BEGIN PUBLIC KEY-----")
    (tmp_path / "token.pub").write_text(result.stdout)
    same = gatekeeper("keys", "fingerprint", str(tmp_path / "token.pub")).stdout
    assert gatekeeper("keys", "fingerprint", "hsm:2?label=gate").stdout == same
