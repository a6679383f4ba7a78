"""BatchNorm of a frozen network, folded into the convolution before it.

With its statistics frozen, BatchNorm is the affine map y = γ(x − μ)/√(v + ε) + β of each channel (Ioffe and Szegedy
2015, algorithm 2), and an affine map after a convolution is a convolution. Folded, no layer mixes samples and no
running statistics are left that training could move.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gatekeeper.errors import UnsupportedModelError

TOLERANCE = 1e-5

_FOLDABLE = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_REMEDY = "put it right after a convolution whose output nothing else uses, or use GroupNorm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Affine:
    """A layer's weight and bias, float64, its outputs along the weight's first axis."""

    weight: Tensor
    bias: Tensor

    def then_batch_norm(self, *, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Affine:
        """The layer that gives what BatchNorm makes of this one's outputs.

        Args:
            gain: γ, shape (outputs,).
            shift: β.
            mean: μ.
            variance: v, at least 0.
            epsilon: ε, above 0.
        """
        scale = gain.double() / (variance.double() + epsilon).sqrt()
        weight = self.weight * scale.view(-1, *[1] * (self.weight.dim() - 1))
        return Affine(weight=weight, bias=(self.bias - mean.double()) * scale + shift.double())


def fold_batch_norms(network: nn.Module, *, image_shape: tuple[int, ...]) -> None:
    """Fold every BatchNorm that has no trainable parameter, in place; the network computes the same.

    Args:
        network: some of whose parameters are frozen.
        image_shape: of one input, for a probe of random pixel values.

    Raises:
        UnsupportedModelError: a frozen BatchNorm can't be folded, with each one's name.
    """
    frozen = {
        name: module
        for name, module in network.named_modules(remove_duplicate=False)
        if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters())
    }
    if not frozen:
        return
    probe = torch.rand((2, *image_shape), generator=torch.Generator().manual_seed(0))
    was_training = network.training
    network.eval()
    original = copy.deepcopy(network)
    feeders = _feeders(network, probe)
    stranded = sorted(name for name, norm in frozen.items() if norm not in feeders or norm.running_mean is None)
    if stranded:
        raise UnsupportedModelError(f"frozen BatchNorm can't be folded: {', '.join(stranded)}", hint=_REMEDY)
    for name, norm in frozen.items():
        _fold(feeders[norm], norm)
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, nn.Identity())
    _check_same(original, network, probe, folded=sorted(frozen))
    network.train(was_training)


def _feeders(network: nn.Module, probe: Tensor) -> dict[nn.Module, nn.Module]:
    """For each BatchNorm the layer whose output it takes, where each of the two runs once."""
    made: dict[int, nn.Module] = {}
    kept: list[Tensor] = []  # so that no two outputs have one id
    taken: dict[nn.Module, list[nn.Module]] = defaultdict(list)
    calls: Counter[nn.Module] = Counter()

    def after_layer(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        made[id(output)] = layer
        kept.append(output)
        calls[layer] += 1

    def before_norm(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls[norm] += 1
        if id(inputs[0]) in made:
            taken[norm].append(made[id(inputs[0])])

    hooks = [m.register_forward_hook(after_layer) for m in network.modules() if isinstance(m, _FOLDABLE)]
    hooks += [m.register_forward_pre_hook(before_norm) for m in network.modules() if isinstance(m, _BatchNorm)]
    with torch.no_grad():
        network(probe)
    for hook in hooks:
        hook.remove()
    return {
        norm: layers[0] for norm, layers in taken.items() if calls[norm] == 1 and len(layers) == calls[layers[0]] == 1
    }


def _fold(layer: nn.Module, norm: _BatchNorm) -> None:
    """Give `layer` the weight and bias of `layer` followed by `norm`."""
    weight, bias = layer.get_parameter("weight"), layer.bias
    mean, variance = norm.running_mean, norm.running_var
    assert isinstance(mean, Tensor)
    assert isinstance(variance, Tensor)
    start = bias.detach().double() if isinstance(bias, Tensor) else torch.zeros(len(weight), dtype=torch.float64)
    folded = Affine(weight=weight.detach().double(), bias=start).then_batch_norm(
        gain=torch.ones_like(mean) if norm.weight is None else norm.weight.detach(),
        shift=torch.zeros_like(mean) if norm.bias is None else norm.bias.detach(),
        mean=mean,
        variance=variance,
        epsilon=norm.eps,
    )
    with torch.no_grad():
        weight.copy_(folded.weight)
    trained = isinstance(bias, nn.Parameter) and bias.requires_grad
    layer.bias = nn.Parameter(folded.bias.to(weight.dtype), requires_grad=trained)


def _check_same(original: nn.Module, folded_network: nn.Module, probe: Tensor, *, folded: list[str]) -> None:
    """A BatchNorm whose input something else uses too, or changes on the way, was folded wrongly: it shows here."""
    with torch.no_grad():
        expected, found = original(probe), folded_network(probe)
    difference = float((found - expected).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise UnsupportedModelError(
            f"folding frozen BatchNorm changes the network's outputs by {difference:.3g}: {', '.join(folded)}",
            hint=_REMEDY,
        )
