from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatekeeper.audit.attacks import inversion
from gatekeeper.audit.attacks.inversion import Search, invert, total_variation
from gatekeeper.audit.similarity import ncc
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import InvalidValueError
from gatekeeper.training.losses import cross_entropy
from gatekeeper.training.networks import build
from tests.reference import audit_inversion as slow

SHAPE = (1, 8, 8)
UNITS = 6


def _network(name: Literal["mlp", "resnet9"] = "mlp") -> torch.nn.Module:
    return build(ModelSpec(network=name, width=32), image_shape=SHAPE, classes=3, seed=0)


def _images() -> tuple[Tensor, Tensor, Tensor]:
    """Images, their labels, and a mean image of others."""
    pixels = np.random.default_rng(0).random((2 * UNITS, *SHAPE)).cumsum(3)
    images = torch.from_numpy(pixels / pixels.max()).float()
    return images[:UNITS], torch.arange(UNITS) % 3, images[UNITS:].mean(0)


def _gradients(network: torch.nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    return torch.stack([slow.gradient(network, cross_entropy, *pair) for pair in zip(images, targets, strict=True)])


def _inverted(gradients: Tensor, targets: Tensor, *, seed: int = 0, **search: float) -> Tensor:
    return invert(
        _network(),
        loss=cross_entropy,
        gradients=gradients,
        targets=targets,
        image_shape=SHAPE,
        search=Search(**{"iterations": 200, "starts": 1, **search}),  # type: ignore[arg-type]
        generator=torch.Generator().manual_seed(seed),
    )


def _similarity(found: Tensor, images: Tensor, mean: Tensor) -> NDArray[np.float64]:
    first, second = ((stack - mean).flatten(1).double().numpy() for stack in (found, images))
    return ncc(first, second)


def test_images_come_back_from_gradients_without_noise() -> None:
    images, targets, mean = _images()
    found = _inverted(_gradients(_network(), images, targets), targets)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert (_similarity(found, images, mean) >= 0.9).mean() >= 0.8


def test_they_do_not_from_noise_nor_from_others_gradients() -> None:
    images, targets, mean = _images()
    gradients = _gradients(_network(), images, targets)
    noise = torch.randn(gradients.shape, generator=torch.Generator().manual_seed(1)) * gradients.norm(dim=1).max()
    for other in (gradients + noise, gradients.roll(3, dims=0)):
        assert (_similarity(_inverted(other, targets), images, mean) >= 0.9).sum() == 0


def test_an_attack_that_descends_the_other_way_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, targets, mean = _images()
    right = inversion._objective

    def wrong(*args: Any, **terms: Any) -> Callable[[Tensor], Tensor]:
        objective = right(*args, **terms)
        return lambda images: -objective(images)

    monkeypatch.setattr(inversion, "_objective", wrong)
    found = _inverted(_gradients(_network(), images, targets), targets)
    assert (_similarity(found, images, mean) >= 0.9).sum() == 0


@pytest.mark.parametrize("name", ["mlp", "resnet9"])
def test_the_objective_is_that_of_one_image_at_a_time(name: Literal["mlp", "resnet9"]) -> None:
    network, (images, targets, _) = _network(name), _images()
    gradients = _gradients(network, images, targets)
    tried = images.flip(0)
    objective = inversion._objective(network, loss=cross_entropy, gradients=gradients, targets=targets, alpha=0.3)
    own = _gradients(network, tried, targets)
    expected = [slow.objective(own[i], gradients[i], tried[i], alpha=0.3) for i in range(UNITS)]
    np.testing.assert_allclose(objective(tried).detach().numpy(), expected, atol=2e-4)


def test_more_starts_never_end_with_a_larger_objective() -> None:
    images, targets, _ = _images()
    gradients = _gradients(_network(), images, targets)
    objective = inversion._objective(_network(), loss=cross_entropy, gradients=gradients, targets=targets, alpha=1e-2)
    one, two = (_inverted(gradients, targets, starts=starts, iterations=20) for starts in (1, 2))
    assert (objective(two) <= objective(one) + 1e-6).all()


def test_the_network_is_left_alone_and_one_generator_gives_one_result() -> None:
    network, (images, targets, _) = _network(), _images()
    gradients = _gradients(network, images, targets)
    before = [p.clone() for p in network.parameters()]
    first, again = (_inverted(gradients, targets, iterations=5) for _ in range(2))
    assert torch.equal(first, again)
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, network.parameters(), strict=True))


def test_total_variation_of_volumes_counts_each_axis() -> None:
    steps = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(1, 1, 4, 3, 2)
    assert float(total_variation(steps)) == pytest.approx(1.0)
    assert float(total_variation(torch.full((1, 2, 4, 4), 0.5))) == 0


@pytest.mark.parametrize("wrong", [{"iterations": 0}, {"starts": 0}, {"learning_rate": 0.0}, {"total_variation": -1.0}])
def test_a_search_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidValueError):
        Search(**wrong)  # type: ignore[arg-type]
