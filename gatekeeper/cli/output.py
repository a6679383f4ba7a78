"""Writing reports: to stdout, and to files named as `FORMAT:PATH`."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.errors import InvalidInputError

if TYPE_CHECKING:
    from gatekeeper.report import Report

FORMATS = ("text", "json")
_NARROWEST, _WIDEST = 80, 160


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A report to write.

    Attributes:
        format: one of `FORMATS`.
        path: where.
    """

    format: str
    path: Path


class TargetType(click.ParamType[Target]):
    """`FORMAT:PATH` on the command line."""

    name = "FORMAT:PATH"

    def convert(self, value: str | Target, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """A target, or a usage error that names the formats."""
        if isinstance(value, Target):
            return value
        report_format, colon, path = value.partition(":")
        if report_format not in FORMATS or not colon or not path:
            self.fail(f"{value!r} is not FORMAT:PATH with one of the formats {', '.join(FORMATS)}", param, ctx)
        return Target(format=report_format, path=Path(path))


output_option = click.option(
    "-o",
    "--output",
    "targets",
    type=TargetType(),
    multiple=True,
    help="Write the report to a file as well; repeatable. Formats: text, json.",
)
format_option = click.option(
    "--format", "stdout_format", type=click.Choice(FORMATS), default="text", show_default=True, help="What stdout gets."
)


def write_report(report: Report, *, stdout_format: str, targets: tuple[Target, ...]) -> None:
    """Print the report and write it to each target."""
    from gatekeeper.report import render, render_text

    for target in targets:
        write_text(target.path, render(report, target.format))
    if stdout_format == "text":
        width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST) if sys.stdout.isatty() else _WIDEST
        click.echo(render_text(report, width=width, colour=use_colour()), nl=False)
    else:
        click.echo(render(report, stdout_format), nl=False)


def use_colour() -> bool:
    """Whether stdout is a terminal that wants colour (NO_COLOR and FORCE_COLOR are respected)."""
    import os

    if os.environ.get("NO_COLOR"):
        return False
    return sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))


def write_text(path: Path, text: str) -> None:
    """Write a file, with an error that names it where that fails."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInputError(f"can't write: {error.strerror}", where=str(path)) from error
