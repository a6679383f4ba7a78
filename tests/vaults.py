"""A vault in memory, whose user can be made to die at any of its operations."""

from __future__ import annotations

from collections.abc import Collection

from gatekeeper.core.record import TrainingPlan
from gatekeeper.core.resumption import Origin
from gatekeeper.training import Lifeline

ORIGIN = Origin(gatekeeper="1", candidate="a" * 64, plan="b" * 64, software=())


class DeathError(Exception):
    """What stands for SIGKILL."""


class MemoryVault:
    """Satisfies `core.resumption.Vault`. `die_at` counts the operations that change something, from 0."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.die_at: float | None = None
        self.operations = 0

    def _dies(self) -> str | None:
        """At n.0 before operation n, at n.5 in the middle of it."""
        moment, self.operations = self.operations, self.operations + 1
        if self.die_at == moment:
            return "before"
        return "within" if self.die_at == moment + 0.5 else None

    def read(self, name: str) -> bytes | None:
        return self.files.get(name)

    def write(self, name: str, content: bytes) -> None:
        if self._dies():
            raise DeathError
        self.files[name] = content

    def append(self, name: str, content: bytes) -> None:
        match self._dies():
            case "before":
                raise DeathError
            case "within":
                self.files[name] = self.files.get(name, b"") + content[: len(content) // 2]
                raise DeathError
        self.files[name] = self.files.get(name, b"") + content

    def keep(self, names: Collection[str]) -> None:
        if self._dies():
            raise DeathError
        self.files = {name: content for name, content in self.files.items() if name in names}


def lifeline(vault: MemoryVault, plan: TrainingPlan, *, origin: Origin = ORIGIN, stop: bool = False) -> Lifeline:
    """A training's next start."""
    return Lifeline(vault, plan=plan, origin=origin, stop=lambda: stop)
