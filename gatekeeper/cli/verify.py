"""`gatekeeper verify`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.demanded_policy import demanded_digest, demanded_policy_options
from gatekeeper.cli.garbage import without_collection
from gatekeeper.cli.output import Target, check_formats, check_targets, output_option, render_files, write_outputs
from gatekeeper.cli.verify_prints import print_options
from gatekeeper.errors import InvalidValueError

_MOST_DAYS = 36_500


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
@demanded_policy_options
@click.option(
    "--ledger-head",
    metavar="ID:LENGTH:DIGEST",
    help="How far the ledger had got when you last looked; a release counted in another, or before, is refused.",
)
@click.option("--max-age", type=click.FloatRange(min=0, min_open=True), metavar="DAYS", help="Refuse what is older.")
@click.option(
    "--require-approvals",
    metavar="ROLE[:PEOPLE],…",
    help="Who must have countersigned, such as privacy-officer,approver:2; goes with --trust.",
)
@click.option("--report", "show_report", is_flag=True, help="Print the certified report afterwards.")
@output_option
@print_options
@without_collection()
def verify(
    directory: Path,
    public_key: Path | None,
    trust: Path | None,
    policy: Path | None,
    policy_digest: str | None,
    any_policy: bool,
    ledger_head: str | None,
    max_age: float | None,
    require_approvals: str | None,
    show_report: bool,
    targets: tuple[Target, ...],
) -> None:
    """Verify a release DIRECTORY: signatures, digests, then accounting, bounds and verdict once more."""
    from gatekeeper.core.countersignature import parse_requirements
    from gatekeeper.core.ledger import LedgerHead
    from gatekeeper.pipeline.verification import verify as check
    from gatekeeper.report.content import RECOMPUTED, trusted, verified_report

    if (public_key is None) == (trust is None):
        raise click.UsageError("say whose signature it must be: one of --public-key, --trust")
    digest = demanded_digest(policy, policy_digest, any_policy=any_policy)
    if max_age is not None and not max_age <= _MOST_DAYS:  # nan is not
        raise click.BadParameter(f"days, at most {_MOST_DAYS}, got {max_age}", param_hint="--max-age")
    try:
        head = None if ledger_head is None else LedgerHead.parse(ledger_head)
    except InvalidValueError as error:
        raise click.BadParameter(error.message, param_hint="--ledger-head") from error
    try:
        required = () if require_approvals is None else parse_requirements(require_approvals)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--require-approvals") from error
    if required and trust is None:
        raise click.UsageError("--require-approvals needs --trust: it says whose approvals count")
    check_targets(targets, out=directory)
    check_formats("text", targets)
    result = check(
        directory,
        public_key=public_key,
        trust=trust,
        policy_digest=digest,
        ledger_head=head,
        max_age_days=max_age,
        required=required,
    )
    for number, step in enumerate(result.steps, start=1):
        click.echo(f"{number:2d}. {step.title}: {step.detail}")
    click.echo(f"recomputed: {'; '.join(RECOMPUTED)}")
    click.echo(f"taken on the signer's word: {'; '.join(trusted(result.certificate.facts))}")
    click.echo(f"VERIFIED {directory}")
    write_outputs(render_files(verified_report(result.certificate), targets))
    if show_report:
        from gatekeeper.report import render_text

        click.echo(render_text(verified_report(result.certificate)), nl=False)
