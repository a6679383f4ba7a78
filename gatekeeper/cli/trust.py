"""`gatekeeper trust`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.completing import complete_yaml


@click.group("trust")
def trust_group() -> None:
    """Work on trust files: whose keys may sign what, and until when."""


@trust_group.command("validate")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_yaml)
def validate(files: tuple[Path, ...]) -> None:
    """Check trust FILES; print each one's keys and their state today, or every mistake with its line."""
    from gatekeeper.core.trust import Distrust
    from gatekeeper.errors import ConfigError, Problem
    from gatekeeper.pipeline.trust import read_trust, utc_now

    problems: list[Problem] = []
    for file in files:
        try:
            trust = read_trust(file)
        except ConfigError as error:
            problems += error.problems
            continue
        click.echo(f"{file}: {len(trust.keys)} keys, {len(trust.timestamp_authorities)} timestamp authorities")
        for key in trust.keys:
            answer = trust.judge(key.fingerprint, role=key.roles[0], now=utc_now())
            state = answer.reason if isinstance(answer, Distrust) else "valid"
            click.echo(f"  {key.fingerprint}  {key.owner}: {', '.join(key.roles)}; {state}")
    if problems:
        raise ConfigError(tuple(problems))


@trust_group.command("schema")
def schema() -> None:
    """Print the JSON Schema of a trust file."""
    from gatekeeper.pipeline.trust import trust_schema

    click.echo(trust_schema(), nl=False)
