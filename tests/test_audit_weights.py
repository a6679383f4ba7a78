"""Attack C on networks that hold a handful of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatekeeper.audit.attacks import stationarity
from gatekeeper.audit.attacks.class_inversion import invert_classes, objective
from gatekeeper.audit.attacks.sample import Targets
from gatekeeper.audit.attacks.stationarity import Residual, explain
from gatekeeper.audit.attacks.weights_attacks import ClassInversion, Released, Stationarity
from gatekeeper.audit.attacks.weights_audit import WeightsAttack, run_weights_attack
from gatekeeper.audit.directions import directions
from gatekeeper.audit.similarity import centred, mean_image
from gatekeeper.core.adversary import WEIGHTS_ONLY
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.policy import AuditTerms
from gatekeeper.core.risk import AttackOutcome, Similarity
from gatekeeper.core.weights_only import WeightsSearch, least_control
from gatekeeper.training.networks import build
from tests.reference import audit_stationarity as slow
from tests.tiny import TinyUnits

SHAPE = (1, 6, 6)
CLASSES = 3
UNITS = 6


def _data(seed: int, units: int, *, own: float = 2.0) -> TinyUnits:
    """Smooth images: a pattern of their class, and `own` times as much of their own."""
    patterns, rng = np.random.default_rng(99), np.random.default_rng(seed)

    def smooth(generator: np.random.Generator, count: int) -> NDArray[np.float64]:
        noise = generator.normal(size=(count, *SHAPE))
        return noise + np.roll(noise, 1, axis=2) + np.roll(noise, 1, axis=3)

    labels = np.arange(units) % CLASSES
    images = smooth(patterns, CLASSES)[labels] + own * smooth(rng, units)
    pixels = np.clip(127 + 30 * images, 0, 255).astype(np.uint8)
    return TinyUnits(images=pixels, labels=labels, unit_of=np.arange(units), units=units)


def _untrained(width: int = 128) -> nn.Module:
    return build(ModelSpec(network="mlp", width=width), image_shape=SHAPE, classes=CLASSES, seed=0)


def _trained(data: TinyUnits, units: NDArray[np.int64], *, steps: int = 500) -> nn.Module:
    """To rest, with weight decay and without noise."""
    network = _untrained()
    images, labels = torch.from_numpy(data.images[units] / 255).float(), torch.from_numpy(data.labels[units])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=2e-3)
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@cache
def _network() -> nn.Module:
    return _trained(_data(0, UNITS), np.arange(UNITS))


def _search(**changes: Any) -> WeightsSearch:
    return WeightsSearch(**{"candidates": 2 * UNITS, "starts": 1, "iterations": 200, **changes})


def _explained(network: nn.Module | None = None, **search: Any) -> stationarity.Explained:
    return explain(
        network or _network(),
        initial=_untrained(),
        image_shape=SHAPE,
        classes=CLASSES,
        search=_search(**search),
        generator=torch.Generator().manual_seed(0),
        progress=lambda steps: None,
    )


def _best(images: Tensor, data: TinyUnits) -> NDArray[np.float64]:
    """Each image's similarity with the closest of those found."""
    mean = mean_image(_data(1, 60).images)
    rows = directions((images.double().numpy() - mean).reshape(len(images), -1))
    return np.asarray((directions(centred(data.images, mean=mean)) @ rows.T).max(axis=1))


def _advantage(images: Tensor) -> float:
    """How much closer training images are than others, in the median."""
    return float(np.median(_best(images, _data(0, UNITS))) - np.median(_best(images, _data(1, 60))))


def test_images_that_explain_the_weights_are_those_that_were_trained_on() -> None:
    found = _explained()
    assert found.residual < 0.2
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    assert (found.multipliers >= 0).all()
    assert not found.multipliers[torch.arange(2 * UNITS), found.classes].any()
    assert _advantage(found.images) > 0.4


def test_weights_that_never_saw_the_images_don_t_give_them_away() -> None:
    other = _trained(_data(7, UNITS), np.arange(UNITS))
    assert abs(_advantage(_explained(other, iterations=100).images)) < 0.15


def test_the_residual_is_that_of_one_image_and_class_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stationarity, "_STEEPNESS", 1e5)  # the step that ReLU's own derivative is
    generator = torch.Generator().manual_seed(1)
    images, owners = torch.rand((4, *SHAPE), generator=generator), torch.arange(4) % CLASSES
    multipliers = torch.rand((4, CLASSES), generator=generator) * 0.05
    fast = Residual(_network(), initial=_untrained(), owners=owners, classes=CLASSES)(images, multipliers)
    expected = slow.residual(_network(), _untrained(), images, owners.tolist(), multipliers)
    assert float(fast.detach()) == pytest.approx(expected, rel=1e-4)


def test_what_remains_of_the_initial_weights_is_no_residual() -> None:
    """Without a step there is nothing to explain, and nothing is found."""
    residual = Residual(_untrained(), initial=_untrained(), owners=torch.arange(CLASSES), classes=CLASSES)
    assert float(residual._scale) < 1e-6


def test_more_starts_never_explain_less_and_the_network_is_left_alone() -> None:
    before = [p.clone() for p in _network().parameters()]
    one, two = (_explained(starts=starts, iterations=20).residual for starts in (1, 2))
    assert two <= one + 1e-9
    assert all(torch.equal(a, b) for a, b in zip(before, _network().parameters(), strict=True))


def test_class_inversion_lowers_its_objective_and_is_taken_for_the_class() -> None:
    found = invert_classes(
        _network(),
        image_shape=SHAPE,
        classes=CLASSES,
        search=_search(candidates=7, iterations=100),
        generator=torch.Generator().manual_seed(0),
        progress=lambda images: None,
    )
    owners = torch.arange(7) % CLASSES
    assert found.shape == (7, *SHAPE)
    assert torch.equal(_network()(found).argmax(1), owners)
    start = torch.rand((7, *SHAPE), generator=torch.Generator().manual_seed(0))
    assert (objective(_network(), found, owners) < objective(_network(), start, owners)).all()


@dataclass
class Noiseless:
    """Trains on chosen units, or on nothing at all."""

    data: TinyUnits
    steps: int = 500

    def network(self, units: NDArray[np.int64], progress: Callable[[int], None]) -> nn.Module:
        progress(self.steps)
        return _trained(self.data, units, steps=self.steps)


def _released(network: nn.Module) -> Released:
    return Released(network=network, initial=_untrained(), image_shape=SHAPE, classes=CLASSES)


def _outcome(attack: WeightsAttack, *, threshold: float, candidates: int = 12) -> AttackOutcome:
    audit = AuditTerms(
        units=UNITS,
        worst_units=2,
        noise_draws=3,
        min_positive_control=0.5,
        max_negative_control=0.1,
        weights_only=WeightsSearch(candidates=candidates),
    )
    (found,) = run_weights_attack(
        attack,
        similarities=(Similarity(above_null=None, at_least=threshold),),
        train=_data(0, UNITS),
        held_out=_data(1, 60),
        audit=audit,
        progress=lambda steps: None,
        targets=Targets(sample=np.arange(UNITS), worst=np.array([0, 1])),
        rng=np.random.default_rng(0),
    )
    assert found.null.candidates == candidates
    return found.outcome


def _stationarity(*, steps: int = 500, network: nn.Module | None = None) -> Stationarity:
    held_out = _data(1, 60)
    return Stationarity(
        released=_released(network or _network()),
        search=_search(),
        held_out=held_out,
        noiseless=Noiseless(held_out, steps),
        generator=torch.Generator().manual_seed(0),
    )


def test_the_audit_of_stationarity_counts_units_and_controls() -> None:
    found = _outcome(_stationarity(), threshold=0.7)
    assert (found.attack, found.adversary, found.source) == ("stationarity", WEIGHTS_ONLY, "released-model")
    assert (found.noise_draws, found.participations, found.candidates) == (1, 0, 12)
    assert (found.sample.trials, found.worst.trials, found.negative_control.trials) == (UNITS, 2, UNITS)
    assert found.positive_control.trials == 10
    assert found.sample.rate >= 0.5
    assert found.positive_control.rate >= 0.3
    assert found.negative_control.rate <= 0.2


def test_its_control_fails_on_a_training_that_takes_no_step() -> None:
    found = _outcome(_stationarity(steps=0), threshold=0.7)
    assert found.positive_control.rate < 0.3


def _class_inversion(network: nn.Module) -> ClassInversion:
    return ClassInversion(
        released=_released(network),
        search=_search(iterations=100),
        held_out=_data(1, 60),
        generator=torch.Generator().manual_seed(0),
    )


def test_the_audit_of_class_inversion_and_a_control_that_an_untrained_network_fails() -> None:
    many = _data(5, 90, own=0.5)
    good = _outcome(_class_inversion(_trained(many, np.arange(90), steps=100)), threshold=0.9)
    bad = _outcome(_class_inversion(_untrained()), threshold=0.9)
    least = least_control("class-inversion", WeightsSearch(), classes=CLASSES)
    assert (good.positive_control.trials, good.attack) == (12, "class-inversion")
    assert bad.positive_control.rate < least <= good.positive_control.rate
