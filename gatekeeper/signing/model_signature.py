"""The signature over a model directory: OpenSSF Model Signing (OMS) 1.0 in key mode.

Specification: https://github.com/ossf/model-signing-spec/blob/main/spec/v1.0.md. Section numbers below are
its own. `model_signing verify key` accepts what `sign_model` writes.

Design note: written here and not by the reference library, because the latter writes `ignore_paths` in
random order, so that its payload can't be reproduced, and needs six times as many packages to verify.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.core.checks import check_sha256, check_text
from gatekeeper.errors import VerificationError
from gatekeeper.signing.dsse import sign_statement, verify_bundle
from gatekeeper.signing.files import digest_file, list_tree, place, read_file, shown
from gatekeeper.signing.keys import PublicKey, SigningKey
from gatekeeper.signing.statements import Statement, Subject, encode_statement, member, parse_statement

MODEL_SIGNATURE_TYPE = "https://model_signing/signature/v1.0"
SIGNATURE_FILE = "model.sig"
IGNORED_PATHS = ("attestations", SIGNATURE_FILE)

_SERIALIZATION = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": list(IGNORED_PATHS),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One file of a model.

    Attributes:
        name: path relative to the model directory, with `/`.
        sha256: digest of its content.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_sha256(sha256=self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """Every file of a model.

    Attributes:
        name: the model directory's name; informative (section 6.5).
        resources: each file, in code point order of the names.
    """

    name: str
    resources: tuple[Resource, ...]

    @property
    def root_digest(self) -> str:
        """SHA-256 over the files' raw digests in order (section 6.5.1)."""
        return hashlib.sha256(b"".join(bytes.fromhex(r.sha256) for r in self.resources)).hexdigest()

    @property
    def subject(self) -> Subject:
        """The model as a whole."""
        return Subject(name=self.name, sha256=self.root_digest)


def describe_model(directory: Path, *, name: str) -> Manifest:
    """Digest every file of a model directory but the signature and the attestations.

    Args:
        directory: the model directory.
        name: what it is called where it is published.

    Raises:
        VerificationError: it holds no file, or a link or special file.
    """
    resources = tuple(
        Resource(name=file, sha256=digest_file(directory, file).sha256)
        for file in list_tree(directory).files
        if not _ignored(file)
    )
    if not resources:
        raise VerificationError("holds no model file", where=str(directory))
    return Manifest(name=name, resources=resources)


def _ignored(file: str) -> bool:
    """Whether a relative path is, or lies under, an ignored path (section 6.2.1)."""
    return any(file == path or file.startswith(path + "/") for path in IGNORED_PATHS)


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest as the statement that is signed (sections 5 and 6.6)."""
    resources = [{"name": r.name, "algorithm": "sha256", "digest": r.sha256} for r in manifest.resources]
    predicate = {"resources": resources, "serialization": _SERIALIZATION}
    return encode_statement(
        Statement(predicate_type=MODEL_SIGNATURE_TYPE, subjects=(manifest.subject,), predicate=predicate)
    )


def sign_model(directory: Path, *, name: str, key: SigningKey) -> bytes:
    """The content of `model.sig` for a model directory; the arguments are those of `describe_model`."""
    return sign_statement(encode_manifest(describe_model(directory, name=name)), key=key)


def read_manifest(directory: Path, *, public_key: PublicKey) -> Manifest:
    """The manifest that `model.sig` signs; the files themselves are not yet looked at.

    Raises:
        VerificationError: the signature, the statement or a name in it is not what it must be.
    """
    where = place(directory, SIGNATURE_FILE)
    return open_manifest(read_file(directory, SIGNATURE_FILE), public_key=public_key, where=where)


def open_manifest(signature: bytes, *, public_key: PublicKey, where: str) -> Manifest:
    """The manifest that the content of a `model.sig` signs; see `read_manifest`."""
    return parse_manifest(verify_bundle(signature, public_key=public_key, where=where), where=where)


def parse_manifest(payload: bytes, *, where: str) -> Manifest:
    """The manifest in a payload whose signature has been verified.

    Raises:
        VerificationError: it is no OMS 1.0 statement by file and SHA-256, a name leaves the directory, or
            the root digest does not follow from the files' digests.
    """
    statement = parse_statement(payload, predicate_type=MODEL_SIGNATURE_TYPE, where=where)
    if len(statement.subjects) != 1:
        raise VerificationError(f"names {len(statement.subjects)} subjects, needed is exactly one", where=where)
    (subject,) = statement.subjects
    listed = member(statement.predicate, "resources", list, where=where)
    manifest = Manifest(name=subject.name, resources=tuple(_resource(item, where=where) for item in listed))
    names = [resource.name for resource in manifest.resources]
    if not names or names != sorted(set(names)):
        raise VerificationError("lists no file, or files out of order or twice", where=where)
    if manifest.root_digest != subject.sha256:
        raise VerificationError(
            f"names the root digest {subject.sha256}, but the files it lists give {manifest.root_digest}", where=where
        )
    if encode_manifest(manifest) != payload:
        raise VerificationError(
            f"is not signed by file with SHA-256, without symbolic links, ignoring {', '.join(IGNORED_PATHS)} alone",
            where=where,
        )
    return manifest


def _resource(item: object, *, where: str) -> Resource:
    name = member(item, "name", str, where=where)
    if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
        raise VerificationError(f"lists {name!a}, which is no plain path inside the directory", where=where)
    try:
        return Resource(name=name, sha256=member(item, "digest", str, where=where))
    except ValueError as error:
        raise VerificationError(f"lists a file that can't be: {error}", where=where) from error


def check_files(directory: Path, *, manifest: Manifest) -> None:
    """Compare every file of a model directory with a manifest (section 8.4).

    Raises:
        VerificationError: a file is missing, was added, was changed, or is a link.
    """
    present = {file for file in list_tree(directory).files if not _ignored(file)}
    expected = {resource.name for resource in manifest.resources}
    for name in sorted(present - expected):
        raise VerificationError(f"is not among the files that {SIGNATURE_FILE} signs", where=place(directory, name))
    for resource in manifest.resources:
        if resource.name not in present:
            raise VerificationError(
                f"is missing, but {SIGNATURE_FILE} signs it", where=place(directory, shown(resource.name))
            )
        found = digest_file(directory, resource.name).sha256
        if found != resource.sha256:
            raise VerificationError(
                f"has SHA-256 {found}, but {SIGNATURE_FILE} signs {resource.sha256}",
                where=place(directory, resource.name),
                hint="do not use the model; get the release again from its signer",
            )
