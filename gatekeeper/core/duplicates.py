"""Images that a data set holds more than once, or nearly: units under pseudonyms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gatekeeper.core.checks import check_integer, check_probability, check_tuple
from gatekeeper.errors import InvalidValueError

SideName = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedPicture:
    """One image, to the last pixel, that several units hold.

    Attributes:
        images: how often it occurs.
        units: the units' pseudonyms, at least two.
        sides: on which sides of the split it occurs; on both it is a leak.
        labels: the classes that it has been given; more than one contradict each other.
    """

    images: int
    units: tuple[str, ...]
    sides: tuple[SideName, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_tuple(units=self.units, of=str)
        check_tuple(sides=self.sides, of=str)
        check_tuple(labels=self.labels, of=str)
        if len(self.units) < 2 or not self.sides or not self.labels:
            raise InvalidValueError("a shared image has two units at least, a side and a class")
        check_integer(images=self.images, at_least=len(self.units))

    @property
    def leaks(self) -> bool:
        """Whether it is trained on and tested with."""
        return len(self.sides) > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactDuplicates:
    """Images that are the same to the last pixel, as the network sees them: after resizing.

    Attributes:
        repeats_within_units: images beyond the first of their kind in the same unit.
        units_with_repeats: units that have such images.
        shared: every image that two or more units hold; `certify` refuses such data.
    """

    repeats_within_units: int
    units_with_repeats: int
    shared: tuple[SharedPicture, ...]

    def __post_init__(self) -> None:
        check_integer(units_with_repeats=self.units_with_repeats, at_least=0)
        check_integer(repeats_within_units=self.repeats_within_units, at_least=self.units_with_repeats)
        check_tuple(shared=self.shared, of=SharedPicture)

    @property
    def leaks(self) -> int:
        """How many images are on both sides of the split."""
        return sum(picture.leaks for picture in self.shared)


@dataclass(frozen=True, kw_only=True, slots=True)
class LikePair:
    """Two images of different units that resemble each other and are not the same.

    Attributes:
        first: the pseudonym of one unit.
        first_side: its side.
        second: that of the other.
        second_side: its side.
        ncc: their normalised cross-correlation.
    """

    first: str
    first_side: SideName
    second: str
    second_side: SideName
    ncc: float

    @property
    def between_sides(self) -> bool:
        """Whether one is trained on and the other tested with."""
        return self.first_side != self.second_side


@dataclass(frozen=True, kw_only=True, slots=True)
class NearDuplicates:
    """Pairs of images of different units whose NCC reaches a threshold.

    Turned, mirrored, cropped or differently lit in parts, a copy may stay below it.

    Attributes:
        threshold: τ: pairs with NCC ≥ τ are counted.
        complete: whether every pair was looked at; otherwise the counts are those up to where the search stopped.
        pairs: how many pairs there are.
        between_sides: how many of them lie on both sides of the split.
        closest: those with the highest NCC, those between sides first; not all where there are many.
        flat_images: images of one colour: they have no NCC and were left out.
    """

    threshold: float
    complete: bool
    pairs: int
    between_sides: int
    closest: tuple[LikePair, ...]
    flat_images: int

    def __post_init__(self) -> None:
        check_probability(threshold=self.threshold)
        check_integer(between_sides=self.between_sides, at_least=0)
        check_integer(pairs=self.pairs, at_least=max(self.between_sides, len(self.closest)))
        check_tuple(closest=self.closest, of=LikePair)
        check_integer(flat_images=self.flat_images, at_least=0)
