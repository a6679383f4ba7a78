"""Data on disk → units of images, divided into training and test.

    DataSpec → reader → ImageTable → divide → Dataset → DatasetCard

`readers` holds one reader a format; `splits` makes sure that nothing is shared between units or sides; `dataset`
holds what the other stages get. Whatever is wrong with the data is a `DataError` that names the file.
Importing this package loads neither NumPy nor Pillow.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import DataSpec
from gatekeeper.core.ledger import Identities
from gatekeeper.data.formats import FORMATS, FormatDescription

if TYPE_CHECKING:
    from gatekeeper.data.dataset import Dataset
    from gatekeeper.data.records import ImageTable

__all__ = ["FORMATS", "FormatDescription", "detect", "identities", "load", "read"]


def load(spec: DataSpec, *, allow_code: tuple[CodeFile, ...] = (), storage: Path | None = None) -> Dataset:
    """Read and divide the data that `spec` describes.

    Args:
        spec: which images, whose they are, and how they are divided.
        allow_code: the files of the user's own code that the policy allows; others don't run.
        storage: a private folder for large images (see `gatekeeper.data.store`); None keeps all in memory.

    Returns:
        Training and test units. The result depends on the content alone, not on the order of files or rows.

    Raises:
        DataError: something about the data can't be used; the message names the file and the remedy.
    """
    from gatekeeper.data.splits import divide
    from gatekeeper.data.store import storing_in

    with storing_in(storage):
        return divide(_table(spec, allow_code), spec)


def read(spec: DataSpec, *, allow_code: tuple[CodeFile, ...] = (), storage: Path | None = None) -> ImageTable:
    """Every image that `spec` describes, not yet divided; arguments and errors as of `load`."""
    from gatekeeper.data.store import storing_in

    with storing_in(storage):
        return _table(spec, allow_code)


def _table(spec: DataSpec, allow_code: tuple[CodeFile, ...]) -> ImageTable:
    from gatekeeper.data import factory
    from gatekeeper.data.readers import READERS

    return READERS[spec.format](spec) if spec.factory is None else factory.read(spec, allow_code=allow_code)


def identities(dataset: Dataset, *, population: str | None) -> Identities:
    """By what names the ledger knows the training units; see `gatekeeper.data.identities`."""
    from gatekeeper.data.identities import identities as name

    return name(dataset, population=population)


def detect(path: Path) -> DataSpec:
    """Propose a specification for the data at `path`; see `gatekeeper.data.detection`.

    Raises:
        DataError: no known layout; the hint lists those that are.
    """
    from gatekeeper.data.detection import detect as propose

    return propose(path)
