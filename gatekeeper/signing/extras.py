"""Packages that only some releases need, and what to say where they are missing."""

from __future__ import annotations

from gatekeeper.errors import SigningError


def missing(extra: str, *, what: str) -> SigningError:
    """The error for an extra that is not installed.

    Args:
        extra: its name in the package's metadata.
        what: what it is needed for, in the plural.
    """
    return SigningError(f"{what} need the extra [{extra}]", hint=f'pip install "gatekeeper[{extra}]"')
