"""Predictions of the ONNX file that ships: the file that is judged is the file that leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_integer
from gatekeeper.errors import DivergedError, InvalidInputError, UnsupportedModelError

_THREADS = 2


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


def _run(session: Any, images: NDArray[np.float32], *, model_path: Path) -> NDArray[np.float64]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    try:
        output = session.run(None, {session.get_inputs()[0].name: images})[0]
    except (state.InvalidArgument, state.RuntimeException, state.Fail) as error:
        raise UnsupportedModelError(
            f"the model can't answer images of shape {images.shape[1:]}: {error}",
            where=str(model_path),
            hint="export the model for the shape of the test images, with a free batch dimension",
        ) from error
    logits = np.asarray(output, dtype=np.float64)
    if logits.ndim != 2 or len(logits) != len(images):
        raise UnsupportedModelError(
            f"the model answers shape {logits.shape} for {len(images)} images; one row of logits an image is needed",
            where=str(model_path),
        )
    if not np.isfinite(logits).all():
        raise DivergedError(
            f"{int((~np.isfinite(logits)).any(axis=1).sum())} of {len(images)} answers are NaN or infinite",
            where=str(model_path),
            hint="the training diverged: lower the learning rate or the noise",
        )
    return logits


def predict(
    model_path: Path,
    images: NDArray[np.uint8],
    *,
    batch: int = 64,
    on_images: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """The logits of an ONNX model, by onnxruntime on the CPU.

    Args:
        model_path: the .onnx file; its first input takes float32 images in [0, 1], its first output is the logits.
        images: uint8, shape (images, channels, height, width), at least one.
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
    for start in range(0, len(images), batch):
        piece = images[start : start + batch].astype(np.float32) / np.float32(255)
        answers.append(_run(session, piece, model_path=model_path))
        if on_images is not None:
            on_images(len(piece))
    return np.concatenate(answers)
