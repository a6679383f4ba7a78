"""Texts as the registry reads them: Markdown with LaTeX, in which nothing of other people's is markup."""

from __future__ import annotations

import re

from gatekeeper.report.markdown_text import escape
from gatekeeper.report.visible import visible

_ESCAPED = re.compile(r"\\(.)")

# What begins a list in Markdown, where a text begins with it.
_LIST = re.compile(r"^([-+]|\d+[.)])(?= |$)")


def shown(text: str) -> str:
    r"""Other people's text in the registry, which renders every text as Markdown with LaTeX; on one line.

    A backslash is written as an entity: two of them would be taken for LaTeX.

    >>> shown("- a\\b $x$")
    '&#45; a&#92;b \\$x\\$'
    """
    escaped = _ESCAPED.sub(lambda found: "&#92;" if found[1] == "\\" else found[0], escape(visible(text)))
    return _LIST.sub(lambda found: f"{found[0][:-1]}&#{ord(found[0][-1])};", escaped)


def paragraphs(*sentences: str | None) -> str:
    """Sentences as paragraphs, without those that are None."""
    return "\n\n".join(shown(sentence) for sentence in sentences if sentence is not None)
