"""What lets a training go on after an interruption, and what it costs: a journal of claims, and checkpoints.

A process may die at any moment, and each noisy sum that it formed may have been seen. So every sum is claimed on the
disk before it is formed, a block of them at a time, and whatever was claimed counts: a training that goes on takes the
weights back to the checkpoint, and the *count* never back. What is done again is done with the next batch and fresh
noise.

*The mechanism.* Number the claimed sums of all starts 0, 1, 2 … in order. Sum number n takes batch number n of one
sequence of batches: Poisson batches are independent anyway, and of balls and bins the deal of the epoch in progress is
kept, so that its remaining batches go on as they were dealt and no batch is used twice. The weights at which sum n is
taken depend on earlier sums (and on when the process died), which adaptive composition allows. So all starts together
release some of the sums of one uninterrupted run of as many steps as were claimed: those that were claimed and not
formed are left out, which is post-processing. That run is what is accounted, and `epochs_begun` its epochs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.core.codec import decode, encode
from gatekeeper.core.record import TrainingPlan
from gatekeeper.core.resumption import Claim, Origin, Vault
from gatekeeper.errors import InvalidValueError, RunDirectoryError, UnresumableError
from gatekeeper.training.checkpoint import digest_of, pack_deal, pack_state, unpack_deal, unpack_state
from gatekeeper.training.journal import line_of, read_journal

_JOURNAL, _ORIGIN, _DEAL = "journal", "origin.json", "deal"
_KEPT = 2  # checkpoints: the newest, and the one before it should that be damaged
_DEATHS = 20  # a process that dies costs at most this share of the allowance


class Stateful(Protocol):
    """A part of the training that later steps depend on; the names in its state are its own."""

    def state(self) -> dict[str, Tensor]:
        """Everything that later steps depend on but their number."""

    def load_state(self, state: dict[str, Tensor], *, step: int) -> None:
        """Go on from a state of all parts after `step` steps."""


class Lifeline:
    """Counts the noisy sums of a training over all its starts, and keeps what the next start goes on from.

    Args:
        vault: where journal, checkpoints and the deal lie.
        plan: the steps of the recipe, and those that may be done again.
        origin: what the training is made of now.
        stop: whether somebody has asked to stop; looked at after each step.

    Attributes:
        step: steps of the recipe that are done.
        begun: noisy sums that count, over all starts.
        starts: how often the training was started, this time included once it has begun a step.
        notes: what a person should know of how it goes on.

    Raises:
        RunDirectoryError: what lies in the vault is damaged.
        UnresumableError: it began with something else, or left too few steps.
    """

    def __init__(
        self, vault: Vault, *, plan: TrainingPlan, origin: Origin, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._vault, self._plan, self._origin, self._stop = vault, plan, origin, stop
        self._block = max(1, plan.resume_allowance // _DEATHS) if plan.resume_allowance else plan.steps
        self._claims = self._read_claims()
        self._claimed = self.begun = self._claims[-1].claimed if self._claims else 0
        self.starts = self._claims[-1].start if self._claims else 0
        self.notes: tuple[str, ...] = ()
        self._checkpoint: str | None = None
        self._state: dict[str, Tensor] | None = None
        self.step = 0
        self._find_checkpoint()
        self._check_allowance()
        self._earlier = self._claims[-1].seconds if self._claims else 0.0
        self._began, self._going = time.monotonic(), False

    @classmethod
    def unkept(cls, plan: TrainingPlan) -> Lifeline:
        """One that keeps nothing: the training can't go on after an interruption."""
        return cls(_Nowhere(), plan=plan, origin=Origin(gatekeeper="-", candidate="0" * 64, plan="0" * 64, software=()))

    @property
    def redone(self) -> int:
        """Noisy sums that count beyond the recipe's steps so far."""
        return self.begun - self.step

    @property
    def seconds(self) -> float:
        """Time spent on training, over all starts that left an entry behind."""
        return round(self._earlier + time.monotonic() - self._began, 3)

    def restore(self, *parts: Stateful) -> None:
        """Bring fresh parts to where the training goes on; without a checkpoint they stay as they are."""
        if self._state is not None:
            for part in parts:
                part.load_state(self._state, step=self.step)
            self._state = None

    def begin(self) -> None:
        """Make sure that the next noisy sum is claimed: it must be called before that sum is formed."""
        if not self._going:
            self._going, self.starts = True, self.starts + 1
            self._vault.write(_ORIGIN, encode(self._origin).encode())
            self._claim(self._next_block())

    def done(self, *parts: Stateful) -> None:
        """Count a noisy sum and the step that was made of it; keep every part at the end of a block.

        Raises:
            KeyboardInterrupt: somebody asked to stop, and the parts are kept.
        """
        self.begun, self.step = self.begun + 1, self.step + 1
        stop = self._stop() and self.step < self._plan.steps
        if stop or self.begun == self._claimed:
            content = pack_state({name: value for part in parts for name, value in part.state().items()})
            self._checkpoint = digest_of(content)
            self._vault.write(_file_of(self._checkpoint), content)
            self._claim(self.begun if stop else self._next_block())
            self._vault.keep(self._wanted())
        if stop:
            raise KeyboardInterrupt

    def deal(self, epoch: int, draw: Callable[[], NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """The deal of an epoch of balls and bins: as it was kept, or drawn now and kept before it is used.

        A kept deal of an earlier epoch says that this one was never begun, so none of its batches was used.

        Raises:
            RunDirectoryError: the kept deal is damaged, or of a later epoch.
        """
        content = self._vault.read(_DEAL)
        if content is not None:
            kept, bins = unpack_deal(content)
            if kept > epoch:
                raise RunDirectoryError(f"batches of epoch {kept} were dealt, and the training is in epoch {epoch}")
            if kept == epoch:
                return bins
        bins = draw()
        self._vault.write(_DEAL, pack_deal(epoch, bins))
        return bins

    def _next_block(self) -> int:
        return self.begun + min(self._block, self._plan.steps - self.step)

    def _claim(self, claimed: int) -> None:
        claim = Claim(
            start=self.starts,
            step=self.step,
            begun=self.begun,
            claimed=claimed,
            checkpoint=self._checkpoint,
            seconds=self.seconds,
        )
        self._vault.append(_JOURNAL, line_of(claim))
        self._claims.append(claim)
        self._claimed = claimed

    def _wanted(self) -> Collection[str]:
        wanted = {_JOURNAL, _ORIGIN, _DEAL}
        checkpoints: set[str] = set()
        for claim in reversed(self._claims):
            if claim.checkpoint is None or len(checkpoints) == _KEPT:
                break
            checkpoints.add(claim.checkpoint)
        return wanted | set(map(_file_of, checkpoints))

    def _read_claims(self) -> list[Claim]:
        content = self._vault.read(_JOURNAL)
        if content is None:
            return []
        journal = read_journal(content)
        if journal.torn:
            self._vault.write(_JOURNAL, b"".join(map(line_of, journal.claims)))
        if journal.claims:
            self._check_origin()
        return list(journal.claims)

    def _check_origin(self) -> None:
        """Refuse to go on with anything else than the training began with."""
        content = self._vault.read(_ORIGIN)
        try:
            began = decode((content or b"").decode(), Origin)
        except (InvalidValueError, UnicodeDecodeError) as error:
            raise RunDirectoryError(f"{_ORIGIN} of the training was changed or lost: {error}") from error
        changes = _changes(began, self._origin)
        if changes:
            raise UnresumableError(
                "the training can't go on, because it began with something else: " + "; ".join(changes),
                hint="go on with what it began with, or certify anew; this run stays counted in full",
            )

    def _find_checkpoint(self) -> None:
        """The newest checkpoint that is as it was written; the one before it where that is damaged."""
        damaged = []
        for claim in reversed(self._claims):
            if claim.checkpoint is None or claim.checkpoint in damaged:
                continue
            content = self._vault.read(_file_of(claim.checkpoint))
            if content is not None and digest_of(content) == claim.checkpoint:
                self._checkpoint, self.step, self._state = claim.checkpoint, claim.step, unpack_state(content)
                break
            damaged.append(claim.checkpoint)
        if damaged:
            lost = ", ".join(_file_of(each) for each in damaged)
            self.notes = (f"damaged or lost: {lost}; going on from step {self.step}",)

    def _check_allowance(self) -> None:
        """Refuse to form more noisy sums than the ledger has counted."""
        left, reserved = self._plan.steps - self.step, self._plan.mechanism.steps
        if self.begun + left > reserved:
            raise UnresumableError(
                f"the run may have formed {self.begun} noisy sums, and {left} of the recipe's {self._plan.steps} steps "
                f"are left to do: together more than the {reserved} that were planned and counted",
                hint="certify anew; to survive such deaths, plan for steps that are done again: "
                f"training.resume_allowance (now {self._plan.resume_allowance}). This run stays counted in full",
            )


def _file_of(checkpoint: str) -> str:
    return f"checkpoint-{checkpoint[:16]}.safetensors"


def _changes(began: Origin, now: Origin) -> list[str]:
    """What differs, in words."""
    changes = [f"the {name} is another" for name in ("candidate", "plan") if getattr(began, name) != getattr(now, name)]
    if began.gatekeeper != now.gatekeeper:
        changes.append(f"gatekeeper {began.gatekeeper}, now {now.gatekeeper}")
    then, present = ({each.name: each.version for each in origin.software} for origin in (began, now))
    for name in sorted(then.keys() | present.keys()):
        if then.get(name) != present.get(name):
            changes.append(f"{name} {then.get(name)}, now {present.get(name)}")
    return changes


class _Nowhere:
    """A vault that keeps nothing."""

    def read(self, name: str) -> bytes | None:
        return None

    def write(self, name: str, content: bytes) -> None:
        pass

    def append(self, name: str, content: bytes) -> None:
        pass

    def keep(self, names: Collection[str]) -> None:
        pass
