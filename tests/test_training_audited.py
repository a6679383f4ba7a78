"""The run's own step, as an audit takes it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import InvalidValueError, PrivacyError
from gatekeeper.training import loop, train
from gatekeeper.training.audited import QUIET, ProductionStep
from gatekeeper.training.clipping.clip import STABILITY
from gatekeeper.training.devices import find_device
from gatekeeper.training.optimizer import MasterWeights
from gatekeeper.training.step import NoisyStep
from gatekeeper.training.subject import subject_of
from tests.reference import dp_sgd_step as reference
from tests.tiny import tiny_candidate, tiny_card, tiny_plan, tiny_segmentation_units, tiny_units

AUDIT = Mechanism(
    sampling="balls-and-bins", sampling_rate=1.0, noise_multiplier=0.5, steps=2, adjacency="zero-out", unit="image"
)
DATA = tiny_units(units=12)
PLAIN = {"candidate": tiny_candidate(), "plan": tiny_plan(), "mechanism": AUDIT, "card": tiny_card(DATA), "data": DATA}


def step_of(**changes: object) -> ProductionStep:
    return ProductionStep(**{**PLAIN, **changes})


def of_clipping(rule: str) -> dict[str, object]:
    """A recipe of another clipping rule, and its plan."""
    norm = 0.5 if rule == "flat" else 1.0
    return {
        "candidate": tiny_candidate(clipping=rule, clipping_norm=norm),
        "plan": dataclasses.replace(tiny_plan(), clipping=rule, clipping_norm=norm),
    }


def expected_contributions(units: np.ndarray, *, rule: str, candidate: object, plan: object) -> np.ndarray:
    """By the reference: float64, one unit and one view at a time."""
    subject = subject_of(candidate, PLAIN["card"], data=DATA)
    batch = subject.source(DATA, candidate).draw(0, units)
    found = []
    for gradient in reference.unit_gradients(subject.network, batch, views=2):
        flat = torch.cat([part.flatten() for part in gradient]).numpy()
        norm = float(np.linalg.norm(flat))
        found.append(flat / (norm + STABILITY) if rule == "automatic" else flat / max(norm, plan.clipping_norm))
    return np.array(found)


@pytest.mark.parametrize("rule", ["flat", "adaptive", "automatic"])
def test_contributions_are_those_of_the_reference_and_of_the_step(rule: str) -> None:
    """Both ways: one unit's gradient alone, and what the run's own step makes of it with the noise all but off."""
    units, settings = np.array([7, 2, 9]), of_clipping(rule)
    step = step_of(**settings)
    own = step.contributions(units)
    expected = expected_contributions(units, rule=rule, **settings)
    assert own.dtype == np.float64
    np.testing.assert_allclose(own, expected, atol=1e-5)
    assert np.linalg.norm(own, axis=1).max() <= 1 + 1e-12
    np.testing.assert_allclose(step.quiet_release(units), expected.sum(axis=0), atol=3 * 2e-3)
    assert not np.allclose(step.quiet_release(units), 1.05 * expected.sum(axis=0), atol=3 * 2e-3)


def test_a_release_is_the_sum_and_noise_of_the_audits_own_scale() -> None:
    step, units = step_of(), np.array([1, 4])
    noise = step.release(units) - step.quiet_release(units)
    other = step.release(units) - step.quiet_release(units)
    for sample in (noise, other):
        assert abs(np.mean(sample**2) / AUDIT.noise_multiplier**2 - 1) < 5 * np.sqrt(2 / sample.size)
    assert abs(np.corrcoef(noise, other)[0, 1]) < 5 / np.sqrt(noise.size), "each step draws fresh noise"
    assert np.abs(step.quiet_release(units) - step.quiet_release(units)).max() < 20 * QUIET


def test_units_that_are_not_in_play_leave_no_trace() -> None:
    step, nobody = step_of(), np.array([], dtype=np.int64)
    assert np.abs(step.quiet_release(nobody)).max() < 20 * QUIET
    assert step.contributions(nobody).sum(axis=0).shape == step.quiet_release(nobody).shape
    alone, pair = step.quiet_release(np.array([3])), step.quiet_release(np.array([3, 5]))
    np.testing.assert_allclose(pair - alone, step.contributions(np.array([5]))[0], atol=4e-3)
    assert np.linalg.norm(alone) > 0.5


def test_the_sampling_decides_who_of_those_in_play_takes_part() -> None:
    """At a rate of one half a unit is in about half of the steps: the run's own draw, not a list of the audit's."""
    halved = dataclasses.replace(AUDIT, sampling="poisson", sampling_rate=0.5, steps=10**6)
    step, units = step_of(mechanism=halved), np.array([3])
    whole = step_of().quiet_release(units)
    seen = np.array([step.quiet_release(units) @ whole / (whole @ whole) for _ in range(60)])
    assert set(seen.round(3)) == {0.0, 1.0}
    assert 10 < seen.sum() < 50


@pytest.mark.slow
def test_the_weights_are_those_that_are_given() -> None:
    trained = train(
        candidate=tiny_candidate(), plan=tiny_plan(), card=PLAIN["card"], data=DATA, on_step=lambda _: None
    ).network
    first, last, units = step_of(), step_of(network=trained), np.array([2])
    assert not np.allclose(first.quiet_release(units), last.quiet_release(units), atol=0.02)
    np.testing.assert_allclose(last.quiet_release(units), last.contributions(units)[0], atol=4e-3)


def test_a_frozen_backbone_is_audited_by_its_head() -> None:
    base = tiny_candidate(augmentation=type(tiny_candidate().training.augmentation)())
    candidate = dataclasses.replace(base, model=dataclasses.replace(base.model, trainable=("head.*",)))
    step, units = step_of(candidate=candidate), np.array([2, 3])
    parameters = 4 * 4 * 2 + 2
    assert step.contributions(units).shape == (2, parameters)
    np.testing.assert_allclose(step.quiet_release(units), step.contributions(units).sum(axis=0), atol=1e-2)


def test_masks_are_audited_too() -> None:
    data = tiny_segmentation_units(units=6)
    recipe = tiny_candidate()
    candidate = dataclasses.replace(
        recipe,
        model=ModelSpec(network="unet", width=4),
        data=dataclasses.replace(recipe.data, format="phantom-abdomen"),
    )
    step, units = step_of(candidate=candidate, data=data, card=tiny_card(data)), np.array([5, 0])
    np.testing.assert_allclose(step.quiet_release(units), step.contributions(units).sum(axis=0), atol=1e-2)


def test_it_is_the_step_that_the_training_takes() -> None:
    assert loop.NoisyStep is NoisyStep


@pytest.mark.parametrize("units", [[3, 3], [12], [-1]])
def test_units_that_there_are_not_or_that_come_twice_are_refused(units: list[int]) -> None:
    step = step_of()
    for call in (step.release, step.quiet_release, step.contributions):
        with pytest.raises(InvalidValueError, match="distinct numbers from 0 to 11"):
            call(np.array(units))


def test_an_audit_without_a_step_or_with_noise_too_small_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="steps"):
        step_of(mechanism=dataclasses.replace(AUDIT, steps=0))
    with pytest.raises(PrivacyError, match="can't be added exactly"):
        step_of(mechanism=dataclasses.replace(AUDIT, noise_multiplier=1e-11))


def test_the_training_learns_what_the_audit_steps_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pass of the loop on all units, noise all but off: its first update is the audit's sum over the divisor."""
    seen: list[np.ndarray] = []

    class Recorder(MasterWeights):
        def update(self, gradients: list[torch.Tensor]) -> None:
            seen.append(torch.cat([g.flatten() for g in gradients]).numpy().copy())
            super().update(gradients)

    monkeypatch.setattr(loop, "MasterWeights", Recorder)
    plan = dataclasses.replace(
        tiny_plan(), mechanism=dataclasses.replace(AUDIT, noise_multiplier=QUIET, steps=1), resume_allowance=0
    )
    train(candidate=tiny_candidate(), plan=plan, card=PLAIN["card"], data=DATA, on_step=lambda _: None)
    summed = step_of().quiet_release(np.arange(DATA.units))
    np.testing.assert_allclose(seen[0] * plan.divisor / plan.clipping_norm, summed, atol=20 * QUIET)


@pytest.mark.gpu
def test_a_gpu_takes_the_same_step() -> None:
    units, cpu, gpu = np.array([7, 2, 9]), step_of(), step_of(device=find_device("cuda"))
    np.testing.assert_allclose(gpu.contributions(units), cpu.contributions(units), atol=1e-4)
    np.testing.assert_allclose(gpu.quiet_release(units), cpu.quiet_release(units), atol=1e-4)
