"""What units of data have spent over all runs: the entries of the ledger, and what they add up to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from gatekeeper.core.checks import (
    check_choice,
    check_integer,
    check_open_probability,
    check_sha256,
    check_text,
    check_tuple,
)
from gatekeeper.core.fields import ADDED
from gatekeeper.core.lock import LockNote
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError

Conclusion = Literal["approved", "refused", "inconclusive", "failed"]

CONCLUSIONS: tuple[str, ...] = get_args(Conclusion)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identities:
    """By what names each unit of a training set is known. Private: only their HMACs enter a ledger.

    A unit may be known by several: two units are the same where any of these agrees.

    Attributes:
        units: for each unit its identities, at least one.
    """

    units: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        check_tuple(units=self.units, of=tuple)
        if not self.units or not all(self.units):
            raise InvalidValueError("there must be a unit, and each unit needs at least one identity")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """What a run may take of its units, written down before its first step.

    Attributes:
        run: the run's id, unique in the ledger.
        mechanism: what will run, or None for a run that is not private at all.
        delta: the δ at which the run is accounted.
        non_private: whether the run also (or only) trains without privacy: a twin, or ε = ∞.
        policy_name: the policy's name, for people.
        policy_digest: SHA-256 of the policy's canonical form.
        lock: the lock on that policy, signed before the run, or None.
        audit_only: whether the run is never to be signed.
    """

    run: str
    mechanism: Mechanism | None
    delta: float
    non_private: bool
    policy_name: str
    policy_digest: str
    lock: LockNote | None = field(default=None, metadata=ADDED)
    audit_only: bool = field(default=False, metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(run=self.run)
        check_open_probability(delta=self.delta)
        check_text(policy_name=self.policy_name)
        check_sha256(policy_digest=self.policy_digest)
        if self.mechanism is None and not self.non_private:
            raise InvalidValueError("a run without a mechanism is a non-private one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Spend:
    """What one run took of a unit.

    Attributes:
        run: the run's id.
        mechanism: as settled, or as reserved where the run was never settled: it may have taken every step.
        settled: whether the run reported what it did.
        multiplicity: how many of the run's units were this one, at least 1. Above 1 where the run protected smaller
            units, such as the images of a patient: then its guarantee speaks of each of them, not of all at once.
    """

    run: str
    mechanism: Mechanism
    settled: bool
    multiplicity: int = 1

    def __post_init__(self) -> None:
        check_text(run=self.run)
        check_integer(multiplicity=self.multiplicity, at_least=1)

    @property
    def taken(self) -> Mechanism:
        """A mechanism that takes of the unit at least what the run took: of all m of the run's units that it was.

        Together they change a step's sum by at most mC, and take part in it with a probability of at most mq. Dealt
        into bins, Σ Nₜ² over an epoch's steps is at most m²: no worse than all m in one bin, which bin being told.
        """
        mechanism, times = self.mechanism, self.multiplicity
        if times == 1:
            return mechanism
        noise = mechanism.noise_multiplier / times
        if mechanism.sampling == "poisson":
            return replace(mechanism, noise_multiplier=noise, sampling_rate=min(1.0, times * mechanism.sampling_rate))
        return replace(
            mechanism, sampling="poisson", sampling_rate=1.0, steps=mechanism.epochs_begun, noise_multiplier=noise
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The spends that a group of units has in common.

    Attributes:
        units: how many units have exactly this history, at least 1.
        spends: in the ledger's order; empty for units that no private run has used.
    """

    units: int
    spends: tuple[Spend, ...]

    def __post_init__(self) -> None:
        check_integer(units=self.units, at_least=1)
        check_tuple(spends=self.spends, of=Spend)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a ledger says of a set of units.

    Attributes:
        histories: every distinct history among the units.
        runs: private runs that used any of them.
        non_private_runs: runs that used any of them without privacy; never part of a sum.
        attempts: runs that used any of them under the policy that was asked about.
    """

    histories: tuple[History, ...]
    runs: int
    non_private_runs: int
    attempts: int

    def __post_init__(self) -> None:
        check_tuple(histories=self.histories, of=History)
        check_integer(runs=self.runs, at_least=0)
        check_integer(non_private_runs=self.non_private_runs, at_least=0)
        check_integer(attempts=self.attempts, at_least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerHead:
    """Which ledger, and how far it had got: whoever kept an earlier head sees truncation and replacement.

    Attributes:
        ledger: the ledger's id, 32 hexadecimal digits, drawn when it was made.
        length: its number of entries.
        digest: the hash of its last entry, which chains all entries before it.
    """

    ledger: str
    length: int
    digest: str

    def __post_init__(self) -> None:
        check_text(ledger=self.ledger)
        check_integer(length=self.length, at_least=0)
        check_sha256(digest=self.digest)

    def __str__(self) -> str:
        return f"{self.ledger}:{self.length}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> LedgerHead:
        """The head that `str` wrote.

        Raises:
            InvalidValueError: the text is not of the form ID:LENGTH:DIGEST.
        """
        parts = text.strip().split(":")
        if len(parts) != 3 or not parts[1].isascii() or not parts[1].isdecimal() or len(parts[1]) > 18:
            raise InvalidValueError(f"a ledger's head has the form ID:LENGTH:DIGEST, got {text!r}")
        return cls(ledger=parts[0], length=int(parts[1]), digest=parts[2])


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerStatement:
    """What a certificate says of the data's past: the run itself is included.

    Attributes:
        run: this run's id.
        head: the ledger, just after this run was settled.
        runs: private runs that used any of this run's units.
        non_private_runs: runs without privacy that used any of them: what they yielded lies outside every ε.
        attempts: which attempt of its policy on these units the run is, from 1.
        spends: all spends of the units that have spent the most, this run's among them.
        lock: the lock that the run was counted with before its first step, or None.
        audit_only: whether it was counted as one that is never to be signed.
    """

    run: str
    head: LedgerHead
    runs: int
    non_private_runs: int
    attempts: int
    spends: tuple[Spend, ...]
    lock: LockNote | None = field(default=None, metadata=ADDED)
    audit_only: bool = field(default=False, metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(run=self.run)
        check_integer(runs=self.runs, at_least=1)
        check_integer(non_private_runs=self.non_private_runs, at_least=0)
        check_integer(attempts=self.attempts, at_least=1)
        check_tuple(spends=self.spends, of=Spend)
        if [spend.settled for spend in self.spends if spend.run == self.run] != [True]:
            raise InvalidValueError(f"run {self.run!r} must be among the spends, once and settled")
        if len(self.head.ledger) != 32 or set(self.head.ledger) - set("0123456789abcdef"):
            raise InvalidValueError(f"a ledger's id has 32 lower-case hexadecimal digits, got {self.head.ledger!r}")
        entries = 1 + max(self.runs, self.non_private_runs) + sum(spend.settled for spend in self.spends)
        if self.head.length < entries:
            raise InvalidValueError(f"a ledger of {self.head.length} entries can't tell of so many runs")
        if len(self.spends) > self.runs or self.attempts > self.runs:
            raise InvalidValueError(
                f"{len(self.spends)} spends and {self.attempts} attempts don't fit {self.runs} runs, this one included"
            )


def check_conclusion(**named: object) -> None:
    """Require the name of a run's end."""
    check_choice(choices=CONCLUSIONS, **named)
