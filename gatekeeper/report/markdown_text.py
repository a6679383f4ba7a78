"""Other people's text in Markdown: it shows as it is, and marks up nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

# Characters that begin something in GitHub Flavored Markdown, or in what GitHub and GitLab add to it ($ is a formula).
# A pipe ends a cell whatever stands before it in some programs, so it and what HTML reads are written as entities.
_SPECIAL = {character: f"\\{character}" for character in "\\`*_[]#!~$"}
_SPECIAL |= {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;"}
_LINK = re.compile(r"(?<=:)(?=//)|(?i:(?<=www)(?=\.))")
_MENTION = re.compile("@+")


def escape(text: str) -> str:
    r"""A text that Markdown shows as it is, in a cell or after words of our own (a line that it begins may be a list).

    White space becomes single spaces, as a browser shows it. An @ stands as code, so that it calls for nobody.

    >>> escape("<b>*one*</b> | @team\n::two")
    '&lt;b&gt;\\*one\\*&lt;/b&gt; &#124; `@`team ::two'
    """
    escaped = "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))
    escaped = _LINK.sub(r"\\", escaped)
    return _MENTION.sub(lambda found: f"`{found[0]}`", escaped)


def table(columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], *, numeric: tuple[str, ...] = ()) -> list[str]:
    """The lines of a table."""
    rule = ("---:" if name in numeric else "---" for name in columns)
    return [_row(map(escape, columns)), _row(rule), *(_row(map(escape, row)) for row in rows)]


def _row(row: Iterable[str]) -> str:
    return f"| {' | '.join(row)} |"
