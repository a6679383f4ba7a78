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


def _network(seed: int = 0) -> torch.nn.Module:
    return build(ModelSpec(network="resnet9", width=8), image_shape=SHAPE, classes=3, seed=seed).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    artifact = export(_network(), image_shape=SHAPE, path=path)
    assert artifact.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifact.size == path.stat().st_size
    assert artifact.parity < 1e-4
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


def test_other_weights_give_other_bytes(exported: Path, tmp_path: Path) -> None:
    export(_network(seed=1), image_shape=SHAPE, path=tmp_path / "other.onnx")
    assert (tmp_path / "other.onnx").read_bytes() != exported.read_bytes()


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
        export(_network(), image_shape=SHAPE, path=tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
