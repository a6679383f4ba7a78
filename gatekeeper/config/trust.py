"""A trust file as a `TrustFile`: whose keys may sign what, from when until when, and which were revoked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from gatekeeper.config.document import Document, Read, Reader, Section
from gatekeeper.config.header import TRUST, open_document
from gatekeeper.config.nodes import Node, Scalar, shown
from gatekeeper.config.readers import TEXT, TIME, list_of, text
from gatekeeper.config.scalars import Mismatch, to_text
from gatekeeper.config.source import MAX_BYTES
from gatekeeper.core.checks import check_sha256
from gatekeeper.core.trust import CertifiedKey, TimestampAuthority, TrustedKey, TrustFile
from gatekeeper.core.trust_checks import canonical_pem, check_certificates, check_role
from gatekeeper.errors import InvalidValueError

T = TypeVar("T")


def load_trust(path: Path) -> TrustFile:
    """Read a trust file.

    Args:
        path: a YAML file with `kind: TrustFile`. Public keys are PEM in it, or files named relative to its folder.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: the file has mistakes: every one, in the file's order.
    """
    document = open_document(path, kind=TRUST)
    document.root.mapping("metadata").required("name", TEXT)
    spec = document.root.mapping("spec")
    keys = spec.required("keys", list_of(_entry(partial(_key, path.parent))))
    clocks = spec.optional("timestamp_authorities", list_of(_entry(partial(_authority, path.parent))), default=())
    trust = document.root.build(
        lambda: TrustFile(
            keys=tuple(key.value for key in keys.value if isinstance(key.value, TrustedKey)),
            certified=tuple(key.value for key in keys.value if isinstance(key.value, CertifiedKey)),
            timestamp_authorities=tuple(clock.value for clock in clocks.value),
        ),
        blame="spec",
    )
    return document.finish(trust)


def _entry(make: Callable[[Section], Read[T]]) -> Reader[Read[T]]:
    """Reads one entry of a list; a mistake in it leaves the others readable."""

    def read(document: Document, name: str, node: Node) -> Read[Read[T]]:
        return Read((make(document.section(name, node)),))

    return read


def _authority(folder: Path, section: Section) -> Read[TimestampAuthority]:
    name = section.required("name", TEXT)
    certificates = section.required("certificates", _pem(folder, "chain of certificates", _chain))
    return section.build(
        lambda: TimestampAuthority(name=name.value, certificates=certificates.value), blame="certificates"
    )


def _chain(pem: str) -> str:
    check_certificates(certificates=pem)
    return pem


def _key(folder: Path, section: Section) -> Read[TrustedKey] | Read[CertifiedKey]:
    return _certified_key(folder, section) if section.has("certificates") else _plain_key(folder, section)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Common:
    """What both kinds of entries have."""

    fingerprint: Read[str]
    roles: Read[tuple[str, ...]]
    revoked_at: Read[str | None]
    reason: Read[str | None]


def _common(section: Section) -> _Common:
    fingerprint = section.required("fingerprint", text(check_sha256))
    roles = section.required("roles", list_of(text(check_role)))
    revoked = section.optional_mapping("revoked")
    return _Common(
        fingerprint=fingerprint,
        roles=roles,
        revoked_at=Read(revoked.required("at", TIME).content) if revoked else Read((None,)),
        reason=Read(revoked.required("reason", TEXT).content) if revoked else Read((None,)),
    )


def _certified_key(folder: Path, section: Section) -> Read[CertifiedKey]:
    common = _common(section)
    certificates = section.required("certificates", _pem(folder, "chain of certificates", _chain))
    authority = section.required("authority", _pem(folder, "certificate", _chain))
    for key in ("public_key", "owner", "valid_from", "valid_until"):
        if section.has(key):
            section.report(key, f"an entry with certificates takes no {key}: they say it", hint="remove the key")
    return section.build(
        lambda: CertifiedKey(
            fingerprint=common.fingerprint.value,
            certificates=certificates.value,
            authority=authority.value,
            roles=common.roles.value,
            revoked_at=common.revoked_at.value,
            revocation_reason=common.reason.value,
        ),
        blame="certificates",
    )


def _plain_key(folder: Path, section: Section) -> Read[TrustedKey]:
    common = _common(section)
    public_key = section.required("public_key", _pem(folder, "public key", canonical_pem))
    owner = section.required("owner", TEXT)
    valid_from = section.optional("valid_from", TIME, default=None)
    valid_until = section.optional("valid_until", TIME, default=None)
    return section.build(
        lambda: TrustedKey(
            fingerprint=common.fingerprint.value,
            public_key=public_key.value,
            owner=owner.value,
            roles=common.roles.value,
            valid_from=valid_from.value,
            valid_until=valid_until.value,
            revoked_at=common.revoked_at.value,
            revocation_reason=common.reason.value,
        ),
        blame="fingerprint",
    )


def _pem(folder: Path, what: str, check: Callable[[str], str]) -> Reader[str]:
    """Reads PEM, the text itself or the path of a file, and gives what `check` makes of it."""

    def read(document: Document, name: str, node: Node) -> Read[str]:
        if not isinstance(node, Scalar):
            return document.mismatch(name, node, f"must be a {what} in PEM, or the path of one")
        pem = to_text(node)
        if isinstance(pem, Mismatch):
            return document.refuse(node, f"{name} {pem.message}", hint=pem.hint)
        if "-----BEGIN" not in pem:
            try:
                pem = _content(folder / pem)
            except (OSError, ValueError) as error:  # ValueError: a path with a null byte, or no text in the file
                reason = error.strerror if isinstance(error, OSError) else "not the path of a text file"
                return document.refuse(
                    node, f"{name}: {shown(pem)} can't be read: {reason}", hint="a path starts from this file's folder"
                )
        try:
            return Read((check(pem),))
        except InvalidValueError as error:
            return document.refuse(node, f"{name}: {error.message}", hint=error.hint)

    return read


def _content(path: Path) -> str:
    """The text of a regular file, up to a size that no key comes near."""
    if not path.is_file():
        raise FileNotFoundError(2, "there is no such file")
    with path.open("rb") as file:
        return file.read(MAX_BYTES).decode("ascii")
