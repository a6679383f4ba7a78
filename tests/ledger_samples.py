"""Runs and units for tests of the ledger. Light: processes that tests start import it too."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gatekeeper.core.ledger import Identities, Reservation, Standing
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.ledger import Ledger, create, open_ledger

POLICY, OTHER_POLICY = "a" * 64, "b" * 64


def mechanism(steps: int = 100, *, unit: str = "image") -> Mechanism:
    return Mechanism(
        sampling="poisson", sampling_rate=0.01, noise_multiplier=1.5, steps=steps, adjacency="zero-out", unit=unit
    )


def reservation(
    run: str, *, steps: int | None = 100, non_private: bool = False, policy_digest: str = POLICY
) -> Reservation:
    """A run; without steps, one that is not private at all."""
    return Reservation(
        run=run,
        mechanism=None if steps is None else mechanism(steps),
        delta=1e-6,
        non_private=non_private or steps is None,
        policy_name="demo",
        policy_digest=policy_digest,
    )


def people(*names: object) -> Identities:
    """Units known by one name each."""
    return Identities(units=tuple((str(name),) for name in names))


def known_as(units: Iterable[Iterable[str]]) -> Identities:
    return Identities(units=tuple(tuple(unit) for unit in units))


def go(standing: Standing) -> None:
    """Let every run start."""


def new_ledger(url: str, key: Path) -> Ledger:
    create(url, key=key)
    return open_ledger(url, key=key)


def steps_of(standing: Standing) -> list[tuple[int, list[int]]]:
    """For each history, its units and the steps of its spends."""
    return sorted(
        (history.units, [spend.mechanism.steps for spend in history.spends]) for history in standing.histories
    )
