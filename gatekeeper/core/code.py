"""Python code by its content: what a policy allows to run, and what did run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatekeeper.core.checks import check_sha256
from gatekeeper.errors import InvalidValueError

_SEPARATOR = "@sha256:"

# A module (package.module) or a file (module.py), without its folder.
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeFile:
    """One file of source code: `package.module@sha256:…`, or `file.py@sha256:…` for a file outside packages.

    Attributes:
        name: the module's dotted name, or the file's name without its folder.
        sha256: digest of the file's bytes, in lower-case hexadecimal.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InvalidValueError(f"a module is named like package.module or file.py, got {self.name!r}")
        check_sha256(sha256=self.sha256)

    def __str__(self) -> str:
        return f"{self.name}{_SEPARATOR}{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> CodeFile:
        """The code file that `str` writes so.

        Raises:
            InvalidValueError: the text is not of the form NAME@sha256:DIGEST.

        >>> CodeFile.parse("nets.small@sha256:" + "0" * 64).name
        'nets.small'
        """
        name, separator, digest = text.partition(_SEPARATOR)
        if not separator:
            raise InvalidValueError(
                f"code is named with its digest, got {text!r}", hint="write package.module@sha256:<64 hex digits>"
            )
        return cls(name=name, sha256=digest)
