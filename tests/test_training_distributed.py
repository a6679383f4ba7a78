"""Several processes train as one: the test is the first, the others run `tests.assistant`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gatekeeper.core.ranks import OneRank
from gatekeeper.core.resumption import Origin
from gatekeeper.errors import DivergedError, InternalError, ProcessLostError
from gatekeeper.training import LoneRank, TrainedModel, train
from gatekeeper.training import clipping_norm as norm_module
from gatekeeper.training import loop as loop_module
from gatekeeper.training import release as release_module
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.distributed import GroupRank
from gatekeeper.training.lifeline import Lifeline, _Nowhere
from tests.assistant import EXPECTED, STEPS, UNITS, help_out, meeting, setting

# A server that has imported torch forks the helpers: each starts at once.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["tests.assistant"])

# A full step, an uneven one, one with units for one process only, none, one unit, all units.
BATCHES = [np.sort(np.random.default_rng(n).permutation(UNITS)[:n]) for n in (EXPECTED, 21, 5, 0, 1, UNITS)]


class Led:
    """A training whose first process is this one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.helpers: list[ForkServerProcess] = []

    def train(self, *, count: int, how: str = "works", clipping: str = "flat", **more: object) -> TrainedModel:
        if count == 1:
            return train(on_step=lambda _: None, **setting(clipping), **more)  # type: ignore[arg-type]
        store = str(self.path / "store")
        self.helpers = [
            SERVER.Process(target=help_out, args=(store, index, count, how, clipping)) for index in range(1, count)
        ]
        for helper in self.helpers:
            helper.start()
        with meeting(store, index=0, count=count).joined(torch.device("cpu")) as ranks:
            return train(on_step=lambda _: None, ranks=ranks, **setting(clipping), **more)  # type: ignore[arg-type]

    def ended(self) -> list[int | None]:
        """The helpers' exit codes."""
        for helper in self.helpers:
            helper.join(60)
        return [helper.exitcode for helper in self.helpers]


@pytest.fixture
def led(tmp_path: Path) -> Iterator[Led]:
    led = Led(tmp_path)
    yield led
    for helper in led.helpers:
        helper.kill()
        helper.join()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Training without noise on batches that are known; each step's exact sum."""
    sums: list[np.ndarray] = []

    def no_noise(exact: list[torch.Tensor], **_: object) -> list[torch.Tensor]:
        sums.append(torch.cat([part.flatten() for part in exact]).numpy().copy())
        return exact

    monkeypatch.setattr(release_module, "add_noise", no_noise)
    monkeypatch.setattr(norm_module, "rounded_normals", lambda count, **_: np.zeros(count, dtype=np.int64))
    monkeypatch.setattr(loop_module, "batches", lambda *_, **__: iter(BATCHES))
    return sums


@pytest.mark.slow
@pytest.mark.parametrize("clipping", ["flat", "adaptive"])
def test_three_processes_form_the_sums_of_one_bit_for_bit_and_run_its_mechanism(
    led: Led, exact: list[np.ndarray], clipping: str
) -> None:
    alone = led.train(count=1, clipping=clipping)
    together = led.train(count=3, clipping=clipping)
    assert len(exact) == 2 * STEPS
    assert all(np.array_equal(one, three) for one, three in zip(exact[:STEPS], exact[STEPS:], strict=True))
    assert len(np.unique(exact[0])) > 100, "the sums are of something"
    assert not exact[3].any(), "the step without units"
    assert together.record.weights_digest == alone.record.weights_digest
    assert together.record.mechanism == alone.record.mechanism
    assert together.record.adaptation == alone.record.adaptation
    assert (alone.record.device, together.record.device) == ("cpu", "3 × cpu")
    assert led.ended() == [0, 0]


def test_the_noise_is_the_first_processes_and_all_end_with_its_weights(led: Led) -> None:
    """Weights are compared by digest at the end: with noise of its own in each process they would differ."""
    assert led.train(count=2).record.mechanism.steps == STEPS
    assert led.ended() == [0]


def test_a_process_that_dies_fails_the_training(led: Led) -> None:
    with pytest.raises(ProcessLostError, match="ended or doesn't answer"):
        led.train(count=2, how="dies")
    assert led.ended() == [9]


def test_a_process_that_diverges_says_so_for_all(led: Led) -> None:
    with pytest.raises(DivergedError, match="in another process"):
        led.train(count=3, how="diverges")
    assert led.ended() == [3, 3]


def test_the_others_stop_with_the_first(led: Led) -> None:
    plan = setting()["plan"]
    origin = Origin(gatekeeper="-", candidate="0" * 64, plan="0" * 64, software=())
    lifeline = Lifeline(_Nowhere(), plan=plan, origin=origin, stop=lambda: True)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        led.train(count=2, lifeline=lifeline)
    assert lifeline.step == 1
    assert led.ended() == [130]


def test_weights_that_differ_are_noticed(led: Led, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "weights_digest", lambda _: "ab" * 32)
    with pytest.raises(InternalError, match="different weights"):
        led.train(count=2)


@given(units=st.integers(0, 400), at_once=st.integers(1, 64), count=st.integers(1, 9))
def test_processes_fill_the_physical_batches_that_one_alone_fills(units: int, at_once: int, count: int) -> None:
    network = nn.Linear(2, 1)

    def physical_batches(ranks: LoneRank) -> list[tuple[int, tuple[int, ...]]]:
        engine = ClippingEngine(network, views=1, units_at_once=at_once, loss=lambda x, _: x[:, 0], ranks=ranks)
        own = engine.own(np.arange(units) * 3)
        found = [(piece.size, tuple(own[piece.start : piece.start + piece.size])) for piece in engine._pieces(len(own))]
        engine.close()
        return found

    alone = physical_batches(LoneRank())
    shares = [physical_batches(GroupRank(index=index, count=count)) for index in range(count)]
    assert sorted(each for share in shares for each in share) == sorted(alone)
    loads = [sum(len(held) for _, held in share) for share in shares]
    assert max(loads) - min(loads) <= at_once


def test_one_process_needs_nobody() -> None:
    ranks = LoneRank()
    assert (ranks.index, ranks.count, ranks.first(5), ranks.any(False)) == (0, 1, 5, False)
    assert OneRank().seed() != OneRank().seed()
