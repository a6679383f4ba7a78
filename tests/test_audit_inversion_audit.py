"""The audit by gradient inversion, on gradients that plain autograd makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from gatekeeper.audit.attacks.inversion import Search
from gatekeeper.audit.attacks.inversion_audit import Inverter, inverted_units, run_inversion
from gatekeeper.audit.attacks.sample import Targets
from gatekeeper.core.adversary import ONE_STEP
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.ranks import OneRank
from gatekeeper.core.risk import AttackOutcome
from gatekeeper.training.losses import cross_entropy
from gatekeeper.training.networks import build
from tests.reference import audit_inversion as slow
from tests.test_audit_attacks import null, terms
from tests.tiny import TinyUnits

UNITS = 10


def _data(seed: int) -> TinyUnits:
    """Smooth images, each unlike the others; unit 0 has two."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=(UNITS + 1, 1, 8, 8)).cumsum(2).cumsum(3)
    low, high = (extreme((1, 2, 3), keepdims=True) for extreme in (waves.min, waves.max))
    images = (255 * (waves - low) / (high - low)).astype(np.uint8)
    unit_of = np.array([0, *range(UNITS)])
    return TinyUnits(images=images, labels=np.arange(UNITS + 1) % 2, unit_of=unit_of, units=UNITS)


@dataclass
class Step:
    """Releases the gradient of a unit's first image, with noise in units of its norm."""

    network: nn.Module
    data: TinyUnits
    sigma: float

    def quiet_release(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        (unit,) = units
        first = int(np.flatnonzero(self.data.unit_of == unit)[0])
        image = torch.from_numpy(self.data.images[first] / 255).float()
        gradient = slow.gradient(self.network, cross_entropy, image, torch.tensor(int(self.data.labels[first])))
        return np.asarray((gradient / gradient.norm()).double().numpy())

    def targets(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        assert len(np.unique(units)) == len(units)  # as the run's own step has it
        return np.array([self.data.labels[np.flatnonzero(self.data.unit_of == unit)[0]] for unit in units])

    def release(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        exact = self.quiet_release(units)
        return exact + self.sigma * np.random.default_rng(int(units[0])).normal(size=exact.shape)


def _inverter(train: TinyUnits, *, sigma: float, iterations: int = 150) -> Inverter:
    network = build(ModelSpec(network="mlp", width=32), image_shape=(1, 8, 8), classes=2, seed=0)
    return Inverter(
        step=Step(network, train, sigma),
        network=network,
        loss=cross_entropy,
        search=Search(iterations=iterations, starts=1),
        generator=torch.Generator().manual_seed(0),
    )


def test_a_unit_in_the_sample_and_in_the_worst_stratum_is_attacked_twice_and_each_attack_is_heard_of() -> None:
    data, heard = _data(0), []
    found = _inverter(data, sigma=1.0, iterations=1).images(
        data, np.array([3, 4, 3]), quiet=False, progress=heard.append
    )
    assert (found.shape, sum(heard)) == ((3, 1, 8, 8), 3)


def _outcome(*, sigma: float, draws: int = 1, heard: list[int] | None = None) -> AttackOutcome:
    train = _data(0)
    inverter = _inverter(train, sigma=sigma)
    targets = Targets(sample=np.arange(7), worst=np.array([6, 9]))
    audit = terms(units=7, worst_units=2, noise_draws=draws)
    lengths: list[int] = [] if heard is None else heard
    (found,) = run_inversion(
        inverter,
        nulls=(null(0.9),),
        train=train,
        held_out=_data(1),
        targets=targets,
        audit=audit,
        rng=np.random.default_rng(0),
        progress=lengths.append,
        ranks=OneRank(),
    )
    assert sum(lengths) == inverted_units(train_units=UNITS, audit=audit)
    return found


@pytest.mark.slow
def test_without_noise_most_units_come_back_and_the_controls_hold() -> None:
    found = _outcome(sigma=0.0)
    assert (found.attack, found.adversary, found.source) == ("inversion", ONE_STEP, "production-step")
    assert (found.sample.trials, found.worst.trials, found.negative_control.trials) == (7, 2, 7)
    assert found.sample.rate >= 0.8
    assert found.positive_control.rate >= 0.8
    assert found.negative_control.rate <= 0.2


@pytest.mark.slow
def test_with_noise_none_do_and_the_positive_control_still_works() -> None:
    found = _outcome(sigma=1.0, draws=2)
    assert found.sample.successes == found.worst.successes == 0
    assert found.positive_control.rate >= 0.8
    assert found.noise_draws == 2
