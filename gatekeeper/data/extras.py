"""Packages that come with an extra: asked for before anything is read."""

from __future__ import annotations

import importlib.util

from gatekeeper.errors import DataError


def need(package: str, *, extra: str, where: str) -> None:
    """Require an optional package.

    Raises:
        DataError: it is not installed; the hint names the extra that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise DataError(
            f"reading this needs {package}, which is not installed",
            where=where,
            hint=f'pip install "gatekeeper[{extra}]"',
        )
