"""The pixels of one DICOM file, frame by frame, as grey or colour (PS3.3, C.7.6.3 and C.11; PS3.5, section 8).

| PhotometricInterpretation | becomes |
| --- | --- |
| MONOCHROME2 | grey through the window; PixelPaddingValue (and its range) black |
| MONOCHROME1 | the same, inverted after the window; padding black |
| RGB, and YBR_FULL, YBR_FULL_422, YBR_ICT, YBR_RCT through pydicom's conversion | colour of 8 bits, no window |
| PALETTE COLOR | colour through the file's palette, the upper 8 bits of each entry |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.scan_spec import ScanSpec
from gatekeeper.data.dicom_decoding import decoded, undecodable
from gatekeeper.data.dicom_fields import Fields
from gatekeeper.data.dicom_file import AGAIN, parse, quiet, value_of
from gatekeeper.data.dicom_frames import FrameFields, Scaling, file_window, scaling
from gatekeeper.data.dicom_header import Instance
from gatekeeper.data.windows import Window, own_window
from gatekeeper.errors import DataError


def planes(
    instance: Instance, scan: ScanSpec, *, indices: Sequence[int] | None = None, window: Window | None = None
) -> Iterator[NDArray[np.float64]]:
    """Frames in 0 … 255, not yet rounded: shape (rows, columns), or (rows, columns, 3) of colour.

    Args:
        instance: the file.
        scan: which window.
        indices: which frames, from 0, in this order; all of them where it is None.
        window: of grey frames, instead of the one that `scan` asks for.

    Raises:
        DataError: pixels are missing, too few, of another size than the header says, or can't be decoded; a window is
            missing, or meant for grey; or a field can't be used.
    """
    dataset = _reopened(instance)
    for index, stored in decoded(dataset, instance, indices):
        if instance.colour:
            yield _colour(stored, dataset, instance, scan)
            continue
        fields = FrameFields(dataset, index, instance)
        own, padding = scaling(fields, dataset, instance), _padding(stored, dataset, instance)
        chosen = window or _window(stored[~padding], own, fields, dataset, instance, scan)
        grey = chosen.grey(stored.astype(np.float64) * own.slope + own.intercept)
        if instance.photometric == "MONOCHROME1":
            grey = 255.0 - grey
        grey[padding] = 0.0
        yield grey


def own_numbers(instance: Instance, *, indices: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    """The values of grey frames after rescaling, without padding, shape (values,); errors as `planes` raises them."""
    dataset = _reopened(instance)
    for index, stored in decoded(dataset, instance, indices):
        own = scaling(FrameFields(dataset, index, instance), dataset, instance)
        yield stored[~_padding(stored, dataset, instance)].astype(np.float64) * own.slope + own.intercept


def _reopened(instance: Instance) -> Any:
    """The file with its pixels, which must still be the image of the same patient: both were read before."""
    dataset = parse(instance.path, pixels=True, where=instance.where)
    again = Fields(dataset, instance.path, instance.number)
    # Of a file that is cut short the parser may give nothing at all: that is said when it is decoded.
    if len(dataset) and (str(again.get("SOPInstanceUID")), again.patient) != (instance.uid, instance.patient):
        raise DataError("the file changed while it was read", where=instance.where, hint="keep the data fixed")
    return dataset


def _colour(stored: NDArray[np.integer[Any]], dataset: Any, instance: Instance, scan: ScanSpec) -> NDArray[np.float64]:
    from pydicom.pixels import apply_color_lut  # type: ignore[attr-defined]

    if scan.window is not None or scan.window_of is not None:
        raise DataError(
            "the image has colours, and a window maps grey values",
            where=instance.where,
            hint="remove data.scan.window, or keep images of colour apart",
        )
    if instance.photometric == "PALETTE COLOR":
        try:
            with quiet():
                stored = apply_color_lut(stored, dataset)
        # A palette that is missing, or of another form than the standard's.
        except Exception as error:
            raise undecodable(instance, error) from error
        if stored.dtype.itemsize == 2:
            stored = stored >> 8
    if stored.ndim != 3 or stored.shape[2] != 3:
        raise DataError(f"its pixels are of shape {stored.shape}", where=instance.where, hint=AGAIN)
    return stored.astype(np.float64)


def _window(
    stored: NDArray[np.integer[Any]],
    own: Scaling,
    fields: FrameFields,
    dataset: Any,
    instance: Instance,
    scan: ScanSpec,
) -> Window:
    if scan.window is not None:
        if instance.modality == "CT" and not own.given:
            raise DataError(
                "the file has no RescaleSlope and RescaleIntercept, so its numbers are no Hounsfield units",
                where=instance.where,
                hint="get the file with them, or take it out of the data",
            )
        return Window(low=scan.window[0], high=scan.window[1])
    if scan.window_of == "file":
        return file_window(fields, dataset, instance)
    if scan.window_of == "per-image":
        return own_window(stored, slope=own.slope, intercept=own.intercept, where=instance.where)
    if instance.bits == 8 and not instance.signed and (own.slope, own.intercept) == (1.0, 0.0):
        return Window(low=0.0, high=255.0)
    raise DataError(
        f"its {instance.bits} bits{' with a sign' if instance.signed else ''} need a window that maps them to 8",
        where=instance.where,
        hint="set data.scan.window to [low, high], file or per-image",
    )


def _padding(stored: NDArray[np.integer[Any]], dataset: Any, instance: Instance) -> NDArray[np.bool_]:
    """Which pixels lie outside of the image: those of PixelPaddingValue, or from it to PixelPaddingRangeLimit."""
    value, limit = (
        value_of(dataset, name, where=instance.where) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    )
    if value is None:
        return np.zeros(stored.shape, dtype=np.bool_)
    try:
        ends = [_as_stored(int(end), instance) for end in (value, value if limit is None else limit)]
    except (TypeError, ValueError) as error:
        raise DataError("the field PixelPaddingValue is no number", where=instance.where, hint=AGAIN) from error
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _as_stored(value: int, instance: Instance) -> int:
    """A value in the sign of the pixels: some files write the padding of signed pixels without a sign."""
    if instance.signed and value >= 1 << (instance.allocated - 1):
        return value - (1 << instance.allocated)
    return value + (1 << instance.allocated) if not instance.signed and value < 0 else value
