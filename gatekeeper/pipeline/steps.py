"""What a verification tells of each step that succeeded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedStep:
    """One step of a verification that succeeded.

    Attributes:
        title: what was checked.
        detail: what was found.
    """

    title: str
    detail: str
