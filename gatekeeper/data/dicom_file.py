"""One DICOM file as pydicom parses it, or an error that names the file (DICOM PS3.10).

Whatever a parser finds wrong is said in words of our own: its own may quote the file, and files hold names.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatekeeper.data.masking import masked
from gatekeeper.errors import DataError

AGAIN = "get the file again, or take it out of the data"
_DEFLATED = "1.2.840.10008.1.2.1.99"
_MAX_FILE_BYTES = 2 * 2**30
_LONGEST = 40


def located(path: Path, *, patient: str, number: int) -> str:
    """A file for messages: where its path holds the patient's identifier, with a pseudonym and the file's number."""
    shown = masked(str(path), secret=patient)
    return shown if shown == str(path) else f"{shown} (file {number} in the order of names)"


def told(value: object) -> str:
    """A value of a file for messages: cut, and without characters that steer a terminal."""
    return repr(str(value)[:_LONGEST])


@contextmanager
def quiet() -> Iterator[None]:
    """Without pydicom's warnings: they quote the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def parse(path: Path, *, pixels: bool, where: str) -> Any:
    """The file as pydicom's data set.

    Args:
        path: the file.
        pixels: whether with its pixel data, or only up to them.
        where: the file, for messages.

    Raises:
        DataError: it can't be read, is too large, or is no DICOM file that can be parsed.
    """
    import pydicom  # an optional extra

    try:
        with quiet():
            if path.stat().st_size > _MAX_FILE_BYTES:
                raise DataError(f"the file is larger than {_MAX_FILE_BYTES} bytes", where=where, hint=AGAIN)
            meta = pydicom.filereader.read_file_meta_info(path)
            # Unpacked as a whole, whatever its size: a few kilobytes could become gigabytes.
            if meta.get("TransferSyntaxUID") == _DEFLATED:
                raise DataError("the file is deflated as a whole", where=where, hint="store it without deflation")
            return pydicom.dcmread(path, stop_before_pixels=not pixels)
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror}", where=where, hint=AGAIN) from error
    except DataError:
        raise
    # Whatever a parser stumbles over in a file that somebody damaged or made up.
    except Exception as error:
        raise DataError(
            f"the file is truncated or malformed ({type(error).__name__})",
            where=where,
            hint=AGAIN,
        ) from error


def value_of(dataset: Any, name: str, *, where: str) -> Any:
    """The value of a field, or None where it is missing; pydicom converts it only now.

    Raises:
        DataError: it can't be converted.
    """
    try:
        with quiet():
            return dataset.get(name)
    # A value that can't be converted, in whatever way.
    except Exception as error:
        raise DataError(f"the field {name} can't be read ({type(error).__name__})", where=where, hint=AGAIN) from error
