"""The private directory of one description: it goes as soon as the description was read."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.checks import check_probability
from gatekeeper.core.description import Description, Legend
from gatekeeper.core.policy import Policy
from gatekeeper.rundir import RunDirectory, disk_errors, write_atomically

_SALT_BYTES = 32
_ORDER, _DESCRIPTION, _LEGEND = "order.json", "description.json", "legend.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class DescriptionOrder:
    """What is asked of a description.

    Attributes:
        near: the NCC from which two images are near-duplicates, or None to look for identical ones only.
    """

    near: float | None

    def __post_init__(self) -> None:
        if self.near is not None:
            check_probability(near=self.near)


class DescribingDirectory(RunDirectory):
    """A directory of mode 0700 with a candidate, a salt of this call's own and, where given, a policy.

    No `runs` command knows it, for nothing runs: it lies where temporary files do.
    """

    @classmethod
    @contextlib.contextmanager
    def temporary(
        cls, candidate: Candidate, policy: Policy | None, order: DescriptionOrder
    ) -> Iterator[DescribingDirectory]:
        """A fresh one, locked, and removed at the end."""
        with disk_errors(Path(tempfile.gettempdir())):
            path = Path(tempfile.mkdtemp(prefix="gatekeeper-describe-"))
        directory = cls(path)
        try:
            directory._write("candidate.json", candidate)
            directory._write(_ORDER, order)
            if policy is not None:
                directory._write("policy.json", policy)
            with disk_errors(path):
                write_atomically(path / "salt", secrets.token_bytes(_SALT_BYTES))
            with directory.lock():
                yield directory
        finally:
            directory.delete()

    def read_order(self) -> DescriptionOrder:
        """What is asked."""
        return self._read(_ORDER, DescriptionOrder)

    def read_description(self) -> Description:
        """What was found."""
        return self._read(_DESCRIPTION, Description)

    def read_legend(self) -> Legend:
        """Whom the description's pseudonyms stand for."""
        return self._read(_LEGEND, Legend)

    def write_found(self, description: Description, legend: Legend) -> None:
        """Record what was found."""
        self._write(_LEGEND, legend)
        self._write(_DESCRIPTION, description)
