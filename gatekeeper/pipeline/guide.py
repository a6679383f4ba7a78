"""How to check a release without gatekeeper."""

from __future__ import annotations


def verification_script() -> str:
    """`verify.sh`, as it goes into releases: for people who keep a copy of their own."""
    from gatekeeper.signing.guide import verification_script as script

    return script()
