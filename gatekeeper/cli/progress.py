"""Progress on stderr: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from gatekeeper.cli.streams import say
from gatekeeper.core.pace import Pace, in_words

# Where nobody watches, a stage says how far it is at each tenth of it, but not more often than the first of these, and
# not more seldom than the second: CI systems end jobs that say nothing for ten minutes.
LEAST_SECONDS, MOST_SECONDS = 30.0, 300.0
_PERCENT = 10


class _TimeLeft(ProgressColumn):
    """The rest of a stage by its pace: steps of a minute each have one too."""

    def render(self, task: Task) -> Text:
        left = task.fields["pace"].seconds_left(now=time.monotonic())
        return Text("" if left is None or task.finished else f"about {in_words(left)} left", style="cyan")


class StderrProgress:
    """Draws what the pipeline reports; a context manager.

    Args:
        quiet: whether to draw nothing.
        clock: seconds that never go back.
    """

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet, self._clock = quiet, clock
        self._began = clock()
        self._bars = _bars() if not quiet and watched() else None
        self._task: TaskID | None = None
        self._title, self._pace = "", Pace(0)
        self._said_at, self._said_percent = self._began, 0

    def __enter__(self) -> StderrProgress:
        """Start drawing."""
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        if self._bars is not None:
            self._bars.stop()

    def begin(self, title: str, total: int) -> None:
        """A stage begins that will take `total` steps."""
        self._title, self._pace = title, Pace(total)
        if self._bars is None:
            self._say(title)
        else:
            self._task = self._bars.add_task(title, total=total, pace=self._pace)

    def done(self, steps: int) -> None:
        """`steps` of the stage's total are done."""
        self._pace.reach(steps, now=self._clock())
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=steps)
        elif not self._quiet:
            self._say_how_far()

    def advance(self, steps: int) -> None:
        """`steps` more are done."""
        self.done(self._pace.done + steps)

    def _say_how_far(self) -> None:
        now, pace = self._clock(), self._pace
        silent, further = now - self._said_at, pace.percent // _PERCENT > self._said_percent // _PERCENT
        if pace.percent == 100 or silent < LEAST_SECONDS or not (further or silent >= MOST_SECONDS):
            return
        left = pace.seconds_left(now=now)
        rest = "" if left is None else f", about {in_words(left)} left"
        self._say(f"{self._title}: {pace.done} of {pace.total} ({pace.percent} %){rest}", percent=pace.percent)

    def _say(self, text: str, *, percent: int = 0) -> None:
        self._said_at, self._said_percent = self._clock(), percent
        if not self._quiet:
            say(f"[{self._said_at - self._began:6.1f} s] {text}")


def watched() -> bool:
    """Whether stderr is a terminal on which a line can be drawn again; FORCE_COLOR makes no terminal of a file."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        _TimeLeft(),
        console=Console(stderr=True),
    )
