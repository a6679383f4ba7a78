"""Trust files: read, and asked about a key at the present time."""

from __future__ import annotations

import datetime
from pathlib import Path

from gatekeeper.core.trust import TrustFile


def read_trust(path: Path) -> TrustFile:
    """A trust file; every mistake in it at once (`ConfigError`)."""
    from gatekeeper.config import load_trust

    return load_trust(path)


def trust_schema() -> str:
    """The trust file's JSON Schema."""
    from gatekeeper import config

    return config.trust_schema()


def utc_now() -> str:
    """The present, to the second, as `TrustFile.judge` takes it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
