"""Recording a judged run once, whatever happens on the way, and registering the model of a verified release."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from gatekeeper.core.tracked import Entry, LoggedRun, RegisteredVersion, TrackedRun
from gatekeeper.errors import TrackingError

IDENTITY = "gatekeeper.id"
COMPLETE = Entry(name="gatekeeper.complete", value="true")
RELEASE_FOLDER = "release"


class Server(Protocol):
    """What is asked of a tracking server; each raises TrackingError where it is away or says no."""

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, which is made where there is none."""

    def find(self, experiment: str, *, tag: str, value: str) -> LoggedRun | None:
        """The oldest run of an experiment that has a tag, deleted ones left out."""

    def begin(self, experiment: str, run: TrackedRun, *, tag: str) -> LoggedRun:
        """A new run that has its identity as a tag, and nothing else yet."""

    def put_facts(self, logged: LoggedRun, run: TrackedRun) -> None:
        """Write parameters, metrics and tags; what is there already may be written again."""

    def put_text(self, logged: LoggedRun, *, name: str, text: str) -> None:
        """Write a text among the run's artefacts."""

    def put_file(self, logged: LoggedRun, *, path: Path, folder: str) -> None:
        """Copy one file into a folder of the run's artefacts."""

    def finish(self, logged: LoggedRun, *, mark: Entry) -> None:
        """Mark the run as complete and end it."""

    def fetch(self, logged: LoggedRun, *, folder: str, to: Path) -> Path:
        """Copy a folder of the run's artefacts into a new folder under `to`, and say which."""

    def version_of(self, model: str, logged: LoggedRun, *, folder: str) -> str | None:
        """The newest version of a registered model that is made of this folder of the run's artefacts, or None."""

    def new_version(self, model: str, logged: LoggedRun, *, folder: str, tags: tuple[Entry, ...]) -> str:
        """A new version of a registered model, which is made where there is none."""

    def alias(self, model: str, alias: str) -> str | None:
        """The version that an alias names, or None."""

    def set_alias(self, model: str, alias: str, *, version: str) -> None:
        """Let an alias name a version, and no longer any other."""


def record(server: Server, run: TrackedRun, *, experiment: str) -> LoggedRun:
    """Log a run, or find it: the same run is logged once, and one whose logging was cut short is completed.

    Args:
        server: where.
        run: what.
        experiment: the name of the experiment.

    Raises:
        TrackingError: the server is away, or says no; what has arrived stays, and the next call goes on.
    """
    place = server.experiment(experiment)
    found = server.find(place, tag=IDENTITY, value=run.identity)
    if found is not None and found.complete:
        return found
    logged = found or server.begin(place, run, tag=IDENTITY)
    server.put_facts(logged, run)
    for document in run.documents:
        server.put_text(logged, name=document.name, text=document.text)
    if run.release is not None:
        for name in run.release.names:
            path = run.release.directory / name
            folder = Path(RELEASE_FOLDER) / name
            server.put_file(logged, path=path, folder=folder.parent.as_posix())
    server.finish(logged, mark=COMPLETE)
    return LoggedRun(run_id=logged.run_id, artifacts=logged.artifacts, complete=True, was_there=found is not None)


def register(
    server: Server,
    logged: LoggedRun,
    run: TrackedRun,
    *,
    model: str,
    alias: str | None,
    to: Path,
    verify: Callable[[Path], None],
) -> RegisteredVersion:
    """Register the model of a logged release, once the very files that the server has were verified.

    Args:
        server: where.
        logged: the release's run there, complete.
        run: what was logged.
        model: name of the registered model.
        alias: the alias that is to name this version, or None.
        to: an empty folder to verify in.
        verify: raises where a folder is not the release that was logged.

    Raises:
        TrackingError: nothing but a release can be registered, or the server says no.
        VerificationError: the server's copy is not the release; nothing was registered and no alias moved.
    """
    if run.release is None:
        raise TrackingError("is no release, so there is no model to register", hint="log the signed release")
    verify(server.fetch(logged, folder=RELEASE_FOLDER, to=to))
    there = server.version_of(model, logged, folder=RELEASE_FOLDER)
    tags = (Entry(name=IDENTITY, value=run.identity), *run.tags)
    version = there or server.new_version(model, logged, folder=RELEASE_FOLDER, tags=tags)
    replaced = None
    if alias is not None:
        replaced = server.alias(model, alias)
        server.set_alias(model, alias, version=version)
    return RegisteredVersion(
        model=model,
        version=version,
        was_there=there is not None,
        alias=alias,
        replaced=None if replaced == version else replaced,
    )
