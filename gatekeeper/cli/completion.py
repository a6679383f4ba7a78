"""`gatekeeper completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

NAME, VARIABLE = "gatekeeper", "_GATEKEEPER_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that lets a SHELL complete commands, options, runs, files and rules.

    \b
    bash: gatekeeper completion bash > ~/.local/share/bash-completion/completions/gatekeeper
    zsh:  gatekeeper completion zsh > "${fpath[1]}/_gatekeeper"
    fish: gatekeeper completion fish > ~/.config/fish/completions/gatekeeper.fish
    """  # noqa: D301  (click's mark that lines stay as they are)
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, NAME, VARIABLE).source())
