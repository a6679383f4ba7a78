"""`gatekeeper verify`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.verify_prints import print_options


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The signer's public key, from your own copy: never from the release.",
)
@click.option(
    "--trust",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Instead of a key, a trust file: whose keys may sign releases, from when until when, and which were revoked.",
)
@click.option("--policy", type=click.Path(dir_okay=False, path_type=Path), help="The policy that must have passed.")
@click.option("--policy-digest", metavar="SHA256", help="Its digest instead, as `policy validate` prints it.")
@click.option("--any-policy", is_flag=True, help="Accept whatever policy the signer chose.")
@click.option(
    "--ledger-head",
    metavar="ID:LENGTH:DIGEST",
    help="How far the ledger had got when you last looked; a release counted in another, or before, is refused.",
)
@click.option("--report", "show_report", is_flag=True, help="Print the certified report afterwards.")
@print_options
def verify(
    directory: Path,
    public_key: Path | None,
    trust: Path | None,
    policy: Path | None,
    policy_digest: str | None,
    any_policy: bool,
    ledger_head: str | None,
    show_report: bool,
) -> None:
    """Verify a release DIRECTORY: signatures, digests, then accounting, bounds and verdict once more."""
    from gatekeeper.core.ledger import LedgerHead
    from gatekeeper.pipeline.verification import verify as check
    from gatekeeper.report.content import RECOMPUTED, trusted, verified_report

    if (public_key is None) == (trust is None):
        raise click.UsageError("say whose signature it must be: one of --public-key, --trust")
    digest = _demanded_digest(policy, policy_digest, any_policy=any_policy)
    head = None if ledger_head is None else LedgerHead.parse(ledger_head)
    result = check(directory, public_key=public_key, trust=trust, policy_digest=digest, ledger_head=head)
    for number, step in enumerate(result.steps, start=1):
        click.echo(f"{number:2d}. {step.title}: {step.detail}")
    click.echo(f"recomputed: {'; '.join(RECOMPUTED)}")
    click.echo(f"taken on the signer's word: {'; '.join(trusted(result.certificate.facts))}")
    click.echo(f"VERIFIED {directory}")
    if show_report:
        from gatekeeper.report import render_text

        click.echo(render_text(verified_report(result.certificate)), nl=False)


def _demanded_digest(policy: Path | None, policy_digest: str | None, *, any_policy: bool) -> str | None:
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
