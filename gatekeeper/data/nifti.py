"""The voxels of one NIfTI file as a volume in the order of axial slices, or an error that names the file.

A file is read as far as its header says and no further, so that a few kilobytes can't unpack into gigabytes.
"""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.data.nifti_header import AGAIN, MALFORMED, Header, broken, opened
from gatekeeper.errors import DataError


def read_volume(header: Header, *, channel: int = 0) -> NDArray[np.number[Any]]:
    """The stored values of one channel, shape (depth, height, width), in the order of axial slices.

    Raises:
        DataError: the file is shorter or longer than its header says, or damaged.
    """
    from nibabel.orientations import apply_orientation  # an optional extra

    data = np.empty(header.bytes, dtype=np.uint8)
    try:
        with opened(header.path) as stream:
            count = _filled(stream, data.data)
            more = stream.read(1)
    except MALFORMED as error:
        raise broken(header.path, error) from error
    if count < header.bytes or more:
        state = "goes on" if more else f"ends after {count} bytes"
        raise DataError(
            f"the file {state}, and its header speaks of {header.bytes} bytes", where=str(header.path), hint=AGAIN
        )
    values = data[header.offset :].view(header.dtype).reshape((*header.stored, header.channels), order="F")
    upright: NDArray[np.number[Any]] = apply_orientation(values[..., channel], header.turns)
    # From right, anterior, superior to the order of axial slices.
    return upright[::-1, ::-1, :].transpose(2, 1, 0)


def _filled(stream: IO[bytes], room: memoryview) -> int:
    """Read until the room is full or the file ends; how many bytes were read."""
    count = 0
    while count < len(room):
        piece = stream.read(min(2**20, len(room) - count))
        if not piece:
            break
        room[count : count + len(piece)] = piece
        count += len(piece)
    return count


def misplacement(first: Header, second: Header) -> float:
    """How far apart, in millimetres, two volumes of the same sides place the same corner, at most."""
    up, front, right = (side - 1 for side in first.sides)
    corners = np.array([[x, y, z, 1] for x in (0, right) for y in (0, front) for z in (0, up)], dtype=np.float64)
    apart = (corners @ first.affine.T - corners @ second.affine.T)[:, :3]
    return float(np.sqrt((apart**2).sum(axis=1)).max())
