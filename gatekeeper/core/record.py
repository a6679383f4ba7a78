"""What the data are, what will run, what did run, and the file that came out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import get_args

from gatekeeper.core.budget import Budget
from gatekeeper.core.checks import (
    check_choice,
    check_integer,
    check_non_negative,
    check_sha256,
    check_text,
    check_tuple,
)
from gatekeeper.core.clipping import Adaptation, Clipping, check_clipping
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import Task
from gatekeeper.core.fields import ADDED
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.precision import PRECISIONS, Precision
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetCard:
    """The public facts of a data set. The number of units is public by adjacency (zero-out).

    Attributes:
        name: what the data set is called.
        format: which reader read it.
        task: what the model learns: the class of an image, or that of each pixel.
        synthetic: whether the images were generated, not taken.
        unit: whose privacy is protected.
        train_units: units that the model is trained on.
        test_units: units that it is judged on.
        test_groups: independent draws among the test units: the groups that the split kept together (patients), or
            the units themselves.
        train_images: images of the training units.
        test_images: images of the test units.
        max_images_per_unit: the most images that one training unit has.
        image_shape: channels, then height and width, or depth, height and width.
        classes: the classes' names, in the order of the model's outputs.
        commitment: salted SHA-256 of the content; the salt stays in the run directory.
        code: the files of the user's that read the data, or none where a reader of gatekeeper's did.
    """

    name: str
    format: str
    task: Task
    synthetic: bool
    unit: str
    train_units: int
    test_units: int
    test_groups: int
    train_images: int
    test_images: int
    max_images_per_unit: int
    image_shape: tuple[int, ...]
    classes: tuple[str, ...]
    commitment: str
    code: tuple[CodeFile, ...] = field(default=(), metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_text(format=self.format)
        check_choice(task=self.task, choices=get_args(Task))
        check_text(unit=self.unit)
        check_integer(train_units=self.train_units, at_least=2)
        check_integer(test_units=self.test_units, at_least=1)
        check_integer(test_groups=self.test_groups, at_least=1)
        if self.test_groups > self.test_units:
            raise InvalidValueError(f"{self.test_groups} groups can't be made of {self.test_units} test units")
        check_integer(train_images=self.train_images, at_least=self.train_units)
        check_integer(test_images=self.test_images, at_least=self.test_units)
        check_integer(max_images_per_unit=self.max_images_per_unit, at_least=1)
        check_tuple(image_shape=self.image_shape, of=int)
        if len(self.image_shape) not in (3, 4):
            raise InvalidValueError(
                f"image_shape must be channels and two or three spatial sides, got {self.image_shape!r}"
            )
        for side in self.image_shape:
            check_integer(image_shape=side, at_least=1)
        check_tuple(classes=self.classes, of=str)
        if len(self.classes) < 2:
            raise InvalidValueError(f"{self.task} needs at least two classes, got {self.classes!r}")
        check_sha256(commitment=self.commitment)
        check_tuple(code=self.code, of=CodeFile)

    @property
    def pixels(self) -> int:
        """N, the number of pixel values of an image."""
        return math.prod(self.image_shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPlan:
    """What will run.

    Attributes:
        mechanism: the mechanism that is planned, with all the steps that may be taken.
        budget: the budget that it was calibrated to.
        clipping_norm: C; of adaptive clipping, that of the first step.
        divisor: the public constant that the noisy sum is divided by.
        resume_allowance: how many of the mechanism's steps are there only to be done again after an interruption.
        clipping: the rule by which gradients are clipped.
        precision: of the network's forward pass and of the gradients by its layers' inputs.
    """

    mechanism: Mechanism
    budget: Budget
    clipping_norm: float
    divisor: int
    resume_allowance: int = 0
    clipping: Clipping = "flat"
    precision: Precision = field(default="float32", metadata=ADDED)

    def __post_init__(self) -> None:
        check_clipping(self.clipping, norm=self.clipping_norm)
        check_integer(divisor=self.divisor, at_least=1)
        check_integer(resume_allowance=self.resume_allowance, at_least=0)
        check_choice(precision=self.precision, choices=PRECISIONS)
        if self.resume_allowance > self.mechanism.steps:
            raise InvalidValueError(
                f"resume_allowance {self.resume_allowance} is more than the {self.mechanism.steps} planned steps"
            )

    @property
    def steps(self) -> int:
        """The recipe's steps: those that make the model, each once."""
        return self.mechanism.steps - self.resume_allowance


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """What a run is about to take of its data: what the ledger is asked before the first step.

    Attributes:
        dataset: the data's public facts.
        plan: what will run.
        non_private: whether a non-private twin will be trained beside it.
        provenance: what the network will be made of, where that is more than the candidate says; None for gatekeeper's
            own networks with random weights.
    """

    dataset: DatasetCard
    plan: TrainingPlan
    non_private: bool
    provenance: Provenance | None = field(default=None, metadata=ADDED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """That the ledger has counted a run, and which attempt on its units it is.

    Attributes:
        attempt: from 1.
    """

    attempt: int

    def __post_init__(self) -> None:
        check_integer(attempt=self.attempt, at_least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Software:
    """One piece of software and its version."""

    name: str
    version: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_text(version=self.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What a network was made of besides the candidate: it lies outside the claim of differential privacy.

    Attributes:
        base_weights: SHA-256 of the file of weights that training started from, or None where they were random.
        code: the files of the user's that made the network, or none where it is gatekeeper's own.
        frozen_parameters: parameters that training left as they were.
    """

    base_weights: str | None = None
    code: tuple[CodeFile, ...] = ()
    frozen_parameters: int = 0

    def __post_init__(self) -> None:
        if self.base_weights is not None:
            check_sha256(base_weights=self.base_weights)
        check_tuple(code=self.code, of=CodeFile)
        check_integer(frozen_parameters=self.frozen_parameters, at_least=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingRecord:
    """What did run. Never holds the seed of noise or of sampling.

    Attributes:
        mechanism: as the loop counted it: every noisy sum that was formed, or may have been before an interruption.
        clipping_norm: C; of adaptive clipping, that of the first step.
        divisor: the public constant that each noisy sum was divided by.
        parameters: trainable parameters.
        weights_digest: SHA-256 of the released weights.
        noise_generator: which generator made the noise and the sampling, and how it was seeded.
        arithmetic: how sums and noise are held, and what keeps the rounding of one unit from depending on others.
        device: where it ran, and in how many processes, such as `2 × cpu`; of several starts, the last one.
        seconds: how long it took.
        software: what it ran on.
        provenance: the weights and the code that the network came from.
        redone_steps: how many of the mechanism's steps were lost to interruptions and done again.
        starts: how often the training was started.
        clipping: the rule by which gradients were clipped.
        adaptation: what became of an adaptive clipping norm; None where it is fixed.
        precision: of the network's forward pass and of the gradients by its layers' inputs.
    """

    mechanism: Mechanism
    clipping_norm: float
    divisor: int
    parameters: int
    weights_digest: str
    noise_generator: str
    arithmetic: str
    device: str
    seconds: float
    software: tuple[Software, ...]
    provenance: Provenance = Provenance()
    redone_steps: int = 0
    starts: int = 1
    clipping: Clipping = "flat"
    adaptation: Adaptation | None = None
    precision: Precision = field(default="float32", metadata=ADDED)

    def __post_init__(self) -> None:
        check_integer(redone_steps=self.redone_steps, at_least=0)
        check_integer(starts=self.starts, at_least=1)
        if self.redone_steps > (self.mechanism.steps if self.starts > 1 else 0):
            raise InvalidValueError(
                f"{self.redone_steps} of {self.mechanism.steps} steps done again in {self.starts} starts"
            )
        check_clipping(self.clipping, norm=self.clipping_norm)
        if (self.adaptation is None) == (self.clipping == "adaptive"):
            raise InvalidValueError(f"{self.clipping} clipping, with adaptation {self.adaptation!r}")
        check_integer(divisor=self.divisor, at_least=1)
        check_integer(parameters=self.parameters, at_least=1)
        check_sha256(weights_digest=self.weights_digest)
        check_text(noise_generator=self.noise_generator)
        check_text(arithmetic=self.arithmetic)
        check_choice(precision=self.precision, choices=PRECISIONS)
        check_text(device=self.device)
        check_non_negative(seconds=self.seconds)
        check_tuple(software=self.software, of=Software)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelArtifact:
    """The ONNX file that is judged and, on approval, shipped.

    Attributes:
        sha256: digest of the file.
        size: its size in bytes.
        opset: the ONNX operator set.
        input_name: name of the graph's input: raw pixel values in [0, 1], shape (batch, channels, *spatial).
        output_name: name of its output: one logit a class, shape (batch, classes) or, for masks, (batch, classes,
            *spatial).
        spatial_multiple: the spatial sides may be any multiples of this; None means those of the data's images only.
        parity: the largest |torch − onnxruntime| over the parity images.
        parity_images: how many images that was measured on, at least 1.
    """

    sha256: str
    size: int
    opset: int
    input_name: str
    output_name: str
    parity: float
    parity_images: int
    spatial_multiple: int | None = None

    def __post_init__(self) -> None:
        check_sha256(sha256=self.sha256)
        check_integer(size=self.size, at_least=1)
        check_integer(opset=self.opset, at_least=1)
        check_text(input_name=self.input_name)
        check_text(output_name=self.output_name)
        check_non_negative(parity=self.parity)
        check_integer(parity_images=self.parity_images, at_least=1)
        if self.spatial_multiple is not None:
            check_integer(spatial_multiple=self.spatial_multiple, at_least=1)
