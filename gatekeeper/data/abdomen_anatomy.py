"""A synthetic abdomen and its scan: organs are blobs of one density, painted one over another in Hounsfield units.

Coordinates are (z, y, x): z runs from −1 (feet) to 1 (head) over the part of the body that the liver fills, y from −1
(front) to 1 (back), x from −1 (the patient's right) to 1. Only operations that IEEE 754 rounds correctly are used,
element by element, so that the bytes are the same on every machine (see `stream`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data.phantom_drawing import smooth_step
from gatekeeper.data.stream import Stream

Array = NDArray[np.float64]
Point = tuple[float, float, float]

CLASSES = ("background", "liver", "lesion")
WINDOW = (-150.0, 200.0)  # Hounsfield units that become 0 and 255
MOST_LESIONS = 4

_AIR, _FAT, _MUSCLE, _BONE, _CANAL = -1000.0, -100.0, 55.0, 420.0, 30.0
_NOISE = 13.0  # standard deviation in Hounsfield units, of one pixel
_BIAS = 8.0  # the most that a scan is brighter at one border than in the middle
_EVERYWHERE = 100.0  # a radius along z of what runs through the whole body
_EDGE = 0.06  # how wide a border is, in the coordinates


@dataclass(frozen=True, kw_only=True, slots=True)
class Blob:
    """An ellipsoid with a wavy border, of one density.

    Attributes:
        centre: z, y, x.
        radii: along z, and in the plane across and along `turn`.
        density: in Hounsfield units.
        turn: direction of the third radius in the plane, of length 1.
        waves: complex amplitudes of the border's waves 2, 3, … around the z axis.
    """

    centre: Point
    radii: Point
    density: float
    turn: complex = 1 + 0j
    waves: tuple[complex, ...] = ()

    def cover(self, z: Array, y: Array, x: Array) -> Array:
        """How far the blob covers each point, in [0, 1]; ½ at its border."""
        dz, dy, dx = z - self.centre[0], y - self.centre[1], x - self.centre[2]
        u = (dx * self.turn.real + dy * self.turn.imag) / self.radii[2]
        v = (dy * self.turn.real - dx * self.turn.imag) / self.radii[1]
        w = dz / self.radii[0]
        plane = np.sqrt(u * u + v * v) + 1e-9
        cosine, sine = u / plane, v / plane
        distance = np.sqrt(plane * plane + w * w)
        swing = np.zeros_like(plane)
        real, imaginary = cosine, sine  # of e^{i·wave·angle}
        for amplitude in self.waves:
            real, imaginary = real * cosine - imaginary * sine, real * sine + imaginary * cosine
            swing = swing + amplitude.real * real - amplitude.imag * imaginary
        # The waves die away towards the poles, where all angles meet.
        border = 1 + swing * (plane / distance) * (plane / distance)
        return smooth_step((border - distance) * (min(self.radii) / _EDGE) + 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Abdomen:
    """One patient.

    Attributes:
        zoom: size of the body beside the field of view.
        tissues: everything but the liver, in the order of painting.
        liver: its lobes.
        vessels: in the liver; they count as liver.
        lesions: in the liver.
    """

    zoom: float
    tissues: tuple[Blob, ...]
    liver: tuple[Blob, ...]
    vessels: tuple[Blob, ...]
    lesions: tuple[Blob, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scan:
    """One slice or volume.

    Attributes:
        pixels: the windowed densities, uint8, of the size that was asked for.
        mask: index into `CLASSES` of each pixel, uint8, of the same shape.
    """

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def draw_abdomen(stream: Stream) -> Abdomen:
    """A patient: organs of their own sizes, places and densities, and up to four lesions."""
    density = stream.uniform(90, 125)
    right = Blob(
        centre=(stream.uniform(-0.1, 0.1), stream.uniform(-0.1, 0.06), stream.uniform(-0.44, -0.34)),
        radii=(stream.uniform(0.95, 1.2), stream.uniform(0.38, 0.48), stream.uniform(0.3, 0.4)),
        density=density,
        waves=_waves(stream, 0.16),
    )
    left = Blob(
        centre=(right.centre[0], right.centre[1] - stream.uniform(0.15, 0.3), stream.uniform(-0.15, 0.08)),
        radii=(stream.uniform(0.7, 1.0), stream.uniform(0.12, 0.2), stream.uniform(0.25, 0.36)),
        density=density,
        waves=_waves(stream, 0.12),
    )
    return Abdomen(
        zoom=stream.uniform(0.86, 1.02),
        tissues=(*_trunk(stream), *_organs(stream, liver=density)),
        liver=(right, left),
        vessels=tuple(_vessel(right, stream) for _ in range(stream.integer(3, 6))),
        lesions=tuple(_lesion(right, stream) for _ in range(stream.integer(0, MOST_LESIONS))),
    )


def scan(abdomen: Abdomen, stream: Stream, *, size: tuple[int, ...], height: float = 0.0) -> Scan:
    """One scan: the patient lies and breathes a little otherwise each time, with noise and shading of its own.

    Args:
        abdomen: the patient.
        stream: draws position, noise and shading.
        size: depth, height and width of a volume; or height and width of an axial slice.
        height: z of the slice; volumes run from −1 to 1.
    """
    z, y, x = _grid(size, height=height)
    shading = stream.direction() * stream.uniform(0.0, _BIAS)
    bias = shading.real * x + shading.imag * y
    z = z - stream.uniform(-0.08, 0.08)
    y, x = ((axis - stream.uniform(-0.06, 0.06)) / abdomen.zoom for axis in (y, x))
    density, mask = _section(abdomen, z, y, x)
    noise = stream.normals(mask.size).reshape(mask.shape)
    low, high = WINDOW
    shown = (density + bias + _NOISE * noise - low) / (high - low)
    pixels = np.floor(np.minimum(np.maximum(shown, 0.0), 1.0) * 255 + 0.5).astype(np.uint8)
    return Scan(pixels=pixels.reshape(size), mask=mask.reshape(size))


def _grid(size: tuple[int, ...], *, height: float) -> tuple[Array, Array, Array]:
    """The coordinates of each pixel's middle, each of shape (depth or 1, height, width)."""
    axes = [(2 * np.arange(side, dtype=np.float64) - (side - 1)) / side for side in size]
    if len(size) == 2:
        axes.insert(0, np.array([height]))
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z, y, x


def _section(abdomen: Abdomen, z: Array, y: Array, x: Array) -> tuple[Array, NDArray[np.uint8]]:
    """The density at each point, and the class."""
    density = np.full_like(x, _AIR)
    for blob in abdomen.tissues:
        density = _painted(density, blob, blob.cover(z, y, x))
    liver = np.zeros_like(x)
    for lobe in abdomen.liver:
        cover = lobe.cover(z, y, x)
        density = _painted(density, lobe, cover)
        liver = np.maximum(liver, cover)
    for vessel in abdomen.vessels:
        density = _painted(density, vessel, np.minimum(vessel.cover(z, y, x), liver))
    mask = (liver > 0.5).astype(np.uint8)
    for lesion in abdomen.lesions:
        cover = np.minimum(lesion.cover(z, y, x), liver)
        density = _painted(density, lesion, cover)
        mask[cover > 0.5] = CLASSES.index("lesion")
    return density, mask


def _painted(density: Array, blob: Blob, cover: Array) -> Array:
    return density + cover * (blob.density - density)


def _waves(stream: Stream, largest: float) -> tuple[complex, ...]:
    return tuple(stream.direction() * stream.uniform(0.3, 1.0) * largest / wave for wave in (2, 3, 4))


def _trunk(stream: Stream) -> tuple[Blob, ...]:
    """Skin with fat beneath, the abdominal wall, the fat between the organs, and the spine with its canal."""
    tall, wide, fat, wall = stream.uniform(0.7, 0.82), stream.uniform(0.86, 0.94), stream.uniform(0.04, 0.12), 0.05
    centre, waves = (0.0, 0.0, 0.0), _waves(stream, 0.05)

    def layer(depth: float, density: float) -> Blob:
        radii = (_EVERYWHERE, tall - depth, wide - depth)
        return Blob(centre=centre, radii=radii, density=density, waves=waves)

    back = tall - fat - stream.uniform(0.2, 0.24)
    size = stream.uniform(0.13, 0.17)
    return (
        layer(0.0, _FAT),
        layer(fat, _MUSCLE),
        layer(fat + wall, _FAT + stream.uniform(0, 30)),
        Blob(centre=(0.0, back, 0.0), radii=(_EVERYWHERE, size, 1.2 * size), density=_BONE),
        Blob(centre=(0.0, back + 1.2 * size, 0.0), radii=(_EVERYWHERE, 0.06, 0.06), density=_CANAL),
    )


def _organs(stream: Stream, *, liver: float) -> tuple[Blob, ...]:
    """Bowel, stomach, kidneys, aorta and spleen: some as dense as the liver, so that density alone tells little."""
    bowel = tuple(
        Blob(
            centre=(stream.uniform(-1, 0.3), stream.uniform(-0.4, 0.15), stream.uniform(-0.1, 0.6)),
            radii=(stream.uniform(0.3, 0.8), stream.uniform(0.07, 0.12), stream.uniform(0.1, 0.2)),
            density=liver + stream.uniform(-80, 10),
            turn=stream.direction(),
        )
        for _ in range(stream.integer(4, 7))
    )
    stomach = Blob(
        centre=(0.5, stream.uniform(-0.35, -0.2), stream.uniform(0.3, 0.42)),
        radii=(stream.uniform(0.7, 1.0), stream.uniform(0.16, 0.24), stream.uniform(0.2, 0.3)),
        density=stream.uniform(0, 60),
    )
    kidneys = tuple(
        Blob(
            centre=(stream.uniform(-0.9, -0.3), stream.uniform(0.28, 0.36), side * stream.uniform(0.36, 0.44)),
            radii=(0.7, stream.uniform(0.12, 0.16), stream.uniform(0.1, 0.14)),
            density=liver + stream.uniform(20, 60),
            turn=stream.direction(),
        )
        for side in (-1, 1)
    )
    aorta = Blob(centre=(0.0, 0.22, 0.06), radii=(_EVERYWHERE, 0.06, 0.06), density=liver + stream.uniform(20, 60))
    spleen = Blob(
        centre=(stream.uniform(0.2, 0.6), stream.uniform(0.1, 0.25), stream.uniform(0.54, 0.6)),
        radii=(stream.uniform(0.6, 0.9), stream.uniform(0.2, 0.28), stream.uniform(0.1, 0.16)),
        density=liver + stream.uniform(-12, 12),
        waves=_waves(stream, 0.12),
    )
    return (*bowel, stomach, *kidneys, aorta, spleen)


def _vessel(lobe: Blob, stream: Stream) -> Blob:
    """A thin bright branch."""
    thick = stream.uniform(0.022, 0.035)
    return Blob(
        centre=_within(lobe, stream),
        radii=(stream.uniform(0.08, 0.3), thick, stream.uniform(0.12, 0.25)),
        density=lobe.density + stream.uniform(25, 45),
        turn=stream.direction(),
    )


def _lesion(lobe: Blob, stream: Stream) -> Blob:
    """A round lesion, mostly darker than the liver and sometimes brighter."""
    radius = stream.uniform(0.1, 0.2)
    contrast = stream.uniform(-70, -32) if stream.uniform() < 0.75 else stream.uniform(32, 60)
    return Blob(
        centre=_within(lobe, stream),
        radii=(2 * radius, radius * stream.uniform(0.8, 1.2), radius),
        density=lobe.density + contrast,
        turn=stream.direction(),
        waves=_waves(stream, 0.15),
    )


def _within(lobe: Blob, stream: Stream) -> Point:
    """A point well inside a lobe."""
    place = stream.direction() * stream.uniform(0.0, 0.65)
    return (
        lobe.centre[0] + stream.uniform(-0.55, 0.55) * lobe.radii[0],
        lobe.centre[1] + place.imag * lobe.radii[1],
        lobe.centre[2] + place.real * lobe.radii[2],
    )
