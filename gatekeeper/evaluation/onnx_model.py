"""Predictions of the ONNX file that ships: the file that is judged is the file that leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_integer
from gatekeeper.errors import DivergedError, InvalidInputError, UnsupportedModelError

_THREADS = 2

# Of images at a time: a network of 16 channels takes some 64 bytes a pixel and layer.
_PIXELS_AT_ONCE = 2**20
_MOST_CLASSES = 256


def _session(model_path: Path) -> Any:  # onnxruntime has no types
    import onnxruntime  # lazily: it takes a quarter of a second
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    if not model_path.is_file():
        raise InvalidInputError(
            "there is no such model file", where=str(model_path), hint="give the path of an .onnx file"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = _THREADS
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(model_path), sess_options=options, providers=["CPUExecutionProvider"])
    except (
        state.Fail,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.InvalidArgument,
    ) as error:
        raise UnsupportedModelError(
            f"onnxruntime can't load the model: {error}", where=str(model_path), hint="export the model again"
        ) from error


def _run(session: Any, images: NDArray[np.float32], *, model_path: Path) -> NDArray[np.float32]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        output = session.run(None, {session.get_inputs()[0].name: images})[0]
    except (state.InvalidArgument, state.RuntimeException, state.Fail) as error:
        raise UnsupportedModelError(
            f"the model can't answer images of shape {images.shape[1:]}: {error}",
            where=str(model_path),
            hint="export the model for the shape of the test images, with a free batch dimension",
        ) from error
    return np.asarray(output)


def _check_finite(logits: NDArray[Any], *, model_path: Path) -> None:
    wrong = ~np.isfinite(logits).all(axis=tuple(range(1, logits.ndim)))
    if wrong.any():
        raise DivergedError(
            f"{int(wrong.sum())} of {len(logits)} answers are NaN or infinite",
            where=str(model_path),
            hint="the training diverged: lower the learning rate or the noise",
        )


def _batches(images: NDArray[np.uint8], *, batch: int) -> Iterator[NDArray[np.float32]]:
    """Pixel values in [0, 1]."""
    for start in range(0, len(images), batch):
        yield images[start : start + batch].astype(np.float32) / np.float32(255)


def predict(
    model_path: Path,
    images: NDArray[np.uint8],
    *,
    batch: int = 64,
    on_images: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """The logits of an ONNX classifier, by onnxruntime on the CPU.

    Args:
        model_path: the .onnx file; its first input takes float32 images in [0, 1], its first output is the logits.
        images: uint8, shape (images, channels, *spatial), at least one.
        batch: images at a time, at least 1.
        on_images: hears how many images have been answered since it last heard.

    Returns:
        float64, shape (images, classes), finite.

    Raises:
        InvalidInputError: there is no such file.
        UnsupportedModelError: the file is no model, takes other images, or answers what is no row of logits.
        DivergedError: a logit is NaN or infinite.
    """
    check_integer(batch=batch, at_least=1)
    session = _session(model_path)
    answers = []
    for piece in _batches(images, batch=batch):
        logits = _run(session, piece, model_path=model_path).astype(np.float64)
        if logits.ndim != 2 or len(logits) != len(piece):
            raise UnsupportedModelError(
                f"the model answers shape {logits.shape} for {len(piece)} images; one row of logits an image is needed",
                where=str(model_path),
            )
        _check_finite(logits, model_path=model_path)
        answers.append(logits)
        if on_images is not None:
            on_images(len(piece))
    return np.concatenate(answers)


def predict_masks(
    model_path: Path,
    images: NDArray[np.uint8],
    *,
    batch: int | None = None,
    on_images: Callable[[int], None] | None = None,
) -> NDArray[np.uint8]:
    """The masks of an ONNX segmentation model: the class of each pixel with the largest logit, the first of equals.

    Only the masks are kept: logits of all images would take many times the memory of the images.

    Args:
        model_path: the .onnx file; its first input takes float32 images in [0, 1], its first output is the logits,
            shape (batch, classes, *spatial), of at most 256 classes.
        images: uint8, shape (images, channels, *spatial), at least one.
        batch: images at a time, at least 1; None takes as many as have a few million pixels together.
        on_images: hears how many images have been answered since it last heard.

    Returns:
        uint8, shape (images, *spatial).

    Raises:
        InvalidInputError: there is no such file.
        UnsupportedModelError: the file is no model, takes other images, or answers what are no logits of pixels.
        DivergedError: a logit is NaN or infinite.
    """
    spatial = images.shape[2:]
    batch = max(1, _PIXELS_AT_ONCE // math.prod(spatial)) if batch is None else batch
    check_integer(batch=batch, at_least=1)
    session = _session(model_path)
    masks = np.empty((len(images), *spatial), dtype=np.uint8)
    done = 0
    for piece in _batches(images, batch=batch):
        logits = _run(session, piece, model_path=model_path)
        if logits.ndim != images.ndim or (len(logits), *logits.shape[2:]) != (len(piece), *spatial):
            raise UnsupportedModelError(
                f"the model answers shape {logits.shape} for {len(piece)} images of {spatial} pixels; logits of each "
                "pixel are needed",
                where=str(model_path),
            )
        if logits.shape[1] > _MOST_CLASSES:
            raise UnsupportedModelError(
                f"the model has {logits.shape[1]} classes; masks hold at most {_MOST_CLASSES}", where=str(model_path)
            )
        _check_finite(logits, model_path=model_path)
        masks[done : done + len(piece)] = logits.argmax(axis=1)
        done += len(piece)
        if on_images is not None:
            on_images(len(piece))
    return masks
