"""Countersignatures as signed bundles: about the same model files and the same certificate as the release."""

from __future__ import annotations

import re

from gatekeeper.core import codec
from gatekeeper.core.countersignature import COUNTERSIGNATURE_TYPE, Countersignature
from gatekeeper.errors import VerificationError
from gatekeeper.signing.additions import APPROVALS, Addition
from gatekeeper.signing.dsse import sign_statement, verify_bundle
from gatekeeper.signing.keys import SigningKey, parse_public
from gatekeeper.signing.statements import Statement, Subject, encode_statement, parse_statement


def countersign(made: Countersignature, *, subjects: tuple[Subject, ...], key: SigningKey) -> Addition:
    """A signed decision, and the file of the release that it belongs in.

    Args:
        made: what was decided.
        subjects: those of the release's attestations.
        key: the person's.

    Raises:
        SigningError: the key can't be used.
    """
    statement = Statement(predicate_type=COUNTERSIGNATURE_TYPE, subjects=subjects, predicate=codec.plain(made))
    time = re.sub(r"[^0-9]", "", made.decided)
    return Addition(
        file=f"{APPROVALS}/{made.role}-{key.public.fingerprint[:12]}-{time}.sigstore.json",
        content=sign_statement(encode_statement(statement), key=key),
    )


def read_countersignature(
    added: Addition, *, public_key: str, subjects: tuple[Subject, ...], where: str
) -> Countersignature:
    """What a bundle says, once its signature fits a public key and it is about this very release.

    Args:
        added: the bundle.
        public_key: PEM of the key that the bundle names.
        subjects: what the release's attestations are about.
        where: the file, for messages.

    Raises:
        VerificationError: another key signed it, it was changed, it says something else than a countersignature does,
            or is about another model.
    """
    payload = verify_bundle(added.content, public_key=parse_public(public_key.encode(), where=where), where=where)
    statement = parse_statement(payload, predicate_type=COUNTERSIGNATURE_TYPE, where=where)
    if statement.subjects != subjects:
        raise VerificationError("is about another model", where=where)
    try:
        return codec.decode(codec.canonical(statement.predicate), Countersignature)
    except (ValueError, OverflowError, RecursionError) as error:
        raise VerificationError(f"is no countersignature: {error}", where=where) from error
