"""One tree laid over another: what a policy file says, on top of what the policies that it extends say."""

from __future__ import annotations

from dataclasses import replace

from gatekeeper.config.nodes import Entry, Mapping, Node, Scalar, Sequence, Unusable

_RULES = "rules"
_ID = "id"


def overlay(base: Node, own: Node, *, key: str = "") -> Node:
    """`own` over `base`: mappings key by key, rules by their ids; anything else is replaced.

    Args:
        base: what is inherited.
        own: what the file says.
        key: under which key both stand.
    """
    if isinstance(base, Mapping) and isinstance(own, Mapping):
        return _mapping(base, own)
    if key == _RULES and isinstance(base, Sequence) and isinstance(own, Sequence):
        return _rules(base, own)
    return own


def _mapping(base: Mapping, own: Mapping) -> Mapping:
    """The inherited keys in their order, then the file's further ones."""
    inherited = {entry.key.text: entry for entry in base.entries}
    merged = {**inherited}
    for entry in own.entries:
        name = entry.key.text
        value = overlay(inherited[name].value, entry.value, key=name) if name in inherited else entry.value
        merged[name] = Entry(key=entry.key, value=value)
    return replace(own, entries=tuple(merged.values()))


def _rules(base: Sequence, own: Sequence) -> Sequence:
    """The inherited rules in their order, each changed by the first rule of its id; then the file's further ones."""
    changes = list(own.items)
    merged = []
    for rule in base.items:
        change = next((each for each in changes if rule_id(each) == rule_id(rule)), None)
        if change is not None:
            changes.remove(change)
        merged.append(rule if change is None else overlay(rule, change))
    return replace(own, items=(*merged, *changes))


def rule_id(node: Node) -> str | None:
    """The id that a rule's node gives, or None."""
    entries = node.entries if isinstance(node, Mapping) else ()
    found = (entry.value for entry in entries if entry.key.text == _ID)
    value = next(found, None)
    return value.text if isinstance(value, Scalar) else None


def moved(node: Node, *, to: Node) -> Node:
    """A tree of which every node stands at the place of `to`: a mistake in what is inherited is shown there."""
    line, column = to.line, to.column
    if isinstance(node, Mapping):
        entries = tuple(
            Entry(key=replace(entry.key, line=line, column=column), value=moved(entry.value, to=to))
            for entry in node.entries
        )
        return replace(node, entries=entries, line=line, column=column)
    if isinstance(node, Sequence):
        return replace(node, items=tuple(moved(item, to=to) for item in node.items), line=line, column=column)
    if isinstance(node, Scalar):
        return replace(node, line=line, column=column)
    return Unusable(line=line, column=column)


def find(node: Node, place: tuple[str, ...]) -> Node | None:
    """The deepest node along the keys of `place`; of rules the key is the id. None if the first is missing."""
    found: Node | None = None
    current: Node | None = node
    for key in place:
        current = _child(current, key)
        if current is None or isinstance(current, Unusable):
            return found
        found = current
    return found


def _child(node: Node | None, key: str) -> Node | None:
    if isinstance(node, Mapping):
        return next((entry.value for entry in node.entries if entry.key.text == key), None)
    if isinstance(node, Sequence):
        return next((item for item in node.items if rule_id(item) == key), None)
    return None
