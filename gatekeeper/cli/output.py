"""Writing reports: to stdout, and to files named as `FORMAT:PATH`."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.shell_completion import CompletionItem

from gatekeeper.cli.ci import step_files
from gatekeeper.cli.streams import say, silence
from gatekeeper.errors import InvalidInputError

if TYPE_CHECKING:
    from gatekeeper.report import Report

FORMATS = ("text", "json", "markdown", "junit", "sarif", "github", "openmetrics", "html", "registry")
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
    """`FORMAT:PATH` on the command line.

    Args:
        formats: which formats there are.
    """

    name = "FORMAT:PATH"

    def __init__(self, formats: tuple[str, ...] = FORMATS) -> None:
        self._formats = formats

    def convert(self, value: str | Target, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """A target, or a usage error that names the formats."""
        if isinstance(value, Target):
            return value
        report_format, colon, path = value.partition(":")
        if report_format not in self._formats or not colon or not path:
            self.fail(f"{value!r} is not FORMAT:PATH with one of the formats {', '.join(self._formats)}", param, ctx)
        return Target(format=report_format, path=Path(path))

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The formats, then files."""
        if ":" in incomplete:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(f"{name}:") for name in FORMATS if name.startswith(incomplete)]


output_option = click.option(
    "-o",
    "--output",
    "targets",
    type=TargetType(),
    multiple=True,
    help=f"Write the report to a file as well; repeatable. Formats: {', '.join(FORMATS)}.",
)
format_option = click.option(
    "--format", "stdout_format", type=click.Choice(FORMATS), default="text", show_default=True, help="What stdout gets."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """A rendered report.

    Attributes:
        path: the file to write, or None for stdout.
        text: what it says.
        appended: whether the file keeps what it holds.
    """

    path: Path | None
    text: str
    appended: bool = False


def check_targets(targets: tuple[Target, ...], *, out: Path | None = None) -> None:
    """What would fail after an hour of training fails now.

    Raises:
        InvalidInputError: a target can't be written, or would lie inside the release directory `out`.
    """
    for target in targets:
        path = target.path
        if out is not None and lies_inside(path, out):
            raise InvalidInputError(
                f"lies inside the release {out}, which holds what is signed and nothing else",
                where=str(path),
                hint="write the report beside it",
            )
        parent = path.absolute().parent
        if os.path.exists(path):
            if os.path.isdir(path) or not os.access(path, os.W_OK):
                raise InvalidInputError("is no file that can be written", where=str(path), hint="choose another file")
        elif not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
            raise InvalidInputError(
                "its parent is no directory that can be written", where=str(path), hint=f"mkdir -p {path.parent}"
            )


def check_formats(stdout_format: str, targets: tuple[Target, ...]) -> None:
    """What a format needs is asked for now, likewise.

    Raises:
        InvalidInputError: a package that a format needs isn't installed; the hint names the extra that brings it.
    """
    from gatekeeper.report import require_format

    for output_format in (stdout_format, *(target.format for target in targets)):
        require_format(output_format)


def lies_inside(path: Path, directory: Path) -> bool:
    """Whether a path is a directory's own or beneath it, whatever links lead there."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def render_outputs(report: Report, *, stdout_format: str, targets: tuple[Target, ...]) -> tuple[Output, ...]:
    """Everything that is to be said about a report, before anything is written."""
    from gatekeeper.report import render, render_text

    files = render_files(report, targets)
    if "github" in (stdout_format, *(target.format for target in targets)):
        files += tuple(
            Output(path=path, text=text, appended=True) for path, text in step_files(report, written=_main(targets))
        )
    if stdout_format == "text":
        return (*files, Output(path=None, text=render_text(report, width=text_width(), colour=use_colour())))
    same = [file.text for target, file in zip(targets, files, strict=False) if target.format == stdout_format]
    return (*files, Output(path=None, text=same[0] if same else render(report, stdout_format)))


def render_files(report: Report, targets: tuple[Target, ...]) -> tuple[Output, ...]:
    """What each target gets, in their order; each format is made once."""
    from gatekeeper.report import render

    texts = {name: render(report, name) for name in dict.fromkeys(target.format for target in targets)}
    return tuple(Output(path=target.path, text=texts[target.format]) for target in targets)


def text_width() -> int:
    """How many columns text on stdout may take."""
    return min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST) if _terminal() else _WIDEST


def _main(targets: tuple[Target, ...]) -> Path | None:
    """The report that a later step is told of: the JSON report, or else the first."""
    return next((target.path for target in sorted(targets, key=lambda target: target.format != "json")), None)


def write_outputs(outputs: tuple[Output, ...]) -> None:
    """Write each report where it belongs; the first that can't be written is an error."""
    for output in outputs:
        if output.path is None:
            # By itself click strips colours off what goes into a pipe, forced or not.
            click.echo(output.text, nl=False, color=use_colour() or None)
        else:
            write_text(output.path, output.text, appended=output.appended)


def deliver(outputs: tuple[Output, ...]) -> None:
    """Write each report where it belongs, after the fact: what fails is a warning, for the verdict stands."""
    for output in outputs:
        try:
            write_outputs((output,))
        except (OSError, InvalidInputError) as error:
            if output.path is None:
                silence(sys.stdout)
                say(f"warning: the report can't be printed: {error}")
            else:
                say(f"warning: {error}")


def use_colour() -> bool:
    """Whether stdout is a terminal that wants colour (NO_COLOR, FORCE_COLOR and TERM=dumb are respected)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return _terminal() and os.environ.get("TERM") != "dumb"


def _terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def write_text(path: Path, text: str, *, appended: bool = False) -> None:
    """Write a file, or more of it, with an error that names it where that fails."""
    try:
        with path.open("a" if appended else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInputError(f"can't write: {error.strerror}", where=str(path)) from error


def write_private(path: Path, text: str, *, mode: Literal["w", "x"] = "w") -> None:
    """Write a file that its owner alone can read (`x`: a new one), with an error that names it where that fails."""
    try:
        with open(path, mode, encoding="utf-8", opener=_for_its_owner) as file:
            file.write(text)
    except OSError as error:
        raise InvalidInputError(f"can't write: {error.strerror}", where=str(path)) from error


def _for_its_owner(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.fchmod(descriptor, 0o600)
    return descriptor


def create_text(path: Path, text: str) -> None:
    """Write a new file, or leave nothing and raise an error that names it."""
    create_bytes(path, text.encode())


def create_bytes(path: Path, content: bytes) -> None:
    """Write a new file, or leave nothing and raise an error that names it."""
    try:
        with path.open("xb") as file:
            try:
                file.write(content)
                file.flush()
            except OSError:
                path.unlink()
                raise
    except OSError as error:
        raise InvalidInputError(f"can't write: {error.strerror}", where=str(path)) from error
