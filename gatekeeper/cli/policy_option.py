"""The option that names the policy, for commands that can't do without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gatekeeper.cli.completing import complete_yaml


def policy_option(words: str) -> Callable[[Any], Any]:
    """--policy, required; `words` say what the command does with it."""
    return click.option(
        "--policy",
        required=True,
        type=click.Path(dir_okay=False, path_type=Path),
        shell_complete=complete_yaml,
        help=words,
    )
