"""The `model` of a candidate file: a network of gatekeeper's own, or the user's factory; and which weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from gatekeeper.config.document import Document, Read, Section
from gatekeeper.config.nodes import Mapping, Node, Scalar, shown
from gatekeeper.config.readers import TEXT, choice, list_of, whole
from gatekeeper.config.scalars import Mismatch, to_boolean, to_real, to_text, to_whole
from gatekeeper.core.model_spec import PRETRAINED_NETWORKS, Argument, ModelSpec, Network
from gatekeeper.errors import InvalidValueError

# In this order: what is a whole number is also a real one.
_CONVERSIONS: tuple[Callable[[Scalar], str | int | float | bool | Mismatch], ...] = (to_whole, to_real, to_boolean)

_NUMERIC = tuple("+-.0123456789")


def read_model(section: Section) -> Read[ModelSpec]:
    """Which network, from which weights, and which part of it is trained."""
    network = section.optional("network", choice(get_args(Network)), default=None)
    factory = section.optional("factory", TEXT, default=None)
    _check_one_of_both(section)
    width = section.optional("width", whole(at_least=4), default=None)
    _check_width(section, network)
    _check_companions(section)
    arguments = section.optional("arguments", read_arguments, default=())
    base = section.optional("base", TEXT, default=None)
    base_skip = section.optional("base_skip", list_of(TEXT), default=())
    trainable = section.optional("trainable", list_of(TEXT), default=None)
    return section.build(
        lambda: ModelSpec(
            network=network.value,
            width=width.value,
            factory=factory.value,
            arguments=arguments.value,
            base=base.value,
            base_skip=base_skip.value,
            trainable=trainable.value,
        ),
        blame=next((key for key in ("base_skip", "trainable", "arguments", "factory") if section.has(key)), "network"),
    )


def _check_one_of_both(section: Section) -> None:
    if section.has("network") and section.has("factory"):
        section.report("factory", "a model has a network or a factory, not both", hint="remove one of the keys")
    elif not section.has("network") and not section.has("factory"):
        section.report_missing("network", hint=f"one of {', '.join(get_args(Network))}, or a factory of your own")


def _check_width(section: Section, network: Read[str | None]) -> None:
    """A network of gatekeeper's own has a width, unless its weights come with it."""
    for name in network.content:
        if name is None or name in PRETRAINED_NETWORKS:
            if section.has("width") and (name or section.has("factory")):
                section.report("width", f"{name or 'a factory'} takes no width", hint="remove the key")
        elif not section.has("width"):
            section.report_missing("width", hint="channels of the first block, or units of each hidden layer")


def _check_companions(section: Section) -> None:
    """Keys that mean nothing without another."""
    for key, other in (("arguments", "factory"), ("base_skip", "base")):
        if section.has(key) and not section.has(other):
            section.report(key, f"{key} without {other} means nothing", hint=f"add {other}, or remove {key}")


def read_arguments(document: Document, name: str, node: Node) -> Read[tuple[Argument, ...]]:
    """Reads a mapping of names to scalars; unquoted numbers and booleans are what they look like."""
    if not isinstance(node, Mapping):
        return document.mismatch(name, node, "must be a mapping of names to values")
    read = [_argument(document, name, entry.key, entry.value) for entry in node.entries]
    if not all(argument.content for argument in read):
        return document.nothing()
    return Read((tuple(argument.value for argument in read),))


def _argument(document: Document, name: str, key: Scalar, node: Node) -> Read[Argument]:
    full_name = f"{name}.{key.text}"
    if not isinstance(node, Scalar):
        return document.mismatch(full_name, node, "must be a number, a boolean or text")
    value = next((v for v in (convert(node) for convert in _CONVERSIONS) if not isinstance(v, Mismatch)), _text(node))
    if isinstance(value, Mismatch):
        return document.refuse(node, f"{full_name} {value.message}", hint=value.hint)
    try:
        return Read((Argument(name=key.text, value=value),))
    except InvalidValueError as error:
        return document.refuse(key, f"{name}: {error.message} ({shown(key.text)})", hint=error.hint)


def _text(scalar: Scalar) -> str | Mismatch:
    """Text, unless it begins like a number: then it is one to other readers of YAML, or a slip."""
    if scalar.plain and scalar.text[:1] in _NUMERIC:
        return Mismatch(message=f"is no number, got {shown(scalar.text)}", hint="put quotes around it if it is text")
    return to_text(scalar)
