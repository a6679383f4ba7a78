from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gatekeeper.errors import DivergedError, InvalidInputError, UnsupportedModelError
from gatekeeper.evaluation import predict

PIXELS, CLASSES = 12, 3


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, size=(11, 3, 2, 2)).astype(np.uint8)


def write_model(path: Path, *, bias: tuple[float, ...] = (0.0, 0.0, 0.0), flat: bool = False) -> np.ndarray:
    """A linear model of flattened images; returns its weight."""
    weight = np.random.default_rng(1).standard_normal((PIXELS, CLASSES)).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("Gemm", ["flat", "w", "b"], ["out"])]
    if flat:
        nodes[1:] = [
            helper.make_node("Gemm", ["flat", "w", "b"], ["rows"]),
            helper.make_node("ReduceSum", ["rows"], ["out"], keepdims=0),
        ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 2, 2])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.array(bias, dtype=np.float32), "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return weight


def test_predictions_are_those_of_the_graph_in_batches_of_any_size(tmp_path: Path, images: np.ndarray) -> None:
    weight = write_model(tmp_path / "model.onnx", bias=(1.0, 2.0, 3.0))
    expected = images.reshape(11, -1) / 255.0 @ weight + [1.0, 2.0, 3.0]
    for batch in (1, 4, 11, 50):
        heard: list[int] = []
        logits = predict(tmp_path / "model.onnx", images, batch=batch, on_images=heard.append)
        np.testing.assert_allclose(logits, expected, atol=1e-5)
        assert logits.dtype == np.float64
        assert sum(heard) == 11
        assert max(heard) <= batch
    np.testing.assert_allclose(predict(tmp_path / "model.onnx", images), expected, atol=1e-5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_answers_that_are_not_finite_are_an_error(tmp_path: Path, images: np.ndarray, bad: float) -> None:
    write_model(tmp_path / "model.onnx", bias=(0.0, bad, 0.0))
    with pytest.raises(DivergedError, match=r"model\.onnx: 4 of 4 answers are NaN or infinite"):
        predict(tmp_path / "model.onnx", images, batch=4)


def test_images_of_another_shape_are_an_error(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError, match=r"\(1, 5, 5\)"):
        predict(tmp_path / "model.onnx", np.zeros((2, 1, 5, 5), dtype=np.uint8))


def test_answers_that_are_no_rows_of_logits_are_an_error(tmp_path: Path, images: np.ndarray) -> None:
    write_model(tmp_path / "model.onnx", flat=True)
    with pytest.raises(UnsupportedModelError, match="one row of logits an image"):
        predict(tmp_path / "model.onnx", images)


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path, images: np.ndarray) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(UnsupportedModelError, match="can't load"):
        predict(tmp_path / "model.onnx", images)


def test_a_missing_file_is_an_error(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="no such model file"):
        predict(tmp_path / "model.onnx", images)
