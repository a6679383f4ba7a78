"""The lines of a policy file that findings come from."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config.lineage import KEY as EXTENDS
from gatekeeper.config.nodes import Mapping, Node, Sequence
from gatekeeper.config.overlay import rule_id
from gatekeeper.config.yaml_tree import parse
from gatekeeper.core.policy import Policy
from gatekeeper.core.policy_file import PolicyFile, RuleLine

# Where a file says the conditions that every policy implies; nothing in a file turns the check of the run's code on.
_IMPLIED = {
    "privacy-epsilon": ("privacy", "epsilon"),
    "privacy-delta": ("privacy", "delta"),
    "privacy-total-epsilon": ("privacy", "total_epsilon"),
    "attempts": ("max_attempts",),
    "policy-lock": ("require_lock",),
    "own-code": (),
}


def locate_rules(path: Path, policy: Policy) -> PolicyFile:
    """Where a policy file demands what.

    Args:
        path: a file that `load_policy` has read.
        policy: what it read.

    Returns:
        The file as named, with a line for each finding that the policy can lead to. What the file inherits stands at
        its `extends`, what it does not say at the deepest key that it has on the way there.

    Raises:
        InvalidInputError, ConfigError: as `load_policy` does.
    """
    root = parse(path).root
    places: dict[str, tuple[str, ...]] = {**_IMPLIED}
    places |= {f"{rule.id}/worst": ("rules", rule.id, "worst") for rule in policy.risk_rules}
    places |= {rule.id: ("rules", rule.id) for rule in policy.rules}
    lines = (RuleLine(rule=name, line=_line(root, place)) for name, place in places.items())
    return PolicyFile(path=path.as_posix(), lines=tuple(lines))


def _line(root: Node, place: tuple[str, ...]) -> int:
    """The line of the deepest key on the way to `place`; of what is inherited that of `extends`."""
    line, node, _ = _descend(root, ("spec",), root.line)
    found, _, whole = _descend(node, place, line)
    inherited, _, extends = _descend(node, (EXTENDS,), line)
    return inherited if extends and not whole else found


def _descend(node: Node, place: tuple[str, ...], line: int) -> tuple[int, Node, bool]:
    """How far the keys of `place` lead: the last key's line, what stands there, and whether it is all the way."""
    for key in place:
        step = _step(node, key)
        if step is None:
            return line, node, False
        line, node = step
    return line, node, True


def _step(node: Node, key: str) -> tuple[int, Node] | None:
    """The line and value under a key; of a rule, by its id."""
    if isinstance(node, Mapping):
        return next(((entry.key.line, entry.value) for entry in node.entries if entry.key.text == key), None)
    if isinstance(node, Sequence):
        return next(((item.line, item) for item in node.items if rule_id(item) == key), None)
    return None
