"""`gatekeeper keys`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.passphrase import VARIABLE, passphrase_option, read_passphrase


@click.group("keys")
def keys_group() -> None:
    """Make release keys."""


@keys_group.command("generate")
@click.argument("prefix", type=click.Path(path_type=Path))
@passphrase_option
def generate(prefix: Path, passphrase_fd: int | None) -> None:
    """Make a P-256 key pair: PREFIX.key, encrypted with a passphrase, and PREFIX.pub."""
    from gatekeeper.pipeline.inputs import make_keys

    if prefix.name in {"", ".."}:
        raise click.UsageError(f"PREFIX must end in a file's name, got {str(prefix)!r}")
    passphrase = read_passphrase(passphrase_fd, confirm=True)
    if passphrase is None:
        raise click.UsageError(f"a key needs a passphrase: use a terminal, --passphrase-fd or {VARIABLE}")
    paths = make_keys(prefix, passphrase=passphrase)
    click.echo(f"private key: {paths.private} (keep it where models are signed)")
    click.echo(f"public key:  {paths.public} (give it to whoever verifies)")
