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
from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate, FileDigest
from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.dsse import verify_bundle
from gatekeeper.signing.files import digest_file, list_tree, place, read_file
from gatekeeper.signing.keys import PublicKey
from gatekeeper.signing.layout import (
    ATTESTATION_FILES,
    ATTESTATIONS,
    CERTIFICATE_FILE,
    MODEL_FILE,
    MODEL_FILES,
    POLICY_FILE,
    SIGNER_FILE,
    SVR_FILE,
    TIMESTAMPS,
)
from gatekeeper.signing.model_signature import Manifest, check_files, read_manifest
from gatekeeper.signing.statements import (
    SVR_TYPE,
    Statement,
    Subject,
    certificate_of,
    parse_statement,
    svr_predicate,
)


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
        steps: what was verified.
    """

    certificate: Certificate
    steps: tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Payloads:
    """The signed bytes of both attestations."""

    certificate: bytes
    svr: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class _Statements:
    """Both attestations, about this very model."""

    certificate: Statement
    svr: Statement


def check_trust_root(public_key_path: Path, *, directory: Path) -> None:
    """Refuse a public key that comes with the release: whoever changed the release could have changed the key.

    Args:
        public_key_path: the file that the key is read from; links are followed.
        directory: the release directory; links are followed.

    Raises:
        VerificationError: the key lies inside the directory, or either does not exist.
    """
    try:
        key = public_key_path.resolve(strict=True)
        inside = any(parent.samefile(directory) for parent in key.parents)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of symbolic links
        raise VerificationError(f"can't be found: {error}", where=str(public_key_path)) from error
    if inside:
        raise VerificationError(
            f"lies inside the release {directory}, so it proves nothing about it",
            where=str(public_key_path),
            hint="use a public key that you got from the signer on another way, and keep it outside the release",
        )


def read_release(directory: Path, *, public_key: PublicKey) -> VerifiedRelease:
    """Verify a release directory against a public key, step by step.

    Args:
        directory: the release.
        public_key: whose release it must be; from outside the directory (`check_trust_root`).

    Raises:
        VerificationError: the first step that fails; `where` names the file.
    """
    beside = _check_names(directory)
    manifest = read_manifest(directory, public_key=public_key)
    check_files(directory, manifest=manifest)
    payloads = _read_attestations(directory, public_key=public_key)
    statements = _check_statements(directory, payloads=payloads, manifest=manifest)
    certificate = _check_certificate(directory, statements=statements, manifest=manifest)
    _check_side_files(directory, certificate=certificate, present=beside)
    _check_svr(directory, statements=statements, certificate=certificate)
    _check_artifact(directory, certificate=certificate)
    details = (
        ("names and kinds of files", f"regular files only, {len(MODEL_FILES) + len(ATTESTATION_FILES) + len(beside)}"),
        ("signature of the model", f"model.sig by the key {public_key.fingerprint}"),
        ("model files", f"{len(manifest.resources)} by SHA-256, root digest {manifest.root_digest}"),
        ("signatures of the attestations", "certificate and verification result by the same key"),
        ("subjects of the attestations", "this model file and this root digest"),
        ("certificate", f"approves this model under the policy {certificate.approval.policy_digest}"),
        ("side files and verification result", f"{len(beside)} files and every property as certified"),
        ("the judged file", f"{certificate.facts.evidence.model.size} bytes, the file that was measured"),
    )
    steps = tuple(Step(number=n, title=title, detail=detail) for n, (title, detail) in enumerate(details, start=1))
    return VerifiedRelease(certificate=certificate, steps=steps)


def _check_names(directory: Path) -> tuple[str, ...]:
    """Step 1: regular files only, with the names of a release; gives the files beside the attestations."""
    tree = list_tree(directory)
    for name in (*MODEL_FILES, *ATTESTATION_FILES):
        if name not in tree.files:
            raise VerificationError(
                "is missing", where=place(directory, name), hint="get the whole release from its signer"
            )
    added = TIMESTAMPS + "/"
    beside = tuple(f for f in tree.files if f not in MODEL_FILES + ATTESTATION_FILES and not f.startswith(added))
    strangers = [name for name in beside if not name.startswith(ATTESTATIONS + "/")]
    for name in (*strangers, *(name for name in tree.directories if name not in (ATTESTATIONS, TIMESTAMPS))):
        raise VerificationError("does not belong to a release", where=place(directory, name), hint="remove it")
    return beside


def _read_attestations(directory: Path, *, public_key: PublicKey) -> _Payloads:
    """Step 4: both attestations carry this key's signature; nothing is parsed yet."""
    if read_file(directory, SIGNER_FILE) != public_key.pem:
        raise VerificationError(
            f"is not the key that signed the release, {public_key.fingerprint}", where=place(directory, SIGNER_FILE)
        )
    certificate, svr = (
        verify_bundle(read_file(directory, name), public_key=public_key, where=place(directory, name))
        for name in (CERTIFICATE_FILE, SVR_FILE)
    )
    return _Payloads(certificate=certificate, svr=svr)


def _check_statements(directory: Path, *, payloads: _Payloads, manifest: Manifest) -> _Statements:
    """Step 5: each attestation is of its type, and about this model file and this root digest."""
    model = next((r for r in manifest.resources if r.name == MODEL_FILE), None)
    if model is None:
        raise VerificationError(f"does not sign {MODEL_FILE}", where=place(directory, MODEL_FILES[1]))
    subjects = (Subject(name=MODEL_FILE, sha256=model.sha256), manifest.subject)
    return _Statements(
        certificate=_statement(
            payloads.certificate,
            predicate_type=CERTIFICATE_TYPE,
            subjects=subjects,
            where=place(directory, CERTIFICATE_FILE),
        ),
        svr=_statement(payloads.svr, predicate_type=SVR_TYPE, subjects=subjects, where=place(directory, SVR_FILE)),
    )


def _statement(payload: bytes, *, predicate_type: str, subjects: tuple[Subject, ...], where: str) -> Statement:
    statement = parse_statement(payload, predicate_type=predicate_type, where=where)
    if statement.subjects != subjects:
        found, needed = (", ".join(f"{s.name!a} {s.sha256}" for s in some) for some in (statement.subjects, subjects))
        raise VerificationError(f"is about {found}; this release is {needed}", where=where)
    return statement


def _check_certificate(directory: Path, *, statements: _Statements, manifest: Manifest) -> Certificate:
    """Step 6: the certificate is one, and approves this model under the policy that it holds."""
    where = place(directory, CERTIFICATE_FILE)
    certificate = certificate_of(statements.certificate, where=where)
    approval = certificate.approval
    model = statements.certificate.subjects[0].sha256
    if approval.model_digest != model:
        raise VerificationError(f"approves the model {approval.model_digest}, this one is {model}", where=where)
    policy = codec.digest(certificate.policy)
    if approval.policy_digest != policy:
        raise VerificationError(
            f"approves under the policy {approval.policy_digest}, but holds the policy {policy}", where=where
        )
    return certificate


def _check_side_files(directory: Path, *, certificate: Certificate, present: tuple[str, ...]) -> None:
    """Step 7, first half: the files beside the attestations are those that the certificate binds."""
    bound = [file.name for file in certificate.files]
    if bound != sorted(set(bound)):
        raise VerificationError("binds files out of order or twice", where=place(directory, CERTIFICATE_FILE))
    for name in sorted(set(present) ^ set(bound)):
        state = "is missing, but" if name in bound else "was added: no such file is what"
        raise VerificationError(f"{state} the certificate binds", where=place(directory, name))
    for file in certificate.files:
        content = read_file(directory, file.name)
        found = FileDigest(name=file.name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
        if found != file:
            raise VerificationError(
                f"has SHA-256 {found.sha256} and {found.size} bytes; the certificate binds {file.sha256} "
                f"and {file.size} bytes",
                where=place(directory, file.name),
            )
        if file.name == POLICY_FILE and content != codec.encode(certificate.policy).encode():
            raise VerificationError(
                f"is not the policy {certificate.approval.policy_digest} that was judged by",
                where=place(directory, file.name),
            )


def _check_svr(directory: Path, *, statements: _Statements, certificate: Certificate) -> None:
    """Step 7, second half: the verification result says what follows from the certificate, and no more."""
    where = place(directory, SVR_FILE)
    found = statements.svr.predicate
    try:
        needed = svr_predicate(certificate)
    except SigningError as error:
        raise VerificationError(error.message, where=place(directory, CERTIFICATE_FILE)) from error
    if found.get("verifier") != needed["verifier"]:
        raise VerificationError(
            f"names the verifier and policy {found.get('verifier')!a}; the certificate's are {needed['verifier']!a}",
            where=where,
        )
    if found.get("properties") != needed["properties"]:
        raise VerificationError(
            f"names the properties {found.get('properties')!a}; the certificate's are {needed['properties']!a}",
            where=where,
        )
    if found != needed:
        raise VerificationError(
            f"was made at {found.get('timeCreated')!a} or says more than its certificate, made at "
            f"{certificate.created}",
            where=where,
        )


def _check_artifact(directory: Path, *, certificate: Certificate) -> None:
    """Step 8: the file in the release is the file that was measured and attacked."""
    artifact = certificate.facts.evidence.model
    found = digest_file(directory, MODEL_FILE)
    if (found.sha256, found.size) != (artifact.sha256, artifact.size):
        raise VerificationError(
            f"has SHA-256 {found.sha256} and {found.size} bytes; measured was {artifact.sha256} with "
            f"{artifact.size} bytes",
            where=place(directory, MODEL_FILE),
        )
