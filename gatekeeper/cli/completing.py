"""What a shell may complete: runs, YAML files, report formats, and a policy's rules."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

DEFAULT_RUNS = Path(".gatekeeper/runs")

_YAML = (".yaml", ".yml")
_DEPTH, _MOST = 3, 200


def complete_runs(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Run directories below --runs, newest first, by their path or by their name alone; else directories."""
    from gatekeeper.errors import RunDirectoryError
    from gatekeeper.rundir import RunDirectory, list_runs

    def state(path: Path) -> str | None:
        try:
            return RunDirectory(path).state()
        except RunDirectoryError:  # it can't be used, so it isn't offered
            return None

    try:
        runs = list_runs(Path(context.params.get("runs") or DEFAULT_RUNS))
    except RunDirectoryError:
        runs = ()
    named = [path for path in reversed(runs) if str(path).startswith(typed) or path.name.startswith(typed)]
    items = [CompletionItem(str(path), help=said) for path in named[:_MOST] if (said := state(path)) is not None]
    return items or [CompletionItem(typed, type="dir")]


def complete_yaml(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """YAML files that begin with what was typed, also a few folders below; else any file."""
    found = sorted(_yaml_files(typed))[:_MOST]
    return [CompletionItem(path) for path in found] or [CompletionItem(typed, type="file")]


def complete_rules(context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """The rules of the policy that --policy names, where it was given before."""
    from gatekeeper.errors import GatekeeperError
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.report.rule_meaning import rule_names

    path = context.params.get("policy")
    if path is None:
        return []
    try:
        rules = rule_names(read_policy(Path(path)))
    except GatekeeperError:  # a completion has nowhere to say so; the command itself will
        return []
    return [CompletionItem(rule) for rule in rules if rule.startswith(typed)]


def _yaml_files(typed: str) -> Iterator[str]:
    """Files whose path, as it would be typed, begins with `typed`; hidden folders are left out."""
    head, beginning = os.path.split(typed)
    for entry in _entries(head or os.curdir):
        if not entry.name.startswith(beginning) or (entry.name.startswith(".") and not beginning):
            continue
        yield from _yaml_below(entry, os.path.join(head, entry.name), depth=_DEPTH)


def _yaml_below(entry: os.DirEntry[str], shown: str, *, depth: int) -> Iterator[str]:
    if entry.is_file():
        if entry.name.endswith(_YAML):
            yield shown
    elif depth and entry.is_dir(follow_symlinks=False):
        for inner in _entries(entry.path):
            if not inner.name.startswith("."):
                yield from _yaml_below(inner, os.path.join(shown, inner.name), depth=depth - 1)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """What a folder holds; nothing where it can't be read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
