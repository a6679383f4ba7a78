"""One case of a Medical Segmentation Decathlon folder: the files that it has, and their planes one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.msd_classes import Classes
from gatekeeper.data.msd_manifest import Case, Manifest
from gatekeeper.data.nifti import misplacement, read_volume
from gatekeeper.data.nifti_header import Header, read_header
from gatekeeper.data.resampling import Grid, plan_grid
from gatekeeper.data.windows import Window, own_window
from gatekeeper.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Source:
    """A case whose files have been looked at, but not read.

    Attributes:
        case: its name and files.
        image: what the image's file says of itself.
        mask: what the mask's file says of itself.
        channel: which channel of the image is taken.
        grid: where its slices (2-D) or its volume (3-D) are brought to.
    """

    case: Case
    image: Header
    mask: Header
    channel: int
    grid: Grid


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grey:
    """An image's planes in grey.

    Attributes:
        header: what its file says.
        values: as stored, shape (depth, height, width).
        window: what becomes 0 and 255.
    """

    header: Header
    values: NDArray[np.number[Any]]
    window: Window

    def plane(self, height: int) -> NDArray[np.float64]:
        """An axial plane in 0 … 255, not yet rounded, shape (height, width)."""
        own = _finite(self.values[height].astype(np.float64), self.header)
        return self.window.grey(own * self.header.slope + self.header.intercept)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Indices:
    """A mask's planes as class indices.

    Attributes:
        header: what its file says.
        values: as stored, shape (depth, height, width).
        classes: what the values mean.
    """

    header: Header
    values: NDArray[np.number[Any]]
    classes: Classes

    def plane(self, height: int) -> NDArray[np.uint8]:
        """An axial plane, uint8, shape (height, width)."""
        own = self.values[height]
        if (self.header.slope, self.header.intercept) != (1.0, 0.0):
            own = own * self.header.slope + self.header.intercept
        return self.classes.indices(own, where=str(self.header.path))


def sources(manifest: Manifest, scan: ScanSpec) -> tuple[Source, ...]:
    """Every case, its files looked at.

    Raises:
        DataError: a file can't be used, its mask doesn't fit, or the candidate doesn't say which channel or window.
    """
    channel = _channel(manifest, scan)
    if scan.window is None and scan.window_of is None:
        raise DataError(
            f"images of {manifest.channels[channel]} need a window that maps them to 8 bits",
            where=str(manifest.path),
            hint="set data.scan.window to [low, high], such as [-160, 240] for soft tissue in a CT, or to per-image",
        )
    return tuple(_source(case, manifest, scan, channel=channel) for case in manifest.cases)


def read_grey(source: Source, scan: ScanSpec) -> Grey:
    """The image, read once."""
    values = read_volume(source.image, channel=source.channel)
    where = str(source.image.path)
    if scan.window is not None:
        window = Window(low=scan.window[0], high=scan.window[1])
    else:
        for plane in values if values.dtype.kind == "f" else ():
            _finite(plane, source.image)
        window = own_window(values, slope=source.image.slope, intercept=source.image.intercept, where=where)
    return Grey(header=source.image, values=values, window=window)


def read_indices(source: Source, classes: Classes) -> Indices:
    """The mask, read once."""
    return Indices(header=source.mask, values=read_volume(source.mask), classes=classes)


def _channel(manifest: Manifest, scan: ScanSpec) -> int:
    if scan.channel is None:
        if len(manifest.channels) > 1:
            raise DataError(
                f"images have the channels {', '.join(manifest.channels)} (field modality)",
                where=str(manifest.path),
                hint=f"set data.scan.channel to one of them, such as {manifest.channels[0]}",
            )
        return 0
    if scan.channel not in manifest.channels:
        raise DataError(
            f"data.scan.channel {scan.channel!r} is not in the field modality",
            where=str(manifest.path),
            hint=f"there is {', '.join(manifest.channels)}",
        )
    return manifest.channels.index(scan.channel)


def _source(case: Case, manifest: Manifest, scan: ScanSpec, *, channel: int) -> Source:
    image, mask = read_header(case.image), read_header(case.mask)
    for header, channels in ((image, len(manifest.channels)), (mask, 1)):
        if header.channels != channels:
            raise DataError(
                f"it has {header.channels} channels where {channels} are expected (field modality of dataset.json)",
                where=str(header.path),
                hint="correct dataset.json, or take the case out of it",
            )
    if image.sides != mask.sides:
        shapes = ["×".join(map(str, header.sides)) for header in (mask, image)]
        raise DataError(
            f"the mask has {shapes[0]} voxels (depth, height, width), its image {shapes[1]}",
            where=str(case.mask),
            hint=f"get the mask of {case.image.name} again, or take the case out of dataset.json",
        )
    if misplacement(image, mask) > min(image.spacing) / 2:
        raise DataError(
            f"the mask lies up to {misplacement(image, mask):.1f} mm beside its image",
            where=str(case.mask),
            hint=f"give it the affine of {case.image.name}, if their voxels do belong together",
        )
    flat = scan.dimensions == 2
    grid = plan_grid(
        image.sides[1:] if flat else image.sides,
        spacing=image.spacing[1:] if flat else image.spacing,
        wanted=scan.spacing,
        size=scan.size,
        where=str(case.image),
    )
    return Source(case=case, image=image, mask=mask, channel=channel, grid=grid)


def _finite(values: NDArray[Any], header: Header) -> NDArray[Any]:
    if not np.isfinite(values).all():
        raise DataError(
            "a voxel is infinite or no number (NaN)",
            where=str(header.path),
            hint="give it the value of what surrounds the body, or take the case out of dataset.json",
        )
    return values
