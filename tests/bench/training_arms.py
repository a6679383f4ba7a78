"""The arms of the training bench: ways to take one step, from sampled units to updated weights."""

from __future__ import annotations

import importlib
import importlib.util
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from gatekeeper.core.budget import Budget
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.record import TrainingPlan
from gatekeeper.training.clipping.isolation import isolated_engine, units_at_once
from gatekeeper.training.optimizer import MasterWeights
from gatekeeper.training.precision import computing
from gatekeeper.training.release import NoisyMean
from gatekeeper.training.views import Views
from tests.bench.training_cases import SAMPLING_RATE, Case, pieces

Clock = Callable[[], float]

# More than any bench takes.
_STEPS = 10**6


class Arm(Protocol):
    """One way to take a step.

    Attributes:
        network: what is trained.
        physical: units that go through the network at once; None: all that were sampled.
        remark: what the table has to say of it.
    """

    network: nn.Module
    physical: int | None
    remark: str

    def step(self, batch: Views) -> None:
        """Forward, backward, and an update of the weights."""


def physical_batch(case: Case) -> int:
    """The physical batch that gatekeeper takes by itself."""
    return units_at_once(views=1, physical_batch=case.recipe.physical_batch, expected_batch=case.batch)


class Plain:
    """SGD without privacy, bfloat16 being that of torch's autocast: the denominator.

    Args:
        case: what is trained.
        network: channels last, if images are to be.
        physical: as for every arm.
        layout: of images in memory.
    """

    remark = ""

    def __init__(
        self,
        case: Case,
        network: nn.Module,
        *,
        physical: int | None,
        layout: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.network, self.physical = network.to(memory_format=layout), physical
        self._case, self._loss, self._optimizer, self._layout = case, case.loss, case.optimizer(network), layout

    def step(self, batch: Views) -> None:
        self._optimizer.zero_grad()
        for piece in pieces(batch, self.physical):
            images = piece.images.contiguous(memory_format=self._layout)
            with computing(self._case.precision, images.device):
                outputs = self.network(images)
            (self._loss(outputs, piece.targets).sum() / self._case.batch).backward()
        self._optimizer.step()


class Gatekeeper:
    """The product's own step: engine, exact noise, float64 master weights.

    Attributes:
        seconds: of all steps so far, by part: `network` is forward, backward and the layers' shares.
    """

    def __init__(self, case: Case, network: nn.Module, *, clock: Clock = time.perf_counter) -> None:
        self.network = network
        self._engine = isolated_engine(
            network,
            views=1,
            physical_batch=case.recipe.physical_batch,
            expected_batch=case.batch,
            image_shape=case.image_shape,
            targets=case.targets,
            loss=case.loss,
            precision=case.precision,
        )
        self.physical = self._engine.units_at_once
        parameters = sum(p.numel() for p in network.parameters())
        self._release = NoisyMean(plan_of(case), engine=self._engine, units=case.units, parameters=parameters)
        self._weights = MasterWeights(network, spec=case.recipe, steps=_STEPS)
        self.remark = "" if self.physical == physical_batch(case) else "companions matter: one unit at a time"
        self._clock = clock
        self._time_parts()

    def step(self, batch: Views) -> None:
        self._weights.update(self._release.of(batch))

    @property
    def seconds(self) -> dict[str, float]:
        """See above; the parts of `step` that contain one another are taken apart."""
        spent = self._spent
        return {
            "network": spent["shares"],
            "sums": spent["clipped_sum"] - spent["shares"],
            "noise": spent["of"] - spent["clipped_sum"],
            "optimizer": spent["update"],
        }

    def forget(self) -> None:
        """Set all `seconds` to 0."""
        self._spent.clear()

    def _time_parts(self) -> None:
        self._spent: Counter[str] = Counter()
        for owner, method in (
            (self._engine, "shares"),
            (self._engine, "clipped_sum"),
            (self._release, "of"),
            (self._weights, "update"),
        ):
            setattr(owner, method, self._timed(getattr(owner, method)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object, **named: object) -> Any:
            began = self._clock()
            result = method(*arguments, **named)
            self._spent[method.__name__] += self._clock() - began
            return result

        return call


def plan_of(case: Case) -> TrainingPlan:
    """What would have been calibrated: only σ, C and the divisor matter here."""
    mechanism = Mechanism(
        sampling="poisson",
        sampling_rate=SAMPLING_RATE,
        noise_multiplier=case.noise_multiplier,
        steps=_STEPS,
        adjacency="zero-out",
        unit="image",
    )
    budget = Budget(epsilon=1.0, delta=1e-5)
    return TrainingPlan(mechanism=mechanism, budget=budget, clipping_norm=case.clipping_norm, divisor=case.batch)


def materialising_batch(case: Case, network: nn.Module, *, most_bytes: int = 2**31) -> int:
    """A physical batch for those who keep every unit's gradient: ours, halved until they fit into 2 GiB."""
    parameters = sum(p.numel() for p in network.parameters())
    fits = max(1, most_bytes // (4 * parameters))
    physical = physical_batch(case)
    return physical >> max(0, math.ceil(math.log2(physical / fits)))


# Where each competitor's arm is, and the package that it needs.
_COMPETITORS = {
    "opacus-hooks": ("tests.bench.training_opacus", "Hooks", "opacus"),
    "opacus-ghost": ("tests.bench.training_opacus", "Ghost", "opacus"),
    "fastdp": ("tests.bench.training_fastdp", "FastDP", "fastDP"),
}
PLAIN = ("plain-whole", "plain-physical", "plain-channels-last")

# What others are divided by: the layout of memory is that of every private arm.
MEASURES = PLAIN[:2]
OURS = "gatekeeper"
ARMS = (*PLAIN, OURS, *_COMPETITORS)


def installed(arm: str) -> bool:
    """Whether an arm's package can be imported."""
    return arm not in _COMPETITORS or importlib.util.find_spec(_COMPETITORS[arm][2]) is not None


def load(arm: str) -> Callable[..., Arm]:
    """What makes an arm from a case and its network; all that it needs is imported."""
    if arm == OURS:
        return Gatekeeper
    if arm == "plain-whole":
        return lambda case, network: Plain(case, network, physical=None)
    if arm == "plain-physical":
        return lambda case, network: Plain(case, network, physical=physical_batch(case))
    if arm == "plain-channels-last":
        return lambda case, network: Plain(case, network, physical=physical_batch(case), layout=torch.channels_last)
    module, name, _ = _COMPETITORS[arm]
    made: Callable[..., Arm] = getattr(importlib.import_module(module), name)
    return made
