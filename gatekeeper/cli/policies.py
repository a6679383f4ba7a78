"""`gatekeeper policy`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.completing import complete_rules, complete_yaml
from gatekeeper.cli.policy_option import policy_option
from gatekeeper.cli.signing_key import open_key, signing_key_options
from gatekeeper.errors import InvalidInputError


@click.group("policy")
def policy_group() -> None:
    """Work on policies: what must hold before a model may be released."""


@policy_group.command("validate")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_yaml)
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


@policy_group.command("lock")
@click.argument("policy", type=click.Path(dir_okay=False, path_type=Path), shell_complete=complete_yaml)
@signing_key_options("A key that may lock policies, not the release key")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The lock to create.")
def lock(policy: Path, key: str, public_key: Path | None, passphrase_fd: int | None, out: Path) -> None:
    """Lock a POLICY before a run: sign its canonical form, so that nobody can say afterwards that it was another.

    The time in the lock is this machine's clock and proves nothing; the ledger's entry of the run dates it.
    """
    from gatekeeper.core.codec import digest
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.pipeline.locking import lock_policy

    the_policy = read_policy(policy)
    opened = open_key(key, public_key=public_key, passphrase_fd=passphrase_fd)
    text = lock_policy(the_policy, key=opened)
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInputError(f"can't be created: {error.strerror}", where=str(out)) from error
    click.echo(f"locked: {the_policy.name} v{the_policy.version}, digest {digest(the_policy)}")
    click.echo(f"lock:   {out} (key {opened.public.fingerprint})")


@policy_group.command("diff")
@click.argument("first", type=click.Path(path_type=Path), shell_complete=complete_yaml)
@click.argument("second", type=click.Path(path_type=Path), shell_complete=complete_yaml)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(first: Path, second: Path, as_json: bool) -> None:
    """Say what the SECOND policy demands more, less or otherwise than the FIRST.

    Exit code 0: the same, or only stricter. 1: something was loosened, removed, or changed so that neither is stricter.
    """
    from gatekeeper.core.policy_order import compare
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.report.policy_diff import render_policy_diff_json, render_policy_diff_text

    comparison = compare(read_policy(first), read_policy(second))
    render = render_policy_diff_json if as_json else render_policy_diff_text
    click.echo(render(comparison), nl=False)
    raise click.exceptions.Exit(1 if comparison.conclusion == "loosened" else 0)


@policy_group.command("explain")
@click.argument("rule", shell_complete=complete_rules)
@policy_option("The policy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(rule: str, policy: Path, as_json: bool) -> None:
    """Say what RULE measures, against whom, what passes it, and what a pass means and doesn't mean."""
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.report.rule_meaning import meaning_of
    from gatekeeper.report.rule_meaning_text import render_meaning_json, render_meaning_text

    meaning = meaning_of(read_policy(policy), rule)
    click.echo(render_meaning_json(meaning) if as_json else render_meaning_text(meaning), nl=False)
