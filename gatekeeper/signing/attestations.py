"""The attestations of a release: what each is called, its type, and how it follows from the certificate.

The certificate comes first and holds the facts; every other one says a part of them in a form that somebody else's
tools read. All have the same subjects: each file of the model, and the root digest of the model directory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from gatekeeper.core import codec
from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate
from gatekeeper.signing.bom import BOM_TYPE, bom_predicate
from gatekeeper.signing.dsse import sign_statement
from gatekeeper.signing.keys import SigningKey
from gatekeeper.signing.layout import ATTESTATIONS, CERTIFICATE_FILE
from gatekeeper.signing.model_signature import Manifest
from gatekeeper.signing.predicates import (
    SVR_TYPE,
    TEST_RESULT_TYPE,
    VSA_TYPE,
    Basis,
    results_predicate,
    svr_predicate,
    vsa_predicate,
)
from gatekeeper.signing.provenance import PROVENANCE_TYPE, provenance_predicate
from gatekeeper.signing.statements import Statement, Subject, encode_statement


@dataclass(frozen=True, kw_only=True, slots=True)
class Attestation:
    """One kind of attestation that follows from the certificate.

    Attributes:
        name: what its file is called, before `.sigstore.json`.
        predicate_type: the URI that says how to read it.
        predicate: what it says, from its basis.
    """

    name: str
    predicate_type: str
    predicate: Callable[[Basis], dict[str, Any]]

    @property
    def file(self) -> str:
        """Where it lies, relative to the release directory."""
        return f"{ATTESTATIONS}/{self.name}.sigstore.json"

    def encode(self, basis: Basis, *, subjects: tuple[Subject, ...]) -> bytes:
        """The statement that is signed."""
        return encode_statement(
            Statement(predicate_type=self.predicate_type, subjects=subjects, predicate=self.predicate(basis))
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A signed attestation.

    Attributes:
        file: where it lies, relative to the release directory.
        content: the bundle; one line.
    """

    file: str
    content: bytes


# In the order of `claims.jsonl`, after the certificate.
DERIVED = (
    Attestation(name="svr", predicate_type=SVR_TYPE, predicate=svr_predicate),
    Attestation(name="vsa", predicate_type=VSA_TYPE, predicate=vsa_predicate),
    Attestation(name="test-result", predicate_type=TEST_RESULT_TYPE, predicate=results_predicate),
    Attestation(name="provenance", predicate_type=PROVENANCE_TYPE, predicate=provenance_predicate),
    Attestation(name="mlbom", predicate_type=BOM_TYPE, predicate=bom_predicate),
)
ATTESTATION_FILES = (CERTIFICATE_FILE, *(attestation.file for attestation in DERIVED))


def subjects_of(manifest: Manifest) -> tuple[Subject, ...]:
    """What every attestation is about: each file of the model, and the model as a whole."""
    files = (Subject(name=resource.name, sha256=resource.sha256) for resource in manifest.resources)
    return (*files, manifest.subject)


def basis_of(certificate: Certificate, *, bundle: bytes) -> Basis:
    """What the other attestations follow from: the certificate, and its bundle's content."""
    return Basis(certificate=certificate, bundle_digest=hashlib.sha256(bundle).hexdigest())


def certificate_statement(certificate: Certificate, *, subjects: tuple[Subject, ...]) -> bytes:
    """All the facts, as a statement.

    Args:
        certificate: the predicate, exactly.
        subjects: those of `subjects_of`.
    """
    predicate = codec.plain(certificate)
    return encode_statement(Statement(predicate_type=CERTIFICATE_TYPE, subjects=subjects, predicate=predicate))


def attest(certificate: Certificate, *, manifest: Manifest, key: SigningKey) -> tuple[Bundle, ...]:
    """Sign every attestation of a model, the certificate first.

    Args:
        certificate: the facts.
        manifest: the model's files.
        key: signs.

    Raises:
        SigningError: two rules of the policy would share a name.
    """
    subjects = subjects_of(manifest)
    first = sign_statement(certificate_statement(certificate, subjects=subjects), key=key)
    basis = basis_of(certificate, bundle=first)
    rest = (
        Bundle(file=each.file, content=sign_statement(each.encode(basis, subjects=subjects), key=key))
        for each in DERIVED
    )
    return (Bundle(file=CERTIFICATE_FILE, content=first), *rest)


def list_of(bundles: Iterable[Bundle]) -> bytes:
    """Each bundle's SHA-256 and place, by name, as `sha256sum` prints them: what a timestamp covers."""
    lines = (
        f"{hashlib.sha256(bundle.content).hexdigest()}  {bundle.file}\n"
        for bundle in sorted(bundles, key=lambda bundle: bundle.file)
    )
    return "".join(lines).encode()


def claims_of(bundles: tuple[Bundle, ...]) -> bytes:
    """The content of `claims.jsonl`: every bundle, one a line, for readers that want one file."""
    return b"".join(bundle.content for bundle in bundles)
