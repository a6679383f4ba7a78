"""The tree: places, limits, and what makes YAML ambiguous."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.config.nodes import Mapping, Node, Scalar, Sequence
from gatekeeper.config.source import MAX_BYTES, Place, end_of
from gatekeeper.config.yaml_tree import MAX_DEPTH, parse
from gatekeeper.errors import ConfigError, InvalidInputError
from tests.config_files import file_of, problems_of


def plain(node: Node) -> object:
    """A tree as Python's own types, every scalar as text."""
    if isinstance(node, Mapping):
        return {entry.key.text: plain(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    assert isinstance(node, Scalar)
    return node.text


def test_nodes_know_their_places(tmp_path: Path) -> None:
    root = parse(file_of(tmp_path, "a: 1\nb:\n  - x\n  - 'y'\n")).root
    assert isinstance(root, Mapping)
    (first, second) = root.entries
    assert first.value == Scalar(text="1", plain=True, line=1, column=4)
    assert second.key == Scalar(text="b", plain=True, line=2, column=1)
    assert isinstance(second.value, Sequence)
    assert second.value.items[1] == Scalar(text="y", plain=False, line=4, column=5)


trees = st.recursive(
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1), inner, max_size=3),
    max_leaves=12,
)


@given(tree=st.dictionaries(st.text("abcdef", min_size=1), trees, min_size=1), flow=st.booleans())
def test_what_another_writer_wrote_is_read(
    tree: dict[str, object], flow: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, default_style='"', allow_unicode=False)
    text = text.replace("!!map ", "").replace("!!seq ", "")
    # An astral character that PyYAML wrote as \U is one character; nothing of it may be lost.
    assert plain(parse(file_of(tmp_path_factory.mktemp("tree"), text)).root) == tree


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="can't be read") as refused:
        parse(tmp_path / name)
    assert refused.value.where == str(tmp_path / name)
    assert refused.value.hint is not None


def test_a_file_of_one_mebibyte_is_read_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    comment = "a: b\n#" + "x" * (MAX_BYTES - 6)
    assert parse(file_of(tmp_path, comment)).root
    (problem,) = problems_of(parse, file_of(tmp_path, comment + "x"))
    assert "1 MiB" in problem.message


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        (b"a: b\nc: \xff\n", 2, 4),
        (b"\xef\xbb\xbfa: b\r\n\xc3\xa9: \xe9\n", 2, 4),
        ("a: b".encode("utf-16"), 1, 1),
    ],
)
def test_a_file_that_is_not_utf8_is_refused_at_the_byte(content: bytes, line: int, column: int, tmp_path: Path) -> None:
    (problem,) = problems_of(parse, file_of(tmp_path, content))
    assert (problem.line, problem.column) == (line, column)
    assert problem.message.startswith("not UTF-8")


@pytest.mark.parametrize("text", ["", " \n", "# only a comment\n", "---\n", "--- null\n", "~"])
def test_an_empty_document_is_refused(text: str, tmp_path: Path) -> None:
    (problem,) = problems_of(parse, file_of(tmp_path, text))
    assert "empty" in problem.message


@pytest.mark.parametrize("opening", ["[", "{a: "])
def test_nesting_is_limited(opening: str, tmp_path: Path) -> None:
    closing = "]" if opening == "[" else "}"
    assert parse(file_of(tmp_path, opening * MAX_DEPTH + "x" + closing * MAX_DEPTH)).root
    too_deep = opening * (MAX_DEPTH + 1) + "x" + closing * (MAX_DEPTH + 1)
    (problem,) = problems_of(parse, file_of(tmp_path, too_deep))
    assert problem.message == "nested deeper than 32 levels"
    assert problem.column == MAX_DEPTH * len(opening) + 1


def test_a_mebibyte_of_brackets_is_refused_at_once(tmp_path: Path) -> None:
    (problem,) = problems_of(parse, file_of(tmp_path, "[" * MAX_BYTES))
    assert problem.message == "nested deeper than 32 levels"


def test_aliases_cannot_multiply_a_file(tmp_path: Path) -> None:
    text = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    problems = parse(file_of(tmp_path, text)).problems
    assert [problem.line for problem in problems] == [1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("text", ['a: "\\UFFFFFFFF"\n', 'a: "\\U00110000"\n', f"%YAML 1.{'9' * 5000}\n--- a\n"])
def test_numbers_that_the_parser_cannot_hold_are_refused(text: str, tmp_path: Path) -> None:
    (problem,) = problems_of(parse, file_of(tmp_path, text))
    assert "out of range" in problem.message


def test_characters_that_yaml_forbids_are_refused_at_their_place(tmp_path: Path) -> None:
    (problem,) = problems_of(parse, file_of(tmp_path, "a: b\nc: x\x00\n"))
    assert (problem.line, problem.column) == (2, 5)
    assert "U+0000" in problem.message


def test_problems_before_a_syntax_error_are_kept(tmp_path: Path) -> None:
    problems = problems_of(parse, file_of(tmp_path, "a: 1\na: 2\nb: [\n"))
    assert [problem.line for problem in problems] == [2, 4]


def test_no_tag_ever_builds_anything(tmp_path: Path) -> None:
    text = "a: !!python/object/apply:os.system ['touch built']\n"
    (problem,) = parse(file_of(tmp_path, text)).problems
    assert "tags are not allowed" in problem.message
    assert not (tmp_path / "built").exists()


@given(text=st.text("a\n\r\x85\u2028é"))
def test_places_count_lines_as_yaml_does(text: str) -> None:
    mark = yaml.SafeLoader(text)
    mark.forward(len(text))
    # PyYAML sees the pair \r\n as one break only once it is past it.
    if not text.endswith("\r"):
        assert end_of(text) == Place(line=mark.line + 1, column=mark.column + 1)


def test_a_config_error_carries_its_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 mistake:"):
        parse(file_of(tmp_path, ""))
