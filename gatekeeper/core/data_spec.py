"""Which images a candidate is trained on, whose they are, and how they are divided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from gatekeeper.core.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_open_probability,
    check_text,
    check_tuple,
)
from gatekeeper.core.fields import ADDED
from gatekeeper.core.model_spec import Argument, check_factory
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.errors import InvalidValueError

Task = Literal["classification", "segmentation"]
DataFormat = Literal[
    "digits",
    "phantom-lesions",
    "phantom-abdomen",
    "medmnist",
    "image-folder",
    "ham10000",
    "radimagenet",
    "numpy",
    "factory",
    "msd",
    "dicom",
]

DATA_FORMATS: tuple[str, ...] = get_args(DataFormat)
PHANTOM_FORMATS = ("phantom-lesions", "phantom-abdomen")
EMBEDDED_FORMATS = ("digits", *PHANTOM_FORMATS)
PATHLESS_FORMATS = (*EMBEDDED_FORMATS, "factory")
SCAN_FORMATS = ("msd", "dicom")
SEGMENTATION_FORMATS = ("phantom-abdomen", "msd")
LABEL_OR_MASK_FORMATS = ("numpy", "factory")
"""Formats that hold labels or masks: `label: mask` says that it is masks."""

MASK = "mask"

_LARGEST_SIDE = 1024


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
        dimensions: 2 draws images, 3 volumes; 3 goes with phantom-abdomen.
        size: of phantom-abdomen: depth (of volumes only), height and width; None means the format's own.
    """

    patients: int = 400
    seed: int = 0
    dimensions: int = 2
    size: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        check_integer(patients=self.patients, at_least=10)
        check_integer(seed=self.seed, at_least=0)
        check_integer(dimensions=self.dimensions, at_least=2)
        if self.dimensions > 3:
            raise InvalidValueError(f"dimensions must be 2 or 3, got {self.dimensions!r}")
        if self.size is None:
            return
        if len(self.size) != self.dimensions:
            raise InvalidValueError(
                f"size needs one number for each of {self.dimensions} dimensions, got {len(self.size)} numbers"
            )
        _check_sides("size", self.size, at_least=8)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSpec:
    """Which images, whose they are, and how they are divided.

    Attributes:
        format: which reader.
        path: the file or folder, absolute or relative to the working directory; None for embedded sets and factories.
        unit: the column that says whose privacy is protected; `image` where each image is its own unit.
        label: the column that holds the class; None means the format's own.
        image_size: height and width that images are resized to, or None to keep theirs; formats with masks or scans
            take none.
        channels: 1 (grey), 3 (RGB), or None to keep the file's.
        split: how units are divided.
        phantom: size and seed of a synthetic set; None for real data.
        population: whose unit names these are: data sets of one population call the same unit by the same name, so
            that the ledger recognises it besides by its name in this data set; None means by that alone.
        window: of numpy and factory: the values that become 0 and 255; None where they are 8-bit, or floats in [0, 1].
        factory: of the format factory: `package.module:function` or `path/to/file.py:function`, which the policy must
            allow; called with the arguments, it yields the images.
        arguments: the factory's arguments.
        scan: what is made of each scan, in the formats msd and dicom; None in the others.
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
    window: tuple[float, float] | None = field(default=None, metadata=ADDED)
    factory: str | None = field(default=None, metadata=ADDED)
    arguments: tuple[Argument, ...] = field(default=(), metadata=ADDED)
    scan: ScanSpec | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        check_choice(format=self.format, choices=DATA_FORMATS)
        check_text(unit=self.unit)
        if self.path is not None:
            check_text(path=self.path)
        if (self.path is None) != (self.format in PATHLESS_FORMATS):
            need = f"takes no path: {why_pathless(self.format)}" if self.path else "needs a path"
            raise InvalidValueError(f"format {self.format} {need}")
        if self.label is not None:
            check_text(label=self.label)
        if self.population is not None:
            check_text(population=self.population)
        if self.image_size is not None:
            _check_sides("image_size", self.image_size, at_least=4)
        if self.channels not in (None, 1, 3):
            raise InvalidValueError(f"channels must be 1 or 3, got {self.channels!r}")
        if (self.phantom is None) != (self.format not in PHANTOM_FORMATS):
            raise InvalidValueError(
                f"phantom goes with the formats {' and '.join(PHANTOM_FORMATS)}, and only with them"
            )
        self._check_masks()
        self._check_window()
        self._check_factory()
        self._check_scan()

    def _check_scan(self) -> None:
        """What is made of scans goes with formats of scans, and says their size."""
        if (self.scan is None) != (self.format not in SCAN_FORMATS):
            raise InvalidValueError(f"scan goes with the formats {' and '.join(SCAN_FORMATS)}, and only with them")
        if self.scan is None:
            return
        if self.image_size is not None:
            raise InvalidValueError(f"format {self.format} takes no image_size", hint="set scan.size")
        for key, home in self.scan.homes.items():
            if home != self.format:
                raise InvalidValueError(f"scan.{key} goes with the format {home}, not with {self.format}")

    def _check_masks(self) -> None:
        """A format with masks is drawn at its size, in grey; the others know no size but `image_size`."""
        if self.task == "segmentation":
            if self.image_size is not None:
                remedies = {"phantom-abdomen": "set phantom.size", "msd": "set scan.size"}
                hint = remedies.get(self.format, "resize images and masks before")
                raise InvalidValueError(f"format {self.format} takes no image_size with masks", hint=hint)
            if self.channels == 3 and self.format in SEGMENTATION_FORMATS:
                raise InvalidValueError(f"format {self.format} is grey: channels must be 1 or left out")
        elif self.phantom is not None and (self.phantom.dimensions != 2 or self.phantom.size is not None):
            raise InvalidValueError(
                f"phantom.dimensions and phantom.size go with the format phantom-abdomen, not with {self.format}",
                hint="set image_size",
            )

    def _check_window(self) -> None:
        if self.window is None:
            return
        if self.format not in LABEL_OR_MASK_FORMATS:
            raise InvalidValueError(f"window goes with the formats numpy and factory, not with {self.format}")
        check_window(self.window)

    def _check_factory(self) -> None:
        if (self.factory is None) != (self.format != "factory"):
            raise InvalidValueError("the format factory needs data.factory, and no other format takes it")
        check_tuple(arguments=self.arguments, of=Argument)
        if self.factory is not None:
            check_factory(self.factory, self.arguments)
        elif self.arguments:
            raise InvalidValueError("arguments go with a factory, and only with it")

    @property
    def task(self) -> Task:
        """What the model learns: the class of an image, or that of each pixel."""
        masks = self.format in SEGMENTATION_FORMATS or (self.format in LABEL_OR_MASK_FORMATS and self.label == MASK)
        return "segmentation" if masks else "classification"


def why_pathless(data_format: str) -> str:
    """Why a format takes no path."""
    return "its arguments say where the data lie" if data_format == "factory" else "it ships with gatekeeper"


def check_window(window: tuple[float, ...]) -> None:
    """Require two finite values, the lower first.

    Raises:
        InvalidValueError: they are not.
    """
    if len(window) != 2 or not window[0] < window[1]:
        raise InvalidValueError(f"window must be [low, high] with low < high, got {list(window)!r}")
    for value in window:
        check_finite(window=value)


def _check_sides(name: str, sides: tuple[int, ...], *, at_least: int) -> None:
    for side in sides:
        check_integer(at_least=at_least, **{name: side})
        if side > _LARGEST_SIDE:
            raise InvalidValueError(f"{name} must be at most {_LARGEST_SIDE}, got {side!r}")
