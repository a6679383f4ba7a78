"""The numbered steps that a release must pass, in the order in which they are taken.

Each step relies on the earlier ones alone: no payload is parsed before its signature, and no fact is read
before the statement that holds it. What passes is the signer's word and is consistent; whether the facts
support the verdict is recomputed from the certificate afterwards, by whoever calls this.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.core import codec
from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate
from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.additions import (
    FOLDERS,
    Addition,
    check_addition_names,
    is_addition,
    read_approvals,
)
from gatekeeper.signing.attestations import ATTESTATION_FILES, DERIVED, Bundle, basis_of, list_of, subjects_of
from gatekeeper.signing.comparison import first_difference
from gatekeeper.signing.dsse import verify_bundle
from gatekeeper.signing.files import Tree, digest_file, list_tree, place, read_file
from gatekeeper.signing.keys import PublicKey
from gatekeeper.signing.layout import (
    ATTESTATIONS,
    CERTIFICATE_FILE,
    CLAIMS_FILE,
    MODEL_FILE,
    MODEL_FILES,
    SIGNER_FILE,
)
from gatekeeper.signing.model_signature import SIGNATURE_FILE, Manifest, check_files, open_manifest
from gatekeeper.signing.predicates import certificate_of, passed_properties
from gatekeeper.signing.side_files import check_claims, check_side_files
from gatekeeper.signing.statements import Statement, Subject, parse_statement

_FIXED_FILES = (*MODEL_FILES, *ATTESTATION_FILES, CLAIMS_FILE, SIGNER_FILE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of the verification, passed.

    Attributes:
        number: from 1, in the order taken.
        title: what was verified.
        detail: against what.
    """

    number: int
    title: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedRelease:
    """A release whose signatures and digests all fit.

    Attributes:
        certificate: the facts; the signer's word until they are recomputed.
        certificate_digest: SHA-256 of its bundle.
        subjects: what every attestation is about: the model files and the root digest.
        signed: the list of all bundles, from the bytes that were verified: what a timestamp must cover.
        approvals: what was added to the folder of approvals after signing; unchecked.
        steps: what was verified.
    """

    certificate: Certificate
    certificate_digest: str
    subjects: tuple[Subject, ...]
    signed: bytes
    approvals: tuple[Addition, ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attested:
    """An attestation whose signature was verified.

    Attributes:
        bundle: as it lies in the release.
        payload: the signed bytes.
    """

    bundle: Bundle
    payload: bytes


def check_trust_root(public_key_path: Path, *, directory: Path) -> None:
    """Refuse a public key that comes with the release: whoever changed the release could have changed the key.

    Args:
        public_key_path: the file that the key is read from; links are followed.
        directory: the release directory; links are followed.

    Raises:
        VerificationError: the key lies inside the directory, or either does not exist.
    """
    key = _found(public_key_path, hint="give the signer's public key, a .pub file, from your own copy")
    release = _found(directory, hint="give the directory of the release")
    if any(parent.samefile(release) for parent in key.parents):
        raise VerificationError(
            f"lies inside the release {directory}, so it proves nothing about it",
            where=str(public_key_path),
            hint="use a public key that you got from the signer on another way, and keep it outside the release",
        )


def _found(path: Path, *, hint: str) -> Path:
    """Where a path leads."""
    try:
        return path.resolve(strict=True)
    except OSError as error:
        raise VerificationError(f"can't be found: {error.strerror}", where=str(path), hint=hint) from error
    except RuntimeError as error:
        raise VerificationError("can't be found: it is a loop of symbolic links", where=str(path), hint=hint) from error


def read_release(directory: Path, *, public_key: PublicKey) -> VerifiedRelease:
    """Verify a release directory against a public key, step by step.

    Args:
        directory: the release.
        public_key: whose release it must be; from outside the directory (`check_trust_root`).

    Raises:
        VerificationError: the first step that fails; `where` names the file.
    """
    tree = list_tree(directory)
    beside = _check_names(directory, tree=tree)
    signature = Bundle(file=SIGNATURE_FILE, content=read_file(directory, SIGNATURE_FILE))
    manifest = open_manifest(signature.content, public_key=public_key, where=place(directory, SIGNATURE_FILE))
    check_files(directory, manifest=manifest)
    attested = _read_attestations(directory, public_key=public_key)
    statements = _check_statements(directory, attested=attested, manifest=manifest)
    certificate = _check_certificate(directory, statement=statements[0])
    _check_artifact(directory, certificate=certificate)
    check_side_files(directory, certificate=certificate, present=beside)
    _check_derived(directory, certificate=certificate, bundle=attested[0].bundle, statements=statements[1:])
    check_claims(directory, bundles=tuple(each.bundle for each in attested))
    details = (
        ("names and kinds of files", f"regular files only, {len(_FIXED_FILES) + len(beside)}"),
        ("signature of the model", f"model.sig by the key {public_key.fingerprint}"),
        ("model files", f"{len(manifest.resources)} by SHA-256, root digest {manifest.root_digest}"),
        ("signatures of the attestations", f"{len(attested)} by the same key"),
        ("subjects of the attestations", "this model file and this root digest"),
        ("certificate", f"approves this model under the policy {certificate.approval.policy_digest}"),
        ("the judged file", f"{certificate.facts.evidence.model.size} bytes, the file that was measured"),
        ("side files", f"{len(beside)} as the certificate binds them"),
        ("other attestations", f"{', '.join(each.name for each in DERIVED)}: as they follow from the certificate"),
    )
    return VerifiedRelease(
        certificate=certificate,
        certificate_digest=hashlib.sha256(attested[0].bundle.content).hexdigest(),
        subjects=subjects_of(manifest),
        signed=list_of((signature, *(each.bundle for each in attested))),
        approvals=read_approvals(directory, tree=tree),
        steps=tuple(Step(number=n, title=title, detail=detail) for n, (title, detail) in enumerate(details, start=1)),
    )


def _check_names(directory: Path, *, tree: Tree) -> tuple[str, ...]:
    """Step 1: regular files only, with the names of a release; gives the files beside the attestations."""
    for name in _FIXED_FILES:
        if name not in tree.files:
            raise VerificationError(
                "is missing", where=place(directory, name), hint="get the whole release from its signer"
            )
    check_addition_names(directory, tree=tree)
    beside = tuple(name for name in tree.files if name not in _FIXED_FILES and not is_addition(name))
    strangers = [name for name in beside if not name.startswith(ATTESTATIONS + "/")]
    folders = [name for name in tree.directories if name not in (ATTESTATIONS, *FOLDERS)]
    for name in (*strangers, *folders):
        raise VerificationError("does not belong to a release", where=place(directory, name), hint="remove it")
    return beside


def _read_attestations(directory: Path, *, public_key: PublicKey) -> tuple[_Attested, ...]:
    """Step 4: every attestation carries this key's signature; nothing is parsed yet."""
    if read_file(directory, SIGNER_FILE) != public_key.pem:
        raise VerificationError(
            f"is not the key that signed the release, {public_key.fingerprint}", where=place(directory, SIGNER_FILE)
        )
    bundles = (Bundle(file=name, content=read_file(directory, name)) for name in ATTESTATION_FILES)
    return tuple(
        _Attested(
            bundle=bundle,
            payload=verify_bundle(bundle.content, public_key=public_key, where=place(directory, bundle.file)),
        )
        for bundle in bundles
    )


def _check_statements(directory: Path, *, attested: tuple[_Attested, ...], manifest: Manifest) -> tuple[Statement, ...]:
    """Step 5: each attestation is of its type, and about this model file and this root digest."""
    if [resource.name for resource in manifest.resources] != [MODEL_FILE]:
        raise VerificationError(f"does not sign {MODEL_FILE} alone", where=place(directory, MODEL_FILES[1]))
    types = (CERTIFICATE_TYPE, *(attestation.predicate_type for attestation in DERIVED))
    return tuple(
        _statement(
            each.payload,
            predicate_type=predicate_type,
            subjects=subjects_of(manifest),
            where=place(directory, each.bundle.file),
        )
        for each, predicate_type in zip(attested, types, strict=True)
    )


def _statement(payload: bytes, *, predicate_type: str, subjects: tuple[Subject, ...], where: str) -> Statement:
    statement = parse_statement(payload, predicate_type=predicate_type, where=where)
    if statement.subjects != subjects:
        found, needed = (", ".join(f"{s.name!a} {s.sha256}" for s in some) for some in (statement.subjects, subjects))
        raise VerificationError(f"is about {found}; this release is {needed}", where=where)
    return statement


def _check_certificate(directory: Path, *, statement: Statement) -> Certificate:
    """Step 6: the certificate is one, approves this model under the policy that it holds, and names rules apart."""
    where = place(directory, CERTIFICATE_FILE)
    certificate = certificate_of(statement, where=where)
    approval = certificate.approval
    model = statement.subjects[0].sha256
    if approval.model_digest != model:
        raise VerificationError(f"approves the model {approval.model_digest}, this one is {model}", where=where)
    policy = codec.digest(certificate.policy)
    if approval.policy_digest != policy:
        raise VerificationError(
            f"approves under the policy {approval.policy_digest}, but holds the policy {policy}", where=where
        )
    try:
        passed_properties(certificate)
    except SigningError as error:
        raise VerificationError(error.message, where=where) from error
    return certificate


def _check_artifact(directory: Path, *, certificate: Certificate) -> None:
    """Step 7: the file in the release is the file that was measured and attacked."""
    artifact = certificate.facts.evidence.model
    found = digest_file(directory, MODEL_FILE)
    if (found.sha256, found.size) != (artifact.sha256, artifact.size):
        raise VerificationError(
            f"has SHA-256 {found.sha256} and {found.size} bytes; measured was {artifact.sha256} with "
            f"{artifact.size} bytes",
            where=place(directory, MODEL_FILE),
        )


def _check_derived(
    directory: Path, *, certificate: Certificate, bundle: Bundle, statements: tuple[Statement, ...]
) -> None:
    """Step 9: every other attestation says what follows from the certificate, and no more."""
    basis = basis_of(certificate, bundle=bundle.content)
    for attestation, statement in zip(DERIVED, statements, strict=True):
        difference = first_difference(statement.predicate, attestation.predicate(basis))
        if difference is not None:
            raise VerificationError(difference, where=place(directory, attestation.file))
