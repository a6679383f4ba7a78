"""Where a key's passphrase comes from: a file descriptor, the environment, or the terminal. Never an argument."""

from __future__ import annotations

import os
import sys

import click

from gatekeeper.errors import SigningError

VARIABLE = "GATEKEEPER_KEY_PASSPHRASE"
_MOST_BYTES = 4096

passphrase_option = click.option(
    "--passphrase-fd",
    type=click.IntRange(min=0),
    help=f"Read the key's passphrase from this file descriptor. Otherwise from {VARIABLE}, otherwise asked for.",
)


def read_passphrase(descriptor: int | None, *, confirm: bool = False) -> bytes | None:
    """The passphrase, or None where there is neither descriptor, variable nor terminal.

    Args:
        descriptor: an open file descriptor whose first line it is, or None.
        confirm: whether to ask twice on the terminal.
    """
    if descriptor is not None:
        return _from_descriptor(descriptor)
    if VARIABLE in os.environ:
        return os.environ[VARIABLE].encode()
    if not sys.stdin.isatty():
        return None
    answer: str = click.prompt("passphrase of the key", hide_input=True, confirmation_prompt=confirm, err=True)
    return answer.encode()


def _from_descriptor(descriptor: int) -> bytes:
    try:
        content = os.read(descriptor, _MOST_BYTES)
    except OSError as error:
        raise SigningError(f"can't read the passphrase: {error.strerror}", where=f"descriptor {descriptor}") from error
    return content.split(b"\n", 1)[0]
