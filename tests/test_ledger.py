"""What a ledger promises: counted before it is taken, in full until it is settled, and refused inside the lock."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatekeeper.core.ledger import LedgerHead, Standing
from gatekeeper.errors import LedgerError
from gatekeeper.ledger import Ledger, create, open_ledger
from tests.ledger_samples import (
    OTHER_POLICY,
    POLICY,
    go,
    known_as,
    mechanism,
    new_ledger,
    people,
    reservation,
    steps_of,
)
from tests.ledger_server import Server, server_or_skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with server_or_skip() as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a ledger can be made, in both databases."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    server: Server = request.getfixturevalue("server")
    return server.new_database()


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Ledger:
    return new_ledger(url, tmp_path / "key")


def kinds(ledger: Ledger) -> list[str]:
    return [entry.kind for entry in ledger.entries()]


def test_a_new_ledger_has_one_entry_and_is_sound(url: str, tmp_path: Path) -> None:
    head = create(url, key=tmp_path / "key")
    ledger = open_ledger(url, key=tmp_path / "key")
    assert head.length == 1
    assert ledger.head() == head
    assert kinds(ledger) == ["opened"]
    assert ledger.check(head) == ()
    with pytest.raises(LedgerError, match="there is a ledger already"):
        create(url, key=tmp_path / "key")
    assert ledger.check(head) == ()


def test_a_reservation_counts_in_full_until_it_is_settled(ledger: Ledger) -> None:
    reserved = ledger.reserve(reservation("one", steps=100), people("ann", "bob"), allow=go)
    assert reserved.declined is None
    assert steps_of(reserved.standing) == [(2, [])]
    assert steps_of(ledger.standing(people("ann"), policy_digest=POLICY)) == [(1, [100])]
    head = ledger.settle("one", mechanism(40))
    standing = ledger.standing(people("ann"), policy_digest=POLICY)
    assert steps_of(standing) == [(1, [40])]
    assert standing.histories[0].spends[0].settled
    assert head == ledger.head()
    assert head.length == 3
    assert ledger.check() == ()


def test_units_are_grouped_by_what_they_have_spent(ledger: Ledger) -> None:
    ledger.reserve(reservation("one", steps=1), people("ann", "bob", "cem"), allow=go)
    ledger.reserve(reservation("two", steps=2, policy_digest=OTHER_POLICY), people("bob", "cem", "dee"), allow=go)
    found = ledger.standing(people("ann", "bob", "cem", "dee", "eve"), policy_digest=POLICY)
    assert steps_of(found) == [(1, []), (1, [1]), (1, [2]), (2, [1, 2])]
    assert (found.runs, found.attempts, found.non_private_runs) == (2, 1, 0)
    assert ledger.position("two").standing.attempts == 1


def test_a_unit_is_known_by_any_of_its_names(ledger: Ledger) -> None:
    ledger.reserve(reservation("one", steps=1), known_as([["ann", "x"], ["bob", "y"]]), allow=go)
    found = ledger.standing(known_as([["other", "y"], ["x y", "nobody"]]), policy_digest=POLICY)
    assert steps_of(found) == [(1, []), (1, [1])]


def test_a_patient_whose_images_were_units_is_seen_to_have_been_several(ledger: Ledger) -> None:
    ledger.reserve(reservation("images"), people("a1", "a2", "a3", "b1"), allow=go)
    found = ledger.standing(known_as([["ann", "a1", "a2", "a3"], ["bob", "b1"]]), policy_digest=POLICY)
    assert [(history.units, history.spends[0].multiplicity) for history in found.histories] == [(1, 3), (1, 1)]


def test_two_units_that_share_a_name_are_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="share an identity") as caught:
        ledger.reserve(reservation("one"), known_as([["secret-name", "x"], ["y", "secret-name"]]), allow=go)
    assert "secret-name" not in str(caught.value)
    assert kinds(ledger) == ["opened"]


def test_a_run_without_privacy_is_counted_apart(ledger: Ledger) -> None:
    ledger.reserve(reservation("bare", steps=None), people("ann"), allow=go)
    ledger.reserve(reservation("twin", steps=5, non_private=True), people("ann", "bob"), allow=go)
    ledger.settle("bare", None)
    found = ledger.standing(people("ann"), policy_digest=POLICY)
    assert steps_of(found) == [(1, [5])]
    assert (found.runs, found.non_private_runs, found.attempts) == (1, 2, 1)
    with pytest.raises(LedgerError, match="mechanism that was not reserved"):
        ledger.settle("twin", None)


def test_a_declined_run_takes_nothing_and_says_why(ledger: Ledger) -> None:
    ledger.reserve(reservation("one", steps=7), people("ann"), allow=go)
    seen: list[Standing] = []

    def no(standing: Standing) -> str:
        seen.append(standing)
        return "too much\x1b[31m\nfor ann"

    answer = ledger.reserve(reservation("two"), people("ann"), allow=no)
    assert answer.declined == "too much [31m for ann"
    assert steps_of(seen[0]) == [(1, [7])]
    assert kinds(ledger) == ["opened", "reserved", "declined"]
    assert ledger.standing(people("ann"), policy_digest=POLICY).runs == 1
    with pytest.raises(LedgerError, match="run two was declined"):
        ledger.settle("two", mechanism())
    ledger.conclude("two", "refused")
    assert ledger.check() == ()


def test_an_objection_that_raises_leaves_nothing_behind(ledger: Ledger) -> None:
    head = ledger.head()

    def broken(standing: Standing) -> str | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ledger.reserve(reservation("one"), people("ann"), allow=broken)
    assert ledger.head() == head
    assert ledger.check(head) == ()
    ledger.reserve(reservation("one"), people("ann"), allow=go)


def test_a_run_is_reserved_and_settled_once(ledger: Ledger) -> None:
    ledger.reserve(reservation("one"), people("ann"), allow=go)
    with pytest.raises(LedgerError, match="run one was reserved before"):
        ledger.reserve(reservation("one"), people("bob"), allow=go)
    ledger.settle("one", mechanism())
    with pytest.raises(LedgerError, match="settles run one a second time"):
        ledger.settle("one", mechanism(1))
    with pytest.raises(LedgerError, match="run two was never reserved"):
        ledger.settle("two", mechanism())
    assert kinds(ledger) == ["opened", "reserved", "settled"]


@pytest.mark.parametrize(
    "other",
    [
        mechanism(101),
        None,
        dataclasses.replace(mechanism(), noise_multiplier=1.6),
        dataclasses.replace(mechanism(), sampling_rate=0.001),
        dataclasses.replace(mechanism(), unit="patient"),
    ],
    ids=["more steps", "nothing", "more noise", "rarer", "another unit"],
)
def test_only_what_was_reserved_can_be_settled(ledger: Ledger, other: object) -> None:
    ledger.reserve(reservation("one"), people("ann"), allow=go)
    head = ledger.head()
    with pytest.raises(LedgerError, match="was not reserved"):
        ledger.settle("one", other)  # type: ignore[arg-type]
    assert ledger.head() == head
    assert steps_of(ledger.standing(people("ann"), policy_digest=POLICY)) == [(1, [100])]


def test_a_failed_run_stays_counted_in_full(ledger: Ledger) -> None:
    ledger.reserve(reservation("one"), people("ann", "bob"), allow=go)
    ledger.conclude("one", "failed", "interrupted\nat a file named \udcff")
    assert steps_of(ledger.standing(people("ann"), policy_digest=POLICY)) == [(1, [100])]
    (run,) = ledger.account().runs
    assert (run.units, run.settled, run.conclusion, run.detail) == (
        2,
        False,
        "failed",
        "interrupted at a file named",
    )
    with pytest.raises(LedgerError, match="never reserved"):
        ledger.conclude("two", "failed")


def test_a_position_includes_the_run_and_what_came_after_it(ledger: Ledger) -> None:
    ledger.reserve(reservation("one", steps=3), people("ann", "bob"), allow=go)
    ledger.settle("one", mechanism(2))
    found = ledger.position("one")
    assert found.head == ledger.head()
    assert steps_of(found.standing) == [(2, [2])]
    ledger.reserve(reservation("two", steps=5), people("bob"), allow=go)
    assert steps_of(ledger.position("one").standing) == [(1, [2]), (1, [2, 5])]
    with pytest.raises(LedgerError, match="run three was never reserved"):
        ledger.position("three")


def test_a_ledger_contains_the_heads_that_it_had_and_no_other(ledger: Ledger) -> None:
    first = ledger.head()
    ledger.reserve(reservation("one"), people("ann"), allow=go)
    second = ledger.head()
    assert ledger.contains(first)
    assert ledger.contains(second)
    assert not ledger.contains(dataclasses.replace(first, length=2))
    assert not ledger.contains(dataclasses.replace(first, ledger="0" * 32))
    assert not ledger.contains(dataclasses.replace(second, length=3))
    assert not ledger.contains(LedgerHead(ledger=first.ledger, length=0, digest="0" * 64))


def test_names_in_any_script_and_broken_file_names_are_kept(ledger: Ledger) -> None:
    named = dataclasses.replace(reservation("läsion-病变"), policy_name="Größe ≤ 5")
    ledger.reserve(named, people("файл", "half \udcff"), allow=go)
    assert ledger.check() == ()
    assert ledger.account().runs[0].reservation == named
    assert steps_of(ledger.standing(people("half \udcff"), policy_digest=POLICY)) == [(1, [100])]
    with pytest.raises(LedgerError, match="isn't Unicode"):
        ledger.reserve(reservation("half \udcff"), people("ann"), allow=go)


def test_a_set_that_is_used_again_is_stored_once_and_no_name_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = new_ledger(str(path), tmp_path / "key")
    ledger.reserve(reservation("one"), people(*(f"patient-{i}" for i in range(2000))), allow=go)
    size = path.stat().st_size
    ledger.reserve(reservation("two"), people(*(f"patient-{i}" for i in reversed(range(2000)))), allow=go)
    assert path.stat().st_size - size < size / 10
    assert b"patient" not in path.read_bytes()
    assert [run.units for run in ledger.account().runs] == [2000, 2000]


def test_fifty_thousand_units_take_seconds(tmp_path: Path) -> None:
    ledger = new_ledger(str(tmp_path / "ledger.sqlite"), tmp_path / "key")
    start = time.process_time()
    ledger.reserve(reservation("one", steps=1), people(*range(50_000)), allow=go)
    assert steps_of(ledger.standing(people(*range(-1000, 2000)), policy_digest=POLICY)) == [(1000, []), (2000, [1])]
    assert time.process_time() - start < 120, "of the processor: work that grows with the square would take hours"


def test_how_often_a_policy_was_tried_on_the_units_of_a_run_of_another(ledger: Ledger) -> None:
    for run, digest, units in (("one", POLICY, (1, 2)), ("two", OTHER_POLICY, (2, 3)), ("three", OTHER_POLICY, (4,))):
        ledger.reserve(reservation(run, policy_digest=digest), people(*units), allow=go)
    assert [ledger.tried("one", policy_digest=digest) for digest in (POLICY, OTHER_POLICY, "c" * 64)] == [1, 1, 0]
    with pytest.raises(LedgerError):
        ledger.tried("four", policy_digest=POLICY)
