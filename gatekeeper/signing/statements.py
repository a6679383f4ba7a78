"""In-toto statements: who is spoken of, and what is said, in the one form that gatekeeper writes.

Statement v1: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

Statements are canonical JSON (`core.codec.canonical`), and a payload that differs from its own canonical
form is refused: so nothing can hide in a payload that its reader does not see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from gatekeeper.core import codec
from gatekeeper.core.checks import check_sha256, check_text
from gatekeeper.errors import VerificationError

T = TypeVar("T")

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


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
