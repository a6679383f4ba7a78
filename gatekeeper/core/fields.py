"""Fields that came later: left out of the canonical form where they have their default.

    lock: LockNote | None = field(default=None, metadata=ADDED)

So what was written before they existed keeps its form, its digest and its signature: old certificates verify, old
ledgers are read, and a policy that uses none of them is the same policy, whose attempts go on being counted.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import Any

_LEFT_OUT = "left out of the canonical form where it has its default"

ADDED = MappingProxyType({_LEFT_OUT: True})
"""The metadata of such a field."""


def may_be_left_out(field: dataclasses.Field[Any]) -> bool:
    """Whether the canonical form may lack a field."""
    return _LEFT_OUT in field.metadata


def is_left_out(field: dataclasses.Field[Any], value: object) -> bool:
    """Whether the canonical form of a noun with this value lacks the field: there is one form, and no choice."""
    return may_be_left_out(field) and value == field.default
