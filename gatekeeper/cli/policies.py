"""`gatekeeper policy`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("policy")
def policy_group() -> None:
    """Work on policies: what must hold before a model may be released."""


@policy_group.command("validate")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def validate(files: tuple[Path, ...]) -> None:
    """Check policy FILES; print each one's digest, or every mistake with its line."""
    from gatekeeper.core.codec import digest
    from gatekeeper.errors import ConfigError, Problem
    from gatekeeper.pipeline.inputs import read_policy

    problems: list[Problem] = []
    for file in files:
        try:
            policy = read_policy(file)
        except ConfigError as error:
            problems += error.problems
        else:
            click.echo(f"{file}: {policy.name} v{policy.version}, {len(policy.rules)} rules, digest {digest(policy)}")
    if problems:
        raise ConfigError(tuple(problems))


@policy_group.command("schema")
def schema() -> None:
    """Print the JSON Schema of a policy."""
    from gatekeeper.pipeline.inputs import policy_schema

    click.echo(policy_schema(), nl=False)
