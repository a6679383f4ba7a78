from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core.candidate import LOSSES
from gatekeeper.errors import InvalidValueError
from gatekeeper.training.losses import SMOOTH, cross_entropy, loss_of, soft_dice
from tests.reference import training_losses as slow
from tests.tiny import tiny_candidate

SHAPES = st.sampled_from([(), (5,), (4, 3), (3, 2, 2)])


def draw(*, views: int, classes: int, spatial: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn((views, classes, *spatial), generator=generator)
    return logits, torch.randint(classes, (views, *spatial), generator=generator)


def of_name(name: str):
    return loss_of(dataclasses.replace(tiny_candidate().training, loss=name), "segmentation")


@settings(max_examples=40, deadline=None)
@given(views=st.integers(1, 4), classes=st.integers(2, 4), spatial=SHAPES, seed=st.integers(0, 99))
def test_each_view_has_the_loss_of_the_slow_twin(views: int, classes: int, spatial: tuple, seed: int) -> None:
    logits, targets = draw(views=views, classes=classes, spatial=spatial, seed=seed)
    entropy = [slow.cross_entropy(one, target) for one, target in zip(logits, targets, strict=True)]
    torch.testing.assert_close(cross_entropy(logits, targets), torch.tensor(entropy), rtol=1e-5, atol=1e-5)
    if not spatial:
        return
    dice = [slow.soft_dice(one, target, smooth=SMOOTH) for one, target in zip(logits, targets, strict=True)]
    torch.testing.assert_close(soft_dice(logits, targets), torch.tensor(dice), rtol=1e-5, atol=1e-5)
    both = [one + other for one, other in zip(dice, entropy, strict=True)]
    torch.testing.assert_close(of_name("dice+cross-entropy")(logits, targets), torch.tensor(both), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_views_loss_and_gradient_know_nothing_of_its_companions(name: str) -> None:
    loss = of_name(name)
    logits, targets = draw(views=3, classes=3, spatial=(6, 5), seed=1)
    others, their_targets = draw(views=3, classes=3, spatial=(6, 5), seed=2)
    others[1], their_targets[1] = logits[1], targets[1]

    def of_the_second(given: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = given.clone().requires_grad_()
        losses = loss(leaf, labels)
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses[1].detach(), gradient[1]

    for found, other in zip(of_the_second(logits, targets), of_the_second(others, their_targets), strict=True):
        assert torch.equal(found, other)
    # And the first view's loss is blind to the second's logits.
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, targets)[0], leaf)
    assert gradient[0].any()
    assert not gradient[1:].any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_true_mask_is_better_than_its_opposite(name: str) -> None:
    _, targets = draw(views=2, classes=2, spatial=(8, 8), seed=3)
    right = 20.0 * torch.nn.functional.one_hot(targets, 2).movedim(-1, 1)
    assert bool((of_name(name)(right, targets) < 1e-3).all())
    assert bool((of_name(name)(-right, targets) > 0.9).all())


def test_a_class_that_neither_has_costs_next_to_nothing() -> None:
    targets = torch.zeros((1, 8, 8), dtype=torch.int64)
    logits = torch.zeros((1, 2, 8, 8))
    logits[:, 0] = 20.0
    assert float(soft_dice(logits, targets)) < 1e-5


def test_losses_are_float32_whatever_the_network_computes_in() -> None:
    logits, targets = draw(views=2, classes=3, spatial=(4, 4), seed=4)
    for name in LOSSES:
        assert of_name(name)(logits.bfloat16(), targets.to(torch.uint8)).dtype == torch.float32


def test_without_a_name_the_task_decides() -> None:
    spec = tiny_candidate().training
    assert loss_of(spec, "classification") is cross_entropy
    assert loss_of(spec, "segmentation") is of_name("dice+cross-entropy")


@pytest.mark.parametrize("name", ["dice", "dice+cross-entropy"])
def test_dice_is_no_loss_of_a_classifier(name: str) -> None:
    spec = dataclasses.replace(tiny_candidate().training, loss=name)
    with pytest.raises(InvalidValueError, match=r"doesn't fit classification.*cross-entropy"):
        loss_of(spec, "classification")
