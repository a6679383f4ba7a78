"""The run's own step, for an audit: chosen units in play, at a noise that the audit chooses.

Whoever knows all records but one should not pick that one among candidates more often than the mechanism's proof
allows. Tried on the code that trained, and not on a copy of its mathematics, that is a test of this code: sampling,
clipping and noise are those of `loop`, on the same data and network. An attacker's own computation stands beside it:
each unit's gradient by plain automatic differentiation, clipped in float64, without the engine.

An audit takes many steps on the same units. What is drawn anew in each is the noise; the exact sum behind it is formed
once for as long as the units and their clipping stay the same.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.checks import check_integer
from gatekeeper.core.code import CodeFile
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.precision import Precision
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.core.units import UnitImages
from gatekeeper.errors import InvalidValueError
from gatekeeper.training.clipping.clip import STABILITY
from gatekeeper.training.clipping.engine import ClippingEngine
from gatekeeper.training.losses import PerViewLoss
from gatekeeper.training.precision import computing
from gatekeeper.training.remembered import Remembered
from gatekeeper.training.sampling import batches
from gatekeeper.training.secret_stream import SecretStream
from gatekeeper.training.step import NoisyStep
from gatekeeper.training.subject import subject_of
from gatekeeper.training.views import Views

# The noise multiplier of a step that is as good as exact. There is no step without noise: it is taken by the same code.
QUIET = 1e-6

# All steps show the views of this one, so that a unit contributes the same to each.
_STEP = 0


class ProductionStep:
    """Takes the run's step with chosen units in play and all others zeroed out; adaptive clipping stays at its first C.

    Args:
        candidate: network and recipe.
        plan: the run's; its clipping and divisor are kept.
        mechanism: the audit's noise multiplier, sampling and steps, in place of the run's; at least one step.
        card: image shape and classes.
        data: the training units.
        network: whose weights are taken, such as the trained one; None takes the initial weights.
        allow_code: the candidate's own code that the policy allows.
        device: where; None is the CPU.

    Raises:
        InvalidValueError: the mechanism has no step.
        UnsupportedModelError: the network can't be trained with per-unit clipping.
        PrivacyError: the audit's noise is too small beside the sums to be added exactly.
    """

    def __init__(
        self,
        *,
        candidate: Candidate,
        plan: TrainingPlan,
        mechanism: Mechanism,
        card: DatasetCard,
        data: UnitImages,
        network: nn.Module | None = None,
        allow_code: tuple[CodeFile, ...] = (),
        device: torch.device | None = None,
    ) -> None:
        check_integer(steps=mechanism.steps, at_least=1)
        subject = subject_of(candidate, card, data=data, allow_code=allow_code, device=device)
        if network is not None:
            subject.network.load_state_dict(network.state_dict())
        self._plan, self._units, self._parameters = plan, data.units, subject.parameters
        self._source = subject.source(data, candidate)
        # Copied before the engine replaces the layers' forward passes.
        self._gradients = _OwnGradients(
            copy.deepcopy(subject.trained), loss=subject.loss, precision=candidate.training.precision
        )
        remembered = Remembered(subject.engine(candidate), self._source)

        def step_at(noise_multiplier: float) -> NoisyStep:
            audited = dataclasses.replace(mechanism, noise_multiplier=noise_multiplier)
            return NoisyStep(
                dataclasses.replace(plan, mechanism=audited, resume_allowance=0),
                engine=cast(ClippingEngine, remembered),  # it has all of one that a step asks for
                source=remembered,
                units=data.units,
                parameters=subject.parameters,
            )

        self._noisy, self._quiet = step_at(mechanism.noise_multiplier), step_at(QUIET)
        self._clipping = self._noisy.release.state()
        self._drawn = _endlessly(mechanism, units=data.units)

    def release(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        """What one step of the audit's mechanism releases: the noisy sum in units of C.

        Args:
            units: those in play, in the order of their places in the sum; each takes part if the sampling draws it.

        Returns:
            Float64, shape (parameters,).

        Raises:
            InvalidValueError: no such unit, or one twice.
            DivergedError: a unit's gradient is not finite.
        """
        return self._sum(self._noisy, units)

    def quiet_release(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        """The same with noise of `QUIET`, which hides nothing."""
        return self._sum(self._quiet, units)

    def contributions(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        """What each unit by itself contributes to the exact sum, in units of C, without the engine.

        Args:
            units: shape (units,).

        Returns:
            Float64, shape (units, parameters), of norm at most 1.

        Raises:
            InvalidValueError: no such unit, or one twice.
        """
        self._check(units)
        found = np.empty((len(units), self._parameters))
        for index in range(len(units)):
            found[index] = self._contribution(self._source.draw(_STEP, units[index : index + 1]))
        return found

    def targets(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the gradients of units are taken towards: class indices, shape (units · views, …)."""
        self._check(units)
        return np.asarray(self._source.draw(_STEP, units).targets.cpu().numpy()).astype(np.int64)

    def _contribution(self, views: Views) -> NDArray[np.float64]:
        """One unit's gradient, clipped by the plan's rule."""
        gradient = self._gradients.of(views)
        norm, radius = float(np.linalg.norm(gradient)), self._plan.clipping_norm
        length = norm + STABILITY if self._plan.clipping == "automatic" else max(norm, radius)
        return gradient / length

    def _sum(self, step: NoisyStep, units: NDArray[np.int64]) -> NDArray[np.float64]:
        self._check(units)
        drawn = next(self._drawn)
        # As often as it was drawn: once, if the sampling is right.
        taking_part = np.concatenate((units[:0], *(drawn[drawn == unit] for unit in units)))
        step.release.load_state(self._clipping, step=0)  # an adaptive C stays where it begins
        mean = torch.cat([part.reshape(-1) for part in step.of(_STEP, taking_part)])
        return np.asarray(mean.cpu().numpy()) * (self._plan.divisor / self._plan.clipping_norm)

    def _check(self, units: NDArray[np.int64]) -> None:
        distinct = np.unique(units)
        if len(distinct) != len(units) or (len(units) and not 0 <= distinct[0] <= distinct[-1] < self._units):
            raise InvalidValueError(
                f"units must be distinct numbers from 0 to {self._units - 1}, got {units.tolist()!r}"
            )


class _OwnGradients:
    """One unit's gradient as anybody would form it: the mean loss over its views, differentiated."""

    def __init__(self, network: nn.Module, *, loss: PerViewLoss, precision: Precision) -> None:
        self._network, self._loss, self._precision = network, loss, precision
        self._parameters = [p for p in network.parameters() if p.requires_grad]

    def of(self, views: Views) -> NDArray[np.float64]:
        """Shape (parameters,), of the views of one unit."""
        with computing(self._precision, views.images.device):
            outputs = self._network(views.images)
        loss = self._loss(outputs, views.targets).double().mean()
        parts = torch.autograd.grad(loss, self._parameters)
        return np.asarray(torch.cat([part.reshape(-1).double() for part in parts]).cpu().numpy())


def _endlessly(mechanism: Mechanism, *, units: int) -> Iterator[NDArray[np.int64]]:
    """The batches of one run of the mechanism after another."""
    stream = SecretStream()
    while True:
        yield from batches(mechanism, units=units, stream=stream)
