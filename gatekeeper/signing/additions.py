"""What may be added to a release after it was signed: two folders, and nothing else.

`attestations/approvals/` holds what people signed afterwards, `attestations/timestamps/` what clocks of others did.
No signature of the release covers them, so anybody may have put them there: they count for nothing until whoever needs
them has checked each one against a key of its own. Here only their names and sizes are.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.files import Tree, place, read_file
from gatekeeper.signing.layout import ATTESTATIONS

APPROVALS = f"{ATTESTATIONS}/approvals"
TIMESTAMPS = f"{ATTESTATIONS}/timestamps"
FOLDERS = (APPROVALS, TIMESTAMPS)

# Anybody may add files: so many, and so large, are read at most. A decision takes about two kilobytes.
_MOST_APPROVALS, _MOST_BYTES = 256, 64 * 1024

_PLAIN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}"
_NAMES = {
    APPROVALS: re.compile(rf"{APPROVALS}/{_PLAIN}\.sigstore\.json"),
    TIMESTAMPS: re.compile(rf"{TIMESTAMPS}/{_PLAIN}\.tsr"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """A file that was added after signing: anybody's word, until somebody checks it.

    Attributes:
        file: where it lies, relative to the release directory.
        content: its bytes.
    """

    file: str
    content: bytes = field(repr=False)


def is_addition(file: str) -> bool:
    """Whether a file lies in one of the folders that may grow."""
    return file.startswith(tuple(folder + "/" for folder in FOLDERS))


def check_addition_names(directory: Path, *, tree: Tree) -> None:
    """Refuse names that no addition has.

    Raises:
        VerificationError: a file in one of the folders is called otherwise, or lies deeper.
    """
    for file in filter(is_addition, tree.files):
        if not any(pattern.fullmatch(file) for pattern in _NAMES.values()):
            raise VerificationError(
                "is not called as an addition is: approvals/NAME.sigstore.json or timestamps/NAME.tsr",
                where=place(directory, file),
                hint="remove it",
            )


def read_approvals(directory: Path, *, tree: Tree) -> tuple[Addition, ...]:
    """What lies in the folder of approvals, unchecked."""
    files = [file for file in tree.files if file.startswith(APPROVALS + "/")]
    if len(files) > _MOST_APPROVALS:
        raise VerificationError(
            f"holds {len(files)} files, more than {_MOST_APPROVALS}",
            where=place(directory, APPROVALS),
            hint="remove some",
        )
    return tuple(Addition(file=file, content=read_file(directory, file, most=_MOST_BYTES)) for file in files)


def add(directory: Path, addition: Addition) -> Path:
    """Write a new file that everybody may read into a release, or leave none.

    Raises:
        SigningError: it is there already, or can't be written.
    """
    path = directory / addition.file
    try:
        path.parent.mkdir(mode=0o755, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileExistsError as error:
        raise SigningError("is in the release already", where=str(path)) from error
    except OSError as error:
        raise SigningError(f"can't be written: {error.strerror}", where=str(path)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(addition.content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        path.unlink()
        raise SigningError(f"can't be written: {error.strerror}", where=str(path)) from error
    return path
