"""`gatekeeper keys`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.cli.passphrase import VARIABLE, passphrase_option, read_passphrase

if TYPE_CHECKING:
    from gatekeeper.signing.keys import PublicKey


@click.group("keys")
def keys_group() -> None:
    """Make keys, and look at public ones."""


@keys_group.command("generate")
@click.argument("prefix", type=click.Path(path_type=Path))
@passphrase_option
def generate(prefix: Path, passphrase_fd: int | None) -> None:
    """Make a P-256 key pair: PREFIX.key, encrypted with a passphrase, and PREFIX.pub."""
    from gatekeeper.pipeline.inputs import make_keys, read_public_key

    if prefix.name in {"", ".."}:
        raise click.UsageError(f"PREFIX must end in a file's name, got {str(prefix)!r}")
    passphrase = read_passphrase(passphrase_fd, confirm=True)
    if passphrase is None:
        raise click.UsageError(f"a key needs a passphrase: use a terminal, --passphrase-fd or {VARIABLE}")
    paths = make_keys(prefix, passphrase=passphrase)
    click.echo(f"private key: {paths.private} (keep it where models are signed)")
    click.echo(f"public key:  {paths.public} (give it to whoever verifies)")
    public = read_public_key(str(paths.public.absolute()), pin=lambda: None)
    click.echo(f"fingerprint: {public.fingerprint} (compare it when you give it)")


@keys_group.command("show")
@click.argument("key", metavar="FILE|URI")
@passphrase_option
def show(key: str, passphrase_fd: int | None) -> None:
    """Print the public key in FILE, or in an HSM (hsm:KEYID?label=TOKEN), and its fingerprint."""
    public = _public_key(key, passphrase_fd)
    click.echo(public.pem.decode(), nl=False)
    click.echo(f"P-256, fingerprint {public.fingerprint}", err=True)


@keys_group.command("fingerprint")
@click.argument("key", metavar="FILE|URI")
@passphrase_option
def fingerprint(key: str, passphrase_fd: int | None) -> None:
    """Print the fingerprint of the public key in FILE, or in an HSM: what a trust file names it by."""
    click.echo(_public_key(key, passphrase_fd).fingerprint)


def _public_key(key: str, passphrase_fd: int | None) -> PublicKey:
    from gatekeeper.pipeline.inputs import read_public_key

    return read_public_key(key, pin=lambda: read_passphrase(passphrase_fd, prompt="PIN of the token"))
