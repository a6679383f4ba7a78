"""What a training leaves behind while it runs, so that it can go on after an interruption."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from gatekeeper.core.checks import check_integer, check_non_negative, check_sha256, check_text, check_tuple
from gatekeeper.core.record import Software
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a training began with, all of which must be the same when it goes on.

    Attributes:
        gatekeeper: version of gatekeeper.
        candidate: digest of the candidate.
        plan: digest of the plan.
        software: what it runs on.
    """

    gatekeeper: str
    candidate: str
    plan: str
    software: tuple[Software, ...]

    def __post_init__(self) -> None:
        check_text(gatekeeper=self.gatekeeper)
        check_sha256(candidate=self.candidate)
        check_sha256(plan=self.plan)
        check_tuple(software=self.software, of=Software)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An entry of the training's journal: how far it has got, and how many more noisy sums it may form unseen.

    A noisy sum is formed only under a claim that is on the disk already. So a process that dies leaves at least as
    many claimed as it formed, and each that is claimed counts.

    Attributes:
        start: which start of the training wrote it, from 1.
        step: steps of the recipe that the checkpoint holds.
        begun: noisy sums that count when the entry is written, over all starts.
        claimed: noisy sums that count until the next entry is written, at least `begun`; equal to it where the
            training stopped or ended of its own accord.
        checkpoint: SHA-256 of the checkpoint to go on from; None for the initial weights.
        seconds: time spent on training when the entry was written, over all starts that left an entry behind.
    """

    start: int
    step: int
    begun: int
    claimed: int
    checkpoint: str | None
    seconds: float

    def __post_init__(self) -> None:
        check_integer(start=self.start, at_least=1)
        check_integer(step=self.step, at_least=0)
        check_integer(begun=self.begun, at_least=self.step)
        check_integer(claimed=self.claimed, at_least=self.begun)
        check_non_negative(seconds=self.seconds)
        if self.checkpoint is not None:
            check_sha256(checkpoint=self.checkpoint)
        if (self.checkpoint is None) != (self.step == 0):
            raise InvalidValueError(f"step {self.step} with checkpoint {self.checkpoint!r}: only step 0 needs none")

    def may_follow(self, earlier: Claim | None) -> bool:
        """Whether a training that wrote `earlier` last (None: nothing yet) can have written this entry next."""
        if earlier is None:
            return (self.start, self.step, self.begun) == (1, 0, 0)
        if self.start == earlier.start:
            return self.begun - earlier.begun == self.step - earlier.step >= 0 and self.begun <= earlier.claimed
        return self.start == earlier.start + 1 and self.begun == earlier.claimed and self.step <= earlier.step


class Vault(Protocol):
    """Where a training keeps what it goes on from: private files by name.

    What a method wrote survives a loss of power once it has returned.
    """

    def read(self, name: str) -> bytes | None:
        """The content of a file, or None where there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Write a file that appears whole or not at all."""

    def append(self, name: str, content: bytes) -> None:
        """Add to the end of a file; a process that dies may leave a part of it."""

    def keep(self, names: Collection[str]) -> None:
        """Remove every other file."""
