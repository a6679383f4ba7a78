"""Which images a DICOM tree gives, before a pixel is read: from which files, on which grid."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.dicom_header import Instance
from gatekeeper.data.dicom_stacks import Stack, stack
from gatekeeper.data.dicom_tree import Tree
from gatekeeper.data.resampling import Grid, plan_grid
from gatekeeper.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What gives one image, or one a frame.

    Attributes:
        first: the file that speaks for all.
        stack: the volume, or None where each frame is an image.
        grid: where it is brought to.
    """

    first: Instance
    stack: Stack | None
    grid: Grid

    @property
    def images(self) -> int:
        """How many images it gives, at most."""
        return self.first.frames if self.stack is None else 1


def flat(tree: Tree, scan: ScanSpec) -> tuple[Source, ...]:
    """Every file by itself; errors as `plan_grid` raises them."""
    return tuple(
        Source(
            first=instance,
            stack=None,
            grid=plan_grid(
                (instance.rows, instance.columns),
                spacing=instance.spacing,
                wanted=scan.spacing,
                size=scan.size,
                where=instance.where,
            ),
        )
        for instance in tree.instances
    )


def volumes(tree: Tree, scan: ScanSpec, labels: dict[Instance, str]) -> tuple[Source, ...]:
    """Every series as a volume.

    Raises:
        DataError: a series is no volume (`stack`), has colours, or files of two labels.
    """
    series: dict[str, list[Instance]] = {}
    for instance in tree.instances:
        own = series.setdefault(instance.series, [])
        own.append(instance)
        if labels[instance] != labels[own[0]]:
            raise DataError(
                f"it has another label than {own[0].where}, of the same series",
                where=instance.where,
                hint="a volume has one label: give all files of a series the same, or use data.scan.dimensions 2",
            )
    found = []
    for own in series.values():
        colour = next((instance for instance in own if instance.colour), None)
        if colour is not None:
            raise DataError("the series has colours", where=colour.where, hint="use data.scan.dimensions 2")
        pile = stack(own)
        sides = (len(pile.frames), own[0].rows, own[0].columns)
        grid = plan_grid(sides, spacing=pile.spacing, wanted=scan.spacing, size=scan.size, where=own[0].where)
        found.append(Source(first=own[0], stack=pile, grid=grid))
    return tuple(found)


def channels_of(sources: tuple[Source, ...], spec: DataSpec) -> int:
    """How many channels every image has: the candidate's, or else the files' own, which must be alike."""
    if spec.channels is not None:
        return spec.channels
    first = sources[0].first
    for source in sources:
        if source.first.colour != first.colour:
            raise DataError(
                f"of {first.where} and this file one is grey and one has colours",
                where=source.first.where,
                hint="set data.channels to 1 or 3, so that all images are alike",
            )
    return 3 if first.colour else 1


def size_of(sources: tuple[Source, ...]) -> tuple[int, ...]:
    """The one size that all images have."""
    first = sources[0]
    for source in sources:
        if source.grid.size != first.grid.size:
            sizes = ["×".join(map(str, each.grid.size)) for each in (source, first)]
            raise DataError(
                f"it gives an image of {sizes[0]}, and {first.first.where} of {sizes[1]}",
                where=source.first.where,
                hint="set data.scan.size, so that all images are alike",
            )
    return first.grid.size
