"""Which of two values demands more: the steps that the comparison of policies is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from gatekeeper.core.policy_change import PolicyChange
from gatekeeper.core.rounding import in_short

Stricter = Literal["lower", "higher"]


def number(value: float | None) -> str | None:
    """A number as a policy file would say it; None stays None."""
    return None if value is None else in_short(value)


def ordered(
    place: tuple[str, ...],
    before: float | None,
    after: float | None,
    *,
    stricter: Stricter,
    reason: str | None = None,
) -> Iterator[PolicyChange]:
    """The change of a limit of which one direction is stricter, if there is one; a limit that isn't given admits all.

    Args:
        place: where it stands.
        before: its value, or None.
        after: likewise.
        stricter: which direction demands more.
        reason: goes with the change.
    """
    absent = math.inf if stricter == "lower" else -math.inf
    old, new = (absent if value is None else float(value) for value in (before, after))
    if old == new:
        return
    tightened = new < old if stricter == "lower" else new > old
    yield PolicyChange(
        place=place,
        kind="tightened" if tightened else "loosened",
        before=number(before),
        after=number(after),
        reason=reason,
    )


def switched(place: tuple[str, ...], before: bool, after: bool, *, strict: bool) -> Iterator[PolicyChange]:
    """The change of a yes or no of which `strict` demands more, if there is one."""
    if before != after:
        words = {True: "true", False: "false"}
        yield PolicyChange(
            place=place,
            kind="tightened" if after == strict else "loosened",
            before=words[before],
            after=words[after],
        )


def incomparable(place: tuple[str, ...], before: object, after: object, *, reason: str) -> Iterator[PolicyChange]:
    """The change of a value of which neither is stricter in every case, if there is one."""
    if before != after:
        yield PolicyChange(place=place, kind="changed", before=_word(before), after=_word(after), reason=reason)


def subset(
    place: tuple[str, ...],
    before: tuple[object, ...] | None,
    after: tuple[object, ...] | None,
    *,
    more: Literal["tightened", "loosened"],
    reason: str,
) -> Iterator[PolicyChange]:
    """The change of a set, if there is one: of two sets that contain each other one is stricter, of others neither.

    Args:
        place: where it stands.
        before: its members, or None where it isn't given.
        after: likewise.
        more: what it is to add members.
        reason: why neither is stricter, where that is so.
    """
    if before is None or after is None:
        yield from incomparable(place, before, after, reason=reason)
        return
    old, new = set(before), set(after)
    if old == new:
        return
    if not (old < new or new < old):
        yield from incomparable(place, before, after, reason=reason)
        return
    fewer: Literal["tightened", "loosened"] = "loosened" if more == "tightened" else "tightened"
    yield PolicyChange(place=place, kind=more if old < new else fewer, before=_word(before), after=_word(after))


def _word(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return in_short(value) if isinstance(value, float) else str(value)
