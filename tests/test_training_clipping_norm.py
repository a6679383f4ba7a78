"""The adaptive clipping norm, through the path that production takes: its noise, its sensitivity, where it settles."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from gatekeeper.core.clipping import UNCLIPPED_SHARE, Clipping, split_noise
from gatekeeper.core.record import TrainingPlan
from gatekeeper.errors import DivergedError, PrivacyError, RunDirectoryError
from gatekeeper.training import TrainedModel, train
from gatekeeper.training import clipping_norm as norm_module
from gatekeeper.training import release as release_module
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.clipping_norm import AdaptiveNorm, NoisyCount, clipping_norm
from gatekeeper.training.grid import Grid
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.views import Views
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units
from tests.vaults import DeathError, MemoryVault, lifeline


def _plan(clipping: Clipping = "adaptive", *, sigma: float = 0.1, steps: int = 6, divisor: int = 4) -> TrainingPlan:
    plan = tiny_plan(sigma=sigma, steps=steps, divisor=divisor)
    return dataclasses.replace(plan, clipping=clipping, clipping_norm=1.0)


def _norm(*, sigma: float = 0.1, divisor: int = 4, units: int = 1000, parameters: int = 100) -> AdaptiveNorm:
    return AdaptiveNorm(_plan(sigma=sigma, divisor=divisor), units=units, parameters=parameters)


def _engine(*, scale: float = 1.0) -> ClippingEngine:
    """Of a network that is linear, so that a unit's gradient grows with its pixels."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    return ClippingEngine(
        network,
        views=1,
        units_at_once=4,
        loss=lambda logits, targets: scale * functional.cross_entropy(logits, targets, reduction="none"),
    )


def _views(units: int, *, brightness: float = 1.0, seed: int = 0) -> Views:
    generator = torch.Generator().manual_seed(seed)
    images = brightness * torch.rand((units, 1, 4, 4), generator=generator)
    return Views(images=images, targets=torch.randint(3, (units,), generator=generator))


def _is_normal(sample: np.ndarray, deviation: float) -> bool:
    """Whether a sample's mean square fits N(0, deviation²) within 6 standard errors."""
    ratio = float(np.mean(sample**2)) / deviation**2
    return abs(ratio - 1) < 6 * math.sqrt(2 / len(sample))


# The noise of the count


@pytest.mark.parametrize(("sigma", "divisor"), [(0.1, 4), (1.0, 4), (1e-3, 100)])
def test_the_count_leaves_with_its_noise_and_neither_two_thirds_nor_three_halves_of_it(
    sigma: float, divisor: int
) -> None:
    """Empty batches, whose exact count is 0; what leaves is seen in the state that a checkpoint would hold."""
    release = NoisyMean(_plan(sigma=sigma, divisor=divisor), engine=_engine(), units=10, parameters=51)
    sums = [0.0]
    for _ in range(2000):
        release.of(_views(0))
        sums.append(float(release.state()["clipping.unclipped"]))
    noise = (np.diff(sums) - 0.5) * divisor
    expected = split_noise(sigma, expected_batch=divisor).count
    assert _is_normal(noise, expected)
    assert not _is_normal(noise, expected * 2 / 3)
    assert not _is_normal(noise, expected * 3 / 2)


@pytest.mark.parametrize("sigma", [0.1, 2.0])
def test_the_sum_has_the_noise_that_the_split_leaves_it(sigma: float) -> None:
    """At C = 1, in the first step: σ_Δ, which here is told apart from σ by how exactly the grid holds it."""
    norm = _norm(sigma=sigma)
    noise = split_noise(sigma, expected_batch=4)
    deviation = norm.grid.noise_scale * norm.grid.step
    assert noise.sum <= deviation <= noise.sum * (1 + 1e-15)
    assert deviation > sigma * 1.0001


@pytest.mark.parametrize("deviation", [1e-9, 0.05, 0.7, 3.0, 1e6, 1e15])
def test_a_noisy_count_is_a_multiple_of_its_grid_and_near_the_count(deviation: float) -> None:
    count, stream = NoisyCount(deviation), SecretStream()
    for doubled in (-7, 0, 10**6):
        noisy = count.of(doubled, stream=stream)
        assert abs(noisy - doubled / 2) < 16 * deviation
    assert len({count.of(0, stream=stream) for _ in range(20)}) > 10


def test_a_noisy_count_moves_by_a_half_with_each_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norm_module, "rounded_normals", lambda count, **_: np.full(count, 3, dtype=np.int64))
    count, stream = NoisyCount(1.0), SecretStream()
    assert count.of(5, stream=stream) - count.of(4, stream=stream) == 0.5
    assert count.of(4, stream=stream) == 2 + 3 * 2.0**-20


# Sensitivity


@pytest.mark.parametrize("brightness", [1e-3, 0.3, 1.0, 30.0])
def test_sum_and_count_together_move_by_at_most_one_in_units_of_the_noise(brightness: float) -> None:
    sigma = 0.5
    norm, engine, noise = _norm(sigma=sigma), _engine(scale=30.0), split_noise(sigma, expected_batch=4)
    grid, largest = norm.grid, 0.0
    for seed in range(20):
        batch = _views(6, brightness=brightness, seed=seed)
        whole, count = _flat(engine, batch, grid=grid), engine.tally
        rest = Views(images=batch.images[:5], targets=batch.targets[:5])
        without, count_without = _flat(engine, rest, grid=grid), engine.tally
        moved = float((whole - without).double().norm()) / grid.noise_scale
        largest = max(largest, math.hypot(moved, (count - count_without) / 2 / noise.count))
    assert largest <= 1 / sigma
    if brightness >= 1:
        assert largest > 0.99 / sigma, "the clip binds, so the test could fail"


def _flat(engine: ClippingEngine, batch: Views, *, grid: Grid) -> torch.Tensor:
    return torch.cat([sum_.flatten() for sum_ in engine.clipped_sum(batch, grid=grid)]).clone()


def test_the_engine_counts_the_units_that_need_no_clipping() -> None:
    engine, grid = _engine(), _norm().grid
    dim, bright = _views(6, brightness=1e-3), _views(5, brightness=1e3)
    for dark in range(7):
        batch = Views(
            images=torch.cat([dim.images[:dark], bright.images]),
            targets=torch.cat([dim.targets[:dark], bright.targets]),
        )
        engine.clipped_sum(batch, grid=grid)
        norms = engine.shares(batch).norms
        assert engine.tally == 2 * int((norms <= grid.radius).sum()) - len(norms)
    engine.clipped_sum(_views(0), grid=grid)
    assert engine.tally == 0


# Where C settles


def _settled(norms: Callable[[np.random.Generator], np.ndarray], *, steps: int = 400) -> float:
    """The geometric mean of C over the second half of the steps."""
    generator, norm, stream = np.random.default_rng(0), _norm(divisor=64), SecretStream()
    heights = []
    for _ in range(steps):
        drawn = norms(generator)
        norm.observe(tally=2 * int((drawn <= norm.norm).sum()) - len(drawn), stream=stream)
        heights.append(math.log(norm.norm))
    return math.exp(np.mean(heights[steps // 2 :]))


@pytest.mark.parametrize("middle", [0.01, 1.0, 40.0])
def test_c_finds_the_quantile_of_the_norms(middle: float) -> None:
    """Norms are log-normal around `middle`; batches vary in size as Poisson's do."""
    settled = _settled(lambda generator: middle * np.exp(generator.normal(size=generator.poisson(64))))
    expected = middle * math.exp(TARGET_NORMAL)
    assert settled == pytest.approx(expected, rel=0.12)  # six deviations of what the noise does
    assert settled != pytest.approx(1.3 * expected, rel=0.1)


TARGET_NORMAL = float(torch.special.ndtri(torch.tensor(UNCLIPPED_SHARE, dtype=torch.float64)))


@pytest.mark.parametrize(("norm", "end"), [(1e-9, 2.0**-10), (1e9, 2.0**10)])
def test_c_stops_at_the_ends_of_its_public_range(norm: float, end: float) -> None:
    assert _settled(lambda _: np.full(64, norm), steps=4000) == pytest.approx(end, rel=0.1)


def test_every_grid_is_chosen_before_the_first_step() -> None:
    with pytest.raises(PrivacyError, match="can't be added exactly"):
        clipping_norm(_plan(sigma=1e-12), units=10**4, parameters=100)


# In the loop


@pytest.mark.parametrize("clipping", ["adaptive", "automatic"])
def test_the_record_says_which_rule_ran(clipping: Clipping) -> None:
    data, plan = tiny_units(), _plan(clipping)
    candidate = tiny_candidate(clipping=clipping, clipping_norm=1.0)
    record = train(candidate=candidate, plan=plan, card=tiny_card(data), data=data, on_step=lambda _: None).record
    assert (record.clipping, record.clipping_norm) == (clipping, 1.0)
    assert record.mechanism == plan.mechanism
    assert (record.adaptation is not None) == (clipping == "adaptive")


def test_automatic_gives_every_gradient_the_same_norm() -> None:
    release = NoisyMean(_plan("automatic", sigma=2e-8, divisor=1), engine=_engine(), units=10, parameters=51)
    for brightness in (0.1, 1.0, 100.0):
        mean = torch.cat([part.flatten() for part in release.of(_views(1, brightness=brightness))])
        assert float(mean.norm()) == pytest.approx(1, rel=0.1)


def test_a_gradient_that_is_not_finite_ends_the_run_before_anything_is_learned_of_it() -> None:
    release = NoisyMean(_plan(), engine=_engine(), units=10, parameters=51)
    before = release.state()
    batch = _views(3)
    batch.images[1] = math.nan
    with pytest.raises(DivergedError, match="not finite"):
        release.of(batch)
    assert release.state() == before


def test_a_state_is_taken_up_bit_for_bit_and_another_rules_is_refused() -> None:
    norm, other, stream = _norm(), _norm(), SecretStream()
    for unclipped in range(50):
        norm.observe(tally=2 * (unclipped % 5) - 4, stream=stream)
    other.load_state(norm.state())
    assert other.state() == norm.state()
    assert (other.norm, other.grid, other.adaptation()) == (norm.norm, norm.grid, norm.adaptation())
    with pytest.raises(RunDirectoryError, match="another clipping"):
        other.load_state({"master.0": torch.zeros(1)})


@pytest.mark.slow
def test_a_training_that_died_goes_on_with_the_norm_that_it_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Full batches and no noise: what a step does depends on the step alone."""
    monkeypatch.setattr(release_module, "add_noise", lambda sums, **_: sums)
    monkeypatch.setattr(norm_module, "rounded_normals", lambda count, **_: np.zeros(count, dtype=np.int64))
    data, plan = tiny_units(units=5), _plan(steps=48)
    mechanism = dataclasses.replace(plan.mechanism, sampling="poisson", sampling_rate=1.0)
    plan = dataclasses.replace(plan, mechanism=mechanism, resume_allowance=40)
    candidate = tiny_candidate(clipping="adaptive", clipping_norm=1.0)

    def trained(vault: MemoryVault, die_after: int | None = None) -> TrainedModel:
        def on_step(step: int) -> None:
            if step == die_after:
                raise DeathError

        line = lifeline(vault, plan)
        return train(candidate=candidate, plan=plan, card=tiny_card(data), data=data, on_step=on_step, lifeline=line)

    expected = trained(MemoryVault()).record
    assert expected.adaptation is not None
    assert expected.adaptation.last_norm != 1.0
    vault = MemoryVault()
    with pytest.raises(DeathError):
        trained(vault, die_after=5)
    record = trained(vault).record
    assert record.starts == 2
    assert record.weights_digest == expected.weights_digest
    assert record.adaptation == expected.adaptation
