"""The folder of a frontier: what was asked, how far it has got, and in the end its results; each file is whole.

```
<out>/
  progress.json     the question, the runs of each point, and every finished point; what --resume reads
  lock              held while a process works here
  frontier.*        the results, once all points are there
```
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gatekeeper.core.budget import Guarantee
from gatekeeper.core.checks import check_integer, check_non_negative, check_sha256, check_text, check_tuple
from gatekeeper.core.codec import decode, encode
from gatekeeper.core.frontier_point import FrontierPoint
from gatekeeper.core.record import DatasetCard
from gatekeeper.errors import InvalidInputError, InvalidValueError, RunDirectoryError
from gatekeeper.rundir import disk_errors, write_atomically

_PROGRESS, _LOCK = "progress.json", "lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontierOrder:
    """What is asked of a frontier.

    Attributes:
        policy_digest: SHA-256 of the policy's canonical form.
        candidate_digest: SHA-256 of the candidate's.
        epsilons: the budgets, in the order in which they are tried; infinity for training without privacy.
        seeds: of each budget.
    """

    policy_digest: str
    candidate_digest: str
    epsilons: tuple[float, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        check_sha256(policy_digest=self.policy_digest)
        check_sha256(candidate_digest=self.candidate_digest)
        for name in ("epsilons", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise InvalidValueError(f"{name} must be at least one, each once; got {values!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontierEntry:
    """How far one point has got.

    Attributes:
        epsilon: its ε.
        seed: its seed.
        runs: the run directories that were begun for it, the newest last.
        point: what it gave, or None.
    """

    epsilon: float
    seed: int
    runs: tuple[str, ...] = ()
    point: FrontierPoint | None = None

    def __post_init__(self) -> None:
        check_non_negative(epsilon=self.epsilon)
        check_integer(seed=self.seed, at_least=0)
        check_tuple(runs=self.runs, of=str)
        for run in self.runs:
            check_text(run=run)


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontierProgress:
    """How far a frontier has got.

    Attributes:
        order: what was asked.
        entries: one for each ε and seed, in the order in which they are tried.
        dataset: the data's public facts, once a run was planned.
        total: ε of all runs on the units, after the last run that was measured.
    """

    order: FrontierOrder
    entries: tuple[FrontierEntry, ...]
    dataset: DatasetCard | None = None
    total: Guarantee | None = None

    @classmethod
    def begin(cls, order: FrontierOrder) -> FrontierProgress:
        """Nothing is done yet."""
        return cls(
            order=order,
            entries=tuple(FrontierEntry(epsilon=e, seed=seed) for e in order.epsilons for seed in order.seeds),
        )

    def with_entry(self, entry: FrontierEntry) -> FrontierProgress:
        """The same, with the entry of that ε and seed replaced."""
        key = (entry.epsilon, entry.seed)
        return replace(
            self, entries=tuple(entry if (each.epsilon, each.seed) == key else each for each in self.entries)
        )


class FrontierFolder:
    """A folder in which one frontier is worked on; made by `open_folder`.

    Args:
        path: the folder.
        progress: how far it has got.
    """

    def __init__(self, path: Path, progress: FrontierProgress) -> None:
        self.path = path
        self.progress = progress

    def keep(self, progress: FrontierProgress) -> None:
        """Remember how far the frontier has got, on the disk when the method has returned."""
        self._write(_PROGRESS, encode(progress).encode())
        self.progress = progress

    def write_results(self, files: Mapping[str, bytes]) -> None:
        """Write the results, each in one step."""
        for name, content in files.items():
            self._write(name, content)

    def _write(self, name: str, content: bytes) -> None:
        with disk_errors(self.path / name):
            write_atomically(self.path / name, content)


@contextlib.contextmanager
def open_folder(path: Path, *, order: FrontierOrder, resume: bool) -> Iterator[FrontierFolder]:
    """A new folder for a frontier, or the one to go on in; held for this process alone.

    Args:
        path: it must not exist, or be empty; to resume, it must hold this very frontier.
        order: what is asked.
        resume: whether to go on.

    Raises:
        InvalidInputError: the folder holds something else, nothing to go on with, or another frontier.
        RunDirectoryError: it can't be read or written, or another process works in it.
    """
    with disk_errors(path):
        if not resume:
            _check_fresh(path)
            path.mkdir(mode=0o700, exist_ok=True)
        elif not (path / _PROGRESS).is_file():
            raise InvalidInputError(
                "holds no frontier to go on with", where=str(path), hint="leave out --resume to begin one"
            )
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunDirectoryError("another process is working on this frontier", where=str(path)) from error
        folder = FrontierFolder(path, _read(path, order) if resume else FrontierProgress.begin(order))
        folder.keep(folder.progress)
        yield folder
    finally:
        os.close(descriptor)


def _check_fresh(path: Path) -> None:
    if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
        raise InvalidInputError("is no directory", where=str(path), hint="choose another --out")
    if path.is_dir() and any(path.iterdir()):
        hint = "add --resume to go on with it" if (path / _PROGRESS).exists() else "choose another --out"
        raise InvalidInputError("is not empty, and nothing is overwritten", where=str(path), hint=hint)
    if not path.absolute().parent.is_dir():
        raise InvalidInputError("its parent directory does not exist", where=str(path), hint=f"mkdir -p {path.parent}")


def _read(path: Path, order: FrontierOrder) -> FrontierProgress:
    try:
        progress = decode((path / _PROGRESS).read_text(encoding="utf-8"), FrontierProgress)
    except (InvalidValueError, UnicodeDecodeError) as error:
        raise RunDirectoryError(f"{_PROGRESS} was changed or cut short: {error}", where=str(path)) from error
    for what, then, now in (
        ("policy", progress.order.policy_digest, order.policy_digest),
        ("candidate", progress.order.candidate_digest, order.candidate_digest),
        ("list of epsilons", progress.order.epsilons, order.epsilons),
        ("list of seeds", progress.order.seeds, order.seeds),
    ):
        if then != now:
            raise InvalidInputError(
                f"the {what} is not that of the frontier: it was {then}, now {now}",
                where=str(path),
                hint="go on with what it began with, or begin another one in another --out",
            )
    return progress
