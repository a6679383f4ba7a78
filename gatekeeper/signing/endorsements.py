"""What somebody other than the releaser signs: a lock on a policy, and a waiver.

In-toto statements of our own types in the bundles of `dsse`. What is expected is known before the signature is looked
at, so a payload is never interpreted: it is the expected statement, byte for byte, or it is refused.
"""

from __future__ import annotations

from gatekeeper.core.codec import digest, plain
from gatekeeper.core.lock import LOCK_TYPE
from gatekeeper.core.policy import Policy
from gatekeeper.core.waiver import WAIVER_TYPE, Waiver
from gatekeeper.errors import VerificationError
from gatekeeper.signing.dsse import named_key, verify_bundle
from gatekeeper.signing.keys import parse_public
from gatekeeper.signing.statements import Statement, Subject, encode_statement, member, parse_statement


def lock_statement(policy: Policy, *, claimed: str) -> bytes:
    """That a policy holds as it is.

    Args:
        policy: the subject, by the digest of its canonical form.
        claimed: UTC time by the locker's clock.
    """
    subject = Subject(name=policy.name, sha256=digest(policy))
    predicate = {"policy": {"name": policy.name, "version": policy.version}, "lockedAt": claimed}
    return encode_statement(Statement(predicate_type=LOCK_TYPE, subjects=(subject,), predicate=predicate))


def claimed_time(payload: bytes, *, where: str) -> str:
    """The time that a lock's statement claims.

    Raises:
        VerificationError: it is no such statement.
    """
    statement = parse_statement(payload, predicate_type=LOCK_TYPE, where=where)
    return member(statement.predicate, "lockedAt", str, where=where)


def waiver_statement(waiver: Waiver) -> bytes:
    """That a waiver is accepted, as it is written."""
    subject = Subject(name=waiver.id, sha256=digest(waiver))
    return encode_statement(Statement(predicate_type=WAIVER_TYPE, subjects=(subject,), predicate=plain(waiver)))


def open_bundle(bundle: bytes, *, public_key: str, where: str) -> bytes:
    """The payload of a bundle whose signature fits a public key.

    Args:
        bundle: the content of a bundle file.
        public_key: PEM.
        where: the file, for messages.

    Raises:
        VerificationError: another key signed it, or it was changed after signing.
    """
    return verify_bundle(bundle, public_key=parse_public(public_key.encode(), where=where), where=where)


def check_payload(payload: bytes, expected: bytes, *, what: str, where: str) -> None:
    """Require that a signed payload is the expected statement.

    Raises:
        VerificationError: something else was signed.
    """
    if payload != expected:
        raise VerificationError(
            f"the signature is not on this {what}", where=where, hint="sign it again, if it was changed on purpose"
        )


__all__ = ["check_payload", "claimed_time", "lock_statement", "named_key", "open_bundle", "waiver_statement"]
