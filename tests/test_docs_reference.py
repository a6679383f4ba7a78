"""The pages of docs/reference are what their generator makes of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from gatekeeper.cli.main import app
from gatekeeper.config import candidate_schema, policy_schema
from tests.pages import PAGES
from tests.pages.values import value_of

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_no_other_page_lies_there() -> None:
    assert {path.name for path in REFERENCE.iterdir()} == set(PAGES)


@pytest.mark.parametrize(("schema", "page"), [(policy_schema, "policy.md"), (candidate_schema, "candidate.md")])
def test_every_key_of_a_file_has_a_row(schema, page: str) -> None:
    def keys(node: object) -> set[str]:
        if isinstance(node, list):
            return {key for item in node for key in keys(item)}
        if not isinstance(node, dict):
            return set()
        own = set(node.get("properties", {})) if node.get("additionalProperties") is False else set()
        return own | {key for item in node.values() for key in keys(item)}

    rows = re.findall(r"^\| `([\w.]+)` \|", (REFERENCE / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown = {part for row in rows for part in row.split(".")}
    assert keys(json.loads(schema())) <= shown


def test_every_option_of_every_command_has_a_row() -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (gatekeeper .+?)\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))

    def walk(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            for name, sub in command.commands.items():
                walk(sub, f"{path} {name}")
            return
        for option in (p for p in command.params if isinstance(p, click.Option)):
            assert max(option.opts, key=len) in sections[path], f"{path} {option.name}"

    walk(app, "gatekeeper")


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "minimum": 0.5, "exclusiveMaximum": 1}, "number ≥ 0.5, < 1"),
        ({"type": "integer", "minimum": 2, "exclusiveMaximum": 10**18}, "whole number ≥ 2"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1}, "list of `a`, `b`, at least 1"),
        ({"anyOf": [{"$ref": "#/$defs/count"}, {"const": "auto"}]}, "whole number ≥ 1, or `auto`"),
        ({"type": "boolean"}, "`true`, `false`"),
    ],
)
def test_values_are_put_into_words(schema: dict, words: str) -> None:
    assert value_of(schema, {"count": {"type": "integer", "minimum": 1}}) == words
