"""The library breaching, asked in a process of its own (`breaching_worker`) and of its own environment."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tests.bench.breaching_attacks import Inversion, Row

ROOT = Path(__file__).parent.parent.parent

# Of the C library, what `gatekeeper.training.memory` sets for this process.
_KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1)}


class BreachingError(Exception):
    """What the second process says, or that it says nothing any more."""


def parsed(line: str) -> dict[str, Any]:
    """An answer of the second process.

    Raises:
        BreachingError: it says what went wrong, or isn't one.
    """
    try:
        answer = json.loads(line)
    except json.JSONDecodeError as error:
        raise BreachingError(f"no answer: {line.strip()[:80]!r}") from error
    if not isinstance(answer, dict):
        raise BreachingError(f"no answer: {line.strip()[:80]!r}")
    if "failure" in answer:
        raise BreachingError(str(answer["failure"]))
    return answer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ran:
    """A run of an attack.

    Attributes:
        seconds: that it took.
        similarities: NCC with the truth, shape (images,).
    """

    seconds: float
    similarities: NDArray[np.float64]


class Breaching:
    """The library's attacks in a process of its own.

    Args:
        environment: its virtual environment.
        cpu_time: whether its clock is the processor's.
    """

    def __init__(self, environment: Path, *, cpu_time: bool) -> None:
        self._environment, self._clock = environment.absolute(), "process_time" if cpu_time else "perf_counter"

    def __enter__(self) -> Breaching:
        call = f"serve(threads={torch.get_num_threads()}, clock={self._clock!r})"
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [self._environment / "bin/python", "-c", f"from tests.bench.breaching_worker import serve; {call}"],
            cwd=ROOT,
            env={**os.environ, **_KEEP_FREED_MEMORY},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def prepare(self, work: Inversion | Row) -> None:
        """Make the attack that later runs are of."""
        self._ask(work)

    def run(self) -> Ran:
        """Run it once."""
        answer = self._ask(None)
        return Ran(seconds=float(answer["seconds"]), similarities=np.array(answer["similarities"]))

    def _ask(self, asked: Inversion | Row | None) -> dict[str, Any]:
        try:
            pickle.dump(asked, self._process.stdin)
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            raise BreachingError(said[-1] if said else f"ended with status {self._process.returncode}")
        return parsed(line.decode())
