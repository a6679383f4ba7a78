"""Policies that extend others: the parents by their digests, merged, and never loosened.

A parent is pinned by the digest of its canonical form, in which its own parents are merged. So whoever reads the child
knows all of it, and a parent that was changed is refused until somebody has looked at what changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from gatekeeper.config.document import Document
from gatekeeper.config.nodes import Mapping, Node, Scalar, Sequence, Tree, in_file_order, shown
from gatekeeper.config.overlay import find, moved, overlay
from gatekeeper.config.starter import render_policy
from gatekeeper.config.yaml_tree import parse_text
from gatekeeper.core.codec import digest
from gatekeeper.core.policy import ParentPolicy, Policy
from gatekeeper.core.policy_change import PolicyChange
from gatekeeper.core.policy_order import compare
from gatekeeper.errors import ConfigError, InvalidInputError, Problem

KEY = "extends"

_PINNED = re.compile(r"(?P<path>.+)@sha256:(?P<digest>[0-9a-f]{64})", re.DOTALL)

Loader = Callable[[Path, tuple[Path, ...]], Policy]
"""Reads a policy; the paths are those of the files that extend it, outermost first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A policy that a file extends.

    Attributes:
        policy: as its file gives it.
        node: where the file names it.
    """

    policy: Policy
    node: Scalar


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """A policy file with what it inherits.

    Attributes:
        tree: the file over its parents.
        own: what the file itself says under `spec`; an empty place where it says nothing readable.
        parents: in the file's order.
    """

    tree: Tree
    own: Node
    parents: tuple[Parent, ...]

    @property
    def pins(self) -> tuple[ParentPolicy, ...]:
        """The parents as the canonical form records them."""
        policies = (parent.policy for parent in self.parents)
        return tuple(ParentPolicy(name=each.name, version=each.version, sha256=digest(each)) for each in policies)


def inherit(tree: Tree, *, path: Path, above: tuple[Path, ...], load: Loader) -> Lineage:
    """A policy file over the policies that it extends; without any it stays as it is.

    Args:
        tree: the file.
        path: where it lies; parents are named from its folder.
        above: the files that extend it, outermost first.
        load: reads a parent.

    Raises:
        ConfigError: a parent is missing, has mistakes, has another digest, or is extended by itself.
    """
    spec = find(tree.root, ("spec",)) or tree.root
    listed = find(spec, (KEY,))
    if not isinstance(listed, Sequence) or not isinstance(spec, Mapping):
        return Lineage(tree=tree, own=spec, parents=())
    problems = list(tree.problems)
    if not listed.items:
        message = "extends names no policy"
        problems.append(
            Problem(file=tree.file, line=listed.line, column=listed.column, message=message, hint="remove it")
        )
        raise ConfigError(in_file_order(problems))
    parents = [_parent(item, tree.file, path, above, load, problems) for item in listed.items]
    found = tuple(parent for parent in parents if parent is not None)
    if len(found) != len(parents):
        raise ConfigError(in_file_order(problems))
    base: Node = replace(spec, entries=())
    for parent in found:
        base = overlay(base, moved(_spec_of(parent.policy), to=parent.node))
    return Lineage(tree=replace(tree, root=_with_spec(tree.root, overlay(base, spec))), own=spec, parents=found)


def _spec_of(policy: Policy) -> Node:
    """What a policy says under `spec`, all defaults written out."""
    root = parse_text(render_policy(policy), file=policy.name).root
    return find(root, ("spec",)) or root


def _with_spec(root: Node, spec: Node) -> Node:
    if not isinstance(root, Mapping):
        return root
    entries = (replace(entry, value=spec) if entry.key.text == "spec" else entry for entry in root.entries)
    return replace(root, entries=tuple(entries))


def _parent(
    node: Node, file: str, path: Path, above: tuple[Path, ...], load: Loader, problems: list[Problem]
) -> Parent | None:
    """The parent that an item names, or None after a problem."""

    def refuse(message: str, hint: str | None = None) -> None:
        problems.append(Problem(file=file, line=node.line, column=node.column, message=message, hint=hint))

    pinned = _PINNED.fullmatch(node.text) if isinstance(node, Scalar) else None
    if pinned is None or not isinstance(node, Scalar):
        given = shown(node.text) if isinstance(node, Scalar) else "something else"
        refuse(f"a parent is named with its digest, got {given}", "write path/to/base.yaml@sha256:<64 hex digits>")
        return None
    parent = path.parent / pinned["path"]
    chain = (*above, path)
    if parent.resolve() in {each.resolve() for each in chain}:
        refuse(f"the policy extends itself: {' → '.join(map(str, (*chain, parent)))}", "remove one of the extends")
        return None
    try:
        policy = load(parent, chain)
    except ConfigError as error:
        refuse(f"the parent {shown(str(parent))} has mistakes, listed here too")
        problems.extend(error.problems)
        return None
    except InvalidInputError as error:
        refuse(f"the parent {shown(str(parent))} {error.message}", "a path starts from this file's folder")
        return None
    if digest(policy) != pinned["digest"]:
        refuse(
            f"the parent {shown(str(parent))} has the digest {digest(policy)}, pinned is {pinned['digest']}",
            "see what changed (`gatekeeper policy diff`), and pin its new digest if you agree",
        )
        return None
    return Parent(policy=policy, node=node)


def check_only_tightened(document: Document, lineage: Lineage, policy: Policy) -> None:
    """Add a problem for every demand of a parent that the policy loosens."""
    for parent in lineage.parents:
        name = f"{parent.policy.name} v{parent.policy.version}"
        for change in compare(parent.policy, policy).changes:
            if change.admits_more:
                node = _place_of(change, lineage) or parent.node
                document.report(node, f"{_loosened(change)} in {name}, which this policy extends", hint=_remedy(change))


def _place_of(change: PolicyChange, lineage: Lineage) -> Node | None:
    """Where the file says it; a confidence may be loosened by the number of attempts that share it."""
    found = find(lineage.own, change.place)
    said = found is not None and find(lineage.own, change.place[:-1]) is not found
    if not said and change.place[-1] == "confidence":
        return find(lineage.own, ("max_attempts",)) or found
    return found


def _loosened(change: PolicyChange) -> str:
    before, after = ("not given" if value is None else value for value in (change.before, change.after))
    word = "neither stricter nor the same as" if change.kind == "changed" else "looser than"
    return f"{change.where}: {after} is {word} {before}"


def _remedy(change: PolicyChange) -> str:
    why = "" if change.reason is None else f" ({change.reason})"
    return f"a policy may only tighten what it extends: leave {change.where} out, or make it stricter{why}"
