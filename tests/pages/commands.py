"""The page of all commands, from click's own description of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from gatekeeper.cli.main import app
from tests.pages.markdown import code, generated, page, table


def commands_page() -> str:
    """Every command with its arguments and options."""
    return page(
        (
            "# Commands",
            generated("commands in `gatekeeper/cli/`"),
            "`gatekeeper COMMAND --help` prints the same. Results go to stdout, progress and errors to stderr. "
            "[exit-codes.md](exit-codes.md) says what each exit code means.",
            "\n".join(table(("command", "does"), _overview(app, "gatekeeper"))),
            *(block for path, command in _walk(app, "gatekeeper") for block in _section(path, command)),
        )
    )


def _walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, groups' commands after one another."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, sub in sorted(command.commands.items()):
        yield from _walk(sub, f"{path} {name}")


def _overview(group: click.Group, path: str) -> Iterator[tuple[str, str]]:
    for name, command in _walk(group, path):
        yield f"[{code(name)}](#{name.replace(' ', '-')})", _paragraphs(command)[0].split(". ")[0].removesuffix(".")


def _paragraphs(command: click.Command) -> list[str]:
    text = inspect.cleandoc(command.help or "")
    return [" ".join(part.split()) for part in text.split("\n\n")]


def _section(path: str, command: click.Command) -> Iterator[str]:
    yield f"## {path}"
    yield from _paragraphs(command)
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    usage = [path, *(["[OPTIONS]"] if _options(command) else []), *map(_argument, arguments)]
    yield f"```\n{' '.join(usage)}\n```"
    rows = [(code(_name(option)), _meaning(option)) for option in _options(command)]
    if rows:
        yield "\n".join(table(("option", "meaning"), rows))


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    name = name if argument.nargs == 1 else f"{name}..."
    return name if argument.required else f"[{name}]"


def _options(command: click.Command) -> list[click.Option]:
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def _name(option: click.Option) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    return names if option.is_flag or option.count else f"{names} {_metavar(option)}"


def _metavar(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices)
    return option.type.name.upper().removesuffix(" RANGE")


def _meaning(option: click.Option) -> str:
    words = [" ".join((option.help or "").split())]
    if isinstance(option.type, click.IntRange) and option.type.min is not None:
        words.append(f"At least {option.type.min}.")
    if option.required:
        words.append("Required.")
    if option.multiple:
        words.append("May be given several times.")
    if option.envvar:
        words.append(f"Environment variable {code(option.envvar)}.")
    if option.show_default and not option.is_flag and option.default is not None:
        words.append(f"Default {code(option.default)}.")
    return " ".join(word for word in words if word)
