"""What a layer tells the engine: its output, then its input's gradient and each unit's share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from gatekeeper.training.clipping.shares import Share


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Contribution:
    """A share, and the parameters whose gradient it is.

    Attributes:
        share: of each unit.
        parameters: in the order of the share's sums.
    """

    share: Share
    parameters: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Forward:
    """A layer's output, and what its backward pass will want besides the input.

    Attributes:
        output: as the module itself would give it.
        kept: any tensors.
    """

    output: Tensor
    kept: tuple[Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Backward:
    """What a layer's backward pass found.

    Attributes:
        input_gradient: of the inputs' type; None where nobody needs it.
        contributions: of the layer's trainable parameters.
    """

    input_gradient: Tensor | None
    contributions: tuple[Contribution, ...]


# Maps a sum over units, float64, to what the sum of the units' true gradients is; linear.
Finish = Callable[[Tensor], Tensor]


class Layer(Protocol):
    """How one module of a network runs under the engine. No weight enters autograd."""

    def forward(self, inputs: Tensor) -> Forward:
        """The module's output, in the type of the inputs or in float32; called without autograd.

        Args:
            inputs: float32 or bfloat16, or whole numbers, shape (units · views, …).
        """

    def backward(self, gradients: Tensor, inputs: Tensor, kept: tuple[Tensor, ...], *, wanted: bool) -> Backward:
        """The units' shares.

        Args:
            gradients: of the output.
            inputs: as given to `forward`.
            kept: as `forward` returned it.
            wanted: whether the input's gradient is needed.
        """

    def finish(self, parameter: Tensor) -> Finish | None:
        """What a sum of this parameter's shares still has to undergo, or None."""


def trainable(parameter: Tensor | None) -> bool:
    """Whether a parameter exists and is trained."""
    return parameter is not None and parameter.requires_grad


def detached(parameter: Tensor | None, *, like: Tensor | None = None) -> Tensor | None:
    """A parameter's values, apart from autograd; rounded to the type of `like`, where that is given."""
    if parameter is None:
        return None
    return parameter.detach() if like is None else parameter.detach().to(like.dtype)
