"""What a set of units has spent: histories, grouped where they are equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from gatekeeper.core.ledger import History, Spend, Standing
from gatekeeper.ledger.replay import Run


def standing(*, units: int, runs: Sequence[Run], matches: Mapping[str, Counter[int]], policy_digest: str) -> Standing:
    """What the runs took of the asked units.

    Args:
        units: how many units are asked about.
        runs: every reserved run, in the ledger's order.
        matches: for each unit set of a run, how many of its units each asked unit is.
        policy_digest: whose attempts to count. An attempt is a private run: one without noise can't pass.
    """
    concerned = [run for run in runs if matches[run.set_digest]]
    private = [run for run in concerned if run.mechanism is not None]
    return Standing(
        histories=_histories(units, private, matches),
        runs=len(private),
        non_private_runs=sum(run.reservation.non_private for run in concerned),
        attempts=sum(run.reservation.policy_digest == policy_digest for run in private),
    )


def _histories(units: int, private: Sequence[Run], matches: Mapping[str, Counter[int]]) -> tuple[History, ...]:
    """One history for each group of units that the same runs used equally often, in a fixed order."""
    sets = list(dict.fromkeys(run.set_digest for run in private))
    groups = Counter(tuple(matches[each][unit] for each in sets) for unit in range(units))
    return tuple(
        History(units=number, spends=_spends(private, dict(zip(sets, times, strict=True))))
        for times, number in sorted(groups.items(), reverse=True)
    )


def _spends(private: Sequence[Run], times: Mapping[str, int]) -> tuple[Spend, ...]:
    return tuple(
        Spend(
            run=run.reservation.run,
            mechanism=run.mechanism,
            settled=run.settlement is not None,
            multiplicity=times[run.set_digest],
        )
        for run in private
        if run.mechanism is not None and times[run.set_digest]
    )
