"""`gatekeeper explain`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gatekeeper.cli.completing import complete_runs


def _print_schema(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from gatekeeper.report.explanation import explanation_schema

    click.echo(json.dumps(explanation_schema(), indent=2, ensure_ascii=False))
    context.exit()


@click.command()
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="Print the JSON's schema."
)
def explain(run: Path, as_json: bool) -> None:
    """Why the verdict of a finished RUN is what it is, and which settings would change it; nothing is trained."""
    from gatekeeper.pipeline.explaining import explain as explained
    from gatekeeper.report.explanation import render_explanation_json, render_explanation_text
    from gatekeeper.rundir import RunDirectory

    explanation = explained(RunDirectory(run))
    text = render_explanation_json(explanation) if as_json else render_explanation_text(explanation)
    click.echo(text, nl=False)
