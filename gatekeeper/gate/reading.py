"""How every rule reads a number: against a limit, with a margin, and never a number that is not one."""

from __future__ import annotations

import math
from typing import Literal

from gatekeeper.core.verdict import Status

NOT_A_NUMBER = math.nan


def status_of(*, measured: float, limit: float, comparator: Literal["≤", "≥"]) -> Status:
    """NaN compares false either way, so it is asked about first."""
    if math.isnan(measured):
        return "inconclusive"
    holds = measured <= limit if comparator == "≤" else measured >= limit
    return "passed" if holds else "failed"


def margin_of(*, measured: float, limit: float, comparator: Literal["≤", "≥"]) -> float:
    """How far `measured` is on the passing side."""
    return limit - measured if comparator == "≤" else measured - limit
