"""`certify --audit-only`: for those who have no key, such as forks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from gatekeeper.cli.streams import say

_VERDICTS = (1, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """Whether a run is an audit.

    Attributes:
        only: whether it is never to be signed.
        exit_zero: whether a refusal and an inconclusive verdict exit with 0, too.
    """

    only: bool
    exit_zero: bool

    def check(self, *, signs: bool, no_sign: bool, dry_run: bool) -> None:
        """Refuse what can't go together.

        Args:
            signs: whether anything was given that signing alone needs.
            no_sign: whether the run is to be signed later.
            dry_run: whether nothing is to run.
        """
        if self.exit_zero and not self.only:
            raise click.UsageError("--exit-zero goes with --audit-only: a release must not look like what it is not")
        if self.only and signs:
            raise click.UsageError("--audit-only signs nothing: leave out --key, --public-key, --certificate and --out")
        if self.only and (no_sign or dry_run):
            other = "--no-sign, whose run is signed later" if no_sign else "--dry-run, which trains nothing"
            raise click.UsageError(f"--audit-only does not go with {other}")

    def exit_code(self, code: int) -> int:
        """What the command exits with: errors are never turned into 0."""
        return 0 if self.exit_zero and code in _VERDICTS else code


def say_passed() -> None:
    """That every rule holds, and nothing follows from it."""
    say(
        "AUDIT: every rule holds; nothing is signed, and this run never will be: for a release certify the candidate "
        "without --audit-only, where ledger and key are"
    )


def audit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --audit-only and --exit-zero, and hands them over as one argument `audit`."""

    @click.option(
        "--audit-only", is_flag=True, help="Train, judge and report; sign nothing, now or later. Needs no key."
    )
    @click.option("--exit-zero", is_flag=True, help="With --audit-only: exit with 0 whatever the verdict.")
    @functools.wraps(command)
    def with_audit(*args: Any, audit_only: bool, exit_zero: bool, **kwargs: Any) -> Any:
        return command(*args, audit=Audit(only=audit_only, exit_zero=exit_zero), **kwargs)

    return with_audit
