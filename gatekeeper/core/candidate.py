"""The release candidate: everything that determines the model, and nothing that determines the judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_non_negative,
    check_open_probability,
    check_positive,
    check_text,
)
from gatekeeper.errors import InvalidValueError

DataFormat = Literal["digits", "phantom-lesions", "medmnist", "image-folder", "ham10000"]
Network = Literal["resnet9", "mlp"]
OptimizerName = Literal["sgd", "adam", "nadam"]
Schedule = Literal["constant", "cosine"]
SamplingChoice = Literal["poisson", "balls-and-bins", "best"]

DATA_FORMATS: tuple[str, ...] = get_args(DataFormat)
EMBEDDED_FORMATS = ("digits", "phantom-lesions")


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSpec:
    """How units are divided into training and test.

    Attributes:
        test: share of the groups that goes to the test side, or None where the data set gives its split.
        seed: seed of the division; the same seed divides alike on every machine.
        by: the column whose values stay on one side (a patient, say); None means the unit itself.
    """

    test: float | None
    seed: int = 0
    by: str | None = None

    def __post_init__(self) -> None:
        if self.test is not None:
            check_open_probability(test=self.test)
        check_integer(seed=self.seed, at_least=0)
        if self.by is not None:
            check_text(by=self.by)


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomSpec:
    """Size and seed of a synthetic data set.

    Attributes:
        patients: how many patients are drawn, at least 10.
        seed: the generator's seed.
    """

    patients: int = 400
    seed: int = 0

    def __post_init__(self) -> None:
        check_integer(patients=self.patients, at_least=10)
        check_integer(seed=self.seed, at_least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """Which images, whose they are, and how they are divided.

    Attributes:
        format: which reader.
        path: the file or folder, absolute or relative to the working directory; None for embedded sets.
        unit: the column that says whose privacy is protected; `image` where each image is its own unit.
        label: the column that holds the class; None means the format's own.
        image_size: height and width that images are resized to, or None to keep theirs.
        channels: 1 (grey), 3 (RGB), or None to keep the file's.
        split: how units are divided.
        phantom: size and seed of a synthetic set; None for real data.
        population: whose unit names these are: data sets of one population call the same unit by the same name, so
            that the ledger recognises it besides by its name in this data set; None means by that alone.
    """

    format: DataFormat
    path: str | None
    unit: str
    label: str | None = None
    image_size: tuple[int, int] | None = None
    channels: int | None = None
    split: SplitSpec
    phantom: PhantomSpec | None = None
    population: str | None = None

    def __post_init__(self) -> None:
        check_choice(format=self.format, choices=DATA_FORMATS)
        check_text(unit=self.unit)
        if self.path is not None:
            check_text(path=self.path)
        if (self.path is None) != (self.format in EMBEDDED_FORMATS):
            need = "takes no path: it ships with gatekeeper" if self.path else "needs a path"
            raise InvalidValueError(f"format {self.format} {need}")
        if self.label is not None:
            check_text(label=self.label)
        if self.population is not None:
            check_text(population=self.population)
        if self.image_size is not None:
            for side in self.image_size:
                check_integer(image_size=side, at_least=4)
                if side > 1024:
                    raise InvalidValueError(f"image_size must be at most 1024, got {side!r}")
        if self.channels not in (None, 1, 3):
            raise InvalidValueError(f"channels must be 1 or 3, got {self.channels!r}")
        if (self.phantom is None) != (self.format != "phantom-lesions"):
            raise InvalidValueError("phantom goes with the format phantom-lesions, and only with it")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """Which network.

    Attributes:
        network: `resnet9` (weight-standardised convolutions, GroupNorm, Mish, scale norm) or `mlp`.
        width: channels of the first block (resnet9), or units of each hidden layer (mlp).
    """

    network: Network
    width: int

    def __post_init__(self) -> None:
        check_choice(network=self.network, choices=get_args(Network))
        check_integer(width=self.width, at_least=4)


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
        flips: whether a view may be mirrored, in each direction with probability ½.
        shift: the largest shift in pixels, in each direction; 0 means none.
    """

    flips: bool = False
    shift: int = 0

    def __post_init__(self) -> None:
        check_integer(shift=self.shift, at_least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpec:
    """How the model is trained.

    Attributes:
        epochs: how often each unit takes part on average, at least 1.
        expected_batch: units a step on average, and the public divisor of the noisy sum.
        clipping_norm: C, the largest norm of one unit's gradient.
        optimizer: what consumes the noisy gradient.
        views: augmented views of one unit a step; its gradient is their mean, clipped once.
        augmentation: how views differ.
        sampling: how units are sampled; `best` takes the smaller noise multiplier.
        schedule: of the learning rate.
        warmup: share of the steps over which the learning rate rises from zero.
        ema: decay of the exponential moving average of the weights that is released, or None.
        epsilon: the ε to spend; None means the policy's ceiling.
        delta: δ; None means the policy's ceiling.
        seed: of the initial weights and the augmentations; never of noise or sampling.
        physical_batch: views that are processed at once; bounds memory, changes no result but rounding.
        resume_allowance: steps that the noise is planned for besides the epochs', to be done again after an
            interruption; a process that dies uses up a twentieth of them, or one.
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
    seed: int = 0
    physical_batch: int = 128
    resume_allowance: int = 0

    def steps_per_epoch(self, units: int) -> int:
        """How many steps make an epoch of `units` training units; the sampling rate is its reciprocal."""
        return max(1, round(units / self.expected_batch))

    def __post_init__(self) -> None:
        check_integer(epochs=self.epochs, at_least=1)
        check_integer(expected_batch=self.expected_batch, at_least=1)
        check_positive(clipping_norm=self.clipping_norm)
        check_integer(views=self.views, at_least=1)
        check_choice(sampling=self.sampling, choices=get_args(SamplingChoice))
        check_choice(schedule=self.schedule, choices=get_args(Schedule))
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
