"""A model and its approval become a signed release that has verified itself, or nothing at all.

Everything is built in a private staging directory, verified there, and moved to its place by one rename.
So a release is either whole or absent, and no model file exists outside the run directory before every
check has passed, not even when the process is killed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate
from gatekeeper.errors import SigningError
from gatekeeper.signing.attestations import attest, claims_of
from gatekeeper.signing.dsse import sign_statement
from gatekeeper.signing.keys import SigningKey
from gatekeeper.signing.layout import (
    ATTESTATIONS,
    CLAIMS_FILE,
    MODEL_FILE,
    SIGNER_FILE,
    SideFile,
    digests_of,
)
from gatekeeper.signing.model_signature import SIGNATURE_FILE, describe_model, encode_manifest
from gatekeeper.signing.side_files import standard_side_files
from gatekeeper.signing.verification import Step, VerifiedRelease, check_trust_root, read_release

__all__ = [
    "SideFile",
    "Step",
    "VerifiedRelease",
    "check_trust_root",
    "digests_of",
    "read_release",
    "standard_side_files",
    "write_release",
]

_CHUNK = 1024 * 1024


def write_release(
    *,
    out: Path,
    staging: Path,
    model: Path,
    certificate: Certificate,
    side_files: tuple[SideFile, ...],
    key: SigningKey,
    check: Callable[[Path], None],
) -> None:
    """Write a signed release to `out`, or leave nothing behind.

    Args:
        out: the release directory; must not exist, its parent must. Its name is signed as the model's name.
        staging: a path inside the private run directory that does not exist yet, on the file system of `out`.
        model: the ONNX file; it is copied, never linked.
        certificate: names the model's digest, and the side files by `digests_of`.
        side_files: what travels beside the model: those of `standard_side_files`, and reports.
        key: signs.
        check: recomputes the verdict from the finished directory, and raises where it does not agree.

    Raises:
        SigningError: the facts don't belong together, or the directory can't be written.
        VerificationError: the finished release does not verify.
    """
    _check_facts(certificate, side_files=side_files)
    _check_places(out=out, staging=staging)
    with _scratch(staging):
        with _disk_errors(staging):
            _build(staging, name=out.name, model=model, certificate=certificate, side_files=side_files, key=key)
        read_release(staging, public_key=key.public)
        check(staging)
        with _disk_errors(out):
            _publish(staging, out=out)


def _check_facts(certificate: Certificate, *, side_files: tuple[SideFile, ...]) -> None:
    """Whether approval, policy, facts and side files belong together, before anything is written."""
    approval, artifact = certificate.approval, certificate.facts.evidence.model
    policy = codec.digest(certificate.policy)
    if approval.policy_digest != policy:
        raise SigningError(f"the approval is under the policy {approval.policy_digest}, the certificate's is {policy}")
    if approval.model_digest != artifact.sha256:
        raise SigningError(f"the approval is of the model {approval.model_digest}, measured was {artifact.sha256}")
    digests = digests_of(side_files)
    if certificate.files != digests:
        raise SigningError(f"the certificate binds {certificate.files}, the side files are {digests}")
    for file in standard_side_files(certificate):
        if file not in side_files:
            raise SigningError("is missing, or not what follows from the certificate", where=file.path)


def _check_places(*, out: Path, staging: Path) -> None:
    """Whether the release can be built where it is asked for, before anything is written."""
    if os.path.lexists(out):
        raise SigningError(
            "exists already; a release is never overwritten", where=str(out), hint="choose another directory"
        )
    if not out.parent.is_dir():
        raise SigningError("is not a directory", where=str(out.parent), hint=f"mkdir -p {out.parent}")
    if os.path.lexists(staging):
        raise SigningError(
            "exists already; a release is built in a directory of its own",
            where=str(staging),
            hint="remove what an interrupted run left there",
        )
    if not staging.parent.is_dir():
        raise SigningError("is not a directory", where=str(staging.parent), hint=f"mkdir -p {staging.parent}")
    if out.parent.stat().st_dev != staging.parent.stat().st_dev:
        raise _other_file_system(out, staging=staging)


def _other_file_system(out: Path, *, staging: Path) -> SigningError:
    return SigningError(
        f"lies on another file system than the run directory {staging.parent}, so it can't appear in one step",
        where=str(out),
        hint="put the run directory and the release on the same file system, and copy the release afterwards",
    )


@contextmanager
def _scratch(staging: Path) -> Iterator[None]:
    """A private directory that is gone afterwards, whatever happens; a published one has moved away."""
    with _disk_errors(staging):
        staging.mkdir(mode=0o700)
    try:
        yield
    finally:
        if staging.exists():
            shutil.rmtree(staging)


@contextmanager
def _disk_errors(where: Path) -> Iterator[None]:
    """What the operating system refuses, as an error that names the place."""
    try:
        yield
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else str(where)
        raise SigningError(f"can't be written or read: {error.strerror}", where=place) from error


def _build(
    staging: Path,
    *,
    name: str,
    model: Path,
    certificate: Certificate,
    side_files: tuple[SideFile, ...],
    key: SigningKey,
) -> None:
    """Fill the staging directory: model, side files, statements, and the model's signature last."""
    (staging / ATTESTATIONS).mkdir()
    _copy_model(model, to=staging / MODEL_FILE, sha256=certificate.approval.model_digest)
    for file in side_files:
        _write(staging / file.path, file.content)
    _write(staging / SIGNER_FILE, key.public.pem)
    manifest = describe_model(staging, name=name)
    bundles = attest(certificate, manifest=manifest, key=key)
    for bundle in bundles:
        _write(staging / bundle.file, bundle.content)
    _write(staging / CLAIMS_FILE, claims_of(bundles))
    _write(staging / SIGNATURE_FILE, sign_statement(encode_manifest(manifest), key=key))
    (staging / ATTESTATIONS).chmod(0o755)
    _sync(staging / ATTESTATIONS)
    _sync(staging)


def _copy_model(model: Path, *, to: Path, sha256: str) -> None:
    """Copy the model, digesting what is copied: the bytes that arrive are the bytes that were approved."""
    digest = hashlib.sha256()

    def chunks() -> Iterator[bytes]:
        with model.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                yield chunk

    _write_all(to, chunks())
    if digest.hexdigest() != sha256:
        raise SigningError(
            f"has SHA-256 {digest.hexdigest()}, but the approval is of {sha256}",
            where=str(model),
            hint="the file changed after it was judged; judge it again",
        )


def _write(path: Path, content: bytes) -> None:
    _write_all(path, iter((content,)))


def _write_all(path: Path, chunks: Iterator[bytes]) -> None:
    """Write a new file of mode 0644, whatever the umask, and push it to the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)


def _sync(directory: Path) -> None:
    """Push the directory's entries to the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(staging: Path, *, out: Path) -> None:
    """Open the directory to readers and move it to its place in one step, or take it back."""
    published = False
    try:
        staging.chmod(0o755)
        os.rename(staging, out)
        _sync(out.parent)
        published = True
    except OSError as error:
        if error.errno == errno.EXDEV:  # mounts of one device look alike until something is moved between them
            raise _other_file_system(out, staging=staging) from error
        raise
    finally:
        if not published and not staging.exists():
            os.rename(out, staging)
