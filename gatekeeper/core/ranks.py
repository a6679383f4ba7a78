"""The processes that share the work of one run, as one of them sees them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ranks(Protocol):
    """What a stage needs to take its share and to hear of the others'.

    Every process makes the same calls in the same order.

    Attributes:
        index: which of the processes this is, from 0; the first draws, decides, writes and reports.
        count: how many there are.
    """

    @property
    def index(self) -> int:
        """See above."""

    @property
    def count(self) -> int:
        """See above."""

    def seed(self) -> int:
        """128 bits from the operating system, the same in every process, kept nowhere."""

    def merged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over processes of arrays of one shape: each holds its own share, and zeros elsewhere."""


class OneRank:
    """A process that does all the work itself."""

    index = 0
    count = 1

    def seed(self) -> int:
        """See `Ranks.seed`."""
        return secrets.randbits(128)

    def merged(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Ranks.merged`."""
        return values
