"""How fast a stage goes, and when it will be done."""

from __future__ import annotations


class Pace:
    """Steps of one stage over time.

    What a stage does before its first step (loading, checks) says nothing of its steps, and steps that an earlier start
    did took no time now: the rate is counted from the first report on.

    Args:
        total: steps of the stage; at least 0.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._first: tuple[float, int] | None = None
        self._latest = 0.0

    def reach(self, done: int, *, now: float) -> None:
        """`done` of the total are done.

        Args:
            done: steps, those of earlier starts included.
            now: seconds of a clock that never goes back.
        """
        self.done, self._latest = done, now
        if self._first is None:
            self._first = (now, done)

    @property
    def percent(self) -> int:
        """How much is done, rounded down; at most 100."""
        return min(100, 100 * self.done // self.total) if self.total else 100

    def seconds_left(self, *, now: float) -> float | None:
        """An estimate by the mean rate so far; None as long as there is none."""
        if self._first is None:
            return None
        began, before = self._first
        if self.done <= before:
            return None
        per_step = (self._latest - began) / (self.done - before)
        return max(0.0, per_step * (self.total - self.done) - (now - self._latest))


def in_words(seconds: float) -> str:
    """A duration for people, rounded: `40 s`, `12 min`, `3 h 05 min`.

    Args:
        seconds: at least 0.

    >>> in_words(40.2), in_words(720), in_words(11_100)
    ('40 s', '12 min', '3 h 05 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
