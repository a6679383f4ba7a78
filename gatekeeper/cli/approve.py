"""`gatekeeper approve`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click

from gatekeeper.cli.demanded_policy import demanded_digest, demanded_policy_options
from gatekeeper.cli.signing_key import open_key, signing_key_options
from gatekeeper.core.countersignature import DECISIONS, Decision


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--trust",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The trust file: whose release it must be, and what the key may sign as.",
)
@demanded_policy_options
@click.option("--role", required=True, help="As what you decide, such as privacy-officer or clinical-owner.")
@click.option("--decision", required=True, type=click.Choice(DECISIONS), help="What you decide.")
@click.option("--comment", help="Why; printed by everybody who verifies.")
@signing_key_options("Your own key, never the release key")
def approve(
    directory: Path,
    trust: Path,
    policy: Path | None,
    policy_digest: str | None,
    any_policy: bool,
    role: str,
    decision: str,
    comment: str | None,
    key: str,
    public_key: Path | None,
    passphrase_fd: int | None,
) -> None:
    """Countersign a release DIRECTORY as a person, once everything in it verifies.

    What you sign names the model's files and the certificate. Your latest decision in a role is the one that counts.
    Whoever hands the release on can remove it again: who depends on it says so with `verify --require-approvals`.
    """
    from gatekeeper.pipeline.approving import approve as countersign

    digest = demanded_digest(policy, policy_digest, any_policy=any_policy)
    opened = open_key(key, public_key=public_key, passphrase_fd=passphrase_fd)
    added = countersign(
        directory,
        key=opened,
        trust=trust,
        policy_digest=digest,
        role=role,
        decision=cast(Decision, decision),
        comment=comment,
    )
    click.echo(f"{decision} as {role}: {added} (key {opened.public.fingerprint})")
