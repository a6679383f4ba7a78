"""SIGINT, SIGTERM and SIGHUP end a command in the same way, except during a release."""

from __future__ import annotations

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def interrupt_on_termination() -> None:
    """Make SIGTERM and SIGHUP what Ctrl-C is; one that is ignored (`nohup`) stays ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def ignore_interrupts() -> None:
    """From here to the end of the process nothing interrupts: a release is done, and its exit code says so.

    The signals are ignored by the whole process. A mask would cover one thread only, and the kernel
    would hand the signal to a thread of a numerical library, which passes it on to Python.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
