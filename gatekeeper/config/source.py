"""The bytes of a configuration file as text: bounded in size, UTF-8, without a byte order mark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.errors import ConfigError, InvalidInputError, Problem

MAX_BYTES = 1024 * 1024

_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")  # YAML 1.1, section 5.4


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A place in a text.

    Attributes:
        line: from 1.
        column: in characters, from 1.
    """

    line: int
    column: int


def end_of(text: str) -> Place:
    r"""The place just after `text`.

    >>> end_of("a: 1\nbc")
    Place(line=2, column=3)
    """
    lines = _LINE_BREAK.split(text)
    return Place(line=len(lines), column=len(lines[-1]) + 1)


def read_text(path: Path) -> str:
    """The text of a configuration file; a leading byte order mark is dropped.

    Args:
        path: the file, of at most 1 MiB.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: the file is over 1 MiB or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidInputError(
            f"can't be read: {reason}", where=str(path), hint="check the path and its permissions"
        ) from error
    if len(content) > MAX_BYTES:
        raise _refusal(
            path,
            Place(line=1, column=1),
            message=f"the file is over {MAX_BYTES} bytes (1 MiB)",
            hint="a policy or candidate takes a few kilobytes; is this the right file?",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = end_of(error.object[: error.start].decode())
        message = f"not UTF-8: byte 0x{error.object[error.start]:02x}"
        raise _refusal(path, place, message=message, hint="save the file as UTF-8") from error


def _refusal(path: Path, place: Place, *, message: str, hint: str) -> ConfigError:
    return ConfigError((Problem(file=str(path), line=place.line, column=place.column, message=message, hint=hint),))
