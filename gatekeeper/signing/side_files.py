"""The files beside the attestations: what a release always has, and what is compared when it is verified."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate, FileDigest
from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.attestations import Bundle, claims_of
from gatekeeper.signing.bom import encode_bom
from gatekeeper.signing.files import place, read_file
from gatekeeper.signing.guide import GUIDE, SCRIPT, guide_files, is_ours
from gatekeeper.signing.layout import ATTESTATIONS, BOM_FILE, CERTIFICATE_FILE, CLAIMS_FILE, POLICY_FILE, SideFile

REQUIRED = (POLICY_FILE, BOM_FILE, f"{ATTESTATIONS}/{GUIDE}", f"{ATTESTATIONS}/{SCRIPT}")


def standard_side_files(certificate: Certificate) -> tuple[SideFile, ...]:
    """What travels beside every model: the policy, the bill of materials, and how to verify.

    Args:
        certificate: its `files` are not read, so that they may name these afterwards.
    """
    return (
        SideFile(name="policy.json", content=codec.encode(certificate.policy).encode()),
        SideFile(name="bom.cdx.json", content=encode_bom(certificate)),
        *guide_files(),
    )


def check_side_files(directory: Path, *, certificate: Certificate, present: tuple[str, ...]) -> None:
    """Whether the files beside the attestations are those that the certificate binds, and what they must be.

    Args:
        directory: the release.
        certificate: its signature was verified.
        present: every file of the release that has no other place.

    Raises:
        VerificationError: one is missing, was added or changed, or is not what follows from the certificate.
    """
    bound = [file.name for file in certificate.files]
    if bound != sorted(set(bound)):
        raise VerificationError("binds files out of order or twice", where=place(directory, CERTIFICATE_FILE))
    for name in sorted(set(present) ^ set(bound)):
        state = "is missing, but" if name in bound else "was added: no such file is what"
        raise VerificationError(f"{state} the certificate binds", where=place(directory, name))
    for name in sorted(set(REQUIRED) - set(bound)):
        raise VerificationError(f"binds no {name}", where=place(directory, CERTIFICATE_FILE))
    for file in certificate.files:
        content = _bound_content(directory, file)
        problem = _problem(file.name, content, certificate=certificate)
        if problem is not None:
            raise VerificationError(problem, where=place(directory, file.name))


def _bound_content(directory: Path, file: FileDigest) -> bytes:
    content = read_file(directory, file.name)
    found = FileDigest(name=file.name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    if found != file:
        raise VerificationError(
            f"has SHA-256 {found.sha256} and {found.size} bytes; the certificate binds {file.sha256} and {file.size} "
            "bytes",
            where=place(directory, file.name),
        )
    return content


def _problem(name: str, content: bytes, *, certificate: Certificate) -> str | None:
    """What a bound file is not, although its signer bound it; None where nothing is wrong."""
    if name == POLICY_FILE and content != codec.encode(certificate.policy).encode():
        return f"is not the policy {certificate.approval.policy_digest} that was judged by"
    if name == BOM_FILE and content != encode_bom(certificate):
        return "is not the bill of materials that follows from the certificate"
    try:
        file = SideFile(name=name.removeprefix(f"{ATTESTATIONS}/"), content=content)
    except SigningError as error:
        return error.message
    if file.name in (GUIDE, SCRIPT) and not is_ours(file):
        return "is not the one that gatekeeper puts into releases"
    return None


def check_claims(directory: Path, *, bundles: tuple[Bundle, ...]) -> None:
    """Whether `claims.jsonl` is the attestations, one a line, in their order.

    Raises:
        VerificationError: it is not.
    """
    if read_file(directory, CLAIMS_FILE) != claims_of(bundles):
        raise VerificationError(
            "is not the attestations beside it, one a line, in their order", where=place(directory, CLAIMS_FILE)
        )
