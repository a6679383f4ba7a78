"""Which policy a release must have passed: the options of commands that verify one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gatekeeper.cli.completing import complete_yaml


def demanded_policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --policy, --policy-digest and --any-policy."""
    policy = click.option(
        "--policy",
        type=click.Path(dir_okay=False, path_type=Path),
        shell_complete=complete_yaml,
        help="The policy that must have passed.",
    )
    policy_digest = click.option(
        "--policy-digest", metavar="SHA256", help="Its digest instead, as `policy validate` prints it."
    )
    any_policy = click.option("--any-policy", is_flag=True, help="Accept whatever policy the signer chose.")
    return policy(policy_digest(any_policy(command)))


def demanded_digest(policy: Path | None, policy_digest: str | None, *, any_policy: bool) -> str | None:
    """The digest of the policy that must have passed, or None where any will do."""
    from gatekeeper.core.codec import digest
    from gatekeeper.pipeline.inputs import read_policy

    if sum((policy is not None, policy_digest is not None, any_policy)) != 1:
        raise click.UsageError("say which policy must have passed: one of --policy, --policy-digest, --any-policy")
    if policy is not None:
        return digest(read_policy(policy))
    if policy_digest is not None and (len(policy_digest) != 64 or set(policy_digest) - set("0123456789abcdef")):
        raise click.UsageError(f"--policy-digest takes 64 lower-case hexadecimal digits, got {policy_digest!r}")
    return policy_digest
