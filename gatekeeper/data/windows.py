"""From a scan's own numbers to 8 bits of grey: the window.

A value v becomes 255·(v − low)/(high − low), held to 0 … 255 and rounded to the nearest whole number, halves up.
The window is the candidate's, the file's own, or made of the image itself. It is never made of several
units: a statistic of the data set would carry each patient into every image, and no noise covers that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatekeeper.errors import DataError

_PERCENT = (0.5, 99.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """The values that become 0 and 255.

    Attributes:
        low: becomes 0, as does what lies below.
        high: becomes 255, as does what lies above; it is above `low`.
    """

    low: float
    high: float

    def grey(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as grey in 0 … 255, not yet rounded."""
        held = np.clip(values, self.low, self.high)
        return np.asarray((held - self.low) * 255.0 / (self.high - self.low))


def rounded(grey: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Grey in 0 … 255 as 8 bits, halves up."""
    return np.floor(grey + 0.5).astype(np.uint8)


def own_window(values: NDArray[np.number[Any]], *, slope: float, intercept: float, where: str) -> Window:
    """The 0.5th and 99.5th percentile of an image's own values: pixels of the image, not between two.

    Args:
        values: as stored, any shape.
        slope: and
        intercept: make them the scan's own numbers.
        where: the file, for messages.

    Raises:
        DataError: both are the same.
    """
    if values.size == 0:
        raise DataError("every pixel is padding", where=where, hint="take the file out of the data")
    low = float(np.percentile(values, _PERCENT[0], method="lower")) * slope + intercept
    high = float(np.percentile(values, _PERCENT[1], method="higher")) * slope + intercept
    if low == high:
        raise DataError(
            f"nearly all its values are {low:g}, so that the image gives no window of its own",
            where=where,
            hint="set data.scan.window to [low, high], or take the file out of the data",
        )
    return Window(low=min(low, high), high=max(low, high))
