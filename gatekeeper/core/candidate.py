"""The release candidate: everything that determines the model, and nothing that determines the judgement."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from gatekeeper.core.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_non_negative,
    check_open_probability,
    check_positive,
    check_share_from_zero,
    check_text,
)
from gatekeeper.core.clipping import Clipping, check_clipping
from gatekeeper.core.data_spec import DataSpec, Task
from gatekeeper.core.fields import ADDED
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.precision import PRECISIONS, Precision
from gatekeeper.errors import InvalidValueError

OptimizerName = Literal["sgd", "adam", "nadam"]
Schedule = Literal["constant", "cosine"]
SamplingChoice = Literal["poisson", "balls-and-bins", "best"]
Loss = Literal["cross-entropy", "dice", "dice+cross-entropy"]

LOSSES: tuple[str, ...] = get_args(Loss)

# Of each task, its default first.
_LOSSES_OF: dict[Task, tuple[Loss, ...]] = {
    "classification": ("cross-entropy",),
    "segmentation": ("dice+cross-entropy", "dice", "cross-entropy"),
}


def loss_for(loss: Loss | None, task: Task) -> Loss:
    """The loss that a candidate names, or its task's default.

    Raises:
        InvalidValueError: the loss doesn't fit the task.
    """
    fitting = _LOSSES_OF[task]
    if loss is None:
        return fitting[0]
    if loss not in fitting:
        raise InvalidValueError(f"loss {loss} doesn't fit {task}; use {' or '.join(fitting)}, or leave it out")
    return loss


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec:
    """The optimizer that consumes the noisy gradients: post-processing, so it costs no privacy.

    Attributes:
        name: sgd, adam or nadam.
        lr: the learning rate at its peak.
        momentum: of sgd; None means 0.9.
        weight_decay: L2 penalty, at least 0.
    """

    name: OptimizerName
    lr: float
    momentum: float | None = None
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_choice(name=self.name, choices=get_args(OptimizerName))
        check_positive(lr=self.lr)
        check_non_negative(weight_decay=self.weight_decay)
        check_finite(weight_decay=self.weight_decay)
        if self.momentum is not None:
            check_non_negative(momentum=self.momentum)
            if self.name != "sgd" or self.momentum >= 1:
                raise InvalidValueError("momentum goes with sgd and must be below 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentationSpec:
    """How each view of an image is altered; seeded apart from the noise.

    Attributes:
        flips: whether a view may be mirrored, along each spatial axis with probability ½.
        shift: the largest shift in pixels, along each spatial axis; 0 means none.
        rotation: the largest turn in degrees, either way, about the image's centre (in volumes: about the depth axis).
        scale: the largest relative change of size, below 1: the factor lies in [1 − scale, 1 + scale].
        intensity: the largest change of brightness (added) and of contrast (a factor about mid-grey), below 1.
    """

    flips: bool = False
    shift: int = 0
    rotation: float = 0.0
    scale: float = 0.0
    intensity: float = 0.0

    def __post_init__(self) -> None:
        check_integer(shift=self.shift, at_least=0)
        check_non_negative(rotation=self.rotation)
        if self.rotation > 180:
            raise InvalidValueError(f"rotation is in degrees, at most 180, got {self.rotation!r}")
        check_share_from_zero(scale=self.scale)
        check_share_from_zero(intensity=self.intensity)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpec:
    """How the model is trained.

    Attributes:
        epochs: how often each unit takes part on average, at least 1.
        expected_batch: units a step on average, and the public divisor of the noisy sum.
        clipping_norm: C, the largest norm of one unit's gradient; of adaptive clipping, that of the first step.
        optimizer: what consumes the noisy gradient.
        views: augmented views of one unit a step; its gradient is their mean, clipped once.
        augmentation: how views differ.
        sampling: how units are sampled; `best` takes the smaller noise multiplier.
        schedule: of the learning rate.
        warmup: share of the steps over which the learning rate rises from zero.
        ema: decay of the exponential moving average of the weights that is released, or None.
        epsilon: the ε to spend; None means the policy's ceiling.
        delta: δ; None means the policy's ceiling.
        loss: what the network is trained to make small; None means the task's own: cross-entropy for classification,
            dice+cross-entropy for segmentation.
        seed: of the initial weights and the augmentations; never of noise or sampling.
        physical_batch: views that are processed at once; bounds memory, changes no result but rounding.
        resume_allowance: steps that the noise is planned for besides the epochs', to be done again after an
            interruption; a process that dies uses up a twentieth of them, or one.
        clipping: the rule by which gradients are clipped; only `flat` takes a C.
        precision: of the network's forward pass and of the gradients by its layers' inputs, while it is trained.
    """

    epochs: int
    expected_batch: int
    clipping_norm: float
    optimizer: OptimizerSpec
    views: int = 1
    augmentation: AugmentationSpec = AugmentationSpec()
    sampling: SamplingChoice = "best"
    schedule: Schedule = "cosine"
    warmup: float = 0.0
    ema: float | None = None
    epsilon: float | None = None
    delta: float | None = None
    loss: Loss | None = None
    seed: int = 0
    physical_batch: int = 128
    resume_allowance: int = 0
    clipping: Clipping = "flat"
    precision: Precision = field(default="float32", metadata=ADDED)

    def steps_per_epoch(self, units: int) -> int:
        """How many steps make an epoch of `units` training units; the sampling rate is its reciprocal."""
        return max(1, round(units / self.expected_batch))

    def __post_init__(self) -> None:
        check_integer(epochs=self.epochs, at_least=1)
        check_integer(expected_batch=self.expected_batch, at_least=1)
        check_clipping(self.clipping, norm=self.clipping_norm)
        check_integer(views=self.views, at_least=1)
        check_choice(sampling=self.sampling, choices=get_args(SamplingChoice))
        check_choice(schedule=self.schedule, choices=get_args(Schedule))
        check_choice(precision=self.precision, choices=PRECISIONS)
        if self.loss is not None:
            check_choice(loss=self.loss, choices=LOSSES)
        check_non_negative(warmup=self.warmup)
        check_integer(seed=self.seed, at_least=0)
        check_integer(physical_batch=self.physical_batch, at_least=1)
        check_integer(resume_allowance=self.resume_allowance, at_least=0)
        if self.warmup >= 1:
            raise InvalidValueError(f"warmup is a share of the steps, below 1, got {self.warmup!r}")
        if self.ema is not None:
            check_open_probability(ema=self.ema)
        if self.epsilon is not None:
            check_positive(epsilon=self.epsilon)
        if self.delta is not None:
            check_open_probability(delta=self.delta)


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """What is to be built.

    Attributes:
        name: the candidate's name.
        description: one sentence, or None.
        data: which images.
        model: which network.
        training: how it is trained.
    """

    name: str
    description: str | None
    data: DataSpec
    model: ModelSpec
    training: TrainingSpec

    def __post_init__(self) -> None:
        check_text(name=self.name)
        loss_for(self.training.loss, self.data.task)
