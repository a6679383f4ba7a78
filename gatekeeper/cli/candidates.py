"""`gatekeeper candidate` and `gatekeeper init`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gatekeeper.cli.completing import complete_yaml


@click.group("candidate")
def candidate_group() -> None:
    """Work on candidates: what is to be built."""


@candidate_group.command("validate")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_yaml)
def validate(files: tuple[Path, ...]) -> None:
    """Check candidate FILES; print every mistake with its line."""
    from gatekeeper.core.codec import digest
    from gatekeeper.errors import ConfigError, Problem
    from gatekeeper.pipeline.inputs import read_candidate

    problems: list[Problem] = []
    for file in files:
        try:
            candidate = read_candidate(file)
        except ConfigError as error:
            problems += error.problems
        else:
            click.echo(f"{file}: {candidate.name}, {candidate.data.format}, digest {digest(candidate)}")
    if problems:
        raise ConfigError(tuple(problems))


@candidate_group.command("schema")
def schema() -> None:
    """Print the JSON Schema of a candidate."""
    from gatekeeper.pipeline.inputs import candidate_schema

    click.echo(candidate_schema(), nl=False)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--candidate", type=click.Path(path_type=Path), default=Path("candidate.yaml"), show_default=True)
@click.option("--policy", type=click.Path(path_type=Path), default=Path("policy.yaml"), show_default=True)
def init(data: Path, candidate: Path, policy: Path) -> None:
    """Look at a DATA folder or file and write a candidate and a policy to start from."""
    from gatekeeper.cli.output import create_text
    from gatekeeper.errors import InvalidInputError
    from gatekeeper.pipeline.inputs import starter_files

    if os.path.realpath(candidate) == os.path.realpath(policy):
        raise click.UsageError("--candidate and --policy must be two files")
    for path in (candidate, policy):
        if os.path.lexists(path):
            raise InvalidInputError(
                "exists already and is not overwritten", where=str(path), hint="choose another name"
            )
    candidate_text, policy_text = starter_files(data)
    create_text(candidate, candidate_text)
    try:
        create_text(policy, policy_text)
    except InvalidInputError:
        candidate.unlink()
        raise
    click.echo(f"wrote {candidate} and {policy}; next: gatekeeper certify {candidate} --policy {policy} --dry-run")
