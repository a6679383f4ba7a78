"""The audit's units, shared out among processes: played by threads, each of which is one of them."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gatekeeper.audit.attacks import analytic, denoised, run_attacks
from gatekeeper.core.participation import Participations
from gatekeeper.core.ranks import OneRank, Ranks
from gatekeeper.core.risk import AttackReport, Similarity
from tests.test_audit_attacks import mechanism, terms
from tests.tiny import tiny_units

COUNT = 3


class Table:
    """Where threads lay down their arrays for one another."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(COUNT, timeout=600)
        self.laid: dict[int, NDArray[np.float64]] = {}

    def sum(self, index: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        self.laid[index] = values
        self.barrier.wait()
        total = np.sum([self.laid[each] for each in range(COUNT)], axis=0)
        self.barrier.wait()
        return np.asarray(total)


class Seated(OneRank):
    """One of the processes."""

    count = COUNT

    def __init__(self, table: Table, index: int) -> None:
        self.table, self.index = table, index

    def seed(self) -> int:
        return 11

    def merged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return self.table.sum(self.index, values)


def _audit(ranks: Ranks, *, sigma: float, rng: np.random.Generator | None = None) -> AttackReport:
    return run_attacks(
        similarities=(Similarity(), Similarity(measure="ssim")),
        train=tiny_units(units=80),
        held_out=tiny_units(units=40, seed=1),
        participations=Participations(counts=(1, 4), probabilities=(0.5, 0.5), tail=0.0),
        mechanism=mechanism(sigma),
        clipping_norm=1.0,
        audit=terms(units=50, worst_units=2, noise_draws=2),  # fewer of the worst than processes
        progress=lambda _: None,
        rng=rng,
        generator=torch.Generator().manual_seed(ranks.index),
        ranks=ranks,
    )


def _but_for_noise(report: AttackReport) -> AttackReport:
    """The report, similarities to seven digits: noise of next to nothing still moves the last ones."""
    outcomes = tuple(
        dataclasses.replace(outcome, median_similarity=round(outcome.median_similarity, 7))
        for outcome in report.outcomes
    )
    return dataclasses.replace(report, outcomes=outcomes)


def _shared(*, sigma: float) -> list[AttackReport]:
    table = Table()
    with ThreadPoolExecutor(COUNT) as pool:
        return list(pool.map(lambda index: _audit(Seated(table, index), sigma=sigma), range(COUNT)))


def test_three_processes_find_what_one_finds_where_noise_plays_no_part() -> None:
    alone = _audit(OneRank(), sigma=1e-9, rng=np.random.default_rng(11))
    assert [_but_for_noise(report) for report in _shared(sigma=1e-9)] == [_but_for_noise(alone)] * COUNT


def test_with_noise_all_processes_count_the_same_and_each_attacks_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    attacked: list[int] = []
    for module in (analytic, denoised):
        right = module.reconstruct

        def counted(*arguments: Any, right: Any = right, **settings: Any) -> NDArray[np.float64]:
            if arguments[0].units == 80 and not settings.get("absent"):
                attacked.append(len(settings["participations"]))
            found: NDArray[np.float64] = right(*arguments, **settings)
            return found

        monkeypatch.setattr(module, "reconstruct", counted)
    reports = _shared(sigma=0.05)
    assert reports[1:] == reports[:1] * (COUNT - 1)
    assert reports[0].outcomes[0].sample.successes > 0
    assert set(attacked) == {17, 16, 1}, "50 units and 2 among three, no process attacks none"
    assert sum(attacked) == 8 * (2 * 50 + 2 * 2 + 50)
