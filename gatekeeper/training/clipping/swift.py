"""Layers without parameters whose kernels in torch are slow on CPUs: the same functions, faster.

Nothing here is about privacy: over a quarter of ResNet-9's time goes into its activations and poolings, and what is
saved there pays for part of the clipping. Outputs and gradients of poolings and upsamplings are torch's to the last
bit, those of Mish within its rounding. Devices other than the CPU keep torch's kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

# Numbers that a thread works on at once: with their scratch space they fit its cache, and torch splits no fewer.
_PIECE = 1 << 15


def _piece() -> int:
    """Numbers that all threads work on at once; a single one is fastest with two shares."""
    return _PIECE * max(2, torch.get_num_threads())


# Beyond it mish(x) is x and its slope 1, in float32; and the square of eˣ stays finite up to it.
_STRAIGHT = 20.0

Forward = Callable[[Tensor], Tensor]


def swift_forward(module: nn.Module) -> Forward | None:
    """A module's forward pass by kernels that are faster on a CPU, or None where torch's serve.

    Subclasses may do anything in their `forward`, so only the very types count.
    """
    found: Forward | None = None
    if type(module) is nn.Mish and not module.inplace:
        found = _Mish.apply
    elif type(module) is nn.MaxPool2d and not module.return_indices:
        window = tuple(_pair(size) for size in (module.kernel_size, module.stride, module.padding, module.dilation))
        ceil = module.ceil_mode

        def pool(inputs: Tensor) -> Tensor:
            pooled: Tensor = _MaxPool2d.apply(inputs, window, ceil)  # type: ignore[no-untyped-call]
            return pooled

        found = pool
    elif _doubles(module):
        found = _Doubled.apply
    return None if found is None else _where_it_serves(found, type(module).forward, module)


def _doubles(module: nn.Module) -> bool:
    """Whether it repeats each pixel of an image along both axes."""
    return type(module) is nn.Upsample and (module.mode, module.size, module.scale_factor) == ("nearest", None, 2.0)


def _where_it_serves(swift: Forward, own: Callable[..., Tensor], module: nn.Module) -> Forward:
    """Batches of float32 images on the CPU, while gradients are recorded; otherwise the module's own forward pass."""

    def forward(inputs: Tensor) -> Tensor:
        served = inputs.dtype == torch.float32 and inputs.device.type == "cpu" and inputs.ndim == 4
        return swift(inputs) if served and torch.is_grad_enabled() else own(module, inputs)

    return forward


class _Mish(torch.autograd.Function):
    """x·tanh(ln(1 + eˣ)) (Misra 2019), with one exponential instead of three transcendental functions.

    With m = eˣ + e²ˣ/2 and n = m + 1, the tangent is t = m/n, and its slope (eˣ + e²ˣ)/n².
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        inputs = inputs.contiguous()
        ctx.save_for_backward(inputs)
        output, scratch = torch.empty_like(inputs), inputs.new_empty(2, _piece())
        for x, y in _pieces(inputs, output):
            power, below = scratch[:, : len(x)]
            _tangent(x, y, power, below)
            y.mul_(x)
        return output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> Tensor:
        (inputs,) = ctx.saved_tensors
        found, scratch = torch.empty_like(inputs), inputs.new_empty(2, _piece())
        for x, gradient, out in _pieces(inputs, gradients.contiguous(), found):
            power, below = scratch[:, : len(x)]
            _tangent(x, out, power, below)
            slope = power.addcmul_(power, power).div_(below).div_(below)
            # Where the slope has vanished but for rounding, a large x would bring it back.
            out.addcmul_(slope, x.clamp(max=_STRAIGHT)).mul_(gradient)
        return found


def _tangent(x: Tensor, out: Tensor, power: Tensor, below: Tensor) -> None:
    """Write t into `out`, eˣ into `power` and n into `below`."""
    torch.clamp(x, max=_STRAIGHT, out=power).exp_()
    torch.addcmul(power, power, power, value=0.5, out=out)
    torch.add(out, 1.0, out=below)
    out.div_(below)


def _pieces(*tensors: Tensor) -> zip[tuple[Tensor, ...]]:
    """Dense tensors of one shape, cut alike into rows that fit the cache."""
    return zip(*(torch.split(tensor.view(-1), _piece()) for tensor in tensors), strict=True)


class _MaxPool2d(torch.autograd.Function):
    """The kernel for channels that lie side by side compares many at once; the other goes pixel by pixel."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, window: tuple[tuple[int, int], ...], ceil: bool) -> Tensor:
        ctx.shape, ctx.window, ctx.ceil = inputs.shape, window, ceil
        beside = inputs.contiguous(memory_format=torch.channels_last)
        output, places = torch.ops.aten.max_pool2d_with_indices(beside, *window, ceil)
        ctx.save_for_backward(places.contiguous())
        found: Tensor = output.contiguous()
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        inputs = gradients.new_empty(()).expand(ctx.shape)  # only its shape is read
        found = torch.ops.aten.max_pool2d_with_indices_backward(
            gradients.contiguous(), inputs, *ctx.window, ctx.ceil, places
        )
        return found, None, None


class _Doubled(torch.autograd.Function):
    """Each pixel four times, by one copy."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor) -> Tensor:
        ctx.shape = samples, channels, height, width = inputs.shape
        repeated = inputs[:, :, :, None, :, None].expand(samples, channels, height, 2, width, 2)
        return repeated.reshape(samples, channels, 2 * height, 2 * width)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> Tensor:
        sizes = list(gradients.shape[2:])
        found: Tensor = torch.ops.aten.upsample_nearest2d_backward(
            gradients.contiguous(), sizes, list(ctx.shape), 2.0, 2.0
        )
        return found
