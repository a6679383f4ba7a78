"""How tomographic scans and other medical images become arrays of 8 bits: window, grid, classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_finite, check_integer, check_positive, check_text, check_tuple
from gatekeeper.errors import InvalidValueError

WindowSource = Literal["file", "per-image"]

WINDOW_SOURCES: tuple[str, ...] = get_args(WindowSource)

BACKGROUND = "background"

_LARGEST_SIDE = 1024
_MOST_CLASSES = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedClass:
    """One class of the model, made of one or more values of the files' masks.

    Attributes:
        name: what the class is called.
        values: the values of a mask that mean it, each at least 1.
    """

    name: str
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        check_text(name=self.name)
        if self.name == BACKGROUND:
            raise InvalidValueError(f"no class may be called {BACKGROUND}", hint="what no class names is background")
        check_tuple(values=self.values, of=int)
        if not self.values:
            raise InvalidValueError(f"the class {self.name!r} needs at least one value")
        for value in self.values:
            check_integer(values=value, at_least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanSpec:
    """What is made of each scan.

    Attributes:
        dimensions: 2 makes images (slices of a volume), 3 makes volumes.
        every: of 2 dimensions: every how many-th slice of a volume is taken, from the first on.
        window: the values that become 0 and 255, in the files' own units after rescaling (Hounsfield units of a CT).
        window_of: where the window comes from instead: `file`, or `per-image` (the 0.5th and 99.5th percentile of the
            image itself). With neither, only images that are stored with 8 bits can be read, as they are.
        spacing: millimetres between pixels along (depth,) height and width that images are resampled to, or None.
        size: pixels along (depth,) height and width: with a spacing, what is cut out of the middle or padded to;
            without one, what images are resized to. None keeps the size.
        channel: the name of the channel that is taken where a file holds several.
        labels: the classes besides the background, in the order of the masks' indices; None means the files' own.
        table: a CSV file of labels or owners, absolute or relative to the working directory.
        annotations_known: whether it is known that text is burned into pixels, and accepted.
    """

    dimensions: int = 2
    every: int = 1
    window: tuple[float, float] | None = None
    window_of: WindowSource | None = None
    spacing: tuple[float, ...] | None = None
    size: tuple[int, ...] | None = None
    channel: str | None = None
    labels: tuple[MergedClass, ...] | None = None
    table: str | None = None
    annotations_known: bool = False

    def __post_init__(self) -> None:
        if self.dimensions not in (2, 3):
            raise InvalidValueError(f"dimensions must be 2 or 3, got {self.dimensions!r}")
        check_integer(every=self.every, at_least=1)
        if self.every > 1 and self.dimensions == 3:
            raise InvalidValueError("every goes with dimensions 2: a volume has all its slices", hint="set spacing")
        self._check_window()
        self._check_grid()
        for name in ("channel", "table"):
            if getattr(self, name) is not None:
                check_text(**{name: getattr(self, name)})
        if self.labels is not None:
            _check_labels(self.labels)

    @property
    def homes(self) -> dict[str, str]:
        """The keys that are set and that one format alone knows, with that format."""
        homes = {
            "every": ("msd", self.every > 1),
            "channel": ("msd", self.channel is not None),
            "labels": ("msd", self.labels is not None),
            "window": ("dicom", self.window_of == "file"),
            "annotations_known": ("dicom", self.annotations_known),
        }
        return {key: home for key, (home, given) in homes.items() if given}

    def _check_window(self) -> None:
        if self.window_of is not None:
            check_choice(window_of=self.window_of, choices=WINDOW_SOURCES)
            if self.window is not None:
                raise InvalidValueError("a window is given or comes from elsewhere, not both")
        if self.window is None:
            return
        for value in self.window:
            check_finite(window=value)
        low, high = self.window
        if not low < high:
            raise InvalidValueError(f"window must be [low, high] with low below high, got [{low!r}, {high!r}]")

    def _check_grid(self) -> None:
        for name in ("spacing", "size"):
            sides = getattr(self, name)
            if sides is not None and len(sides) != self.dimensions:
                raise InvalidValueError(
                    f"{name} needs one number for each of {self.dimensions} dimensions, got {len(sides)} numbers"
                )
        for step in self.spacing or ():
            check_positive(spacing=step)
        for side in self.size or ():
            check_integer(size=side, at_least=4)
            if side > _LARGEST_SIDE:
                raise InvalidValueError(f"size must be at most {_LARGEST_SIDE}, got {side!r}")


def _check_labels(labels: tuple[MergedClass, ...]) -> None:
    if not 1 <= len(labels) <= _MOST_CLASSES:
        raise InvalidValueError(f"labels must name 1 to {_MOST_CLASSES} classes, got {len(labels)}")
    names = [label.name for label in labels]
    values = [value for label in labels for value in label.values]
    if len(set(names)) != len(names) or len(set(values)) != len(values):
        raise InvalidValueError("labels must name each class once, and each value in one class")
