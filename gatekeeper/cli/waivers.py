"""`gatekeeper waiver`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.completing import complete_yaml
from gatekeeper.cli.signing_key import open_key, signing_key_options

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("waiver")
def waiver_group() -> None:
    """Work on waivers: violations that somebody answers for, for a while."""


@waiver_group.command("validate")
@click.argument("files", nargs=-1, required=True, type=_FILE, shell_complete=complete_yaml)
def validate(files: tuple[Path, ...]) -> None:
    """Check FILES of waivers; print what each waiver excuses and until when, or every mistake with its line."""
    from gatekeeper.pipeline.waiving import list_waivers

    for file in files:
        for line in list_waivers(file):
            click.echo(line)


@waiver_group.command("sign")
@click.argument("file", type=_FILE)
@click.option("--id", "waiver_id", required=True, metavar="ID", help="Which waiver of the file.")
@signing_key_options("The approver's key")
def sign(file: Path, waiver_id: str, key: str, public_key: Path | None, passphrase_fd: int | None) -> None:
    """Sign a waiver in FILE as its approver; the signature lies beside the file, and covers all of the waiver."""
    from gatekeeper.pipeline.waiving import sign_waiver

    opened = open_key(key, public_key=public_key, passphrase_fd=passphrase_fd)
    signature = sign_waiver(file, waiver_id, key=opened)
    click.echo(f"signed: {signature} (key {opened.public.fingerprint})")


@waiver_group.command("schema")
def schema() -> None:
    """Print the JSON Schema of a file of waivers."""
    from gatekeeper.pipeline.waiving import waivers_schema

    click.echo(waivers_schema(), nl=False)
