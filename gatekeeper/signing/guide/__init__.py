"""How to check a release without gatekeeper: `VERIFY.md`, and `verify.sh` for openssl and jq.

Both are the same in every release of one version of gatekeeper. They travel with it for convenience; whoever relies on
them takes them from a copy of its own (`gatekeeper verify --script`), as it does with the public key.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

from gatekeeper.signing.layout import SideFile

SCRIPT = "verify.sh"
GUIDE = "VERIFY.md"

# SHA-256 of what earlier versions of gatekeeper put into releases, by name: those releases still verify.
EARLIER: dict[str, frozenset[str]] = {SCRIPT: frozenset(), GUIDE: frozenset()}


def guide_files() -> tuple[SideFile, ...]:
    """`VERIFY.md` and `verify.sh`, as they go into a release."""
    return tuple(SideFile(name=name, content=_content(name)) for name in (GUIDE, SCRIPT))


def verification_script() -> str:
    """`verify.sh`."""
    return _content(SCRIPT).decode()


def is_ours(file: SideFile) -> bool:
    """Whether a file is what this or an earlier version of gatekeeper puts into releases under its name."""
    return file.content == _content(file.name) or hashlib.sha256(file.content).hexdigest() in EARLIER[file.name]


def _content(name: str) -> bytes:
    return files(__package__).joinpath(name).read_bytes()
