"""Several processes that train as one: each forms a part of every step's clipped sum.

The first process draws the units, tells the others, collects their parts, adds the noise once and updates the weights,
which the others then copy: it runs the mechanism of a single process, and the others only compute for it. A step is
shared out by whole physical batches, and their sums are whole numbers. So the sum is that of a single process, to the
last bit, whatever the number of processes.

A process that dies closes its connections, and one that hangs runs into the time limit: either way the others raise
`ProcessLostError` at their next exchange. Nothing is exchanged as a pickle.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.distributed
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from gatekeeper.core.ranks import OneRank
from gatekeeper.errors import DivergedError, InternalError, ProcessLostError

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

# Others wait so long for the slowest one: more than a step, and than an export.
_LIMIT = timedelta(minutes=10)

# And so long for the first one to plan the run, and for the ledger to count it.
_PATIENCE = timedelta(hours=1)

_RUN = "gatekeeper/run"
_ENDED, _STOPPED = -1, -2


class LoneRank(OneRank):
    """A process that trains by itself; and what one of several may ask for."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that draws, decides and updates."""
        return self.index == 0

    def share(self, pieces: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """This process's part of the pieces of a step, in their order."""
        return list(pieces)

    def tell(self, step: int, units: NDArray[np.int64]) -> None:
        """Tell the others what is next; only the first process may."""

    def end(self, *, stopped: bool = False) -> None:
        """Tell the others that no step is left, or that somebody has asked to stop; only the first process may."""

    def first(self, value: int) -> int:
        """The first process's value."""
        return value

    def any(self, condition: bool) -> bool:
        """Whether it holds in any process."""
        return condition

    @contextlib.contextmanager
    def diverging_together(self) -> Iterator[None]:
        """Let one process's `DivergedError` inside be every process's."""
        yield

    def add_up(self, whole: Tensor) -> None:
        """Add everybody's int64 tensor up in that of the first; what the others' hold then has no meaning."""

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors, all of one type, with those of the first process."""

    def check_alike(self, digest: str) -> None:
        """See to it that every process has come to the same digest, hex SHA-256.

        Raises:
            InternalError: they have not.
        """


class GroupRank(LoneRank):
    """One of several processes; see `Meeting.joined`.

    Args:
        index: which one, from 0.
        count: how many there are.
    """

    def __init__(self, *, index: int, count: int) -> None:
        self.index, self.count = index, count

    def seed(self) -> int:
        """See `Ranks.seed`."""
        halves = torch.tensor([secrets.randbits(63), secrets.randbits(63)])
        self._copy(halves)
        low, high = halves.tolist()
        return int(high) << 63 | int(low)

    def merged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Ranks.merged`."""
        found = torch.from_numpy(values.copy())
        with _losses():
            torch.distributed.all_reduce(found)
        return np.asarray(found.numpy())

    def share(self, pieces: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Each piece goes to the process that has the fewest units so far."""
        loads = [0] * self.count
        mine = []
        for piece in pieces:
            taker = loads.index(min(loads))
            loads[taker] += len(piece)
            if taker == self.index:
                mine.append(piece)
        return mine

    def tell(self, step: int, units: NDArray[np.int64]) -> None:
        """See `LoneRank.tell`."""
        self._copy(torch.tensor([step, len(units)]))
        if len(units):
            self._copy(torch.from_numpy(units))

    def told(self) -> Iterator[Told]:
        """What the first process tells, step by step, in any other.

        Raises:
            KeyboardInterrupt: somebody has asked the first to stop.
        """
        while True:
            head = torch.zeros(2, dtype=torch.int64)
            self._copy(head)
            step, count = head.tolist()
            if step == _STOPPED:
                raise KeyboardInterrupt
            if step == _ENDED:
                return
            units = torch.zeros(count, dtype=torch.int64)
            if count:
                self._copy(units)
            yield Told(step=step, units=units.numpy())

    def end(self, *, stopped: bool = False) -> None:
        """See `LoneRank.end`."""
        self._copy(torch.tensor([_STOPPED if stopped else _ENDED, 0]))

    def first(self, value: int) -> int:
        """See `LoneRank.first`."""
        held = torch.tensor([value])
        self._copy(held)
        return int(held)

    def any(self, condition: bool) -> bool:
        """See `LoneRank.any`."""
        return bool(self._extreme(torch.tensor([int(condition)]), torch.distributed.ReduceOp.MAX))

    @contextlib.contextmanager
    def diverging_together(self) -> Iterator[None]:
        """See `LoneRank.diverging_together`."""
        try:
            yield
        except DivergedError:
            self.any(True)
            raise
        if self.any(False):
            raise DivergedError("training left the finite numbers in another process", hint="see that one's message")

    def add_up(self, whole: Tensor) -> None:
        """See `LoneRank.add_up`: the exact sum is had by the process that adds the noise, and by no other."""
        with _losses():
            torch.distributed.reduce(whole, dst=0)

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """See `LoneRank.copy_first`."""
        with torch.no_grad():
            every = torch.cat([tensor.reshape(-1) for tensor in tensors])
            self._copy(every)
            if not self.is_first:
                parts = torch.split(every, [tensor.numel() for tensor in tensors])
                for tensor, part in zip(tensors, parts, strict=True):
                    tensor.copy_(part.view(tensor.shape))

    def check_alike(self, digest: str) -> None:
        """See `LoneRank.check_alike`."""
        mine = torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8)
        least = self._extreme(mine.clone(), torch.distributed.ReduceOp.MIN)
        most = self._extreme(mine, torch.distributed.ReduceOp.MAX)
        if not torch.equal(least, most):
            raise InternalError(f"the {self.count} processes of the training ended with different weights")

    def _copy(self, tensor: Tensor) -> None:
        with _losses():
            torch.distributed.broadcast(tensor, src=0)

    def _extreme(self, values: Tensor, which: torch.distributed.ReduceOp.RedOpType) -> Tensor:
        with _losses():
            torch.distributed.all_reduce(values, op=which)
        return values


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Told:
    """What the first process told of a step.

    Attributes:
        step: from 0.
        units: the sampled units of all processes.
    """

    step: int
    units: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Meeting:
    """Where the processes of one `torchrun` find each other.

    Attributes:
        run: the directory of the run that they work on.
        store: torchrun's.
        index: of this process.
        count: of processes.
    """

    run: str
    store: Store
    index: int
    count: int

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[GroupRank]:
        """The group, as long as the work is shared.

        Args:
            device: where this process trains: large sums go by NCCL between GPUs, all else by gloo.

        Raises:
            ProcessLostError: another process doesn't come, dies or hangs.
        """
        with _losses():
            torch.distributed.init_process_group(
                backend="gloo" if device.type == "cpu" else "cpu:gloo,cuda:nccl",
                store=self.store,
                rank=self.index,
                world_size=self.count,
                timeout=_LIMIT,
            )
        yield GroupRank(index=self.index, count=self.count)
        # Not after an error: another process may be gone, and nobody to say goodbye to.
        torch.distributed.destroy_process_group()


def meet(run: str | None) -> Meeting:
    """Find the other processes that torchrun started.

    Args:
        run: the run's directory in the first process, which tells it; None in the others, which wait for that.

    Raises:
        ProcessLostError: torchrun or the first process don't answer.
    """
    with _losses():
        store, index, count = next(rendezvous("env://", timeout=_PATIENCE))
        if run is not None:
            store.set(_RUN, run)
        return Meeting(run=store.get(_RUN).decode(), store=store, index=index, count=count)


@contextlib.contextmanager
def _losses() -> Iterator[None]:
    """What torch says of a lost process, as our own error."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ProcessLostError(
            f"another process of the training ended or doesn't answer: {reason}",
            hint="its own message says why; the training can be gone on with",
        ) from error
