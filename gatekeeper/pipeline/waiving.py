"""Waivers: signed by approvers, and read where a run is certified."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.codec import digest
from gatekeeper.core.policy import Policy
from gatekeeper.core.rounding import in_full
from gatekeeper.core.rule_names import IMPLIED, worst_name
from gatekeeper.core.trust import TrustFile
from gatekeeper.core.waiver import PresentedWaiver, WaiverUse
from gatekeeper.errors import ConfigError, InvalidInputError, Problem, VerificationError
from gatekeeper.pipeline.endorsing import approver_of
from gatekeeper.pipeline.trust import utc_now

if TYPE_CHECKING:
    from gatekeeper.config.waivers import WrittenWaiver
    from gatekeeper.signing.keys import SigningKey

_MOST_BUNDLE_BYTES = 64 * 1024


# A waiver that ends within so many days is worth a warning.
_WARN_DAYS = (7, 14)


def sign_waiver(path: Path, waiver_id: str, *, key: SigningKey) -> Path:
    """Sign one waiver of a file; the bundle lies beside the file.

    Returns:
        Where the bundle was written.

    Raises:
        ConfigError: the file has mistakes.
        InvalidInputError: it has no such waiver, or the waiver is signed already.
    """
    from gatekeeper.config import load_waivers
    from gatekeeper.signing.dsse import sign_statement
    from gatekeeper.signing.endorsements import waiver_statement

    written = load_waivers(path)
    found = next((each for each in written if each.waiver.id == waiver_id), None)
    if found is None:
        known = ", ".join(each.waiver.id for each in written) or "none"
        raise InvalidInputError(f"there is no waiver {waiver_id!r}", where=str(path), hint=f"it has {known}")
    bundle = sign_statement(waiver_statement(found.waiver), key=key)
    try:
        with found.signature.open("xb") as file:
            file.write(bundle)
    except FileExistsError as error:
        raise InvalidInputError(
            "the waiver has a signature already", where=str(found.signature), hint="remove it to sign again"
        ) from error
    except OSError as error:
        raise InvalidInputError(f"can't be written: {error.strerror}", where=str(found.signature)) from error
    return found.signature


def read_waivers(path: Path, policy: Policy, *, model: str, trust: TrustFile | None) -> tuple[PresentedWaiver, ...]:
    """The waivers of a file, as they are presented now; whether each applies is the gate's question.

    Signatures are looked at where a waiver is for this model and this policy: others change nothing.

    Args:
        path: the file.
        policy: what judges.
        model: the candidate's name.
        trust: whose keys may sign waivers; needed for signed ones.

    Raises:
        ConfigError: the file has mistakes, or a waiver in it can't be believed; each with its line.
        InvalidInputError: the policy accepts no waivers.
    """
    from gatekeeper.config import load_waivers

    written = load_waivers(path)
    if policy.waivers is None:
        raise InvalidInputError(
            f"policy {policy.name} accepts no waivers",
            where=str(path),
            hint="certify without them, or see spec.waivers",
        )
    now = utc_now()
    presented: list[PresentedWaiver] = []
    problems: list[Problem] = []
    for each in written:
        mine = (each.waiver.model, each.waiver.policy_digest) == (model, digest(policy))
        try:
            presented.append(_presented(each, policy, trust if mine else None, now=now, mine=mine))
        except VerificationError as error:
            problems.append(_problem(each, error.message, error.hint))
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(presented)


def _presented(
    written: WrittenWaiver, policy: Policy, trust: TrustFile | None, *, now: str, mine: bool
) -> PresentedWaiver:
    waiver, bundle = written.waiver, _bundle(written) if mine else None
    if mine and waiver.rule not in _findings_of(policy):
        known = ", ".join(_findings_of(policy))
        raise VerificationError(
            f"waiver {waiver.id} is for {waiver.rule!r}, which policy {policy.name} doesn't have",
            hint=f"it has {known}",
        )
    if bundle is None:
        if mine and policy.waivers is not None and policy.waivers.signed:
            raise VerificationError(
                f"waiver {waiver.id} is not signed, and the policy asks for a signature",
                hint=f"an approver signs it with `gatekeeper waiver sign {written.file} --id {waiver.id} --key KEY`",
            )
        return PresentedWaiver(waiver=waiver, signer=None, bundle=None, presented=now)
    if trust is None:
        raise VerificationError(f"waiver {waiver.id} is signed, and nothing says by whom", hint="give --trust")
    signer = approver_of(bundle, waiver, trust=trust, now=now, where=str(written.signature))
    return PresentedWaiver(waiver=waiver, signer=signer, bundle=bundle.decode(), presented=now)


def _findings_of(policy: Policy) -> tuple[str, ...]:
    """The names of the findings that a policy may have; those that it implies are there for the gate to say no."""
    worst = (worst_name(rule.id) for rule in policy.risk_rules if rule.worst_max is not None)
    return (*(rule.id for rule in policy.rules), *worst, *IMPLIED)


def _bundle(written: WrittenWaiver) -> bytes | None:
    """The content of a waiver's signature file, or None where there is none."""
    path = written.signature
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(_MOST_BUNDLE_BYTES)
    except OSError as error:
        raise VerificationError(f"its signature {path} can't be read: {error.strerror}") from error


def _problem(written: WrittenWaiver, message: str, hint: str | None) -> Problem:
    what = message if message.startswith("waiver ") else f"waiver {written.waiver.id} can't be believed: {message}"
    return Problem(file=written.file, line=written.line, column=written.column, message=what, hint=hint)


def expiry_warnings(waivers: tuple[WaiverUse, ...], *, now: str) -> Iterator[str]:
    """A warning for each waiver that ends within 14 days, and a louder one within 7."""
    for use in waivers:
        left = (datetime.date.fromisoformat(use.expires) - datetime.date.fromisoformat(now[:10])).days
        for days in _WARN_DAYS:
            if left <= days:
                yield (
                    f"waiver {use.id} for {use.rule} expires within {days} days, at the end of {use.expires} (UTC); "
                    "from then on the release doesn't verify"
                )
                break


def list_waivers(path: Path) -> tuple[str, ...]:
    """One line for each waiver of a file: what it excuses, until when, and whether a signature lies beside it.

    Raises:
        ConfigError: the file has mistakes.
    """
    from gatekeeper.config import load_waivers

    now = utc_now()
    lines = []
    for written in load_waivers(path):
        waiver, left = written.waiver, written.waiver.days_left(now)
        state = f"{left} days left" if now <= waiver.end else "EXPIRED"
        signed = "a signature lies beside it" if written.signature.is_file() else "unsigned"
        lines.append(
            f"{path}:{written.line}: {waiver.id} excuses {waiver.rule} of {waiver.model} up to "
            f"{in_full(waiver.ceiling)} until the end of {waiver.expires} (UTC): {state}, {signed}"
        )
    return tuple(lines)


def waivers_schema() -> str:
    """The JSON Schema of a file of waivers."""
    from gatekeeper import config

    return config.waivers_schema()
