"""What a tracking server is told of a judged run, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gatekeeper.core.checks import check_finite, check_integer, check_text, check_tuple
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A parameter or a tag."""

    name: str
    value: str

    def __post_init__(self) -> None:
        check_text(name=self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A metric; servers can't be trusted to keep what is not finite."""

    name: str
    value: float

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_finite(value=self.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A text that is made from the facts, and that no file is copied for.

    Attributes:
        name: of the file that it becomes.
        text: its content.
    """

    name: str
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if "/" in self.name or not self.name:
            raise InvalidValueError(f"a document lies directly in the run's artefacts, got {self.name!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseFiles:
    """The files of a release that was verified: the only files that are ever copied to a server.

    Attributes:
        directory: where they lie.
        names: relative paths, with `/`.
    """

    directory: Path
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        check_tuple(names=self.names, of=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackedRun:
    """A judged run, as a tracking server is told of it.

    Attributes:
        identity: what it is found again by: another identity is another run to the server.
        name: for people.
        milliseconds: Unix time of the verdict.
        parameters: what was to be built, on what, and how.
        figures: what was proven and measured.
        tags: verdict, digests and identities.
        documents: reports, policy and candidate.
        release: the verified release, or None where there is none.
    """

    identity: str
    name: str
    milliseconds: int
    parameters: tuple[Entry, ...]
    figures: tuple[Figure, ...]
    tags: tuple[Entry, ...]
    documents: tuple[Document, ...]
    release: ReleaseFiles | None

    def __post_init__(self) -> None:
        check_text(identity=self.identity)
        check_text(name=self.name)
        check_integer(milliseconds=self.milliseconds, at_least=0)
        for name, of in (("parameters", Entry), ("figures", Figure), ("tags", Entry), ("documents", Document)):
            check_tuple(of=of, **{name: getattr(self, name)})
            names = [each.name for each in getattr(self, name)]
            if len(set(names)) != len(names):
                raise InvalidValueError(f"two {name} share a name")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRun:
    """Where a server keeps a run.

    Attributes:
        run_id: the server's id of it.
        artifacts: the server's URI of its artefacts.
        complete: whether everything arrived.
        was_there: whether it was there before this call.
    """

    run_id: str
    artifacts: str
    complete: bool
    was_there: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredVersion:
    """A version of a registered model.

    Attributes:
        model: the registered model's name.
        version: its number, as the server writes it.
        was_there: whether it was registered before this call.
        alias: the alias that now names it, or None.
        replaced: the version that the alias named before, or None.
    """

    model: str
    version: str
    was_there: bool
    alias: str | None
    replaced: str | None
