"""What rich draws, as text: the same for every report and table."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console, RenderableType


def printed(parts: Iterable[RenderableType], *, width: int, colour: bool) -> str:
    """The parts one below the other, without blanks at the ends of lines.

    Args:
        parts: texts and tables; nothing in a text is taken for markup.
        width: columns.
        colour: whether to use ANSI colours.
    """
    output = io.StringIO()
    console = Console(
        file=output, width=width, force_terminal=colour, no_color=not colour, highlight=False, markup=False, emoji=False
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines()) + "\n"
