"""What findings are called: rules by their ids, and what every policy implies by names that no rule may take."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Findings of every policy, or of any that asks for them.
IMPLIED = ("privacy-epsilon", "privacy-delta", "privacy-total-epsilon", "attempts", "policy-lock", "own-code")

# Properties of a verification result that are no rule's.
_PROPERTIES = ("policy-passed", "waivers-used")


def worst_name(rule_id: str) -> str:
    """What the finding on the worst stratum of a risk rule is called."""
    return f"{rule_id}/worst"


def property_name(rule: str) -> str:
    """A finding's name as a property of a verification result: upper case, everything but A–Z and 0–9 replaced.

    >>> property_name("mcc/worst")
    'GATEKEEPER_MCC_WORST'
    """
    return "GATEKEEPER_" + re.sub(r"[^A-Z0-9]", "_", rule.upper())


def name_clash(rule_ids: Iterable[str]) -> str | None:
    """Why these ids can't name the rules of one policy, or None: each must be told from all others as a property, too.

    Any rule may be read as one with a worst stratum: what a policy says of it may change, its name may not.
    """
    taken = {property_name(name): name for name in (*IMPLIED, *_PROPERTIES)}
    for rule_id in rule_ids:
        for name in (rule_id, worst_name(rule_id)):
            other = taken.get(property_name(name))
            if other in _PROPERTIES:
                return (
                    f"rule id {rule_id!r} would be taken for {other!r}, which a verification result says of the policy"
                )
            if other is not None:
                return f"rule id {rule_id!r} would be taken for {other!r}: names must be unlike each other"
            taken[property_name(name)] = name
    return None
