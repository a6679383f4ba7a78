"""Where a key's passphrase comes from: a file descriptor, the environment, or the terminal. Never an argument."""

from __future__ import annotations

import os
import sys

import click

from gatekeeper.errors import SigningError

VARIABLE = "GATEKEEPER_KEY_PASSPHRASE"

# The longest that OpenSSL, which encrypts the key, takes.
MOST_BYTES = 1023
_MOST_DESCRIPTOR = 2**31 - 1

passphrase_option = click.option(
    "--passphrase-fd",
    type=click.IntRange(min=0, max=_MOST_DESCRIPTOR),
    help=f"Read the key's passphrase, or a token's PIN, from this file descriptor. Otherwise from {VARIABLE}, "
    "otherwise asked for.",
)


def read_passphrase(
    descriptor: int | None, *, ask: bool = True, confirm: bool = False, prompt: str = "passphrase of the key"
) -> bytes | None:
    """The passphrase, or None where there is neither descriptor, variable nor terminal.

    It leaves the environment as it is read, so that no process started later inherits it.

    Args:
        descriptor: an open file descriptor whose first line it is, or None.
        ask: whether to ask for it on a terminal.
        confirm: whether to ask twice.
        prompt: what to ask for.

    Raises:
        SigningError: it is empty, too long, or can't be read; the message holds no part of it.
    """
    variable = os.environb.pop(VARIABLE.encode(), None)
    if descriptor is not None:
        return _checked(_first_line(descriptor), where=f"descriptor {descriptor}")
    if variable is not None:
        return _checked(variable, where=VARIABLE)
    if not ask or sys.stdin is None or not sys.stdin.isatty():
        return None
    answer: str = click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)
    return _checked(answer.encode(errors="surrogateescape"), where="the terminal")


def _first_line(descriptor: int) -> bytes:
    """What comes before a newline or the end; a pipe may yield it in pieces."""
    content = b""
    try:
        while b"\n" not in content and len(content) <= MOST_BYTES and (piece := os.read(descriptor, MOST_BYTES + 1)):
            content += piece
    except OSError as error:
        raise SigningError(f"can't read the passphrase: {error.strerror}", where=f"descriptor {descriptor}") from error
    return content.split(b"\n", 1)[0]


def _checked(passphrase: bytes, *, where: str) -> bytes:
    if not passphrase:
        raise SigningError("the passphrase is empty", where=where, hint="an empty passphrase protects nothing")
    if len(passphrase) > MOST_BYTES:
        raise SigningError(f"the passphrase has more than {MOST_BYTES} bytes", where=where, hint="choose a shorter one")
    return passphrase
