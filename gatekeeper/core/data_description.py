"""What a candidate's data are, for their owner's eyes: private facts, and no part of any release.

Units appear under pseudonyms, so that a description tells nobody who is in the data; how many images a class has, or
which images repeat, is private all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from gatekeeper.core.checks import check_choice, check_integer, check_text, check_tuple
from gatekeeper.core.data_spec import Task
from gatekeeper.core.duplicates import ExactDuplicates, NearDuplicates, SideName
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantiles:
    """Counts in five numbers: the p-quantile is the smallest count that a share of at least p does not exceed.

    Attributes:
        least: the smallest.
        quarter: a quarter has no more.
        median: half have no more.
        three_quarters: three quarters have no more.
        most: the largest.
    """

    least: int
    quarter: int
    median: int
    three_quarters: int
    most: int

    @classmethod
    def of(cls, counts: tuple[int, ...]) -> Quantiles:
        """The quantiles of at least one count.

        >>> Quantiles.of((5, 1, 1, 2))
        Quantiles(least=1, quarter=1, median=1, three_quarters=2, most=5)
        """
        if not counts:
            raise InvalidValueError("quantiles need at least one count")
        ordered = sorted(counts)
        quarter, median, three_quarters = (ordered[-(-part * len(ordered) // 4) - 1] for part in (1, 2, 3))
        return cls(least=ordered[0], quarter=quarter, median=median, three_quarters=three_quarters, most=ordered[-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class SideDescription:
    """One side of the split.

    Attributes:
        side: `train` or `test`.
        units: how many units it has.
        groups: how many groups that the split keeps together.
        images: how many images.
        images_per_unit: how many of them a unit has.
    """

    side: SideName
    units: int
    groups: int
    images: int
    images_per_unit: Quantiles

    def __post_init__(self) -> None:
        check_choice(side=self.side, choices=get_args(SideName))
        check_integer(groups=self.groups, at_least=1)
        check_integer(units=self.units, at_least=self.groups)
        check_integer(images=self.images, at_least=self.units)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassDescription:
    """How often a class occurs: as an image's label or, of masks, somewhere in the image's mask.

    Attributes:
        name: the class.
        train_images: training images that have it.
        train_units: training units with such an image.
        test_images: test images that have it.
        test_units: test units with such an image.
    """

    name: str
    train_images: int
    train_units: int
    test_images: int
    test_units: int

    def __post_init__(self) -> None:
        check_text(name=self.name)
        for side in ("train", "test"):
            units = getattr(self, f"{side}_units")
            check_integer(units=units, at_least=0)
            check_integer(images=getattr(self, f"{side}_images"), at_least=units)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeCount:
    """How many images are stored in one shape.

    Attributes:
        shape: channels, then height and width, or depth, height and width.
        images: how many.
    """

    shape: tuple[int, ...]
    images: int

    def __post_init__(self) -> None:
        check_tuple(shape=self.shape, of=int)
        check_integer(images=self.images, at_least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataDescription:
    """The data themselves.

    Attributes:
        name: what the data set is called.
        format: which reader read it.
        task: what a model can learn here.
        synthetic: whether the images were generated.
        unit: the column whose privacy is protected.
        group: the column that the split keeps together.
        image_shape: of an image as the network sees it: channels, then two or three spatial sides.
        stored_shapes: of the images as they are stored, most frequent first; None where the reader doesn't know.
        sides: training, then test.
        classes: in the order of the model's outputs.
        exact: images that occur more than once.
        near: images that nearly do; None where nobody looked.
    """

    name: str
    format: str
    task: Task
    synthetic: bool
    unit: str
    group: str
    image_shape: tuple[int, ...]
    stored_shapes: tuple[ShapeCount, ...] | None
    sides: tuple[SideDescription, ...]
    classes: tuple[ClassDescription, ...]
    exact: ExactDuplicates
    near: NearDuplicates | None

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_text(unit=self.unit)
        check_text(group=self.group)
        check_tuple(image_shape=self.image_shape, of=int)
        check_tuple(sides=self.sides, of=SideDescription)
        check_tuple(classes=self.classes, of=ClassDescription)
