"""P-256 key pairs: made, loaded with clear refusals, and named by their fingerprints.

Design note: a key is read from a file that only its owner can read, and its passphrase is bytes that the
caller obtained; neither is ever part of a message. Signatures are deterministic (RFC 6979), so the same
facts give the same release, byte for byte, and no random number can leak the key.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gatekeeper.errors import SigningError, VerificationError

# No PEM file of a P-256 key comes near this size; a larger file is something else.
_MAX_KEY_FILE = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """A P-256 public key.

    Attributes:
        pem: its SubjectPublicKeyInfo (RFC 5480) as PEM, in the one form that `cryptography` writes.
        key: the same, ready for use.
    """

    pem: bytes
    key: ec.EllipticCurvePublicKey = field(repr=False, compare=False)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of `pem`: the `hint` of key-mode bundles (OpenSSF Model Signing 1.0, section 4.1)."""
        return hashlib.sha256(self.pem).hexdigest()

    def accepts(self, message: bytes, *, signature: bytes) -> bool:
        """Whether `signature` is a DER-encoded ECDSA signature with SHA-256 of `message` by this key."""
        try:
            self.key.verify(signature, message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


class SigningKey(Protocol):
    """A P-256 key that signs, wherever it is: in a file (`LocalKey`), or in a device or service (`RemoteKey`)."""

    @property
    def public(self) -> PublicKey:
        """The public key that verifies what it signs."""

    def sign(self, message: bytes) -> bytes:
        """The DER-encoded ECDSA signature with SHA-256 of `message`; `SigningError` where that fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalKey:
    """A P-256 private key in memory, and the public key that verifies what it signs.

    Attributes:
        private: the private key; never printed.
        public: its public key.
    """

    private: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)
    public: PublicKey

    def sign(self, message: bytes) -> bytes:
        """The DER-encoded ECDSA signature with SHA-256 of `message`, deterministic by RFC 6979."""
        return self.private.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPaths:
    """The two files of a key pair.

    Attributes:
        private: PKCS#8 PEM, encrypted, mode 0600.
        public: SubjectPublicKeyInfo PEM, mode 0644.
    """

    private: Path
    public: Path


def generate(*, prefix: Path, passphrase: bytes) -> KeyPaths:
    """Make a key pair and write it to `<prefix>.key` and `<prefix>.pub`.

    Args:
        prefix: where; its directory must exist, and neither file may.
        passphrase: encrypts the private key (PKCS#8, PBES2); not empty.

    Raises:
        SigningError: the passphrase is empty, a file exists already, or nothing can be written there.
    """
    if not passphrase:
        raise SigningError("an empty passphrase protects nothing", hint="choose a passphrase")
    paths = KeyPaths(private=prefix.with_name(prefix.name + ".key"), public=prefix.with_name(prefix.name + ".pub"))
    for path in (paths.private, paths.public):
        if os.path.lexists(path):
            raise _exists(path)
    key = signing_key(ec.generate_private_key(ec.SECP256R1()))
    encrypted = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    _create(paths.private, encrypted, mode=0o600)
    try:
        _create(paths.public, key.public.pem, mode=0o644)
    except SigningError:
        paths.private.unlink()
        raise
    return paths


def _exists(path: Path) -> SigningError:
    return SigningError(
        "exists already; a key is never overwritten", where=str(path), hint="choose another name, or move the old key"
    )


def _create(path: Path, content: bytes, *, mode: int) -> None:
    """Write a new file and push it to the disk; its mode is right from its first moment."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise SigningError(f"can't be written: {error.strerror}", where=str(path)) from error


def signing_key(private: ec.EllipticCurvePrivateKey) -> LocalKey:
    """A private key that is already in memory as a `SigningKey`."""
    return LocalKey(private=private, public=_public_key(private.public_key()))


def _public_key(key: ec.EllipticCurvePublicKey) -> PublicKey:
    return PublicKey(pem=key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), key=key)


def load_private(path: Path, *, passphrase: bytes | None) -> LocalKey:
    """Read a private key from a PEM file that only its owner can read.

    Args:
        path: the file: PKCS#8 or SEC 1 (`openssl ecparam -genkey`).
        passphrase: decrypts it, or None where the file is not encrypted.

    Raises:
        SigningError: the file is missing, is open to others, is not a private key, is not P-256, or the
            passphrase does not fit.
    """
    pem = _read_private_file(path)
    where = str(path)
    if b"PRIVATE KEY-----" not in pem:
        if b"PUBLIC KEY-----" in pem:
            raise SigningError("is a public key; signing needs the private one", where=where, hint="give the .key file")
        raise SigningError("holds no private key in PEM", where=where, hint="make one with `gatekeeper keys generate`")
    if b"ENCRYPTED" in pem and passphrase is None:
        raise SigningError("is encrypted, and no passphrase was given", where=where, hint="give its passphrase")
    if b"ENCRYPTED" not in pem and passphrase is not None:
        raise SigningError("is not encrypted, but a passphrase was given", where=where, hint="give no passphrase")
    try:
        key = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own message is left out: it may describe what it found in the file.
        reason = "is no valid private key" if passphrase is None else "can't be decrypted with this passphrase"
        raise SigningError(reason, where=where, hint="check the passphrase and the file") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningError(
            "is not a P-256 key", where=where, hint="make one with `gatekeeper keys generate`; other kinds are not used"
        )
    return signing_key(key)


def _read_private_file(path: Path) -> bytes:
    """The file's content, if it is a regular file that its owner alone can read."""
    try:
        with open(path, "rb", opener=_without_blocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SigningError("is not a regular file", where=str(path), hint="give the private key's file")
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SigningError(
                    f"is open to others than its owner (mode {stat.S_IMODE(status.st_mode):04o})",
                    where=str(path),
                    hint=f"chmod 600 {path}",
                )
            return file.read(_MAX_KEY_FILE)
    except FileNotFoundError as error:
        raise SigningError(
            "there is no such key file", where=str(path), hint="make one with `gatekeeper keys generate`"
        ) from error
    except OSError as error:
        raise SigningError(f"can't be read: {error.strerror}", where=str(path)) from error


def _without_blocking(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


def load_public(path: Path) -> PublicKey:
    """Read a public key from a PEM file.

    Raises:
        VerificationError: the file is missing, is not a public key, is not P-256, or holds a private key.
    """
    where = str(path)
    try:
        with open(path, "rb", opener=_without_blocking) as file:
            pem = file.read(_MAX_KEY_FILE)
    except OSError as error:
        raise VerificationError(
            f"the public key can't be read: {error.strerror}", where=where, hint="get the key from its owner"
        ) from error
    if b"PRIVATE KEY-----" in pem:
        raise VerificationError(
            "holds a private key; verification needs the public one only",
            where=where,
            hint="give the .pub file, and keep the private key where nobody verifies",
        )
    return parse_public(pem, where=where)


def parse_public(pem: bytes, *, where: str) -> PublicKey:
    """A public key from PEM bytes.

    Args:
        pem: SubjectPublicKeyInfo.
        where: the file that the bytes came from, for the message.

    Raises:
        VerificationError: the bytes are not the PEM of a P-256 public key.
    """
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise VerificationError("is no public key in PEM", where=where, hint="give the .pub file") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VerificationError("is not a P-256 public key", where=where, hint="releases are signed with P-256 keys")
    return _public_key(key)
