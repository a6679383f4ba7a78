"""What the ledger holds and answers: its entries, what each kind of entry says, and what a caller gets back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_integer, check_sha256, check_text, check_utc_time
from gatekeeper.core.codec import decode, encode
from gatekeeper.core.ledger import Conclusion, LedgerHead, Reservation, Standing, check_conclusion
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError

Kind = Literal["opened", "reserved", "declined", "settled", "concluded"]

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """The first entry.

    Attributes:
        ledger: the ledger's id; every entry's digest depends on it.
    """

    ledger: str

    def __post_init__(self) -> None:
        check_text(ledger=self.ledger)


@dataclass(frozen=True, kw_only=True, slots=True)
class Declined:
    """A reservation that was asked for and not granted: nothing may run, so nothing is taken.

    Attributes:
        reservation: what was asked for.
        reason: why not.
    """

    reservation: Reservation
    reason: str

    def __post_init__(self) -> None:
        check_text(reason=self.reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settlement:
    """What a reserved run did.

    Attributes:
        run: the run's id.
        mechanism: what ran: the reserved one with as many steps or fewer; None where None was reserved.
    """

    run: str
    mechanism: Mechanism | None

    def __post_init__(self) -> None:
        check_text(run=self.run)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a run ended, for people: nothing is counted by it.

    Attributes:
        run: the run's id.
        conclusion: the verdict, or `failed`.
        detail: a sentence more, or nothing.
    """

    run: str
    conclusion: Conclusion
    detail: str

    def __post_init__(self) -> None:
        check_text(run=self.run)
        check_conclusion(conclusion=self.conclusion)


Fact = Opening | Reservation | Declined | Settlement | Ending

_FACTS: dict[str, type[Fact]] = {
    "opened": Opening,
    "reserved": Reservation,
    "declined": Declined,
    "settled": Settlement,
    "concluded": Ending,
}


def kind_of(fact: Fact) -> Kind:
    """The kind of entry that says such a thing."""
    (kind,) = [kind for kind, fact_type in _FACTS.items() if isinstance(fact, fact_type)]
    return kind  # type: ignore[return-value]  # the keys of _FACTS are the kinds


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry, as it is stored and exported.

    Attributes:
        number: its place, from 1, without gaps.
        time: UTC, RFC 3339, by the clock of the machine that wrote it; nothing depends on its order.
        kind: what it says.
        payload: the noun that says it, in canonical JSON.
        set_digest: of a reservation, the digest of its unit set; None for every other kind.
        previous: the digest of the entry before; 64 zeros for the first.
        digest: SHA-256 of the ledger's id and everything above.
        mac: HMAC-SHA256 of the digest under a key that the database does not hold.
    """

    number: int
    time: str
    kind: Kind
    payload: str
    set_digest: str | None
    previous: str
    digest: str
    mac: str

    def __post_init__(self) -> None:
        check_integer(number=self.number, at_least=1)
        check_utc_time(time=self.time)
        check_choice(kind=self.kind, choices=KINDS)
        if not isinstance(self.payload, str):
            raise InvalidValueError(f"payload must be text, got {type(self.payload).__name__}")
        if self.set_digest is not None:
            check_sha256(set_digest=self.set_digest)
        check_sha256(previous=self.previous)
        check_sha256(digest=self.digest)
        check_sha256(mac=self.mac)

    @property
    def fact(self) -> Fact:
        """What the entry says.

        Raises:
            InvalidValueError: the payload is not the canonical form of such a noun.
        """
        return decode(self.payload, _FACTS[self.kind])


def payload_of(fact: Fact) -> str:
    """A fact as an entry holds it."""
    return encode(fact)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reserved:
    """The answer to a reservation.

    Attributes:
        standing: what the run's units had spent before it.
        head: the ledger, with the reservation or its refusal as its last entry.
        declined: None where the run may start; otherwise why it may not.
    """

    standing: Standing
    head: LedgerHead
    declined: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Where a run stands.

    Attributes:
        head: the ledger now. Entries after the run's own count too: a later run on its units is part of the standing.
        standing: what the run's units have spent, the run included; attempts are those under its own policy.
    """

    head: LedgerHead
    standing: Standing


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSummary:
    """A run in the ledger, for people.

    Attributes:
        number: the entry that reserved it.
        time: when that was.
        reservation: what it might take.
        units: how many units it used.
        settled: whether it said what it did; if not, it is counted in full.
        mechanism: what is counted, or None for a run that is not private at all.
        conclusion: how it ended, or None where nobody said.
        detail: a sentence more, or nothing.
    """

    number: int
    time: str
    reservation: Reservation
    units: int
    settled: bool
    mechanism: Mechanism | None
    conclusion: Conclusion | None
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A ledger at one moment, for people.

    Attributes:
        head: how far it had got.
        runs: every reserved run, in order.
    """

    head: LedgerHead
    runs: tuple[RunSummary, ...]
