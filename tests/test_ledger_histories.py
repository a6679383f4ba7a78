"""Histories under overlapping sets: the ledger against a list that is read from the start."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.ledger import Identities, Standing
from gatekeeper.ledger import Ledger, book
from gatekeeper.ledger.unitsets import UnitSet, overlaps, unit_set
from tests.ledger_samples import OTHER_POLICY, POLICY, go, known_as, mechanism, new_ledger, reservation
from tests.reference.ledger_naive import NaiveLedger

NAMES = [f"n{number}" for number in range(9)]


@dataclass(frozen=True)
class Plan:
    """One run: of whom, how much, under which policy, and what became of it."""

    units: Identities
    steps: int | None
    non_private: bool
    policy_digest: str
    settled: bool
    share: float
    declined: bool


@st.composite
def unit_sets(draw: st.DrawFn) -> Identities:
    """Units that share no name within the set: names dealt into groups."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(draw(st.integers(0, 4)), []).append(name)
    return known_as(groups.values())


plans = st.builds(
    Plan,
    units=unit_sets(),
    steps=st.none() | st.integers(0, 50),
    non_private=st.booleans(),
    policy_digest=st.sampled_from([POLICY, OTHER_POLICY]),
    settled=st.booleans(),
    share=st.floats(0, 1),
    declined=st.integers(0, 5).map(lambda number: number == 0),
)


def carry_out(plan: Plan, name: str, *, ledger: Ledger, naive: NaiveLedger) -> None:
    """The same run in both ledgers."""
    asked = reservation(name, steps=plan.steps, non_private=plan.non_private, policy_digest=plan.policy_digest)
    if plan.declined:
        ledger.reserve(asked, plan.units, allow=lambda standing: "no")
        return
    ledger.reserve(asked, plan.units, allow=go)
    naive.reserve(asked, plan.units)
    if plan.settled:
        ran = None if plan.steps is None else mechanism(int(plan.share * plan.steps))
        ledger.settle(name, ran)
        naive.settle(name, ran)


def agree(found: Standing, naive: NaiveLedger, units: Identities, *, policy_digest: str) -> bool:
    """Whether a standing is what the list says."""
    concerned = naive.concerned(units)
    private = [run for run in concerned if run.mechanism is not None]
    histories = {history.spends: history.units for history in found.histories}
    return (
        len(histories) == len(found.histories)
        and histories == naive.histories(units)
        and found.runs == len(private)
        and found.non_private_runs == sum(run.reservation.non_private for run in concerned)
        and found.attempts == sum(run.reservation.policy_digest == policy_digest for run in private)
    )


@settings(max_examples=30, deadline=None)
@given(runs=st.lists(plans, max_size=5), asked=unit_sets())
def test_histories_are_those_of_a_list_that_is_read_from_the_start(runs: list[Plan], asked: Identities) -> None:
    with tempfile.TemporaryDirectory() as name:
        ledger, naive = new_ledger(f"{name}/ledger", Path(name) / "key"), NaiveLedger()
        for number, plan in enumerate(runs):
            carry_out(plan, f"run {number}", ledger=ledger, naive=naive)
        assert agree(ledger.standing(asked, policy_digest=POLICY), naive, asked, policy_digest=POLICY)
        for run in naive.runs:
            its = run.reservation
            standing = ledger.position(its.run).standing
            assert agree(standing, naive, run.identities, policy_digest=its.policy_digest)
        assert ledger.check() == ()


def same_names_only(places: dict[str, int], stored: UnitSet) -> Counter[int]:
    """Wrong: a unit with one more name is another."""
    return overlaps(places, unit_set(unit for unit in stored.units if set(unit) <= set(places)))


def once_each(places: dict[str, int], stored: UnitSet) -> Counter[int]:
    """Wrong: three images of a patient are counted as one unit."""
    return Counter(set(overlaps(places, stored)))


@pytest.mark.parametrize("wrong", [same_names_only, once_each])
def test_units_matched_wrongly_would_be_seen(
    wrong: Callable[..., Counter[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, naive = new_ledger(str(tmp_path / "ledger"), tmp_path / "key"), NaiveLedger()
    images, patients = known_as([["i1"], ["i2", "x"], ["i3"]]), known_as([["ann", "i1", "i2"], ["bob"]])
    ledger.reserve(reservation("one"), images, allow=go)
    naive.reserve(reservation("one"), images)
    assert agree(ledger.standing(patients, policy_digest=POLICY), naive, patients, policy_digest=POLICY)
    monkeypatch.setattr(book, "overlaps", wrong)
    assert not agree(ledger.standing(patients, policy_digest=POLICY), naive, patients, policy_digest=POLICY)
