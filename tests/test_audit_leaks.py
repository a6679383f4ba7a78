"""Leaks planted in the code that trains: attack D contradicts the proven bound, or an existing check refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gatekeeper.core.identification import Identification, check_identification
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import AuditContradiction, UnsupportedModelError
from gatekeeper.pipeline.matching import audit_mechanism, match_candidates
from gatekeeper.training import release, sampling
from gatekeeper.training.clipping import isolation
from gatekeeper.training.clipping.clip import Clip
from gatekeeper.training.clipping.engine import ClippingEngine, UnitShares
from gatekeeper.training.grid import Grid
from gatekeeper.training.networks import mlp
from gatekeeper.training.secret_stream import SecretStream
from tests.reference.audit_matching import orthogonal_success
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_units

CANDIDATES = 8
# Noise images: the gradients of a layer that sees them directly are nearly orthogonal.
DATA = dataclasses.replace(
    tiny_units(units=24, most_images=1, side=16, channels=3),
    images=np.random.default_rng(0).integers(0, 256, size=(24, 3, 16, 16)).astype(np.uint8),
)
# Physical batches hold all units in play, so that a layer that mixes units has much to mix.
RECIPE = dataclasses.replace(tiny_candidate(views=1, expected_batch=32), model=ModelSpec(network="mlp", width=8))


def matched(*, trials: int = 200, sampling: str = "balls-and-bins") -> list[Identification]:
    return list(
        match_candidates(
            candidate=RECIPE,
            plan=tiny_plan(sampling=sampling),
            card=tiny_card(DATA),
            data=DATA,
            candidates=CANDIDATES,
            trials=trials,
        )
    )


def best_success() -> float:
    """How often the best attack on honest code succeeds: the candidates' gradients are orthogonal, of norm C."""
    mechanism = audit_mechanism(tiny_plan().mechanism, candidates=CANDIDATES)
    return orthogonal_success(candidates=CANDIDATES, mu=float(np.sqrt(mechanism.steps) / mechanism.noise_multiplier))


def is_near_the_best(found: Identification) -> bool:
    return found.identified.upper(confidence=1 - 1e-5) > best_success() - 0.02


@pytest.mark.parametrize("sampling", ["balls-and-bins", "poisson"])
def test_honest_code_stays_below_the_bound_and_not_far_below(sampling: str) -> None:
    found = matched(trials=500, sampling=sampling)
    assert len(found) == 2
    for each in found:
        assert not each.contradicts()
        assert each.positive_control.rate == 1
        assert each.identified.lower(confidence=1 - 1e-6) > each.chance
        assert is_near_the_best(each)
        assert each.identified.rate < each.bound + 0.05


def test_a_step_with_more_noise_than_it_says_is_found_far_below(monkeypatch: pytest.MonkeyPatch) -> None:
    _add_noise_of_a_share(monkeypatch, 2.0)
    assert not any(is_near_the_best(each) for each in matched(trials=500))


def _add_noise_of_a_share(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    honest = release.add_noise

    def other(sums: list[Tensor], *, grid: Grid, stream: SecretStream) -> list[Tensor]:
        return honest(sums, grid=dataclasses.replace(grid, noise_scale=share * grid.noise_scale), stream=stream)

    monkeypatch.setattr(release, "add_noise", other)


def _add_half_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    _add_noise_of_a_share(monkeypatch, 0.5)


def _forget_to_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clip, "factors", lambda self, norms, exposures: torch.ones_like(norms, dtype=torch.float32))


def _clip_to_twice_the_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ClippingEngine._factors

    def twice(self: ClippingEngine, shares: UnitShares, *, grid: Grid, **more: object) -> Tensor:
        return honest(self, shares, grid=dataclasses.replace(grid, radius=2 * grid.radius), **more)

    monkeypatch.setattr(ClippingEngine, "_factors", twice)


def _take_units_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_balls_and_bins", "_poisson"):
        honest = getattr(sampling, name)

        def twice(
            *arguments: object, honest: Callable[..., Iterator[np.ndarray]] = honest, **more: object
        ) -> Iterator[np.ndarray]:
            return (np.repeat(units, 2) for units in honest(*arguments, **more))

        monkeypatch.setattr(sampling, name, twice)


@pytest.mark.parametrize(
    ("leak", "sampling"),
    [
        (_add_half_the_noise, "balls-and-bins"),
        (_forget_to_clip, "balls-and-bins"),
        (_clip_to_twice_the_norm, "balls-and-bins"),
        (_take_units_twice, "balls-and-bins"),
        (_take_units_twice, "poisson"),
    ],
)
def test_a_planted_leak_contradicts_the_bound(
    leak: Callable[[pytest.MonkeyPatch], None], sampling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leak(monkeypatch)
    _, replayed = matched(sampling=sampling)
    assert replayed.positive_control.rate == 1
    with pytest.raises(AuditContradiction, match="leaks more than its mechanism"):
        check_identification(replayed)


class BatchStatistics(nn.Module):
    """Weights every image by a statistic of the batch, under a name that no list of layers has."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.sum(0, keepdim=True)


def _smuggle(monkeypatch: pytest.MonkeyPatch, layer: Callable[[], nn.Module]) -> None:
    honest = mlp.MLP.__init__

    def mixing(self: mlp.MLP, **arguments: object) -> None:
        honest(self, **arguments)
        self.features.insert(0, layer())

    monkeypatch.setattr(mlp.MLP, "__init__", mixing)


def test_batch_normalisation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _smuggle(monkeypatch, lambda: nn.BatchNorm2d(3))
    with pytest.raises(UnsupportedModelError, match="mixes the units of a batch"):
        matched()


def test_units_that_a_smuggled_layer_mixes_are_taken_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there is nothing to mix. Without that check, attack D contradicts the bound."""
    _smuggle(monkeypatch, BatchStatistics)
    for each in matched():
        assert not each.contradicts()
        assert each.positive_control.rate == 1
    monkeypatch.setattr(isolation, "companions_matter", lambda *_, **__: False)
    _, replayed = matched(trials=400)
    assert replayed.contradicts()
