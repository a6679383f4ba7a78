"""Keys: made once, loaded strictly, named by fingerprint, and never printed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.keys import KeyPaths, generate, load_private, load_public, parse_public, signing_key

PASSPHRASE = b"correct horse"
# RFC 6979, appendix A.2.5: the private key of its examples on P-256, and the SHA-256 signature of "sample".
RFC_6979_KEY = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
RFC_6979_R = 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
RFC_6979_S = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8


def unencrypted(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def private_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> KeyPaths:
    return generate(prefix=tmp_path_factory.mktemp("keys") / "gate", passphrase=PASSPHRASE)


def test_a_generated_pair_signs_and_verifies(pair: KeyPaths) -> None:
    key, public = load_private(pair.private, passphrase=PASSPHRASE), load_public(pair.public)
    assert key.public == public
    assert public.accepts(b"message", signature=key.sign(b"message"))
    assert not public.accepts(b"massage", signature=key.sign(b"message"))


def test_a_private_key_is_encrypted_and_private_to_its_owner(pair: KeyPaths) -> None:
    assert pair.private.name == "gate.key"
    assert pair.public.name == "gate.pub"
    assert stat.S_IMODE(pair.private.stat().st_mode) == 0o600
    assert pair.private.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")


def test_an_open_umask_does_not_open_the_private_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        paths = generate(prefix=tmp_path / "gate", passphrase=PASSPHRASE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(paths.private.stat().st_mode) == 0o600


@pytest.mark.parametrize("existing", ["gate.key", "gate.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_bytes(b"precious")
    with pytest.raises(SigningError, match="exists already"):
        generate(prefix=tmp_path / "gate", passphrase=PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == [existing]
    assert (tmp_path / existing).read_bytes() == b"precious"


def test_a_dangling_link_in_the_place_of_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SigningError, match="exists already"):
        generate(prefix=tmp_path / "gate", passphrase=PASSPHRASE)
    assert not (tmp_path / "elsewhere").exists()


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="empty passphrase"):
        generate(prefix=tmp_path / "gate", passphrase=b"")
    assert not list(tmp_path.iterdir())


def test_keys_in_a_missing_directory_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"missing/gate\.key"):
        generate(prefix=tmp_path / "missing" / "gate", passphrase=PASSPHRASE)


def test_a_missing_private_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"none\.key: there is no such key file"):
        load_private(tmp_path / "none.key", passphrase=None)


@pytest.mark.parametrize(
    ("passphrase", "message"), [(b"wrong", "can't be decrypted"), (b"", "can't be decrypted"), (None, "no passphrase")]
)
def test_a_passphrase_that_does_not_fit_is_refused(pair: KeyPaths, passphrase: bytes | None, message: str) -> None:
    with pytest.raises(SigningError, match=message):
        load_private(pair.private, passphrase=passphrase)


def test_a_passphrase_for_an_unencrypted_key_is_refused(tmp_path: Path) -> None:
    path = private_file(tmp_path / "plain.key", unencrypted(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(SigningError, match="not encrypted"):
        load_private(path, passphrase=PASSPHRASE)
    assert load_private(path, passphrase=None).public.pem.startswith(b"-----BEGIN PUBLIC KEY-----")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o777])
def test_a_private_key_that_is_open_to_others_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path / "plain.key", unencrypted(ec.generate_private_key(ec.SECP256R1())))
    path.chmod(mode)
    with pytest.raises(SigningError, match=f"chmod 600 {path}"):
        load_private(path, passphrase=None)


def test_a_public_key_in_the_place_of_a_private_one_is_refused(pair: KeyPaths, tmp_path: Path) -> None:
    path = private_file(tmp_path / "gate.pub", pair.public.read_bytes())
    with pytest.raises(SigningError, match="is a public key"):
        load_private(path, passphrase=None)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "Ed25519", "RSA"],
)
def test_a_key_of_another_kind_is_refused(
    tmp_path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
) -> None:
    private = private_file(tmp_path / "other.key", unencrypted(key))
    with pytest.raises(SigningError, match="not a P-256 key"):
        load_private(private, passphrase=None)
    public = tmp_path / "other.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(VerificationError, match="not a P-256 public key"):
        load_public(public)


def test_nonsense_in_the_place_of_a_private_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="holds no private key"):
        load_private(private_file(tmp_path / "nonsense.key", b"\x00\xff"), passphrase=None)
    broken = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    with pytest.raises(SigningError, match="no valid private key"):
        load_private(private_file(tmp_path / "broken.key", broken), passphrase=None)


def test_a_directory_and_a_pipe_in_the_place_of_a_private_key_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", mode=0o600)
    with pytest.raises(SigningError, match="not a regular file"):
        load_private(tmp_path / "pipe", passphrase=None)
    with pytest.raises(SigningError, match="can't be read"):
        load_private(tmp_path, passphrase=None)


def test_a_private_key_in_the_place_of_a_public_one_is_refused_without_being_shown(tmp_path: Path) -> None:
    pem = unencrypted(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(VerificationError, match="holds a private key") as caught:
        load_public(private_file(tmp_path / "gate.key", pem))
    assert pem.split(b"\n")[1].decode() not in str(caught.value)


def test_a_missing_or_broken_public_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"none\.pub"):
        load_public(tmp_path / "none.pub")
    (tmp_path / "broken.pub").write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(VerificationError, match=r"broken\.pub: is no public key"):
        load_public(tmp_path / "broken.pub")


def test_the_fingerprint_is_of_the_pem_and_does_not_depend_on_line_ends(pair: KeyPaths, tmp_path: Path) -> None:
    pem = pair.public.read_bytes()
    assert load_public(pair.public).fingerprint == hashlib.sha256(pem).hexdigest()
    (tmp_path / "windows.pub").write_bytes(pem.replace(b"\n", b"\r\n"))
    assert load_public(tmp_path / "windows.pub") == load_public(pair.public)


def test_signatures_are_those_of_rfc_6979() -> None:
    key = signing_key(ec.derive_private_key(RFC_6979_KEY, ec.SECP256R1()))
    assert utils.decode_dss_signature(key.sign(b"sample")) == (RFC_6979_R, RFC_6979_S)


def test_a_signing_key_does_not_print_its_secret(pair: KeyPaths) -> None:
    key = load_private(pair.private, passphrase=PASSPHRASE)
    assert "private" not in repr(key)


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_a_public_key_crash(content: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_public(content, where="any.pub")


@given(index=st.integers(0, 400), value=st.integers(0, 255))
def test_a_damaged_private_key_gives_no_other_error_than_ours(
    tmp_path_factory: pytest.TempPathFactory, index: int, value: int
) -> None:
    original = bytearray(unencrypted(ec.derive_private_key(7, ec.SECP256R1())))
    damaged = bytearray(original)
    damaged[index % len(damaged)] = value
    path = private_file(tmp_path_factory.getbasetemp() / "damaged.key", bytes(damaged))
    with contextlib.suppress(SigningError):  # some changes are harmless, such as one of a line end
        load_private(path, passphrase=None)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssl_reads_our_key_and_we_read_its_keys(pair: KeyPaths, tmp_path: Path) -> None:
    shown = subprocess.run(
        ["openssl", "pkey", "-in", pair.private, "-passin", f"pass:{PASSPHRASE.decode()}", "-pubout"],
        check=True,
        capture_output=True,
    ).stdout
    assert shown == pair.public.read_bytes()
    made = tmp_path / "openssl.key"
    subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", made], check=True)
    made.chmod(0o600)
    plain = load_private(made, passphrase=None)
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "ec", "-in", made, "-aes256", "-passout", "pass:x", "-out", encrypted],
        check=True,
        capture_output=True,
    )
    encrypted.chmod(0o600)
    assert load_private(encrypted, passphrase=b"x").public == plain.public


def test_a_truncated_encrypted_key_is_refused(pair: KeyPaths, tmp_path: Path) -> None:
    path = private_file(tmp_path / "short.key", pair.private.read_bytes()[:200])
    with pytest.raises(SigningError):
        load_private(path, passphrase=PASSPHRASE)


def test_an_encrypted_key_of_another_curve_is_refused(tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE)
    )
    with pytest.raises(SigningError, match="not a P-256 key"):
        load_private(private_file(tmp_path / "p521.key", pem), passphrase=PASSPHRASE)
