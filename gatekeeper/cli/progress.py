"""Progress on stderr: a bar on a terminal, a line a stage elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class StderrProgress:
    """Draws what the pipeline reports; a context manager.

    Args:
        quiet: whether to draw nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = time.monotonic()

    def __enter__(self) -> StderrProgress:
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._bars.stop()

    def begin(self, title: str, total: int) -> None:
        """A stage begins that will take `total` steps."""
        self._task = self._bars.add_task(title, total=total)
        if not self._console.is_terminal:
            self._console.print(f"[{time.monotonic() - self._began:6.1f} s] {title}", highlight=False, markup=False)

    def done(self, steps: int) -> None:
        """`steps` of the stage's total are done."""
        if self._task is not None:
            self._bars.update(self._task, completed=steps)

    def advance(self, steps: int) -> None:
        """`steps` more are done."""
        if self._task is not None:
            self._bars.advance(self._task, steps)
