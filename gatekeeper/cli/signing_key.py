"""A key that signs something other than a release: a lock on a policy, or a waiver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatekeeper.cli.passphrase import passphrase_option, read_passphrase
from gatekeeper.cli.preflight import is_encrypted
from gatekeeper.core.key_uri import scheme_of

if TYPE_CHECKING:
    from gatekeeper.signing.keys import SigningKey


def signing_key_options(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --key with this help, --public-key and --passphrase-fd."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        public_key = click.option(
            "--public-key",
            type=click.Path(dir_okay=False, path_type=Path),
            help="The public key of a --key that is a URI.",
        )
        return click.option("--key", required=True, metavar="FILE|URI", help=text)(
            public_key(passphrase_option(command))
        )

    return add


def open_key(key: str, *, public_key: Path | None, passphrase_fd: int | None) -> SigningKey:
    """The key, opened with the passphrase or PIN where it needs one.

    Raises:
        SigningError: the key can't be used.
    """
    from gatekeeper.pipeline.inputs import read_key

    scheme = scheme_of(key)
    if (scheme is None) != (public_key is None):
        raise click.UsageError("--public-key goes with a --key that is a URI, and such a key needs it")
    if scheme is None:
        passphrase = read_passphrase(passphrase_fd, ask=is_encrypted(Path(key)))
    else:
        passphrase = read_passphrase(passphrase_fd, ask=scheme == "hsm", prompt="PIN of the token")
    return read_key(key, passphrase=passphrase, public_key=public_key)
