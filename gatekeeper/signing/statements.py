"""What is said of a model, as in-toto statements: the simple verification result and the certificate.

Statement v1: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
Simple Verification Result v0.2: https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md

Statements are canonical JSON (`core.codec.canonical`), and a payload that differs from its own canonical
form is refused: so nothing can hide in a payload that its reader does not see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from gatekeeper.core import codec
from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate
from gatekeeper.core.checks import check_sha256, check_text
from gatekeeper.errors import SigningError, VerificationError

T = TypeVar("T")

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
SVR_TYPE = "https://in-toto.io/attestation/svr/v0.2"
VERIFIER_ID = "urn:gatekeeper:gate:v1"
POLICY_PASSED = "GATEKEEPER_POLICY_PASSED"
WAIVERS_USED = "GATEKEEPER_WAIVERS_USED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Something that a statement is about; readers match it by its digest.

    Attributes:
        name: what it is called; informative.
        sha256: its digest.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_sha256(sha256=self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """An in-toto statement.

    Attributes:
        predicate_type: a URI that says how to read `predicate`.
        subjects: what it is about, at least one.
        predicate: what it says, in JSON's own types.
    """

    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: dict[str, Any]


def member(value: object, key: str, kind: type[T], *, where: str) -> T:
    """The member `key` of a JSON object, which must be of type `kind`.

    Raises:
        VerificationError: `value` is no object, has no such member, or the member has another type.
    """
    if not isinstance(value, dict) or not isinstance(value.get(key), kind):
        raise VerificationError(f"needs a member {key} of type {kind.__name__}", where=where)
    found: T = value[key]
    return found


def parse_json(text: bytes, *, where: str) -> Any:
    """Strict JSON in UTF-8.

    Raises:
        VerificationError: it is not strict JSON.
    """
    try:
        return codec.parse(text.decode())
    except ValueError as error:  # also InvalidValueError, UnicodeDecodeError and numbers with too many digits
        raise VerificationError(f"is not strict JSON: {error}", where=where) from error


def canonical_bytes(plain: object, *, where: str) -> bytes:
    """JSON's own types, parsed from outside, as canonical JSON.

    Raises:
        VerificationError: they have no canonical form: an infinite number, or half a surrogate pair.
    """
    try:
        return codec.canonical(plain).encode()
    except (ValueError, RecursionError) as error:
        raise VerificationError("has no canonical JSON form", where=where) from error


def _statement_plain(statement: Statement) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": s.name, "digest": {"sha256": s.sha256}} for s in statement.subjects],
        "predicateType": statement.predicate_type,
        "predicate": statement.predicate,
    }


def encode_statement(statement: Statement) -> bytes:
    """A statement as canonical JSON: the bytes that are signed."""
    return codec.canonical(_statement_plain(statement)).encode()


def parse_statement(payload: bytes, *, predicate_type: str, where: str) -> Statement:
    """The statement in a payload whose signature has been verified.

    Args:
        payload: the signed bytes.
        predicate_type: the predicate that this file must hold.
        where: the file, for the message.

    Raises:
        VerificationError: it is not a statement of this type, has no subject, or is not in canonical form.
    """
    plain = parse_json(payload, where=where)
    if member(plain, "_type", str, where=where) != STATEMENT_TYPE:
        raise VerificationError(f"is not an in-toto statement of type {STATEMENT_TYPE}", where=where)
    found = member(plain, "predicateType", str, where=where)
    if found != predicate_type:
        raise VerificationError(f"has predicate type {found!r}, needed is {predicate_type!r}", where=where)
    subjects = tuple(_subject(item, where=where) for item in member(plain, "subject", list, where=where))
    if not subjects:
        raise VerificationError("names no subject: a statement about nothing", where=where)
    predicate = member(plain, "predicate", dict, where=where)
    statement = Statement(predicate_type=predicate_type, subjects=subjects, predicate=predicate)
    if canonical_bytes(_statement_plain(statement), where=where) != payload:
        raise VerificationError("is not in canonical form, or has members that gatekeeper does not write", where=where)
    return statement


def _subject(item: object, *, where: str) -> Subject:
    digests = member(item, "digest", dict, where=where)
    try:
        return Subject(name=member(item, "name", str, where=where), sha256=member(digests, "sha256", str, where=where))
    except ValueError as error:
        raise VerificationError(f"has a subject that can't be: {error}", where=where) from error


def _property(rule: str) -> str:
    """A rule's name as a property: upper case, everything but A–Z and 0–9 replaced."""
    return "GATEKEEPER_" + re.sub(r"[^A-Z0-9]", "_", rule.upper())


def passed_properties(certificate: Certificate) -> tuple[str, ...]:
    """What the gate verified: that the policy passed, and each rule that did, in the policy's order.

    A waived rule is no property; that waivers were used is one.

    Raises:
        SigningError: two rules have the same property name, so the result would not say which one passed.
    """
    rule_of = {POLICY_PASSED: "", **({WAIVERS_USED: ""} if certificate.approval.waivers else {})}
    for finding in certificate.approval.findings:
        name = _property(finding.rule)
        if rule_of.setdefault(name, finding.rule) != finding.rule:
            other = rule_of[name] or "the whole policy"
            raise SigningError(
                f"rule {finding.rule!r} and {other!r} would both be called {name}",
                hint="rename the rule in the policy",
            )
    waived = {use.rule for use in certificate.approval.waivers}
    return tuple(name for name, rule in rule_of.items() if rule not in waived)


def svr_predicate(certificate: Certificate) -> dict[str, Any]:
    """The predicate of a simple verification result (SVR v0.2) that follows from a certificate.

    Raises:
        SigningError: two rules have the same property name.
    """
    policy = {"name": certificate.policy.name, "digest": {"sha256": certificate.approval.policy_digest}}
    return {
        "verifier": {"id": VERIFIER_ID, "policies": [policy]},
        "timeCreated": certificate.created,
        "properties": list(passed_properties(certificate)),
    }


def svr_statement(certificate: Certificate, *, subjects: tuple[Subject, ...]) -> bytes:
    """The pass in the form that any in-toto consumer can read; the arguments are those of `certificate_statement`."""
    predicate = svr_predicate(certificate)
    return encode_statement(Statement(predicate_type=SVR_TYPE, subjects=subjects, predicate=predicate))


def certificate_statement(certificate: Certificate, *, subjects: tuple[Subject, ...]) -> bytes:
    """All the facts, as a statement.

    Args:
        certificate: the predicate, exactly.
        subjects: the model file and the root digest of the model directory.
    """
    predicate = codec.plain(certificate)
    return encode_statement(Statement(predicate_type=CERTIFICATE_TYPE, subjects=subjects, predicate=predicate))


def certificate_of(statement: Statement, *, where: str) -> Certificate:
    """The certificate in a statement of type `CERTIFICATE_TYPE`.

    Raises:
        VerificationError: a field is missing, unknown, of another type or outside its range, or a number is
            not written as gatekeeper writes it.
    """
    try:
        return codec.decode(codec.canonical(statement.predicate), Certificate)
    except (ValueError, OverflowError, RecursionError) as error:  # numbers too large for a float, nesting too deep
        raise VerificationError(f"is no certificate: {error}", where=where) from error
