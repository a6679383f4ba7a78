"""`gatekeeper certify --dry-run`: what the run would be, take and cost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from gatekeeper.cli.output import Target
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.policy import Policy
from gatekeeper.rundir import RunDirectory
from gatekeeper.version import __version__

if TYPE_CHECKING:
    from gatekeeper.pipeline.ledgers import Ledger


def _print_schema(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from gatekeeper.report.forecast_json import forecast_schema

    click.echo(json.dumps(forecast_schema(), indent=2, ensure_ascii=False))
    context.exit()


dry_run_schema_option = click.option(
    "--dry-run-schema",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the schema of a dry run's JSON.",
)


def dry_run_of(policy: Policy, candidate: Candidate, *, given: click.Context) -> None:
    """Print what the run would be; exit code 1 where the ledger would decline it, 2 where it could not be approved.

    Args:
        policy: what would judge it.
        candidate: what would be built.
        given: the options of `certify`. Its ledger is read, never written.

    Raises:
        click.UsageError: a report was asked for.
        GatekeeperError: those of `certify` until its first step.
    """
    from gatekeeper.pipeline.child import run_private_part
    from gatekeeper.pipeline.forecasting import foresee
    from gatekeeper.report.forecast_json import render_forecast_json
    from gatekeeper.report.forecast_text import render_forecast_text

    options = given.params
    _check_format(options["stdout_format"], options["targets"])
    ledger = _ledger_if_named(given)
    run = RunDirectory.create(options["runs"], policy=policy, candidate=candidate)
    with run.lock():
        try:
            run_private_part(run, "forecast", quiet=options["quiet"], device=options["device"])
            found = run.read_forecast()
            foreseen = None if ledger is None else foresee(run, found, policy, ledger)
            free = shutil.disk_usage(run.path).free
        finally:
            run.delete()
    if options["stdout_format"] == "json":
        click.echo(render_forecast_json(found, foreseen, free_bytes=free, gatekeeper_version=__version__), nl=False)
    else:
        click.echo(render_forecast_text(found, foreseen, free_bytes=free), nl=False)
    if found.problems or (foreseen is not None and foreseen.problems):
        raise click.exceptions.Exit(2)
    if foreseen is not None and foreseen.objection is not None:
        raise click.exceptions.Exit(1)


def _check_format(stdout_format: str, targets: tuple[Target, ...]) -> None:
    """A dry run has no verdict, so it has no report: it is text or JSON, on stdout."""
    if stdout_format not in ("text", "json"):
        raise click.UsageError(f"a dry run is printed as text or as JSON, not as {stdout_format}")
    if targets:
        raise click.UsageError("--dry-run judges nothing, so it has no report to write: leave out -o")


def _ledger_if_named(given: click.Context) -> Ledger | None:
    """The ledger, which must be there if it was named; by default one is looked at where there is one."""
    from gatekeeper.pipeline.ledgers import find_ledger

    url, named = given.params["ledger"], given.get_parameter_source("ledger") is not ParameterSource.DEFAULT
    return find_ledger(url, key=given.params["ledger_key"]) if named or Path(url).exists() else None
