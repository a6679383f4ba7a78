"""One image file → one array of 8-bit pixels, or an error that names the file.

Decoding is exact and says no where a conversion would be a guess: what is accepted is listed here, and
everything else is refused with a remedy.

| file | becomes |
| --- | --- |
| bilevel, grey (8 bits and fewer) | one channel |
| RGB, palette | three channels |
| with an alpha channel or a transparent colour | as without, if every pixel is opaque; otherwise refused |
| CMYK, YCbCr (as stored), Lab | refused: the colours depend on a profile |
| 16 bits, 32 bits, float | refused: the window that maps them to 8 bits is a decision |
| several frames or pages | refused |

Sizes are checked before anything is decoded, since a few kilobytes can unpack into gigabytes. The EXIF orientation
is applied. Resizing is Pillow's bilinear filter, whose support grows with the reduction (so that it averages
over areas) and whose arithmetic is in integers, hence alike on every machine.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gatekeeper.data.store import stacked, store_for
from gatekeeper.errors import DataError

MAX_FILE_BYTES = 64 * 2**20
MAX_PIXELS = 50_000_000
MAX_TOTAL_BYTES = 8 * 2**30

_DECODING = "gatekeeper decoding v1"  # another number where the same file decodes to other pixels
_DECODERS = ("BMP", "JPEG", "PNG", "TIFF")
_DEEP = re.compile(r";16[BLN]")
_PROFILE = "convert it to RGB with its colour profile"
_WINDOW = "map it to 8 bits by a window that is fixed beforehand, not taken from the image"
_REFUSED_MODES = {"CMYK": _PROFILE, "YCbCr": _PROFILE, "LAB": _PROFILE, "HSV": _PROFILE}
# What Pillow's decoders raise on malformed files; an image that it warns of (broken metadata, say) is refused too.
_MALFORMED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    UserWarning,
)


def decode(path: Path, *, image_size: tuple[int, int] | None, channels: int | None) -> NDArray[np.uint8]:
    """Read one image.

    Args:
        path: a BMP, JPEG, PNG or TIFF file of at most 64 MiB and 50 million pixels.
        image_size: height and width to resize to, or None to keep the file's.
        channels: 1 (grey), 3 (RGB), or None to keep the file's.

    Returns:
        Pixels, uint8, shape (channels, height, width).

    Raises:
        DataError: the file is empty, too large, truncated, malformed, not an image, or of a kind that the
            table above refuses.
    """
    return _decoded(_read(path), path, image_size=image_size, channels=channels)


def _decoded(data: bytes, path: Path, *, image_size: tuple[int, int] | None, channels: int | None) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=_DECODERS) as image:
                _check_header(image, path)
                image.load()
                return to_pixels(
                    _opaque(ImageOps.exif_transpose(image), path), image_size=image_size, channels=channels
                )
        except UnidentifiedImageError as error:
            raise DataError(
                "this is not an image that can be read",
                where=str(path),
                hint="BMP, JPEG, PNG and TIFF can; convert it, or take it out of the data",
            ) from error
        except _MALFORMED as error:
            raise DataError(
                f"the image is truncated or malformed ({error})",
                where=str(path),
                hint="get the file again, or take it out of the data",
            ) from error


def to_pixels(image: Image.Image, *, image_size: tuple[int, int] | None, channels: int | None) -> NDArray[np.uint8]:
    """An opaque 8-bit image as an array.

    Args:
        image: of mode `L` or `RGB`.
        image_size: height and width to resize to, or None.
        channels: 1 (grey by ITU-R BT.601 luma), 3 (grey repeated), or None.

    Returns:
        Pixels, uint8, shape (channels, height, width).
    """
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if image_size is not None and image_size != (image.height, image.width):
        height, width = image_size
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)


def decode_all(
    paths: Sequence[Path], *, image_size: tuple[int, int] | None, channels: int | None, source: str
) -> NDArray[np.uint8]:
    """Read many images of one shape.

    Args:
        paths: at least one file.
        image_size: as in `decode`.
        channels: as in `decode`.
        source: the data set, for messages.

    Returns:
        Pixels, uint8, shape (images, channels, height, width), in the order of `paths`.

    Raises:
        DataError: one can't be read, two differ in shape, or all together need more than `check_total_bytes` allows.
    """
    first = decode(paths[0], image_size=image_size, channels=channels)
    shape = (len(paths), *first.shape)
    size = math.prod(shape)
    check_total_bytes(size, source=source)
    how = _How(image_size=image_size, channels=channels)
    store = store_for(size)
    if store is None:
        return stacked(_rows(paths, how, digests=None, first=first), shape=shape)
    digests = [hashlib.sha256(_read(path)).hexdigest() for path in paths]
    return store.kept(how.key(digests), shape=shape, make=lambda: _rows(paths, how, digests=digests, first=first))


@dataclass(frozen=True, kw_only=True, slots=True)
class _How:
    """How images are decoded.

    Attributes:
        image_size: as in `decode`.
        channels: as in `decode`.
    """

    image_size: tuple[int, int] | None
    channels: int | None

    def key(self, digests: list[str]) -> str:
        """A digest of everything that the pixels of files with these digests depend on."""
        facts = (_DECODING, f"Pillow {PIL.__version__}", repr(self.image_size), repr(self.channels), *digests)
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def _rows(
    paths: Sequence[Path], how: _How, *, digests: list[str] | None, first: NDArray[np.uint8]
) -> Iterator[NDArray[np.uint8]]:
    """Each image by itself, shape (1, channels, height, width); where digests are known, of those very files."""
    for row, path in enumerate(paths):
        data = _read(path)
        if digests is not None and hashlib.sha256(data).hexdigest() != digests[row]:
            raise DataError("the file changed while it was read", where=str(path), hint="keep the data fixed")
        pixels = _decoded(data, path, image_size=how.image_size, channels=how.channels)
        if pixels.shape != first.shape:
            raise _mixed(paths[0], first.shape, path, pixels.shape)
        yield pixels[np.newaxis]


def stored_shapes(paths: Sequence[Path]) -> tuple[tuple[int, ...], ...]:
    """(channels, height, width) of each file as its header says, before any conversion; a palette is one channel.

    Args:
        paths: files that `decode` reads.
    """
    shapes = []
    for path in paths:
        with Image.open(path, formats=_DECODERS) as image:
            shapes.append((len(image.getbands()), image.height, image.width))
    return tuple(shapes)


def check_total_bytes(size: int, *, source: str, key: str = "image_size") -> None:
    """Require that all images fit into the memory that a data set may take, or onto the disk where there is a store.

    Args:
        size: bytes that they take.
        source: the data set, for messages.
        key: the key of the candidate's `data` that makes images smaller.

    Raises:
        DataError: they need more than 8 GiB of memory, or than the disk has left for them and their division.
    """
    store = store_for(size)
    if store is not None:
        if 2 * size > store.free_bytes:
            raise DataError(
                f"the decoded images take {2 * size / 2**30:.1f} GiB, and {store.folder} has "
                f"{store.free_bytes / 2**30:.1f} GiB left",
                where=source,
                hint=f"set data.{key} to a smaller size, or free some disk",
            )
    elif size > MAX_TOTAL_BYTES:
        raise DataError(
            f"the images take {size / 2**30:.1f} GiB of memory; the limit is {MAX_TOTAL_BYTES / 2**30:.0f} GiB",
            where=source,
            hint=f"set data.{key} to a smaller size",
        )


def _mixed(first: Path, first_shape: tuple[int, ...], other: Path, other_shape: tuple[int, ...]) -> DataError:
    key, remedy = ("image_size", "[64, 64]") if first_shape[0] == other_shape[0] else ("channels", "3")
    return DataError(
        f"its (channels, height, width) are {other_shape}, those of {first} are {first_shape}",
        where=str(other),
        hint=f"set data.{key}, such as {remedy}, so that all images are alike",
    )


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(
                f"the file has {size} bytes; the limit for one image is {MAX_FILE_BYTES}",
                where=str(path),
                hint="store the image at the size that it is trained at",
            )
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror}", where=str(path)) from error
    if not data:
        raise DataError("the file is empty", where=str(path), hint="get the file again, or take it out of the data")
    return data


def _check_header(image: Image.Image, path: Path) -> None:
    """Refuse by what the header says, before a pixel is decoded."""
    where = str(path)
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"the image has {image.width}×{image.height} pixels; the limit is {MAX_PIXELS}",
            where=where,
            hint="store the image at the size that it is trained at",
        )
    if getattr(image, "n_frames", 1) > 1:
        raise DataError("the file has several frames or pages", where=where, hint="store each as a file of its own")
    if image.mode.startswith(("I", "F")) or _cuts_depth(image):
        raise DataError("the image has more than 8 bits a sample", where=where, hint=_WINDOW)
    if image.mode in _REFUSED_MODES:
        raise DataError(f"the image is {image.mode}", where=where, hint=_REFUSED_MODES[image.mode])


def _cuts_depth(image: Image.Image) -> bool:
    """Whether Pillow would drop the lower bits of 16-bit colour, as its raw modes such as `RGB;16B` say."""
    return any(_DEEP.search(str(tile[3])) for tile in getattr(image, "tile", ()))


def _opaque(image: Image.Image, path: Path) -> Image.Image:
    """The image as `L` or `RGB`; transparency is refused unless no pixel uses it."""
    grey = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise DataError(
                "the image has transparent pixels",
                where=str(path),
                hint="flatten it onto the background that it is meant to be seen on",
            )
        image = image.convert("RGB")
    return image.convert("L" if grey else "RGB")
