"""`gatekeeper data`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.cli.output import (
    Target,
    TargetType,
    check_targets,
    text_width,
    use_colour,
    write_private,
)
from gatekeeper.core.device import DEVICE_CHOICES, DeviceChoice

if TYPE_CHECKING:
    from gatekeeper.core.description import Description

_FORMATS = ("text", "json")
_NEAR = 0.99


class _Threshold(click.ParamType["float | None"]):
    """An NCC in [0.5, 1], or `off`."""

    name = "NCC|off"

    def convert(
        self, value: str | float | None, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """The NCC, or None for `off`."""
        if not isinstance(value, str):
            return value
        if value == "off":
            return None
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not 0.5 <= number <= 1.0:  # nan is not
            self.fail(f"{value!r} is neither an NCC from 0.5 to 1, such as 0.99, nor off", param, ctx)
        return number


def _print_schema(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from gatekeeper.report.description_json import description_schema

    click.echo(json.dumps(description_schema(), indent=2, ensure_ascii=False))
    context.exit()


@click.group("data")
def data_group() -> None:
    """Look at data before anything is spent on them."""


@data_group.command("describe")
@click.argument("candidate", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--policy", type=click.Path(dir_okay=False, path_type=Path), help="Add what it lets a first run spend.")
@click.option(
    "--near",
    type=_Threshold(),
    default=str(_NEAR),
    show_default=True,
    help="From which NCC two units' images are nearly identical; off looks for identical ones only.",
)
@click.option(
    "--names",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A new private CSV file: which units and images the pseudonyms are.",
)
@click.option(
    "--device", type=click.Choice(DEVICE_CHOICES), default="auto", show_default=True, help="Where to measure a step."
)
@click.option(
    "--format",
    "stdout_format",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="What stdout gets.",
)
@click.option(
    "-o",
    "--output",
    "targets",
    type=TargetType(_FORMATS),
    multiple=True,
    help="Write it to a private file as well; repeatable. Formats: text, json.",
)
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="Print the JSON's schema."
)
def describe(
    candidate: Path,
    policy: Path | None,
    near: float | None,
    names: Path | None,
    device: DeviceChoice,
    stdout_format: str,
    targets: tuple[Target, ...],
) -> None:
    """Say what a CANDIDATE's data are: units, classes, duplicates, leaks, and what a run would cost and may spend.

    The output is private. Nothing is trained on the data and no ledger is asked. Exit code 2 where certify would
    refuse to begin, or could not approve.
    """
    from gatekeeper.pipeline import inputs
    from gatekeeper.pipeline.describing import describe_in_child

    check_targets(targets)
    the_candidate = inputs.read_candidate(candidate)
    the_policy = None if policy is None else inputs.read_policy(policy)
    found = describe_in_child(the_candidate, the_policy, near=near, device=device)
    if names is not None:
        from gatekeeper.report.description_json import render_legend_csv

        write_private(names, render_legend_csv(found.legend), mode="x")
    for target in targets:
        write_private(target.path, _rendered(found.description, target.format, on_terminal=False))
    click.echo(_rendered(found.description, stdout_format, on_terminal=True), nl=False)
    if found.description.problems:
        raise click.exceptions.Exit(2)


def _rendered(description: Description, output_format: str, *, on_terminal: bool) -> str:
    from gatekeeper.report.description_json import render_description_json
    from gatekeeper.report.description_text import render_description_text

    if output_format == "json":
        return render_description_json(description)
    if on_terminal:
        return render_description_text(description, width=text_width(), colour=use_colour())
    return render_description_text(description)
