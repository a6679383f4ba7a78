"""What one NIfTI-1 or NIfTI-2 file says of itself, or an error that names the file.

R. W. Cox et al., "A (sort of) new image data format standard: NIfTI-1", 2004. The orientation is that of the affine
(the sform, or else the qform): axes are turned and flipped to the nearest of right, anterior and superior, and then
laid out as a DICOM series of axial slices is: slices from the feet up, rows from front to back, columns from the
patient's right to the left. A file that says no orientation is refused, since left and right would be a guess.

The header says how long the file must be, before memory is taken for it.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gatekeeper.errors import DataError

MAX_BYTES = 4 * 2**30
_MAX_OFFSET = 16 * 2**20
_LONGEST = 540  # bytes of a NIfTI-2 header; one of NIfTI-1 has 348
MALFORMED = (EOFError, OSError, zlib.error)
AGAIN = "get the file again, or take its case out of dataset.json"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Header:
    """What a NIfTI file says of itself, before its voxels are read.

    Attributes:
        path: the file.
        stored: voxels along each axis of the file.
        channels: how many volumes it holds.
        dtype: of a voxel.
        offset: bytes before the first voxel.
        slope: and
        intercept: make stored values the scan's own numbers.
        turns: which axis of the file becomes right, anterior and superior, and whether it is flipped (nibabel's
            orientation, shape (3, 2)).
        affine: of the volume turned to right, anterior, superior; shape (4, 4), in millimetres.
    """

    path: Path
    stored: tuple[int, int, int]
    channels: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    turns: NDArray[np.float64]
    affine: NDArray[np.float64]

    @property
    def sides(self) -> tuple[int, int, int]:
        """Voxels along depth, height and width."""
        turned = [0, 0, 0]
        for axis, (target, _) in enumerate(self.turns.tolist()):
            turned[int(target)] = self.stored[axis]
        return turned[2], turned[1], turned[0]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels along depth, height and width."""
        right, front, up = (math.sqrt(sum(part * part for part in column)) for column in self.affine[:3, :3].T.tolist())
        return up, front, right

    @property
    def bytes(self) -> int:
        """How long the unpacked file must be."""
        return self.offset + math.prod(self.stored) * self.channels * self.dtype.itemsize


def read_header(path: Path) -> Header:
    """What the file says of itself.

    Raises:
        DataError: it is missing, truncated or not NIfTI; or holds what can't be read: other than two or three
            dimensions and channels, other numbers than integers and reals, no orientation, no millimetres, or too much.
    """
    try:
        with opened(path) as stream:
            prefix = stream.read(_LONGEST)
    except MALFORMED as error:
        raise broken(path, error) from error
    header = _parsed(prefix, path)
    stored, channels = _shape(header, path)
    dtype = _dtype(header, path)
    turns, affine = _orientation(header, stored, path)
    slope, intercept = _scaling(header, path)
    found = Header(
        path=path,
        stored=stored,
        channels=channels,
        dtype=dtype,
        offset=_offset(header, path),
        slope=slope,
        intercept=intercept,
        turns=turns,
        affine=affine,
    )
    if found.bytes > MAX_BYTES:
        raise DataError(
            f"its header speaks of {found.bytes / 2**30:.1f} GiB; the limit for one is {MAX_BYTES / 2**30:.0f} GiB",
            where=str(path),
            hint="cut the volume to the part that is needed",
        )
    return found


def broken(path: Path, error: Exception) -> DataError:
    """What to say of a file whose reading failed."""
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"the file can't be read: {error.strerror}", where=str(path), hint=AGAIN)
    return DataError(f"the file is truncated or damaged ({error})", where=str(path), hint=AGAIN)


def opened(path: Path) -> IO[bytes]:
    """The file, unpacked where its name says so."""
    if path.name.endswith(".gz"):
        return cast("IO[bytes]", gzip.open(path))
    return path.open("rb")


def _parsed(prefix: bytes, path: Path) -> Any:
    from nibabel import Nifti1Header, Nifti2Header

    orders: tuple[Literal["little", "big"], ...] = ("little", "big")
    for order in orders:
        size = int.from_bytes(prefix[:4], order)
        if size not in (348, _LONGEST) or len(prefix) < size:
            continue
        kind: Any = Nifti1Header if size == 348 else Nifti2Header
        magic = prefix[344:348] if size == 348 else prefix[4:8]
        if magic not in (b"n+1\0", b"n+2\0"):
            break
        return kind(prefix[:size], endianness="<" if order == "little" else ">", check=False)
    raise DataError(
        "this is not a NIfTI file of header and voxels together",
        where=str(path),
        hint="store it as .nii.gz (NIfTI-1 or NIfTI-2), or take its case out of dataset.json",
    )


def _dtype(header: Any, path: Path) -> np.dtype[Any]:
    code = int(header["datatype"])
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except KeyError as error:
        raise DataError(f"the header's field datatype is {code}", where=str(path), hint=AGAIN) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise DataError(f"its voxels are of the type {dtype}", where=str(path), hint="store integers or reals")
    return dtype


def _shape(header: Any, path: Path) -> tuple[tuple[int, int, int], int]:
    count = int(header["dim"][0])
    dims = [int(length) for length in header["dim"][1 : 1 + max(0, min(count, 7))]]
    if not 1 <= count <= 7 or any(length < 1 for length in dims):
        raise DataError(f"the header's field dim is {header['dim'].tolist()}", where=str(path), hint=AGAIN)
    dims += [1] * (4 - len(dims))
    if math.prod(dims[4:]) > 1 or min(dims[:2]) < 2:
        raise DataError(
            f"it has {'×'.join(map(str, dims))} voxels; a volume has three axes, and channels along a fourth",
            where=str(path),
            hint="store one volume, or one with its channels, in a file",
        )
    return (dims[0], dims[1], dims[2]), dims[3]


def _offset(header: Any, path: Path) -> int:
    offset = float(header["vox_offset"])
    least = int(header["sizeof_hdr"]) + 4
    if not (least <= offset <= _MAX_OFFSET and offset == int(offset)):
        raise DataError(f"the header's field vox_offset is {offset:g}", where=str(path), hint=AGAIN)
    return int(offset)


def _scaling(header: Any, path: Path) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or math.isnan(slope):  # the standard's way to say: none
        return 1.0, 0.0
    if not math.isfinite(slope) or not math.isfinite(intercept):
        raise DataError(
            f"the header's scl_slope and scl_inter are {slope:g} and {intercept:g}", where=str(path), hint=AGAIN
        )
    return slope, intercept


def _orientation(
    header: Any, stored: tuple[int, int, int], path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from nibabel.orientations import inv_ornt_aff, io_orientation

    if not int(header["sform_code"]) and not int(header["qform_code"]):
        raise DataError(
            "the header says no orientation (sform_code and qform_code are 0), so left and right would be a guess",
            where=str(path),
            hint="write the affine into the file with the tool that made it",
        )
    unit = int(header["xyzt_units"]) & 0x07
    if unit not in (0, 2):
        raise DataError(
            "its spacing is not in millimetres (xyzt_units)", where=str(path), hint="store it in millimetres"
        )
    try:
        with np.errstate(all="ignore"):  # what is no direction is refused below
            affine = np.asarray(header.get_best_affine(), dtype=np.float64)
            turns = np.asarray(io_orientation(affine), dtype=np.float64)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise DataError("the header's affine has no meaning", where=str(path), hint=AGAIN) from error
    if not np.isfinite(affine).all() or not np.isfinite(turns).all():
        raise DataError("the header's affine leaves an axis without a direction", where=str(path), hint=AGAIN)
    return turns, affine @ np.asarray(inv_ornt_aff(turns, stored), dtype=np.float64)
