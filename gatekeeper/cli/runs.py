"""`gatekeeper runs` and `gatekeeper report`."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from gatekeeper.cli.certify import runs_option
from gatekeeper.cli.ci import policy_file
from gatekeeper.cli.completing import complete_runs
from gatekeeper.cli.output import Target, check_targets, format_option, output_option, render_outputs, write_outputs
from gatekeeper.cli.streams import say
from gatekeeper.errors import RunDirectoryError
from gatekeeper.pipeline.image_cache import remove_image_cache
from gatekeeper.rundir import RunDirectory, list_runs, prunable


@click.group("runs")
def runs_group() -> None:
    """Look after run directories."""


@runs_group.command("list")
@runs_option
def list_(runs: Path) -> None:
    """List the runs, oldest first, with what became of each."""
    found = list_runs(runs)
    if not found:
        say(f"there are no runs in {runs}: --runs names another place")
    for path in found:
        click.echo(f"{path}  {_state(path)}")


def _state(path: Path) -> str:
    try:
        return RunDirectory(path).state()
    except RunDirectoryError:
        return "unreadable"


@runs_group.command("prune")
@runs_option
@click.option("--keep", type=click.IntRange(min=0), default=10, show_default=True, help="How many of the newest stay.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option("--cache", is_flag=True, help="Delete decoded images that are kept for later runs as well.")
def prune(runs: Path, keep: int, yes: bool, cache: bool) -> None:
    """Delete all but the newest runs: weights, evidence and salts."""
    every = _prunable(list_runs(runs))
    doomed = every[: max(0, len(every) - keep)]
    for run in doomed:
        click.echo(str(run.path))
    if not doomed:
        say(f"nothing to delete: {len(every)} runs in {runs}, of which the newest {keep} stay")
    if doomed and not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("without a terminal there is nobody to ask: say --yes to delete these runs")
        click.confirm(f"delete these {len(doomed)} runs?", abort=True, err=True)
    for run in doomed:
        _delete(run)
    # Not asked for: it is made again by the next run that needs it.
    removed = remove_image_cache(runs) if cache else None
    if removed is not None:
        click.echo(str(removed))


def _prunable(paths: tuple[Path, ...]) -> list[RunDirectory]:
    """The directories that are certain to be runs; what is not is named and left alone."""
    found = []
    for path in paths:
        try:
            found.append(prunable(path))
        except RunDirectoryError as error:
            say(f"left alone: {error}")
    return found


def _delete(run: RunDirectory) -> None:
    """Delete a run, unless a process is working on it."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(run.lock())
        except RunDirectoryError as error:
            say(f"left alone: {error}")
            return
        run.delete()


@click.command()
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option(
    "--policy",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file of the policy that judged the run: findings are shown at its lines.",
)
@format_option
@output_option
def report(run: Path, policy: Path | None, stdout_format: str, targets: tuple[Target, ...]) -> None:
    """Render a RUN's report again."""
    from gatekeeper.pipeline.judgement import report_of

    check_targets(targets)
    directory = RunDirectory(run)
    judged = directory.read_policy()
    located = None if policy is None else policy_file(policy, judged=judged)
    written = report_of(judged, directory.read_judgement(), policy_file=located)
    write_outputs(render_outputs(written, stdout_format=stdout_format, targets=targets))
