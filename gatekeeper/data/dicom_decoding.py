"""The stored values of a DICOM file's frames, through pydicom's decoders (PS3.5, section 8).

Before anything is decoded, the pixel data must be as many as the header says, and no compressed frame may be larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data.dicom_codestream import frame_size
from gatekeeper.data.dicom_file import AGAIN, quiet, told, value_of
from gatekeeper.data.dicom_header import Instance
from gatekeeper.errors import DataError

T = TypeVar("T")


def _check_pixel_data(dataset: Any, instance: Instance) -> None:
    """Require that there are pixels, that they can be decoded, and that they are as many as the header says."""
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]

    if not value_of(dataset, "PixelData", where=instance.where):
        raise DataError("the file has no pixels (PixelData)", where=instance.where, hint=AGAIN)
    with quiet():
        syntax = dataset.file_meta.TransferSyntaxUID
        try:
            available = get_decoder(syntax).is_available
        except NotImplementedError:
            available = False
    if not available:
        raise DataError(
            f"no decoder is installed for its transfer syntax, {told(syntax.name)}",
            where=instance.where,
            hint='pip install "gatekeeper[medical]", or store the file uncompressed',
        )
    if syntax.is_encapsulated:
        _check_frames(dataset, instance)
        return
    samples = 1 if not instance.colour or instance.photometric == "PALETTE COLOR" else 3
    bits = instance.rows * instance.columns * samples * instance.allocated * instance.frames
    expected = bits // 8 if instance.photometric != "YBR_FULL_422" else bits // 12
    length = len(dataset.PixelData)
    if not expected <= length < expected + max(2, expected // instance.frames):
        raise DataError(
            f"PixelData has {length} bytes, and the header speaks of {expected}", where=instance.where, hint=AGAIN
        )


def _check_frames(dataset: Any, instance: Instance) -> None:
    from pydicom.encaps import generate_frames

    codes = generate_frames(dataset.PixelData, number_of_frames=instance.frames)
    sizes = [frame_size(code) for code in _by_pydicom(codes, instance)]
    for size in sizes:
        if size not in (None, (instance.rows, instance.columns)):
            raise DataError(
                f"a compressed frame says that it has {size[0]}×{size[1]} pixels, and the header "
                f"{instance.rows}×{instance.columns}",
                where=instance.where,
                hint=AGAIN,
            )
    if len(sizes) != instance.frames:
        raise DataError(
            f"PixelData has {len(sizes)} frames, and NumberOfFrames is {instance.frames}",
            where=instance.where,
            hint=AGAIN,
        )


def _by_pydicom(frames: Iterator[T], instance: Instance) -> Iterator[T]:
    """What pydicom gives frame by frame; only its own work is forgiven, not what is done with a frame."""
    while True:
        try:
            with quiet():
                frame = next(frames)
        except StopIteration:
            return
        # Four libraries' decoders have errors of their own, and so have files that are damaged or end early.
        except Exception as error:
            raise undecodable(instance, error) from error
        yield frame


def undecodable(instance: Instance, error: Exception) -> DataError:
    """What to say of a file at which a decoder gave up."""
    return DataError(f"its pixels can't be decoded ({type(error).__name__})", where=instance.where, hint=AGAIN)


def decoded(
    dataset: Any, instance: Instance, indices: Sequence[int] | None
) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    """Frames with their numbers, as stored values, colour already as RGB but for palettes.

    Args:
        dataset: pydicom's data set, with its pixel data.
        instance: the file.
        indices: which frames, from 0, in this order; all of them where it is None.

    Raises:
        DataError: pixels are missing, too few, of another size than the header says, or can't be decoded.
    """
    _check_pixel_data(dataset, instance)
    from pydicom.pixels import iter_pixels  # type: ignore[attr-defined]

    wanted = range(instance.frames) if indices is None else indices
    frames = _by_pydicom(iter_pixels(dataset, raw=False, indices=wanted), instance)
    for index in wanted:
        stored = next(frames, None)
        if stored is None:
            raise DataError(f"its pixels end before frame {index + 1}", where=instance.where, hint=AGAIN)
        if stored.shape[:2] != (instance.rows, instance.columns) or stored.dtype.kind not in "iu":
            raise DataError(
                f"its pixels are of shape {stored.shape} and type {stored.dtype}", where=instance.where, hint=AGAIN
            )
        yield index, stored
