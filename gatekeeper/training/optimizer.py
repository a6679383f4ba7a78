"""The optimizer, its schedule, and the moving average that is released: post-processing of noisy sums.

Master weights are float64, so that an update below float32 resolution is not lost; the network holds their
float32 rounding.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gatekeeper.core.candidate import OptimizerSpec, TrainingSpec
from gatekeeper.errors import RunDirectoryError

_DEFAULT_MOMENTUM = 0.9

# What torch's optimizers keep on the CPU wherever the weights are.
_COUNTERS = {"step", "mu_product"}


def _make(spec: OptimizerSpec, parameters: list[Tensor]) -> torch.optim.Optimizer:
    if spec.name == "sgd":
        momentum = _DEFAULT_MOMENTUM if spec.momentum is None else spec.momentum
        return torch.optim.SGD(parameters, lr=spec.lr, momentum=momentum, weight_decay=spec.weight_decay)
    kind = torch.optim.Adam if spec.name == "adam" else torch.optim.NAdam
    return kind(parameters, lr=spec.lr, weight_decay=spec.weight_decay)


def learning_rate_factor(step: int, *, steps: int, spec: TrainingSpec) -> float:
    """The learning rate of a step as a share of its peak: linear warm-up, then constant or half a cosine.

    Args:
        step: from 0.
        steps: how many there are, at least 1.
        spec: its `schedule` and `warmup`.
    """
    warmup_steps = spec.warmup * steps
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if spec.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1.0, steps - warmup_steps)))


class MasterWeights:
    """float64 weights of a network, updated from averaged gradients, with an optional moving average.

    Args:
        network: its trainable parameters are written after every update.
        spec: optimizer, schedule, warm-up and EMA.
        steps: how many updates will come.
    """

    def __init__(self, network: nn.Module, *, spec: TrainingSpec, steps: int) -> None:
        self._live = [p for p in network.parameters() if p.requires_grad]
        self._master = [p.detach().double().requires_grad_() for p in self._live]
        self._average = [p.detach().clone() for p in self._master]
        self._optimizer = _make(spec.optimizer, self._master)
        self._spec = spec
        self._steps = steps
        self._step = 0

    def update(self, gradients: list[Tensor]) -> None:
        """One optimizer step from float64 gradients, already divided by the expected batch size."""
        factor = learning_rate_factor(self._step, steps=self._steps, spec=self._spec)
        for group in self._optimizer.param_groups:
            group["lr"] = self._spec.optimizer.lr * factor
        for master, gradient in zip(self._master, gradients, strict=True):
            master.grad = gradient
        self._optimizer.step()
        self._step += 1
        self._follow()
        self._write(self._master)

    def state(self) -> dict[str, Tensor]:
        """Everything that later updates depend on but the step, not copied: weights, average, optimizer's moments."""
        found = {}
        for index, (master, average) in enumerate(zip(self._master, self._average, strict=True)):
            found[f"master.{index}"] = master.detach()
            found[f"average.{index}"] = average
            for name, value in self._optimizer.state[master].items():
                if isinstance(value, Tensor):  # without momentum, SGD's is None
                    found[f"optimizer.{index}.{name}"] = value
        return found

    def load_state(self, state: dict[str, Tensor], *, step: int) -> None:
        """Go on from what `state` returned after `step` updates, bit for bit.

        Raises:
            RunDirectoryError: it is the state of another network.
        """
        mine = {name: tensor.shape for name, tensor in self.state().items()}
        if {name: tensor.shape for name, tensor in state.items() if name in mine} != mine:
            raise RunDirectoryError("the checkpoint is of another network", hint="certify anew")
        with torch.no_grad():
            for index, (master, average) in enumerate(zip(self._master, self._average, strict=True)):
                master.copy_(state[f"master.{index}"])
                average.copy_(state[f"average.{index}"])
                prefix = f"optimizer.{index}."
                # Not by the optimizer's own load_state_dict, which gives every number the weights' type.
                self._optimizer.state[master] = {
                    name.removeprefix(prefix): value
                    if name.removeprefix(prefix) in _COUNTERS
                    else value.to(master.device)
                    for name, value in state.items()
                    if name.startswith(prefix)
                }
        self._step = step
        self._write(self._master)

    def _follow(self) -> None:
        """Move the average; early on it forgets faster, so that it never holds the initial weights for long."""
        decay = 0.0 if self._spec.ema is None else min(self._spec.ema, self._step / (self._step + 10))
        with torch.no_grad():
            for average, master in zip(self._average, self._master, strict=True):
                average.lerp_(master, 1 - decay)

    def release(self) -> None:
        """Write the weights that are released into the network: the moving average where there is one."""
        self._write(self._average)

    def _write(self, weights: list[Tensor]) -> None:
        with torch.no_grad():
            for live, weight in zip(self._live, weights, strict=True):
                live.copy_(weight)
