"""Network to ONNX: one self-contained file, the same bytes for the same weights, checked against torch.

The exporter writes source paths, source lines and stack traces into the graph's metadata; they are removed,
so that nothing of the machine or the run leaves with the model. The normalisation of pixels is part of the
graph: the file takes pixel values in [0, 1].
"""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from gatekeeper.core.record import ModelArtifact
from gatekeeper.errors import UnsupportedModelError

OPSET = 20
INPUT_NAME = "pixels"
OUTPUT_NAME = "logits"
PRODUCER = "gatekeeper"

# float32 convolutions in another order of summation differ by about 1e-6 of the logits' scale.
PARITY_TOLERANCE = 1e-4
_PARITY_IMAGES = 16

# A protobuf message ends at 2 GiB; beyond, data lie in a second file, which the digest of one doesn't cover.
_MAX_BYTES = 1_800_000_000


def export(network: nn.Module, *, image_shape: tuple[int, ...], path: Path) -> ModelArtifact:
    """Write `network` as ONNX and check that onnxruntime computes the same.

    Args:
        network: in evaluation mode; takes pixel values in [0, 1], shape (batch, channels, height, width).
        image_shape: channels, height, width.
        path: the file to write; replaced in one step.

    Returns:
        The file's digest, size, names and parity with torch.

    Raises:
        UnsupportedModelError: the network can't be exported, is too large, or the file computes something else.
    """
    # Two images, not one: the exporter would take a batch of one for a constant.
    example = torch.zeros((2, *image_shape))
    content = _clean(_to_onnx(network, example)).SerializeToString(deterministic=True)
    if len(content) > _MAX_BYTES:
        raise UnsupportedModelError(f"the model takes {len(content)} bytes as ONNX; at most {_MAX_BYTES} are supported")
    parity = _parity(network, content, image_shape=image_shape)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
    return ModelArtifact(
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        opset=OPSET,
        input_name=INPUT_NAME,
        output_name=OUTPUT_NAME,
        parity=parity,
        parity_images=_PARITY_IMAGES,
    )


def _to_onnx(network: nn.Module, example: Tensor) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1)
    # The exporter logs that torchvision, which no network here needs, is not installed.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter warns about deprecated parts of torch that it uses itself.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: batch},),
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise UnsupportedModelError("torch could not export this network to ONNX")
    model: onnx.ModelProto = program.model_proto
    return model


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


def _parity(network: nn.Module, content: bytes, *, image_shape: tuple[int, ...]) -> float:
    """The largest |torch − onnxruntime| over random images, alone and in a batch."""
    generator = np.random.default_rng(0)
    images = generator.random((_PARITY_IMAGES, *image_shape), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    together = session.run([OUTPUT_NAME], {INPUT_NAME: images})[0]
    alone = np.concatenate([session.run([OUTPUT_NAME], {INPUT_NAME: images[i : i + 1]})[0] for i in range(len(images))])
    difference = float(max(np.abs(together - expected).max(), np.abs(alone - expected).max()))
    scale = max(1.0, float(np.abs(expected).max()))
    if not difference <= PARITY_TOLERANCE * scale:
        raise UnsupportedModelError(
            f"the ONNX file differs from the network by {difference:.3g}, more than {PARITY_TOLERANCE * scale:.3g}"
        )
    return difference
