"""Series of DICOM frames as volumes: sorted along the normal of their planes, without gap, double or tilt.

Positions and directions are those of PS3.3, C.7.6.2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gatekeeper.data.dicom_file import parse, value_of
from gatekeeper.data.dicom_frames import FrameFields
from gatekeeper.data.dicom_header import Instance
from gatekeeper.errors import DataError

# Positions are written with a few digits: what differs by less is equal.
_SAME_DIRECTION = 1e-3
_SAME_STEP = 0.02
_SAME_PLACE = 0.05
_ALONE = "use data.scan.dimensions 2, or take the series out of the data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One plane of a volume.

    Attributes:
        instance: the file.
        index: which of the file's frames, from 0.
        position: millimetres of the first pixel's centre, three numbers.
        orientation: directions of a row and of a column, six numbers.
        spacing: millimetres between rows and between columns.
    """

    instance: Instance
    index: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A volume.

    Attributes:
        frames: in the order of the normal (the row's direction × the column's): of axial planes, from the feet up.
        spacing: millimetres between planes, rows and columns.
    """

    frames: tuple[Frame, ...]
    spacing: tuple[float, float, float]


def stack(series: Sequence[Instance]) -> Stack:
    """The files of one series as a volume.

    Raises:
        DataError: a frame doesn't say where it lies, frames differ in size, direction or spacing, one is missing or
            there twice, distances are mixed, or they are shifted against each other.
    """
    frames = [frame for instance in series for frame in _frames(instance)]
    first = frames[0]
    if len(frames) < 2:
        raise DataError("the series has a single frame, which is no volume", where=first.instance.where, hint=_ALONE)
    for frame in frames:
        _check_alike(first, frame)
    across, down = np.array(first.orientation[:3]), np.array(first.orientation[3:])
    normal = np.cross(across, down)
    heights = {frame: float(np.dot(normal, frame.position)) for frame in frames}
    frames.sort(key=lambda frame: heights[frame])
    step = _check_steps(frames, [heights[frame] for frame in frames])
    for frame in frames:
        moved = np.array(frame.position) - np.array(frames[0].position)
        aside = float(np.linalg.norm(moved - np.dot(normal, moved) * normal))
        if aside > min(first.spacing):
            raise DataError(
                f"the slice lies {aside:.1f} mm beside the first, {frames[0].instance.where}: the planes are tilted",
                where=frame.instance.where,
                hint="resample the series to planes above each other, or take it out of the data",
            )
    return Stack(frames=tuple(frames), spacing=(step, first.spacing[0], first.spacing[1]))


def _frames(instance: Instance) -> tuple[Frame, ...]:
    dataset = parse(instance.path, pixels=False, where=instance.where)
    found = []
    for index in range(instance.frames):
        fields = FrameFields(dataset, index, instance)
        position = fields.numbers("ImagePositionPatient", group="PlanePositionSequence", count=3)
        orientation = fields.numbers("ImageOrientationPatient", group="PlaneOrientationSequence", count=6)
        spacing = fields.numbers("PixelSpacing", group="PixelMeasuresSequence", count=2)
        if position is None or orientation is None or spacing is None or min(spacing) <= 0:
            raise DataError(
                f"frame {index + 1} doesn't say where it lies (ImagePositionPatient, ImageOrientationPatient and "
                "PixelSpacing)",
                where=instance.where,
                hint=_ALONE,
            )
        if instance.frames > 1 and not value_of(dataset, "PerFrameFunctionalGroupsSequence", where=instance.where):
            raise DataError("its frames have one position for all", where=instance.where, hint=_ALONE)
        across, down = np.array(orientation[:3]), np.array(orientation[3:])
        off = (abs(np.linalg.norm(across) - 1), abs(np.linalg.norm(down) - 1), abs(np.dot(across, down)))
        if max(off) > _SAME_DIRECTION:
            raise DataError(
                "the field ImageOrientationPatient is no pair of perpendicular directions",
                where=instance.where,
                hint="correct the file, or take the series out of the data",
            )
        found.append(Frame(instance=instance, index=index, position=position, orientation=orientation, spacing=spacing))
    return tuple(found)


def _check_alike(first: Frame, frame: Frame) -> None:
    for what, differ in (
        ("size (Rows, Columns)", _size(first) != _size(frame)),
        ("direction (ImageOrientationPatient)", math.dist(first.orientation, frame.orientation) > _SAME_DIRECTION),
        ("PixelSpacing", math.dist(first.spacing, frame.spacing) > _SAME_DIRECTION * min(first.spacing)),
    ):
        if differ:
            raise DataError(
                f"its {what} is not that of {first.instance.where}, of the same series",
                where=frame.instance.where,
                hint="take localizers and other planes out of the series",
            )


def _size(frame: Frame) -> tuple[int, int]:
    return frame.instance.rows, frame.instance.columns


def _check_steps(frames: Sequence[Frame], heights: Sequence[float]) -> float:
    """The distance between planes, which must be one: the middle one of all that occur, of two the smaller."""
    steps = [after - before for before, after in itertools.pairwise(heights)]
    usual = sorted(steps)[(len(steps) - 1) // 2]
    for (before, after), step in zip(itertools.pairwise(frames), steps, strict=True):
        if step < _SAME_PLACE * max(usual, _SAME_STEP):
            problem, hint = "two slices lie at the same place", "take one out, or each repetition into its own series"
        elif abs(step - usual) <= max(_SAME_STEP * usual, 0.01):
            continue
        elif abs(step / usual - round(step / usual)) < 0.1 and step > usual:
            problem, hint = f"{round(step / usual) - 1} slices are missing", "get the whole series"
        else:
            problem, hint = f"slices lie {step:.3g} mm apart, others {usual:.3g} mm", "resample the series evenly"
        raise DataError(f"{problem}: this one and {before.instance.where}", where=after.instance.where, hint=hint)
    return usual
