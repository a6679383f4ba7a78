"""`gatekeeper runs` and `gatekeeper report`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.certify import runs_option
from gatekeeper.cli.output import Target, format_option, output_option, write_report


@click.group("runs")
def runs_group() -> None:
    """Look after run directories."""


@runs_group.command("list")
@runs_option
def list_(runs: Path) -> None:
    """List the runs, oldest first, with what became of each."""
    from gatekeeper.rundir import list_runs

    for path in list_runs(runs):
        click.echo(f"{run.path}  {run.state()}")


@runs_group.command("prune")
@runs_option
@click.option("--keep", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the newest stay.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
def prune(runs: Path, keep: int, yes: bool) -> None:
    """Delete all but the newest runs: weights, evidence and salts."""
    from gatekeeper.rundir import list_runs

    every = list_runs(runs)
    doomed = every[: max(0, len(every) - keep)]
    for run in doomed:
        click.echo(str(run.path))
    if doomed and not yes:
        click.confirm(f"delete these {len(doomed)} runs?", abort=True, err=True)
    for run in doomed:
        with run.lock():
            run.delete()


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@format_option
@output_option
def report(run: Path, stdout_format: str, targets: tuple[Target, ...]) -> None:
    """Render a RUN's report again."""
    from gatekeeper.pipeline.judgement import report_of
    from gatekeeper.rundir import RunDirectory

    directory = RunDirectory(run)
    written = report_of(directory.read_policy(), directory.read_judgement())
    write_report(written, stdout_format=stdout_format, targets=targets)
