"""Which parameters are trained: those that a pattern names, or all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from gatekeeper.errors import InvalidInputError

_SHOWN = 5


def freeze_all_but(network: nn.Module, patterns: tuple[str, ...]) -> None:
    """Freeze the parameters that no pattern names.

    Args:
        network: whose parameters are named.
        patterns: shell patterns of parameters' names, such as `head.*`.

    Raises:
        InvalidInputError: a pattern names no parameter.
    """
    trained = named_by(patterns, [name for name, _ in network.named_parameters()], key="trainable")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in trained)


def named_by(patterns: tuple[str, ...], names: Iterable[str], *, key: str) -> set[str]:
    """The names that at least one pattern names; each pattern must name something.

    Args:
        patterns: shell patterns.
        names: what they may name.
        key: the candidate's key that holds the patterns, for the message.

    Raises:
        InvalidInputError: a pattern names nothing, with the names that come near.
    """
    known = list(names)
    found: set[str] = set()
    for pattern in patterns:
        matched = {name for name in known if fnmatchcase(name, pattern)}
        if not matched:
            raise InvalidInputError(
                f"the pattern {pattern!r} names no parameter", where=key, hint=_near(pattern, known)
            )
        found |= matched
    return found


def _near(pattern: str, names: list[str]) -> str:
    """The names most like a pattern, or else the first ones."""
    close = difflib.get_close_matches(pattern, names, n=_SHOWN, cutoff=0.5)
    listed = close or names[:_SHOWN]
    return f"{'near it are' if close else 'there are'} {', '.join(listed)}{'' if close else ', …'}"
