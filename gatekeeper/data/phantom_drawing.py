"""Drawing a synthetic skin lesion: a pigmented blob on skin, seen by a hand-held camera.

Coordinates run from −1 to 1 over the shorter side. Only operations that IEEE 754 rounds correctly are used, element by
element, so that the bytes are the same on every machine (see `stream`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data.stream import Stream

Array = NDArray[np.float64]

_LIGHT_SKIN = (0.92, 0.76, 0.66)
_DARK_SKIN = (0.60, 0.43, 0.33)
_HAIR_COLOUR = (0.16, 0.11, 0.09)
_BLOTCH_COLOUR = (0.30, 0.30, 0.42)
_NOISE = 0.025


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What a lesion looks like, each in [0, 1].

    Attributes:
        size: its radius.
        darkness: how much light its pigment takes.
        redness: how much of the rest is red rather than brown.
        irregularity: how far its border is from an ellipse.
        elongation: how far that ellipse is from a circle.
        sharpness: how suddenly its border ends.
        variegation: how strong its blue-grey blotches are.
        roughness: how bumpy its surface is.
    """

    size: float
    darkness: float
    redness: float
    irregularity: float
    elongation: float
    sharpness: float
    variegation: float
    roughness: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesion:
    """One lesion: its traits, and what is random about its form.

    Attributes:
        traits: what it looks like.
        harmonics: complex amplitudes of the border's waves 2, 3, 4, 5 around the lesion.
        blotches: centres of its blotches, in units of its radius.
        bumps: direction and phase of its bumps.
    """

    traits: Traits
    harmonics: tuple[complex, ...]
    blotches: tuple[complex, ...]
    bumps: complex


@dataclass(frozen=True, kw_only=True, slots=True)
class Skin:
    """One patient's skin.

    Attributes:
        tone: 0 (light) … 1 (dark).
        hairs: how many hairs cross an image.
    """

    tone: float
    hairs: int


def draw_form(traits: Traits, stream: Stream) -> Lesion:
    """A lesion with these traits and a form of its own."""
    harmonics = tuple(stream.direction() * stream.uniform(0.4, 1.0) / wave for wave in (2, 3, 4, 5))
    blotches = tuple(stream.direction() * stream.uniform(0.1, 0.8) for _ in range(3))
    return Lesion(traits=traits, harmonics=harmonics, blotches=blotches, bumps=stream.direction())


def photograph(lesion: Lesion, skin: Skin, stream: Stream, *, height: int, width: int) -> NDArray[np.uint8]:
    """One photograph: another rotation, position, distance and light each time, with hairs and noise.

    Returns:
        Pixels, uint8, shape (height, width, 3).
    """
    x, y = _grid(height, width)
    turn = stream.direction()
    zoom = stream.uniform(0.9, 1.12)
    dx, dy = x - stream.uniform(-0.12, 0.12), y - stream.uniform(-0.12, 0.12)
    u, v = (dx * turn.real + dy * turn.imag) * zoom, (dy * turn.real - dx * turn.imag) * zoom
    cover, pigment = _pigment(lesion, u, v)
    blotch = _blotches(lesion, u, v) * cover
    hair = _hairs(skin.hairs, stream, x, y)
    gain = stream.uniform(0.85, 1.12)
    slope = stream.direction() * stream.uniform(0.0, 0.12)
    light = gain * (1 + slope.real * x + slope.imag * y) * (1 - 0.07 * (x * x + y * y))
    image = np.empty((height, width, 3))
    for channel in range(3):
        own = _LIGHT_SKIN[channel] + skin.tone * (_DARK_SKIN[channel] - _LIGHT_SKIN[channel])
        absorbed = _absorption(lesion.traits, channel)
        colour = own * (1 - absorbed * pigment)
        colour = colour + blotch * (_BLOTCH_COLOUR[channel] - colour)
        colour = colour + hair * (_HAIR_COLOUR[channel] - colour)
        cast = stream.uniform(0.96, 1.04)
        noise = stream.normals(height * width).reshape(height, width)
        image[:, :, channel] = colour * light * cast + _NOISE * noise
    return np.floor(np.minimum(np.maximum(image, 0.0), 1.0) * 255 + 0.5).astype(np.uint8)


def _grid(height: int, width: int) -> tuple[Array, Array]:
    shorter = min(height, width)
    y, x = np.meshgrid(np.arange(height, dtype=np.float64), np.arange(width, dtype=np.float64), indexing="ij")
    return (2 * x - (width - 1)) / shorter, (2 * y - (height - 1)) / shorter


def smooth_step(x: Array) -> Array:
    """0 below 0, 1 above 1, and 3x² − 2x³ between."""
    t: Array = np.minimum(np.maximum(x, 0.0), 1.0)
    return t * t * (3 - 2 * t)


def _pigment(lesion: Lesion, u: Array, v: Array) -> tuple[Array, Array]:
    """How far the lesion covers each pixel, and how dense its pigment is there."""
    traits = lesion.traits
    radius = 0.28 + 0.3 * traits.size
    stretch = 1 + 0.55 * traits.elongation
    eu, ev = u / stretch, v * stretch
    distance = np.sqrt(eu * eu + ev * ev) + 1e-9
    cosine, sine = eu / distance, ev / distance
    border = np.ones_like(distance)
    real, imaginary = cosine, sine  # of e^{i·wave·angle}
    for amplitude in lesion.harmonics:
        real, imaginary = real * cosine - imaginary * sine, real * sine + imaginary * cosine
        border = border + 0.7 * traits.irregularity * (amplitude.real * real - amplitude.imag * imaginary)
    edge = 0.06 + 0.3 * (1 - traits.sharpness)
    cover = smooth_step((radius * border - distance) / (edge * radius) + 0.5)
    return cover, cover * (1 + 0.5 * traits.roughness * _bumps(lesion.bumps, u / radius, v / radius))


def _bumps(direction: complex, u: Array, v: Array) -> Array:
    """A quilt of bumps in [−1, 1]: the product of two triangle waves at right angles."""
    along = 1.7 * (u * direction.real + v * direction.imag) + direction.real
    across = 1.7 * (v * direction.real - u * direction.imag) + direction.imag
    bumps: Array = (4 * np.abs(along - np.floor(along) - 0.5) - 1) * (4 * np.abs(across - np.floor(across) - 0.5) - 1)
    return bumps


def _blotches(lesion: Lesion, u: Array, v: Array) -> Array:
    radius = 0.28 + 0.3 * lesion.traits.size
    total = np.zeros_like(u)
    for centre in lesion.blotches:
        du, dv = u / radius - centre.real, v / radius - centre.imag
        total = total + smooth_step(1 - 2.5 * (du * du + dv * dv))
    return np.minimum(total, 1.0) * (0.75 * lesion.traits.variegation)


def _absorption(traits: Traits, channel: int) -> float:
    """Share of the light that the pigment takes: most of the blue, least of the red."""
    brown, red = (0.55, 0.85, 1.0)[channel], (0.25, 1.0, 0.95)[channel]
    return (0.18 + 0.62 * traits.darkness) * (brown + traits.redness * (red - brown))


def _hairs(count: int, stream: Stream, x: Array, y: Array) -> Array:
    """How much of each pixel hairs cover: thin parabolas."""
    cover = np.zeros_like(x)
    width = 0.03 + 1 / math.sqrt(x.size)
    for _ in range(count):
        turn = stream.direction()
        offset, bend = stream.uniform(-0.9, 0.9), stream.uniform(-0.4, 0.4)
        along, across = x * turn.real + y * turn.imag, y * turn.real - x * turn.imag
        hair = smooth_step(1 - np.abs(across - offset - bend * along * along) / width)
        cover = np.maximum(cover, 0.7 * hair)
    return cover
