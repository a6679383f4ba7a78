from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gatekeeper.errors import DivergedError, InvalidInputError, UnsupportedModelError
from gatekeeper.evaluation import predict, predict_masks

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


def write_pixel_model(path: Path, *, bias: tuple[float, ...] = (0.0, 0.0, 0.0), classes: int = CLASSES) -> np.ndarray:
    """Logits of each pixel from its own channels; returns the weight, shape (classes, 3)."""
    weight = np.random.default_rng(1).standard_normal((classes, 3)).astype(np.float32)
    bias = (*bias, *[0.0] * (classes - len(bias)))
    graph = helper.make_graph(
        [helper.make_node("Conv", ["images", "w", "b"], ["out"])],
        "pixels",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weight[:, :, None, None], "w"),
            numpy_helper.from_array(np.array(bias, dtype=np.float32), "b"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return weight


def test_masks_are_the_largest_logit_of_each_pixel_in_batches_of_any_size(tmp_path: Path, images: np.ndarray) -> None:
    weight = write_pixel_model(tmp_path / "model.onnx", bias=(0.1, 0.2, 0.3))
    logits = np.einsum("kc,nchw->nkhw", weight, images / 255.0) + np.array([0.1, 0.2, 0.3])[:, None, None]
    for batch in (1, 4, None):
        heard: list[int] = []
        masks = predict_masks(tmp_path / "model.onnx", images, batch=batch, on_images=heard.append)
        assert masks.dtype == np.uint8
        np.testing.assert_array_equal(masks, logits.argmax(axis=1))
        assert sum(heard) == 11


def test_equal_logits_give_the_first_class(tmp_path: Path) -> None:
    write_pixel_model(tmp_path / "model.onnx")
    assert not predict_masks(tmp_path / "model.onnx", np.zeros((2, 3, 4, 4), dtype=np.uint8)).any()


def test_one_pixel_that_is_not_finite_is_an_error(tmp_path: Path, images: np.ndarray) -> None:
    write_pixel_model(tmp_path / "model.onnx", bias=(0.0, math.nan, 0.0))
    with pytest.raises(DivergedError, match="4 of 4 answers are NaN or infinite"):
        predict_masks(tmp_path / "model.onnx", images, batch=4)


def test_a_classifier_gives_no_masks_and_a_segmentation_no_rows(tmp_path: Path, images: np.ndarray) -> None:
    write_model(tmp_path / "rows.onnx")
    write_pixel_model(tmp_path / "pixels.onnx")
    with pytest.raises(UnsupportedModelError, match="logits of each pixel are needed"):
        predict_masks(tmp_path / "rows.onnx", images)
    with pytest.raises(UnsupportedModelError, match="one row of logits an image"):
        predict(tmp_path / "pixels.onnx", images)


def test_more_classes_than_a_mask_can_hold_are_an_error(tmp_path: Path, images: np.ndarray) -> None:
    write_pixel_model(tmp_path / "model.onnx", classes=257)
    with pytest.raises(UnsupportedModelError, match="at most 256"):
        predict_masks(tmp_path / "model.onnx", images)
