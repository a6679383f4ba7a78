"""The ledger as a list that is read from the start: no database, no pseudonyms, every unit against every unit."""

from __future__ import annotations

from dataclasses import dataclass, field

from gatekeeper.core.ledger import Identities, Reservation, Spend
from gatekeeper.core.mechanism import Mechanism


@dataclass
class NaiveRun:
    reservation: Reservation
    identities: Identities
    settled: bool = False
    mechanism: Mechanism | None = None


@dataclass
class NaiveLedger:
    runs: list[NaiveRun] = field(default_factory=list)

    def reserve(self, reservation: Reservation, identities: Identities) -> None:
        self.runs.append(NaiveRun(reservation, identities, mechanism=reservation.mechanism))

    def settle(self, name: str, mechanism: Mechanism | None) -> None:
        for run in self.runs:
            if run.reservation.run == name:
                run.settled, run.mechanism = True, mechanism

    def history(self, unit: tuple[str, ...]) -> tuple[Spend, ...]:
        """What one unit has spent."""
        spends = []
        for run in self.runs:
            same = 0
            for other in run.identities.units:
                if any(mine == theirs for mine in unit for theirs in other):
                    same += 1
            if same and run.mechanism is not None:
                spends.append(
                    Spend(run=run.reservation.run, mechanism=run.mechanism, settled=run.settled, multiplicity=same)
                )
        return tuple(spends)

    def histories(self, identities: Identities) -> dict[tuple[Spend, ...], int]:
        """How many units have each history."""
        found: dict[tuple[Spend, ...], int] = {}
        for unit in identities.units:
            history = self.history(unit)
            found[history] = found.get(history, 0) + 1
        return found

    def concerned(self, identities: Identities) -> list[NaiveRun]:
        """The runs that used any of the units."""
        mine = {identity for unit in identities.units for identity in unit}
        return [run for run in self.runs if any(mine & set(unit) for unit in run.identities.units)]
