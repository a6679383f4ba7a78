"""A key that signs something other than a release: a lock on a policy, or a waiver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.cli.key_options import key_option, public_key_option, remote_scheme
from gatekeeper.cli.passphrase import passphrase_option, read_passphrase
from gatekeeper.cli.preflight import is_encrypted

if TYPE_CHECKING:
    from gatekeeper.signing.keys import SigningKey


def signing_key_options(whose: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --key, with whose it must be in its help, --public-key and --passphrase-fd."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        return key_option(required=True, whose=whose)(public_key_option(passphrase_option(command)))

    return add


def open_key(key: str, *, public_key: Path | None, passphrase_fd: int | None) -> SigningKey:
    """The key, opened with the passphrase or PIN where it needs one.

    Raises:
        SigningError: the key can't be used.
    """
    from gatekeeper.pipeline.inputs import read_key

    scheme = remote_scheme(key, public_key=public_key)
    if scheme is None:
        passphrase = read_passphrase(passphrase_fd, ask=is_encrypted(Path(key)))
    else:
        passphrase = read_passphrase(passphrase_fd, ask=scheme == "hsm", prompt="PIN of the token")
    return read_key(key, passphrase=passphrase, public_key=public_key)
