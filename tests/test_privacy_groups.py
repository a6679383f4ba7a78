"""Units of several images that are sampled one by one."""

from __future__ import annotations

from typing import Any

import pytest

from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InvalidValueError, PrivacyError
from gatekeeper.privacy import account_images, gaussian, participation
from tests.reference import privacy_groups


def _mechanism(**changes: Any) -> Mechanism:
    fields = {
        "sampling": "poisson",
        "sampling_rate": 0.1,
        "noise_multiplier": 0.5,
        "steps": 12,
        "adjacency": "zero-out",
        "unit": "patient",
    }
    return Mechanism(**{**fields, **changes})


@pytest.mark.parametrize(("images", "rate", "steps"), [(1, 0.3, 6), (2, 0.1, 20), (5, 0.05, 8), (3, 0.9, 5)])
@pytest.mark.parametrize("sigma", [0.05, 2.0])
def test_the_bound_is_the_mixture_it_says_it_is(images: int, rate: float, steps: int, sigma: float) -> None:
    run = _mechanism(sampling_rate=rate, steps=steps, noise_multiplier=sigma)
    found = account_images(run, 1e-5, images_per_unit=images).epsilon.high
    exact = privacy_groups.delta(epsilon=found, images=images, rate=rate, steps=steps, sigma=sigma)
    assert exact <= 1e-5
    assert exact == pytest.approx(1e-5, rel=1e-6)


def test_the_published_example_of_five_images() -> None:
    run = _mechanism(sampling_rate=0.01, noise_multiplier=6.745e-3, steps=1000)
    assert account_images(run, 1e-5, images_per_unit=5).epsilon.high == pytest.approx(1e6, rel=3e-4)


def test_one_image_a_unit_is_the_participation_bound() -> None:
    run = _mechanism(noise_multiplier=1e-3)
    found = account_images(run, 1e-6, images_per_unit=1).epsilon.high
    assert found == pytest.approx(participation.epsilon(run, delta=1e-6).high, rel=1e-9)


def test_more_images_cost_more_and_never_more_than_all_of_them_every_time() -> None:
    run, last = _mechanism(), 0.0
    for images in (1, 2, 3, 7, 40):
        found = account_images(run, 1e-6, images_per_unit=images).epsilon.high
        assert last < found <= gaussian.epsilon(mu=images * 12**0.5 / 0.5, delta=1e-6).high * (1 + 1e-9)
        last = found


def test_the_slack_of_the_sensitivity_counts() -> None:
    slack = _mechanism(noise_multiplier=0.75, sensitivity_slack=0.5)
    assert account_images(slack, 1e-6, images_per_unit=3) == account_images(_mechanism(), 1e-6, images_per_unit=3)


@pytest.mark.parametrize(
    ("steps", "rate", "images"), [(10**6, 0.5, 300), (10**6, 1e-6, 1000), (1, 1e-9, 2), (10, 1.0, 4)]
)
def test_extreme_runs_give_a_number(steps: int, rate: float, images: int) -> None:
    found = account_images(_mechanism(steps=steps, sampling_rate=rate), 1e-8, images_per_unit=images).epsilon
    assert 0 <= found.high < float("inf")


def test_what_cannot_be_accounted_is_refused() -> None:
    with pytest.raises(PrivacyError, match="balls-and-bins"):
        account_images(_mechanism(sampling="balls-and-bins"), 1e-5, images_per_unit=2)
    with pytest.raises(PrivacyError, match="1001"):
        account_images(_mechanism(), 1e-5, images_per_unit=1001)
    with pytest.raises(InvalidValueError):
        account_images(_mechanism(), 1e-5, images_per_unit=0)


def test_no_steps_spend_nothing() -> None:
    assert account_images(_mechanism(steps=0), 1e-5, images_per_unit=9).epsilon.high == 0
