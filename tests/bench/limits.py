"""A process that answers one question at a time, with a clock and a ceiling of memory: a hang is a result too."""

from __future__ import annotations

import dataclasses
import importlib
import logging
import multiprocessing
import resource
import sys
import time
import warnings
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

KILOBYTE = 1024 if sys.platform == "linux" else 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one question ended: a value, or the name of what went wrong."""

    value: Any
    failure: str | None
    seconds: float
    peak_bytes: int


class Limited:
    """Calls `module.function(*arguments)` in a process of its own, and starts another after one had to be killed.

    Args:
        module: imported in the process before the clock starts.
        seconds: how long one call may take.
        prepare: a first call, outside the clock, which loads what later ones need.
        bytes_more: how much address space later calls may add.
    """

    def __init__(
        self, module: str, *, seconds: float, prepare: tuple[object, ...] = (), bytes_more: int = 3 * 2**30
    ) -> None:
        self._module, self._seconds, self._prepare, self._bytes_more = module, seconds, prepare, bytes_more
        self._process: Any = None
        self._pipe: Connection | None = None

    def __enter__(self) -> Limited:
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._module, self._prepare, self._bytes_more), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            self._pipe.recv()
        except EOFError as error:
            raise RuntimeError(f"{self._module} could not be prepared with {self._prepare}") from error

    def _stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()

    def ask(self, function: str, *arguments: object) -> Outcome:
        """The outcome of one call: its value, or the exception's name, `timeout`, or `killed`."""
        began = time.perf_counter()
        self._pipe.send((function, arguments))
        if not self._pipe.poll(self._seconds):
            return self._restarted("timeout", time.perf_counter() - began)
        try:
            return self._pipe.recv()
        except EOFError:
            return self._restarted("killed", time.perf_counter() - began)

    def _restarted(self, failure: str, seconds: float) -> Outcome:
        self._stop()
        self._start()
        return Outcome(value=None, failure=failure, seconds=seconds, peak_bytes=0)


def _serve(pipe: Connection, name: str, prepare: tuple[Any, ...], bytes_more: int) -> None:
    warnings.simplefilter("ignore")
    logging.disable()
    module = importlib.import_module(name)
    if prepare:
        getattr(module, prepare[0])(*prepare[1:])
    if sys.platform == "linux":
        with open("/proc/self/statm") as statistics:
            present = int(statistics.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (present + bytes_more, present + bytes_more))
    pipe.send("ready")
    while True:
        function, arguments = pipe.recv()
        pipe.send(_outcome(getattr(module, function), arguments))


def _outcome(function: Any, arguments: tuple[object, ...]) -> Outcome:
    value, failure, began = None, None, time.perf_counter()
    try:
        value = function(*arguments)
    except Exception as error:  # whatever another library raises is what the table shows
        failure = type(error).__name__
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KILOBYTE
    return Outcome(value=value, failure=failure, seconds=seconds, peak_bytes=peak)


def hang() -> None:
    """Never answer: for the tests."""
    while True:
        time.sleep(1)


def burst(size: int) -> int:
    """Take memory: for the tests."""
    return len(bytearray(size))
