"""What a format needs beside gatekeeper itself: asked for before an hour of training, not after it."""

from __future__ import annotations

from importlib import util

from gatekeeper.errors import InvalidInputError

_NEEDS = {"html": ("jinja2", "matplotlib")}


def require_format(output_format: str) -> None:
    """Refuse a format that can't be made here.

    Raises:
        InvalidInputError: a package that the format needs isn't installed; the hint names the extra that brings it.
    """
    missing = [name for name in _NEEDS.get(output_format, ()) if util.find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InvalidInputError(
            f"the report can't be made: {' and '.join(missing)} {verb} not installed",
            where=f"format {output_format}",
            hint=f'pip install "gatekeeper[{output_format}]", or choose another format',
        )
