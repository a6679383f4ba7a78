"""YAML of texts, numbers, lists and mappings: what the registry's files are made of, and nothing more.

Every text is quoted or a literal block, so that nothing in it is syntax. YAML 1.2.2, sections 7.3.1 and 8.1.2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

Node = str | int | float | Sequence["Node"] | Mapping[str, "Node"]

_LONGEST_QUOTED = 80


def yaml_text(document: Mapping[str, Node]) -> str:
    r"""The document, in the mapping's order.

    Args:
        document: texts without characters that can't be seen, but for line feeds between paragraphs; finite numbers.

    >>> print(yaml_text({"a": {"x": 1e-6, "y": ["- b: c"]}, "z": "one\n\ntwo"}), end="")
    a:
      x: 1.0e-06
      y:
        - "- b: c"
    z: |-
      one
    <BLANKLINE>
      two
    """
    return "".join(f"{line}\n" for line in _mapping(document, indent=""))


def yaml_number(value: float) -> str:
    """A number that readers of YAML 1.1 take for one too: with a point, and a sign in its exponent.

    >>> yaml_number(1e16), yaml_number(0.5), yaml_number(3)
    ('1.0e+16', '0.5', '3')
    """
    text = repr(value)
    mantissa, exponent, power = text.partition("e")
    return text if not exponent or "." in mantissa else f"{mantissa}.0e{power}"


def _mapping(mapping: Mapping[str, Node], *, indent: str) -> Iterator[str]:
    for key, node in mapping.items():
        yield from _node(f"{indent}{key}:", node, indent=indent)


def _node(head: str, node: Node, *, indent: str) -> Iterator[str]:
    inner = f"{indent}  "
    if isinstance(node, str) and ("\n" in node or len(node) > _LONGEST_QUOTED):
        yield f"{head} |-"
        yield from (f"{inner}{line}" if line else "" for line in node.split("\n"))
    elif isinstance(node, str):
        yield f"{head} {json.dumps(node, ensure_ascii=False)}"
    elif isinstance(node, int | float):
        yield f"{head} {yaml_number(node)}"
    elif isinstance(node, Mapping):
        yield head
        yield from _mapping(node, indent=inner)
    else:
        yield head
        for item in node:
            yield from _node(f"{inner}-", item, indent=inner)
