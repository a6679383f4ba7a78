"""The models of the training bench, and the batches that every arm of a round is given."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from gatekeeper.core.candidate import OptimizerSpec, TrainingSpec
from gatekeeper.core.data_spec import Task
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.core.precision import Precision
from gatekeeper.training.losses import loss_of
from gatekeeper.training.networks import build
from gatekeeper.training.views import Views

# A batch is a tenth of the units: Poisson sampling then takes each unit with probability q.
SAMPLING_RATE = 0.1

# Batch sizes beyond so many deviations are cut off: fewer than one in 10¹⁴.
_DEVIATIONS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A model, the shape of what it is given, and how it is trained.

    Attributes:
        name: as `--models` calls it.
        model: gatekeeper's own network.
        image_shape: channels, then height and width.
        classes: number of outputs.
        task: classification, or segmentation with one target a pixel.
        batch: the expected logical batch size, in units of one view.
        convolutional: whether it counts in the geometric mean.
        repeats: rounds for each one that is asked for: short steps need more.
        noise_multiplier: σ.
        clipping_norm: C.
        lr: of SGD, whose momentum is 0.9 in every arm.
        precision: of the forward pass and of the gradients by layers' inputs, in every arm.
    """

    name: str
    model: ModelSpec
    image_shape: tuple[int, int, int]
    classes: int = 10
    task: Task = "classification"
    batch: int = 256
    convolutional: bool = True
    repeats: int = 1
    noise_multiplier: float = 0.5
    clipping_norm: float = 1.0
    lr: float = 1e-3
    precision: Precision = "float32"

    @property
    def title(self) -> str:
        """For people: network, width and image shape."""
        return f"{self.model.network}, width {self.model.width}, {'×'.join(map(str, self.image_shape))}"

    @property
    def units(self) -> int:
        """As if so many units were sampled from."""
        return round(self.batch / SAMPLING_RATE)

    @property
    def recipe(self) -> TrainingSpec:
        """SGD with momentum, one view a unit, and physical batches as candidates have them by default."""
        return TrainingSpec(
            epochs=1,
            expected_batch=self.batch,
            clipping_norm=self.clipping_norm,
            optimizer=OptimizerSpec(name="sgd", lr=self.lr),
            schedule="constant",
            precision=self.precision,
        )

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """One loss a view."""
        return loss_of(self.recipe, self.task)

    def network(self) -> nn.Module:
        """The network, always with the same initial weights."""
        return build(self.model, image_shape=self.image_shape, classes=self.classes, seed=0, task=self.task)

    def optimizer(self, network: nn.Module) -> torch.optim.SGD:
        """What every arm but gatekeeper's takes its step with."""
        return torch.optim.SGD(network.parameters(), lr=self.lr, momentum=0.9)

    def targets(self, views: int, generator: torch.Generator) -> Tensor:
        """Random targets of `views` views."""
        spatial = self.image_shape[1:] if self.task == "segmentation" else ()
        return torch.randint(self.classes, (views, *spatial), generator=generator)

    def batches(self) -> Iterator[Views]:
        """Batches of random images without end, always the same, whose sizes are drawn as Poisson sampling draws."""
        generator = torch.Generator().manual_seed(20240901)
        most = self.batch + math.ceil(_DEVIATIONS * math.sqrt(self.batch))
        images = torch.rand((most, *self.image_shape), generator=generator)
        targets = self.targets(most, generator)
        while True:
            sampled = int((torch.rand(self.units, generator=generator) < SAMPLING_RATE).sum())
            chosen = torch.randperm(most, generator=generator)[:sampled]
            yield Views(images=images[chosen], targets=targets[chosen])


def pieces(batch: Views, size: int | None) -> list[Views]:
    """Physical batches of at most `size` units; None: all in one."""
    if size is None:
        return [batch]
    parts = zip(batch.images.split(size), batch.targets.split(size), strict=True)
    return [Views(images=images, targets=targets) for images, targets in parts]


_MLP = ModelSpec(network="mlp", width=512)

CASES = (
    Case(name="resnet9", model=ModelSpec(network="resnet9", width=64), image_shape=(1, 28, 28)),
    Case(name="resnet18", model=ModelSpec(network="resnet18", width=64), image_shape=(3, 64, 64)),
    Case(
        name="unet",
        model=ModelSpec(network="unet", width=16),
        image_shape=(1, 64, 64),
        classes=3,
        task="segmentation",
    ),
    Case(name="mlp", model=_MLP, image_shape=(1, 28, 28), convolutional=False, repeats=4),
    Case(name="mlp-1024", model=_MLP, image_shape=(1, 28, 28), batch=1024, convolutional=False, repeats=4),
)

_TINY = {"resnet9": (4, 8), "resnet18": (4, 32), "unet": (4, 16), "mlp": (8, 4), "mlp-1024": (8, 4)}


def tiny(case: Case) -> Case:
    """The same network, as narrow as it can be, on small images in small batches: to see that all works."""
    width, side = _TINY[case.name]
    return dataclasses.replace(
        case,
        model=dataclasses.replace(case.model, width=width),
        image_shape=(case.image_shape[0], side, side),
        batch=32 if case.name == "mlp-1024" else 16,
    )
