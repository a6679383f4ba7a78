"""What the generated pages share: tables, and text that a table can hold."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

_WIDTH = 120


def generated(source: str) -> str:
    """The line that says where a page comes from."""
    return f"<!-- Made by `make docs`. Change the {source}, not this page. -->"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; a bar inside a cell is escaped."""
    lines = [_row(header), _row(["---"] * len(header))]
    return [*lines, *(_row([cell.replace("|", "\\|") for cell in row]) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def code(*values: object) -> str:
    """Values as code, with commas between."""
    return ", ".join(f"`{value}`" for value in values)


def page(blocks: Iterable[str]) -> str:
    """Blocks with a blank line between, ending in one newline; sentences are wrapped."""
    return "\n\n".join(_wrapped(block) for block in blocks if block) + "\n"


def _wrapped(block: str) -> str:
    is_prose = "\n" not in block and block[0] not in "#<|"
    return textwrap.fill(block, _WIDTH, break_on_hyphens=False, break_long_words=False) if is_prose else block
