from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.export import export
from gatekeeper.training.networks import NormalisedInput, build
from gatekeeper.training.networks.standardised import StandardisedConv2d

SHAPES: dict[str, tuple[int, ...]] = {
    "resnet9": (3, 16, 24),
    "resnet18": (3, 32, 40),
    "lenet": (1, 8, 12),
    "mlp": (1, 8, 8),
    "unet": (1, 16, 24),
    "unet3d": (1, 8, 16, 24),
}
CLASSES = 3

# What per-unit clipping knows how to take apart.
KNOWN_LAYERS = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.GroupNorm, StandardisedConv2d)

every_network = pytest.mark.parametrize("name", SHAPES)


def _task(name: str) -> Task:
    return "segmentation" if name.startswith("unet") else "classification"


def _build(name: str, *, shape: tuple[int, ...] | None = None, width: int = 8, seed: int = 0) -> NormalisedInput:
    spec = ModelSpec(network=name, width=width)
    return build(spec, image_shape=shape or SHAPES[name], classes=CLASSES, seed=seed, task=_task(name))


def _images(name: str, count: int, *, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, *SHAPES[name]), generator=torch.Generator().manual_seed(seed))


@every_network
def test_outputs_are_one_row_of_logits_an_image_or_a_pixel(name: str) -> None:
    spatial = SHAPES[name][1:] if _task(name) == "segmentation" else ()
    assert _build(name)(_images(name, 2)).shape == (2, CLASSES, *spatial)


@every_network
def test_no_layer_mixes_samples(name: str) -> None:
    """The derivative of one image's logits by another image is zero, exactly, in training mode."""
    images = _images(name, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(_build(name)(images)[1].sum(), images)
    assert gradient[1].abs().sum() > 0
    assert torch.count_nonzero(gradient[[0, 2]]) == 0


@every_network
def test_the_input_is_left_alone(name: str) -> None:
    images = _images(name, 2)
    before = images.clone()
    _build(name)(images)
    assert torch.equal(images, before)


@every_network
def test_every_module_is_called_at_most_once_and_owns_its_parameters(name: str) -> None:
    network, calls = _build(name), Counter[str]()
    for path, module in network.named_modules():
        module.register_forward_hook(lambda _m, _i, _o, path=path: calls.update([path]))  # type: ignore[misc]
        if list(module.parameters(recurse=False)):
            assert isinstance(module, KNOWN_LAYERS), path
    network(_images(name, 2))
    assert set(calls.values()) == {1}
    with_parameters = {path for path, module in network.named_modules() if list(module.parameters(recurse=False))}
    assert with_parameters <= set(calls)
    names = [path for path, _ in network.named_parameters(remove_duplicate=False)]
    assert names == [path for path, _ in network.named_parameters()]


@every_network
def test_every_parameter_takes_part(name: str) -> None:
    network = _build(name)
    network(_images(name, 2)).square().sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.abs().sum() > 0, path


@every_network
def test_there_is_no_state_but_parameters(name: str) -> None:
    assert not list(_build(name).buffers())


@every_network
def test_the_seed_gives_the_weights_and_leaves_torchs_own_generator(name: str) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, again, other = (next(_build(name, seed=seed).parameters()) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "name",
    [name if name == "lenet" else pytest.param(name, marks=pytest.mark.slow) for name in SHAPES],
)
def test_it_exports_to_onnx(name: str, tmp_path: Path) -> None:
    artifact = export(_build(name).eval(), image_shape=SHAPES[name], path=tmp_path / "model.onnx")
    assert artifact.parity < 1e-4


@pytest.mark.parametrize("name", ["unet", "unet3d"])
def test_unets_take_other_sizes_of_their_multiple(name: str) -> None:
    network = _build(name)
    assert network.spatial_multiple == 8
    sides = tuple(side + 8 for side in SHAPES[name][1:])
    assert network(torch.rand(1, 1, *sides)).shape[2:] == sides


@pytest.mark.parametrize("name", ["resnet9", "resnet18", "lenet", "mlp"])
def test_classifiers_keep_the_size_that_they_were_judged_at(name: str) -> None:
    assert _build(name).spatial_multiple is None


def test_resnet18_has_torchvisions_parameters() -> None:
    """11,689,512: the number that torchvision documents for its ResNet-18 with 1000 classes."""
    spec = ModelSpec(network="resnet18", width=64)
    network = build(spec, image_shape=(3, 224, 224), classes=1000, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_689_512
    assert max(m.num_groups for m in network.modules() if isinstance(m, nn.GroupNorm)) == 32


def test_lenet_of_width_6_has_the_hidden_layers_of_lenet_5() -> None:
    network = build(ModelSpec(network="lenet", width=6), image_shape=(1, 28, 28), classes=10, seed=0)
    assert [m.out_features for m in network.modules() if isinstance(m, nn.Linear)] == [120, 84, 10]


@pytest.mark.parametrize(
    ("name", "shape", "width", "task", "message", "hint"),
    [
        ("resnet9", (1, 7, 9), 8, "classification", "resnet9 needs images of at least 8×8, got 7×9", "mlp"),
        ("resnet18", (1, 31, 64), 8, "classification", "at least 32×32, got 31×64", "resnet9 or lenet or mlp"),
        ("lenet", (1, 28, 7), 8, "classification", "at least 8×8", "data.image_size"),
        ("resnet9", (1, 8, 8), 6, "classification", "width must be a multiple of 4, got 6", "GroupNorm"),
        ("resnet9", (1, 16, 16, 16), 8, "classification", "takes flat images, got 16×16×16", "network: mlp"),
        ("unet3d", (1, 16, 16), 8, "segmentation", "takes volumes, got 16×16", "network: unet"),
        ("unet", (1, 16, 16, 16), 8, "segmentation", "takes flat images, got 16×16×16", "network: unet3d"),
        ("unet", (1, 60, 65), 8, "segmentation", "multiples of 8, got 60×65", "use images of 64×64"),
        ("unet3d", (1, 12, 64, 64), 8, "segmentation", "multiples of 8, got 12×64×64", "16×64×64"),
        ("unet", (1, 4, 64), 8, "segmentation", "at least 8×8", "data.image_size"),
        ("resnet9", (1, 16, 16), 8, "segmentation", "resnet9 does classification, and the data are for", "unet"),
        ("unet", (1, 16, 16), 8, "classification", "unet does segmentation", "resnet9 or lenet or mlp"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_with_the_remedy(
    name: str, shape: tuple[int, ...], width: int, task: Task, message: str, hint: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        build(ModelSpec(network=name, width=width), image_shape=shape, classes=2, seed=0, task=task)
    assert hint in (caught.value.hint or "")
