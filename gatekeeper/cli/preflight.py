"""What can be known about a signature before an hour of training: whether key, passphrase and place will do.

The key is looked at, never decrypted: only an approval opens it.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from gatekeeper.cli.key_options import remote_scheme
from gatekeeper.cli.output import lies_inside
from gatekeeper.cli.passphrase import VARIABLE, read_passphrase
from gatekeeper.errors import SigningError

if TYPE_CHECKING:
    from gatekeeper.signing.keys import SigningKey

_MOST_KEY_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """How an approval will be signed.

    Attributes:
        key: the private key's file, or the URI of a key in a device or service.
        out: the release directory to create.
        passphrase: opens the key, or None where nothing has to be opened; never printed.
        public_key: the file of its public key; goes with a URI.
        certificate: the file of its certificates, which must be valid when it signs, or None.
    """

    key: str
    out: Path
    passphrase: bytes | None = field(repr=False)
    public_key: Path | None = None
    certificate: Path | None = None


def prepare_signing(
    *,
    key: str,
    out: Path,
    runs: Path,
    passphrase_fd: int | None,
    public_key: Path | None = None,
    certificate: Path | None = None,
) -> Signing:
    """Check key, place and passphrase, in this order; the terminal is asked last, and only where something is locked.

    Args:
        key: the private key's file, or the URI of a key in a device or service.
        out: the release directory to create.
        runs: the run directory, or where one will be created: a release moves from there to `out` in one rename.
        passphrase_fd: where the passphrase can be read, or None.
        public_key: the file of the key's public key, or None.
        certificate: the file of the key's certificates, or None.

    Raises:
        SigningError: the signature would fail.
    """
    if certificate is not None:
        from gatekeeper.pipeline.inputs import check_certificate

        check_certificate(certificate, key=None)
    signing = _prepare(key, out=out, runs=runs, descriptor=passphrase_fd, public_key=public_key)
    return replace(signing, certificate=certificate)


def _prepare(key: str, *, out: Path, runs: Path, descriptor: int | None, public_key: Path | None) -> Signing:
    """How the key will be opened, and what for."""
    scheme = remote_scheme(key, public_key=public_key)
    if scheme is not None:
        return _prepare_remote(key, scheme=scheme, out=out, runs=runs, descriptor=descriptor, public_key=public_key)
    encrypted = is_encrypted(Path(key))
    _check_out(out, runs=runs)
    passphrase = read_passphrase(descriptor, ask=encrypted)
    if encrypted and passphrase is None:
        raise SigningError(
            "is encrypted, and no passphrase was given",
            where=key,
            hint=f"give it in {VARIABLE} or by --passphrase-fd; without either it is asked for on a terminal",
        )
    if not encrypted and passphrase is not None:
        raise SigningError("is not encrypted, but a passphrase was given", where=key, hint="give no passphrase")
    return Signing(key=key, out=out, passphrase=passphrase)


def _prepare_remote(
    key: str, *, scheme: str, out: Path, runs: Path, descriptor: int | None, public_key: Path | None
) -> Signing:
    """The same for a key in a device or service; an HSM has a PIN, a service its own credentials."""
    from gatekeeper.pipeline.inputs import read_key

    _check_out(out, runs=runs)
    read_key(key, passphrase=None, public_key=public_key)
    pin = read_passphrase(descriptor, ask=scheme == "hsm", prompt="PIN of the token")
    if scheme == "hsm" and pin is None:
        raise SigningError("needs a PIN, and none was given", where=key, hint="give it as a passphrase is given")
    if scheme != "hsm" and pin is not None:
        raise SigningError("takes no passphrase, but one was given", where=key, hint="give no passphrase")
    return Signing(key=key, out=out, passphrase=pin, public_key=public_key)


def open_key(signing: Signing) -> SigningKey:
    """The key that signs, once there is something to sign; its certificates are looked at again with it.

    Raises:
        SigningError: it can't be opened, or its certificates don't let it sign now.
    """
    from gatekeeper.pipeline.inputs import check_certificate, read_key

    key = read_key(signing.key, passphrase=signing.passphrase, public_key=signing.public_key)
    if signing.certificate is not None:
        check_certificate(signing.certificate, key=key)
    return key


def is_encrypted(key: Path) -> bool:
    """Whether a private key's file asks for a passphrase."""
    pem = _private_file(key)
    if b"PRIVATE KEY-----" not in pem:
        raise SigningError(
            "holds no private key in PEM",
            where=str(key),
            hint="give the .key file that `gatekeeper keys generate` made",
        )
    return b"ENCRYPTED" in pem


def _private_file(key: Path) -> bytes:
    """The content of a regular file that its owner alone can read."""
    try:
        descriptor = os.open(key, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and not _is_public(file):
                raise SigningError(
                    f"is open to others than its owner (mode {stat.S_IMODE(status.st_mode):04o})",
                    where=str(key),
                    hint=f"chmod 600 {key}",
                )
            if stat.S_ISREG(status.st_mode):
                file.seek(0)
                return file.read(_MOST_KEY_BYTES)
    except FileNotFoundError as error:
        raise SigningError(
            "there is no such key", where=str(key), hint="make one with `gatekeeper keys generate`"
        ) from error
    except OSError as error:
        raise SigningError(
            f"can't be read: {error.strerror}", where=str(key), hint="give the private key's file, which you can read"
        ) from error
    raise SigningError("is not a regular file", where=str(key), hint="give the private key's file")


def _is_public(file: BinaryIO) -> bool:
    """Whether a file holds a public key or a certificate, which nobody has to hide, and no private one."""
    pem = file.read(_MOST_KEY_BYTES)
    return b"-----BEGIN " in pem and b"PRIVATE KEY-----" not in pem


def _check_out(out: Path, *, runs: Path) -> None:
    parent = out.absolute().parent
    if os.path.lexists(out):
        raise SigningError(
            "exists already; a release is never overwritten", where=str(out), hint="choose another --out"
        )
    if not os.path.isdir(parent):
        raise SigningError("its parent directory does not exist", where=str(out), hint=f"mkdir -p {out.parent}")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise SigningError("its parent directory can't be written", where=str(out), hint="choose another --out")
    if parent.stat().st_dev != _nearest(runs).stat().st_dev:
        raise SigningError(
            f"lies on another file system than {runs}, so a release can't appear there in one step",
            where=str(out),
            hint="put --runs and --out on one file system, and copy the release afterwards",
        )


def check_beside(out: Path, *, run: Path) -> None:
    """A release leaves its run directory, which is private and pruned."""
    if lies_inside(out, run):
        raise click.UsageError(f"--out {out} lies inside the run directory {run}")


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest parent that exists."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if os.path.exists(place))
