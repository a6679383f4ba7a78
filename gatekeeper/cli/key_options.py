"""The options that say which key signs, and what else is known of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gatekeeper.core.key_uri import scheme_of

_Command = TypeVar("_Command", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)
_SCHEMES = "hsm:, awskms:, azurekms:, gcpkms:"


def key_option(*, required: bool, whose: str = "The release key") -> Callable[[_Command], _Command]:
    """The option for the key itself."""
    text = f"{whose}: encrypted PEM (P-256), or in a device or service ({_SCHEMES})."
    return click.option("--key", required=required, metavar="FILE|URI", help=text)


public_key_option = click.option(
    "--public-key", type=_FILE, help="The public key of a --key that is a URI: what its signatures must fit."
)
certificate_option = click.option(
    "--certificate",
    type=_FILE,
    help="The key's X.509 certificate and its issuers': nothing is signed unless all are valid. It isn't released.",
)


def remote_scheme(key: str, *, public_key: Path | None) -> str | None:
    """The scheme of a key that is a URI, or None of a file; a URI goes with a public key, and a file without."""
    scheme = scheme_of(key)
    if (scheme is None) != (public_key is None):
        raise click.UsageError("--public-key goes with a --key that is a URI, and such a key needs it")
    return scheme
