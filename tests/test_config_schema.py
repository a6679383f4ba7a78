"""The JSON Schemas agree with the loaders wherever a schema can know."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from gatekeeper.config import candidate_schema, policy_schema
from gatekeeper.config.nodes import Mapping, Node, Scalar, Sequence
from gatekeeper.config.scalars import Mismatch, to_boolean, to_real, to_whole
from gatekeeper.config.yaml_tree import parse
from tests.config_files import CANDIDATE, CANDIDATE_MISTAKES, POLICY, POLICY_MISTAKES, Mistake, file_of

ROOT = Path(__file__).parent.parent
VALIDATORS = {
    "ReleasePolicy": jsonschema.Draft202012Validator(json.loads(policy_schema())),
    "ReleaseCandidate": jsonschema.Draft202012Validator(json.loads(candidate_schema())),
}


def as_json(node: Node) -> object:
    """A tree as an editor sees it, with the types of YAML 1.2."""
    if isinstance(node, Mapping):
        return {entry.key.text: as_json(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [as_json(item) for item in node.items]
    assert isinstance(node, Scalar)
    if node.is_empty:
        return None
    for convert in (to_boolean, to_whole, to_real):
        value = convert(node)
        if not isinstance(value, Mismatch):
            return value
    return node.text


def accepts(path: Path, *, kind: str) -> bool:
    return bool(VALIDATORS[kind].is_valid(as_json(parse(path).root)))


@pytest.mark.parametrize("kind", VALIDATORS)
def test_the_schema_is_a_schema(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATORS[kind].schema)


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_ready_policy_suits_its_schema(path: Path) -> None:
    assert accepts(path, kind="ReleasePolicy")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_suits_its_schema(path: Path) -> None:
    assert accepts(path, kind="ReleaseCandidate")


def test_the_good_files_suit_their_schemas(tmp_path: Path) -> None:
    assert accepts(file_of(tmp_path, POLICY), kind="ReleasePolicy")
    assert accepts(file_of(tmp_path, CANDIDATE), kind="ReleaseCandidate")


@pytest.mark.parametrize("mistake", [m for m in POLICY_MISTAKES if m.schema], ids=lambda mistake: mistake.new)
def test_what_the_policy_loader_refuses_the_schema_refuses(mistake: Mistake, tmp_path: Path) -> None:
    assert not accepts(file_of(tmp_path, mistake.text), kind="ReleasePolicy")


@pytest.mark.parametrize("mistake", [m for m in CANDIDATE_MISTAKES if m.schema], ids=lambda mistake: mistake.new)
def test_what_the_candidate_loader_refuses_the_schema_refuses(mistake: Mistake, tmp_path: Path) -> None:
    assert not accepts(file_of(tmp_path, mistake.text), kind="ReleaseCandidate")


def properties(schema: object) -> list[dict[str, object]]:
    """Every object of a schema that names properties and is closed to others."""
    if isinstance(schema, list):
        return [found for item in schema for found in properties(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["properties"]] if schema.get("additionalProperties") is False else []
    return own + [found for item in schema.values() for found in properties(item)]


@pytest.mark.parametrize("kind", VALIDATORS)
def test_every_key_has_a_description(kind: str) -> None:
    closed = properties(VALIDATORS[kind].schema)
    assert len(closed) > 5
    undescribed = [key for named in closed for key, value in named.items() if "description" not in value]
    assert undescribed == []
