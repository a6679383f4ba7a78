"""Standard streams that may be closed, full, or unable to spell: none of them decides an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import click


def prepare_streams() -> None:
    """Before anything is opened: no file of ours may become stdin, stdout or stderr, and any character prints."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is the one that was closed.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(message: str) -> None:
    """A line on stderr, or nothing where stderr can't be written."""
    with _forgiving(sys.stderr):
        click.echo(message, err=True)


def show(error: click.ClickException) -> None:
    """A usage error on stderr, or nothing where stderr can't be written."""
    with _forgiving(sys.stderr):
        error.show()


def settle_streams() -> None:
    """Flush what is left; what can't be written would turn the exit code into Python's own 120."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with _forgiving(stream):
                stream.flush()


@contextlib.contextmanager
def _forgiving(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except OSError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Send a stream that can't be written, and what its buffer holds, to nowhere."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # a stream of a test, or closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
