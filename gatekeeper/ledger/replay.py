"""The entries read in order: which runs there were, what became of each, and what can't have happened."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass, field

from gatekeeper.core.ledger import Reservation
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError
from gatekeeper.ledger.nouns import Declined, Ending, Entry, Fact, Opening, Settlement


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What the entries say of one run.

    Attributes:
        number: the entry that reserved it.
        time: when that was.
        reservation: what it might take.
        set_digest: of whom.
        settlement: what it said it did, or None.
        ending: how it ended, as it was last said, or None.
    """

    number: int
    time: str
    reservation: Reservation
    set_digest: str
    settlement: Settlement | None = None
    ending: Ending | None = None

    @property
    def mechanism(self) -> Mechanism | None:
        """What counts: as settled, or all that was reserved."""
        return self.reservation.mechanism if self.settlement is None else self.settlement.mechanism


@dataclass(kw_only=True, slots=True)
class Replay:
    """What the entries add up to.

    Attributes:
        runs: every reserved run by its id, in the order of reservation.
        declined: the ids of runs that were asked for and not granted.
        problems: what can't have been written by the ledger itself.
    """

    runs: dict[str, Run] = field(default_factory=dict)
    declined: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def replay(entries: Iterable[Entry], *, ledger: str) -> Replay:
    """Read the entries in order; one that can't follow is a problem and changes nothing.

    Args:
        entries: in the order of their numbers.
        ledger: the ledger's id, which the first entry must name.
    """
    state = Replay()
    for entry in entries:
        try:
            objection = _apply(state, entry, entry.fact, ledger=ledger)
        except InvalidValueError as error:
            objection = f"can't be read: {error.message}"
        if objection is not None:
            state.problems.append(f"entry {entry.number} {objection}")
    return state


def _apply(state: Replay, entry: Entry, fact: Fact, *, ledger: str) -> str | None:
    """Add one entry, or say why it can't follow."""
    if entry.number == 1 and entry.kind != "opened":
        return "is the first and does not open the ledger"
    if entry.kind != "reserved" and entry.set_digest is not None:
        return "names a unit set, and takes nothing"
    match fact:
        case Opening():
            return _open(entry, fact, ledger=ledger)
        case Reservation():
            return _reserve(state, entry, fact)
        case Declined():
            state.declined.add(fact.reservation.run)
            return None
        case Settlement():
            return _settle(state, fact)
        case Ending():
            return _conclude(state, fact)


def _open(entry: Entry, opening: Opening, *, ledger: str) -> str | None:
    if entry.number != 1:
        return "opens the ledger a second time"
    return None if opening.ledger == ledger else f"opens ledger {opening.ledger}, not {ledger}"


def _reserve(state: Replay, entry: Entry, reservation: Reservation) -> str | None:
    if entry.set_digest is None:
        return "names no unit set"
    if reservation.run in state.runs:
        return f"reserves run {reservation.run} a second time"
    state.runs[reservation.run] = Run(
        number=entry.number, time=entry.time, reservation=reservation, set_digest=entry.set_digest
    )
    return None


def settlement_objection(run: Run | None, settlement: Settlement) -> str | None:
    """Why a settlement can't follow, as the end of a sentence, or None."""
    if run is None:
        return f"settles run {settlement.run}, which was never reserved"
    if run.settlement is not None:
        return f"settles run {settlement.run} a second time"
    if not is_within(settlement.mechanism, run.reservation.mechanism):
        return f"settles run {settlement.run} with a mechanism that was not reserved"
    return None


def is_within(ran: Mechanism | None, reserved: Mechanism | None) -> bool:
    """Whether what ran is what was reserved, but for fewer steps."""
    if ran is None or reserved is None:
        return ran is reserved
    return ran.steps <= reserved.steps and dataclasses.replace(reserved, steps=ran.steps) == ran


def _settle(state: Replay, settlement: Settlement) -> str | None:
    run = state.runs.get(settlement.run)
    objection = settlement_objection(run, settlement)
    if run is not None and objection is None:
        state.runs[settlement.run] = dataclasses.replace(run, settlement=settlement)
    return objection


def _conclude(state: Replay, ending: Ending) -> str | None:
    if ending.run in state.runs:
        state.runs[ending.run] = dataclasses.replace(state.runs[ending.run], ending=ending)
        return None
    return None if ending.run in state.declined else f"concludes run {ending.run}, which was never asked for"
