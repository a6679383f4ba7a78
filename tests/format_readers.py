"""Each report format read back by somebody else's parser, as far as the tests ask."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from prometheus_client.openmetrics.parser import text_string_to_metric_families

SHOWN = {"text", "text_special", "code_inline"}


def markdown_tokens(text: str) -> list[Token]:
    """GitHub's tables and strike-through over CommonMark, HTML included."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def markdown_rows(text: str) -> list[list[Token]]:
    """The cells of every table row."""
    rows: list[list[Token]] = []
    for token in markdown_tokens(text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and rows and token.level == 4:
            rows[-1].append(token)
    return rows


def shown(inline: Token) -> str:
    """What a reader sees of inline Markdown."""
    return "".join(child.content for child in inline.children or ())


def junit_cases(text: str) -> list[tuple[str, dict[str, str], ET.Element]]:
    """Name, properties and element of each test case."""
    cases = []
    for case in ET.fromstring(text).iter("testcase"):
        properties = {each.attrib["name"]: each.attrib["value"] for each in case.iter("property")}
        cases.append((case.attrib["name"], properties, case))
    return cases


def metrics(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The value of every sample, by name and labels."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = float(sample.value)
    return found


@dataclass(frozen=True)
class Command:
    """A workflow command as the runner reads it."""

    name: str
    properties: dict[str, str]
    text: str


def commands(text: str) -> list[Command]:
    """Every line as a command; a line that is none fails."""
    found = []
    for line in re.split(r"\r\n|\n|\r", text.removesuffix("\n")):
        name, listed, message = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line, flags=re.DOTALL).groups()  # type: ignore[union-attr]
        properties = dict(each.split("=", 1) for each in listed.split(","))
        decoded = {key: _decoded(value.replace("%3A", ":").replace("%2C", ",")) for key, value in properties.items()}
        found.append(Command(name, decoded, _decoded(message)))
    return found


def _decoded(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def sarif_run(text: str) -> dict[str, Any]:
    """The only run."""
    (run,) = json.loads(text)["runs"]
    return run
