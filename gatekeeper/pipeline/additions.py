"""What was added to a release after it was signed: one function a folder says what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatekeeper.pipeline.steps import VerifiedStep

if TYPE_CHECKING:
    from gatekeeper.signing.additions import Addition


def check_approvals(added: tuple[Addition, ...]) -> VerifiedStep:
    """Approvals by people: nobody's key was given to check them with, so they count for nothing."""
    return VerifiedStep(title="approvals", detail=_unchecked(added))


def _unchecked(added: tuple[Addition, ...]) -> str:
    return f"{len(added)} added after signing, not looked at" if added else "none"
