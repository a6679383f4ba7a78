from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from gatekeeper import export as export_module
from gatekeeper.core.candidate import ModelSpec
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.export import export
from gatekeeper.training.networks import build

SHAPE = (3, 16, 16)


def _network(name: str = "resnet9", *, seed: int = 0) -> torch.nn.Module:
    return build(ModelSpec(network=name, width=8), image_shape=SHAPE, classes=3, seed=seed).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    artifact = export(_network(), image_shape=SHAPE, path=path)
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifact.size == path.stat().st_size
    assert artifact.parity < 1e-4
    assert artifact.spatial_multiple is None
    return path


def test_the_file_computes_what_the_network_computes_for_any_batch(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported))
    for count in (1, 2, 7):
        images = np.random.default_rng(count).random((count, *SHAPE), dtype=np.float32)
        with torch.no_grad():
            expected = _network()(torch.from_numpy(images)).numpy()
        found = session.run(["logits"], {"pixels": images})[0]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_nothing_of_machine_or_source_is_in_the_file(exported: Path) -> None:
    content = exported.read_bytes()
    for trace in (b"site-packages", b".py", b"pkg.torch", b"stack_trace", b"File ", str(Path.cwd()).encode(), b"/home"):
        assert trace not in content, trace
    model = onnx.load(str(exported))
    assert not model.metadata_props
    assert not model.doc_string
    assert model.producer_name == "gatekeeper"
    assert all(not node.metadata_props and not node.doc_string for node in model.graph.node)


def test_the_same_weights_give_the_same_bytes_from_another_process_and_folder(exported: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.test_export import _network, SHAPE; "
        "from gatekeeper.export import export; export(_network(), image_shape=SHAPE, path=Path(sys.argv[1]))"
    )
    other = tmp_path / "other.onnx"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(other)], check=True)
    assert other.read_bytes() == exported.read_bytes()


@pytest.mark.slow
def test_other_weights_give_other_bytes(tmp_path: Path) -> None:
    for seed in (0, 1):
        export(_network("mlp", seed=seed), image_shape=SHAPE, path=tmp_path / f"{seed}.onnx")
    assert (tmp_path / "0.onnx").read_bytes() != (tmp_path / "1.onnx").read_bytes()


@pytest.mark.slow
def test_a_file_that_computes_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = export_module._clean

    def tampered(model: onnx.ModelProto) -> onnx.ModelProto:
        clean = original(model)
        for initializer in clean.graph.initializer:
            if initializer.name.endswith("head.bias"):
                initializer.CopyFrom(onnx.numpy_helper.from_array(np.full(3, 0.5, np.float32), initializer.name))
        return clean

    monkeypatch.setattr(export_module, "_clean", tampered)
    with pytest.raises(UnsupportedModelError, match="differs from the network"):
        export(_network("mlp"), image_shape=SHAPE, path=tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def _unet(name: str, shape: tuple[int, ...]) -> torch.nn.Module:
    spec = ModelSpec(network=name, width=4)
    return build(spec, image_shape=shape, classes=3, seed=0, task="segmentation").eval()


@pytest.mark.parametrize(
    ("name", "trained_on", "others"),
    [
        pytest.param("unet", (1, 8, 24), [(1, 8, 8), (1, 16, 40)], marks=pytest.mark.slow),
        pytest.param("unet3d", (2, 8, 8, 16), [(2, 16, 8, 8), (2, 8, 24, 16)], marks=pytest.mark.slow),
    ],
)
def test_a_network_for_any_size_gives_a_file_for_any_size(
    name: str, trained_on: tuple[int, ...], others: list[tuple[int, ...]], tmp_path: Path
) -> None:
    network, path = _unet(name, trained_on), tmp_path / "model.onnx"
    artifact = export(network, image_shape=trained_on, path=path)
    assert artifact.spatial_multiple == 8
    session = onnxruntime.InferenceSession(str(path))
    for count, shape in enumerate((trained_on, *others), start=1):
        images = np.random.default_rng(count).random((count, *shape), dtype=np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        found = session.run(["logits"], {"pixels": images})[0]
        assert found.shape == (count, 3, *shape[1:])
        np.testing.assert_allclose(found, expected, atol=1e-4)
    for trace in (b"site-packages", b".py", b"pkg.torch", b"stack_trace", b"/home"):
        assert trace not in path.read_bytes(), trace


def test_a_network_for_one_size_gives_a_file_for_that_size_only(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported), onnxruntime.SessionOptions())
    with pytest.raises(Exception, match="invalid dimensions"):
        session.run(["logits"], {"pixels": np.zeros((1, 3, 24, 24), np.float32)})


class _AnySize(torch.nn.Module):
    """Takes images of any size."""

    spatial_multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x)


class _Drifting(torch.nn.Module):
    """As another network for one width, and not for others."""

    def __init__(self, network: torch.nn.Module, *, width: int) -> None:
        super().__init__()
        self.network = network
        self.width = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) + 0.1 * (x.shape[-1] - self.width)


@pytest.mark.slow
def test_a_file_that_is_right_at_the_size_of_training_only_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = export_module._to_onnx

    def drifting(network: torch.nn.Module, *arguments: object, **keywords: object) -> onnx.ModelProto:
        return original(_Drifting(network, width=16), *arguments, **keywords)

    network, path = _AnySize().eval(), tmp_path / "model.onnx"
    export(network, image_shape=(1, 16, 16), path=path)
    path.unlink()
    monkeypatch.setattr(export_module, "_to_onnx", drifting)
    with pytest.raises(UnsupportedModelError, match="differs from the network"):
        export(network, image_shape=(1, 16, 16), path=path)
    assert not list(tmp_path.iterdir())


class _OneSize(torch.nn.Module):
    """Says that it takes any size, and doesn't."""

    spatial_multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(16, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.place


def test_a_network_that_takes_fewer_sizes_than_it_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="could not export this network"):
        export(_OneSize(), image_shape=(1, 16, 16), path=tmp_path / "model.onnx")
