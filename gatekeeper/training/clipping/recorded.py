"""A network whose layers report each unit's share in the backward pass, instead of forming gradients of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gatekeeper.core.precision import Precision
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.clipping.layers.base import Contribution, Layer
from gatekeeper.training.clipping.swift import swift_forward
from gatekeeper.training.precision import DTYPES, computing

Loss = Callable[[Tensor, Tensor], Tensor]


class _Recorded(torch.autograd.Function):
    """One layer of the network. `anchor` makes autograd come by, also where the input needs no gradient."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, anchor: Tensor, layer: Layer, report: Callable[..., None]) -> Tensor:
        found = layer.forward(inputs)
        ctx.layer, ctx.report = layer, report
        ctx.save_for_backward(inputs, *found.kept)
        return found.output

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, None, None, None]:
        inputs, *kept = (tensor.detach() for tensor in ctx.saved_tensors)
        found = ctx.layer.backward(gradients, inputs, tuple(kept), wanted=ctx.needs_input_grad[0])
        ctx.report(ctx.layer, found.contributions)
        return found.input_gradient, None, None, None


class RecordedNetwork:
    """A network under the engine: its layers' `forward` is replaced until `close`.

    Args:
        network: its trainable layers are recorded, and some of those without parameters run faster (`swift`).
        layers: the engine's layer for each module that has trainable parameters, with the module's name.
        precision: of what layers record, their inputs and output gradients; a unit's gradient is made of these.
    """

    def __init__(
        self, network: nn.Module, layers: dict[str, tuple[nn.Module, Layer]], *, precision: Precision = "float32"
    ) -> None:
        self._network, self._layers, self._precision = network, layers, precision
        self._device = next(network.parameters()).device
        self._anchor = torch.zeros((), requires_grad=True, device=self._device)
        self._names = {id(layer): name for name, (_, layer) in layers.items()}
        self._reported: dict[int, tuple[Contribution, ...]] = {}
        for module, layer in layers.values():
            module.forward = self._recorder(layer)
        self._swift = [(module, forward) for module in network.modules() if (forward := swift_forward(module))]
        for module, forward in self._swift:
            module.forward = forward

    def contributions(self, images: Tensor, targets: Tensor, *, loss: Loss, views: int) -> list[Contribution]:
        """What every layer contributes to the gradients of units, a unit's gradient being the mean over its views.

        Args:
            images: unit by unit, shape (units · views, …).
            targets: shape (units · views, …).
            loss: one loss a view from outputs and targets, shape (units · views,).
            views: of each unit.

        Raises:
            UnsupportedModelError: a layer ran twice or saw something else than a batch of views, a parameter was used
                outside of its layer, or a buffer was written.
        """
        self._reported.clear()
        before = self._versions()
        with computing(self._precision, self._device):
            outputs = self._network(images)
        total = loss(outputs, targets).sum() / views
        total.backward()  # type: ignore[no-untyped-call]
        self._check_buffers(before)
        self._check_others()
        self._check_units(len(images) // views)
        found = [contribution for contributions in self._reported.values() for contribution in contributions]
        self._reported.clear()
        return found

    def close(self) -> None:
        """Give the network its own layers back."""
        for module, _ in (*self._layers.values(), *self._swift):
            module.__dict__.pop("forward", None)

    def _recorder(self, layer: Layer) -> Callable[[Tensor], Tensor]:
        def forward(inputs: Tensor) -> Tensor:
            seen = inputs.to(DTYPES[self._precision]) if inputs.is_floating_point() else inputs
            # The layer decides for itself what it shortens.
            with torch.autocast(self._device.type, enabled=False):
                if not torch.is_grad_enabled():
                    return layer.forward(seen).output
                output: Tensor = _Recorded.apply(seen, self._anchor, layer, self._report)  # type: ignore[no-untyped-call]
            return output

        return forward

    def _report(self, layer: Layer, contributions: tuple[Contribution, ...]) -> None:
        if id(layer) in self._reported:
            # The two uses' gradients add up before the norm is taken: apart, their norm would come out too small.
            raise UnsupportedModelError(
                f"layer {self._names[id(layer)]} is used more than once in a forward pass",
                hint="give each use a layer of its own",
            )
        self._reported[id(layer)] = contributions

    def _versions(self) -> dict[str, tuple[int, int]]:
        """Which tensor each buffer is, and how often it was written."""
        return {name: (id(buffer), buffer._version) for name, buffer in self._network.named_buffers()}

    def _check_buffers(self, before: dict[str, tuple[int, int]]) -> None:
        """Refuse networks that remember something of the images by themselves: it would leave un-noised."""
        for name, version in self._versions().items():
            if before.get(name) != version:
                raise UnsupportedModelError(
                    f"buffer {name} is written in the forward pass",
                    hint="statistics of patients' images must not leave un-noised: drop them, or use constants",
                )

    def _check_units(self, units: int) -> None:
        """Refuse layers whose first axis isn't the batch: parts of units would be clipped apart, each to norm r."""
        for layer, contributions in self._reported.items():
            if any(len(contribution.share.squared) != units for contribution in contributions):
                raise UnsupportedModelError(
                    f"layer {self._names[layer] or 'of the network'} does not see one sample for each view",
                    hint="keep the batch as the first axis of what each layer sees",
                )

    def _check_others(self) -> None:
        for name, parameter in self._network.named_parameters():
            if parameter.grad is not None:
                parameter.grad = None
                raise UnsupportedModelError(
                    f"parameter {name} is used outside of its layer's forward",
                    hint="call the layer itself, so that the gradient of each unit can be told apart",
                )
