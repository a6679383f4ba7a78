"""`gatekeeper ledger`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.ledger_options import ledger_key_option, ledger_option
from gatekeeper.cli.output import use_colour, write_text
from gatekeeper.cli.streams import say
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.errors import InvalidValueError

EXIT_CHANGED = 4


class HeadType(click.ParamType[LedgerHead]):
    """`ID:LENGTH:DIGEST` on the command line."""

    name = "ID:LENGTH:DIGEST"

    def convert(self, value: str | LedgerHead, param: click.Parameter | None, ctx: click.Context | None) -> LedgerHead:
        """A head, or a usage error."""
        if isinstance(value, LedgerHead):
            return value
        try:
            return LedgerHead.parse(value)
        except InvalidValueError as error:
            self.fail(error.message, param, ctx)


@click.group("ledger")
def ledger_group() -> None:
    """Look after the ledger: what each set of units has spent over all runs."""


@ledger_group.command("init")
@ledger_option
@ledger_key_option
def init(ledger: str, ledger_key: Path) -> None:
    """Make a ledger, and its key unless that exists."""
    from gatekeeper.pipeline.ledgers import make_ledger

    existed = ledger_key.exists()
    head = make_ledger(ledger, key=ledger_key)
    click.echo(f"ledger: {head.ledger}")
    click.echo(f"key:    {ledger_key} ({'the one that was there' if existed else 'new'})")
    click.echo(f"head:   {head}")
    say(
        "back the key up: without it no unit of this ledger can be recognised again, and its runs can't be counted.\n"
        "keep it from the engineers whose runs are counted: with it they could write another history."
    )


@ledger_group.command("show")
@ledger_option
@ledger_key_option
@click.option(
    "--format", "stdout_format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How."
)
def show(ledger: str, ledger_key: Path, stdout_format: str) -> None:
    """List every run: what it took of how many units, and how it ended."""
    from gatekeeper.cli.ledger_table import as_json, as_text
    from gatekeeper.pipeline.ledgers import find_ledger

    found = find_ledger(ledger, key=ledger_key)
    account = found.account()
    click.echo(
        (as_json if stdout_format == "json" else as_text)(account.head, account.runs),
        nl=False,
        color=use_colour() or None,
    )


@ledger_group.command("check")
@ledger_option
@ledger_key_option
@click.option("--head", "expected", type=HeadType(), help="A head that was kept elsewhere: were entries removed since?")
@click.option(
    "--file", "export", type=click.Path(dir_okay=False, path_type=Path), help="An export, instead: needs no key."
)
def check(ledger: str, ledger_key: Path, expected: LedgerHead | None, export: Path | None) -> None:
    """Verify every entry and every unit set; exit with 4 where anything was changed.

    Without --head, entries that are gone from the end are not missed: every certificate holds a head.
    """
    from gatekeeper.pipeline.ledgers import check_exported, find_ledger

    head: LedgerHead | None
    if export is not None:
        result = check_exported(export, expected=expected)
        head, problems = result.head, result.problems
    else:
        found = find_ledger(ledger, key=ledger_key)
        problems = found.check(expected)
        head = None if problems else found.head()
    for problem in problems:
        click.echo(f"problem: {problem}")
    if problems:
        raise click.exceptions.Exit(EXIT_CHANGED)
    click.echo(f"sound: {head}")


@ledger_group.command("export")
@ledger_option
@ledger_key_option
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; stdout if not given.")
def export_(ledger: str, ledger_key: Path, output: Path | None) -> None:
    """Write every entry as a line of JSON, for auditors: `check --file` needs neither key nor database."""
    from gatekeeper.pipeline.ledgers import export_ledger, find_ledger

    text = export_ledger(find_ledger(ledger, key=ledger_key))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_text(output, text)


@ledger_group.command("migrate")
@ledger_option
@ledger_key_option
def migrate(ledger: str, ledger_key: Path) -> None:
    """Bring a ledger that an older gatekeeper made up to date. Back it up first."""
    from gatekeeper.pipeline.ledgers import find_ledger, migrate_ledger

    before = migrate_ledger(ledger, key=ledger_key)
    click.echo(f"was of version {before}; head: {find_ledger(ledger, key=ledger_key).head()}")
