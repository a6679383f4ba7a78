"""Other people's text on a page: what would hide, reorder or break it is shown by its code point."""

from __future__ import annotations

import re
import unicodedata

# Controls of both kinds, zero-width and bidirectional marks, lone surrogates, separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# What neither XML 1.0 (section 2.2) nor an HTML page should hold.
_NONCHARACTER = re.compile("[\ufdd0-\ufdef\ufffe\uffff]")


def visible(text: str) -> str:
    r"""The text on one line, with every character that can't be seen written as `⟦U+XXXX⟧`.

    White space becomes single spaces, as a browser shows it.

    >>> visible("moc.\u202eexe\n\x00 name")
    'moc.⟦U+202E⟧exe ⟦U+0000⟧ name'
    """
    spaced = re.sub(r"[ \t\r\n]+", " ", text)
    return "".join(_code(each) if _is_unseen(each) else each for each in spaced)


def shortened(text: str, *, most: int = 40) -> str:
    """The text, visible, with at most `most` characters: for labels in pictures, beside tables that have it in full.

    >>> shortened("abcdefgh", most=5)
    'abcd…'
    """
    shown = visible(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _is_unseen(character: str) -> bool:
    return (
        unicodedata.category(character) in _UNSEEN
        or _NONCHARACTER.match(character) is not None
        or ord(character) & 0xFFFE == 0xFFFE
    )


def _code(character: str) -> str:
    return f"⟦U+{ord(character):04X}⟧"
