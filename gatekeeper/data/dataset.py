"""A data set as the other stages see it: units of images, divided into training and test.

Pixels, labels and unit names are private: they are never printed, and they leave only through a salted
commitment. What may be printed is the `DatasetCard`.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_text, check_tuple
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import DataFormat, Task
from gatekeeper.core.framing import framed
from gatekeeper.core.record import DatasetCard
from gatekeeper.errors import InvalidValueError

SALT_BYTES = 32
_VERSION = b"gatekeeper data set v2"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Units:
    """The images of one side of the split, grouped by the unit whose privacy is protected.

    Takes over its arrays: they become read-only.

    Attributes:
        images: pixel values, uint8, shape (images, channels, *spatial), of two or three spatial axes.
        labels: class index of each image, int64, shape (images,); where there are masks, the largest that occurs there.
        masks: class index of each pixel, uint8, shape (images, *spatial), or None.
        unit_of: index of each image's unit in 0 … units − 1, int64, shape (images,); every unit has an image.
        names: each unit's name.
        groups: each unit's group: all units of a group are on the same side.

    Raises:
        InvalidValueError: the arrays don't fit each other, a unit has no image or two units share a name.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    unit_of: NDArray[np.int64]
    names: tuple[str, ...]
    groups: tuple[str, ...]
    masks: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim not in (4, 5):
            raise InvalidValueError(
                f"images must be uint8 of 4 or 5 dimensions, got {self.images.dtype} of shape {self.images.shape}"
            )
        for name in ("labels", "unit_of"):
            index = getattr(self, name)
            if index.dtype != np.int64 or index.shape != (len(self.images),):
                raise InvalidValueError(
                    f"{name} must be int64 of shape ({len(self.images)},), got {index.dtype} of shape {index.shape}"
                )
        check_tuple(names=self.names, of=str)
        check_tuple(groups=self.groups, of=str)
        if len(self.groups) != len(self.names) or len(set(self.names)) != len(self.names):
            raise InvalidValueError("each unit needs a name of its own and one group")
        if not np.array_equal(np.unique(self.unit_of), np.arange(len(self.names))):
            raise InvalidValueError("unit_of must name every unit at least once, and no other")
        if self.masks is not None:
            _check_masks(self.masks, images=self.images, labels=self.labels)
            self.masks.setflags(write=False)
        for array in (self.images, self.labels, self.unit_of):
            array.setflags(write=False)

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.names)

    def by_group(self) -> Groups:
        """The same images, by group: several units of one patient are no independent draws of patients."""
        index = {group: number for number, group in enumerate(sorted(set(self.groups)))}
        group_of = np.array([index[group] for group in self.groups], dtype=np.int64)
        return Groups(
            images=self.images,
            labels=self.labels,
            masks=self.masks,
            unit_of=group_of[self.unit_of],
            units=len(index),
        )

    def __repr__(self) -> str:
        return f"Units({self.units} units, {len(self.images)} images)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """Images by the group that the split kept together: the independent draws (`core.units.UnitImages`).

    Attributes:
        images: pixel values, uint8, shape (images, channels, *spatial).
        labels: class index of each image, int64, shape (images,).
        masks: class index of each pixel, uint8, shape (images, *spatial), or None.
        unit_of: index of each image's group, int64, shape (images,).
        units: how many groups there are.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8] | None
    unit_of: NDArray[np.int64]
    units: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """Training and test units of one data set.

    Attributes:
        name: what the data set is called; public, and not part of the digest, since a folder may be renamed.
        format: which reader read it.
        synthetic: whether the images were generated, not taken.
        unit: the column whose privacy is protected.
        classes: the classes' names, in the order of the labels.
        train: the units that the model is trained on.
        test: the units that it is judged on.
        code: the files of the user's that read it; not part of the digest, which is of the content.
        notes: what the reader passed over, in words that may be printed; not part of the digest.

    Raises:
        InvalidValueError: the two sides differ in image shape, share a unit or a group, hold a label without a
            class, or one of them alone has masks.
    """

    name: str
    format: DataFormat
    synthetic: bool
    unit: str
    classes: tuple[str, ...]
    train: Units
    test: Units
    code: tuple[CodeFile, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_text(unit=self.unit)
        check_tuple(classes=self.classes, of=str)
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise InvalidValueError(
                f"train and test differ in image shape: {self.train.images.shape[1:]} and {self.test.images.shape[1:]}"
            )
        if (self.train.masks is None) != (self.test.masks is None):
            raise InvalidValueError("train and test must both have masks, or neither")
        for side in (self.train, self.test):
            if len(side.labels) and not 0 <= side.labels.min() <= side.labels.max() < len(self.classes):
                raise InvalidValueError(f"labels must lie in 0 … {len(self.classes) - 1}")
        if set(self.train.names) & set(self.test.names) or set(self.train.groups) & set(self.test.groups):
            raise InvalidValueError("a unit or a group is on both sides of the split")

    @property
    def task(self) -> Task:
        """What a model can learn here: the class of an image, or that of each pixel."""
        return "classification" if self.train.masks is None else "segmentation"

    def digest(self, *, salt: bytes) -> str:
        """A salted SHA-256 of the content: format, task, unit, classes, split, names, groups, labels, pixels, masks.

        HMAC-SHA256 (RFC 2104) with the salt as key. A plain digest would let anyone who knows all records
        but one test a guess of the last; with a secret salt the digest tells nothing, and whoever is shown
        the salt can check it. Every part is preceded by its length and units are taken in the order of
        their names, their images in the order of their own digests, so that the digest doesn't depend on the
        order of files or rows. Of fixed length, the salt can't be exchanged for another that HMAC pads alike.

        Args:
            salt: 32 secret random bytes.

        Returns:
            64 lower-case hexadecimal digits.

        Raises:
            InvalidValueError: the salt isn't 32 bytes long.
        """
        if len(salt) != SALT_BYTES:
            raise InvalidValueError(f"salt must be {SALT_BYTES} bytes, got {len(salt)}")
        facts = (self.format, self.task, str(self.synthetic), self.unit)
        parts = [_VERSION, *(fact.encode() for fact in facts)]
        parts += [_joined([str(length).encode() for length in self.train.images.shape[1:]])]
        parts += [_joined([name.encode() for name in self.classes])]
        parts += [_side_digest(side, self.classes) for side in (self.train, self.test)]
        return hmac.new(salt, _joined(parts), hashlib.sha256).hexdigest()

    def card(self, *, salt: bytes) -> DatasetCard:
        """The facts of this data set that may be printed.

        Args:
            salt: 32 secret random bytes; they stay in the run directory.

        Raises:
            InvalidValueError: the salt isn't 32 bytes long, or the set is too small for a card.
        """
        return DatasetCard(
            name=self.name,
            format=self.format,
            task=self.task,
            synthetic=self.synthetic,
            unit=self.unit,
            train_units=self.train.units,
            test_units=self.test.units,
            test_groups=len(set(self.test.groups)),
            train_images=len(self.train.images),
            test_images=len(self.test.images),
            max_images_per_unit=int(np.bincount(self.train.unit_of).max()),
            image_shape=self.train.images.shape[1:],
            classes=self.classes,
            commitment=self.digest(salt=salt),
            code=self.code,
        )


def _check_masks(masks: NDArray[np.uint8], *, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    shape = (len(images), *images.shape[2:])
    if masks.dtype != np.uint8 or masks.shape != shape:
        raise InvalidValueError(f"masks must be uint8 of shape {shape}, got {masks.dtype} of shape {masks.shape}")
    if not np.array_equal(masks.reshape(len(masks), -1).max(axis=1), labels):
        raise InvalidValueError("an image's label must be the largest class of its mask")


def _joined(parts: list[bytes]) -> bytes:
    """The parts' number and the parts, each preceded by its length: no two lists give the same bytes."""
    return len(parts).to_bytes(8, "big") + framed(*parts)


def _side_digest(side: Units, classes: tuple[str, ...]) -> bytes:
    images: list[list[bytes]] = [[] for _ in side.names]
    for row, (label, unit) in enumerate(zip(side.labels.tolist(), side.unit_of.tolist(), strict=True)):
        parts = [classes[label].encode(), side.images[row].tobytes()]
        parts += [] if side.masks is None else [side.masks[row].tobytes()]
        images[unit].append(hashlib.sha256(_joined(parts)).digest())
    units = [
        hashlib.sha256(_joined([name.encode(), group.encode(), *sorted(own)])).digest()
        for name, group, own in sorted(zip(side.names, side.groups, images, strict=True))
    ]
    return hashlib.sha256(_joined(units)).digest()
