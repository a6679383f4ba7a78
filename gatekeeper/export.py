"""Network to ONNX: one self-contained file, the same bytes for the same weights, checked against torch.

The exporter writes source paths, source lines and stack traces into the graph's metadata; they are removed,
so that nothing of the machine or the run leaves with the model. The normalisation of pixels is part of the
graph: the file takes pixel values in [0, 1].
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from gatekeeper.core.record import ModelArtifact
from gatekeeper.errors import UnsupportedModelError

OPSET = 20
INPUT_NAME = "pixels"
OUTPUT_NAME = "logits"
PRODUCER = "gatekeeper"

# float32 convolutions in another order of summation differ by about 1e-6 of the logits' scale.
PARITY_TOLERANCE = 1e-4
_PARITY_IMAGES = 16
_PARITY_PIXELS = 2**22  # of all of them together, so that volumes don't take all memory

_AXES = ("depth", "height", "width")

# A protobuf message ends at 2 GiB; beyond, data lie in a second file, which the digest of one doesn't cover.
_MAX_BYTES = 1_800_000_000


def export(network: nn.Module, *, image_shape: tuple[int, ...], path: Path) -> ModelArtifact:
    """Write `network` as ONNX and check that onnxruntime computes the same.

    A network whose attribute `spatial_multiple` is a number takes other image sizes than that of its training, and so
    does its file: every spatial axis may be any multiple of that number.

    Args:
        network: in evaluation mode; takes pixel values in [0, 1], shape (batch, channels, *spatial).
        image_shape: channels, then the length of each spatial axis.
        path: the file to write; replaced in one step.

    Returns:
        The file's digest, size, names, sizes that it takes and parity with torch.

    Raises:
        UnsupportedModelError: the network can't be exported, is too large, or the file computes something else.
    """
    multiple: int | None = getattr(network, "spatial_multiple", None)
    content = _clean(_to_onnx(network, image_shape, multiple=multiple)).SerializeToString(deterministic=True)
    if len(content) > _MAX_BYTES:
        raise UnsupportedModelError(f"the model takes {len(content)} bytes as ONNX; at most {_MAX_BYTES} are supported")
    images = max(2, min(_PARITY_IMAGES, _PARITY_PIXELS // math.prod(image_shape)))
    parity = max(
        _parity(network, content, images=images, image_shape=shape)
        for shape in _parity_shapes(image_shape, multiple=multiple)
    )
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
    return ModelArtifact(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        opset=OPSET,
        input_name=INPUT_NAME,
        output_name=OUTPUT_NAME,
        spatial_multiple=multiple,
        parity=parity,
        parity_images=images,
    )


def _to_onnx(network: nn.Module, image_shape: tuple[int, ...], *, multiple: int | None) -> onnx.ModelProto:
    # Two images, and two multiples along each axis at least: the exporter would take one for a constant.
    example = torch.zeros((2, *_parity_shapes(image_shape, multiple=multiple)[-1]))
    dynamic = {0: torch.export.Dim("batch", min=1)}
    if multiple is not None:
        axes = _AXES[-len(image_shape[1:]) :]
        dynamic |= {2 + index: multiple * torch.export.Dim(axis, min=1) for index, axis in enumerate(axes)}
    # The exporter logs that torchvision, which no network here needs, is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns about deprecated parts of torch that it uses itself.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                dynamic_shapes=(dynamic,),
                optimize=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            # The exporter's own text is a page of advice; its cause is a line.
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise UnsupportedModelError(f"torch could not export this network to ONNX: {reason}") from error
    if program is None:
        raise UnsupportedModelError("torch could not export this network to ONNX")
    model: onnx.ModelProto = program.model_proto
    return model


def _parity_shapes(image_shape: tuple[int, ...], *, multiple: int | None) -> tuple[tuple[int, ...], ...]:
    """The shape of training and, where others are taken, one that differs from it along every axis."""
    if multiple is None:
        return (image_shape,)
    channels, *sides = image_shape
    return (image_shape, (channels, *(side + multiple * (1 + index) for index, side in enumerate(sides))))


def _clean(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without anything that tells where, when or from which source it was made."""
    clean = onnx.ModelProto()
    clean.CopyFrom(model)
    clean.producer_name = PRODUCER
    for field in ("producer_version", "doc_string", "domain", "metadata_props", "functions", "training_info"):
        clean.ClearField(field)
    if model.functions:
        raise UnsupportedModelError("the exported graph has local functions, which are not supported")
    graph = clean.graph
    graph.name = PRODUCER
    graph.ClearField("doc_string")
    graph.ClearField("metadata_props")
    graph.ClearField("value_info")
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        item.ClearField("doc_string")
        item.ClearField("metadata_props")
    for index, node in enumerate(graph.node):
        node.name = f"node_{index}"
    onnx.checker.check_model(clean, full_check=True)
    return clean


def _parity(network: nn.Module, content: bytes, *, images: int, image_shape: tuple[int, ...]) -> float:
    """The largest |torch − onnxruntime| over random images, alone and in a batch."""
    pixels = np.random.default_rng(0).random((images, *image_shape), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels)).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    together = session.run([OUTPUT_NAME], {INPUT_NAME: pixels})[0]
    alone = np.concatenate([session.run([OUTPUT_NAME], {INPUT_NAME: pixels[i : i + 1]})[0] for i in range(images)])
    difference = float(max(np.abs(together - expected).max(), np.abs(alone - expected).max()))
    scale = max(1.0, float(np.abs(expected).max()))
    if not difference <= PARITY_TOLERANCE * scale:
        raise UnsupportedModelError(
            f"the ONNX file differs from the network by {difference:.3g}, more than {PARITY_TOLERANCE * scale:.3g}"
        )
    return difference
