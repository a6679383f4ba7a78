"""An MLflow tracking server, through MLflow's own client: it knows where artefacts go, and how to sign in.

The client is told to send nobody anything about its use, to give up on a server that is away after a few seconds, and
to print nothing. Of the environment it reads what MLflow documents, such as MLFLOW_TRACKING_USERNAME.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gatekeeper.core.tracked import Entry, LoggedRun, TrackedRun
from gatekeeper.errors import TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.exceptions import MlflowException

_ALWAYS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_UNLESS_SET = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}

# What a server takes in one request: 100 parameters, 100 tags, 1,000 metrics.
_MOST_ENTRIES, _MOST_FIGURES = 100, 1000
_LONGEST_WORDS = 300


def check_uri(uri: str) -> str:
    """A server's address, which holds no password: it would be printed and end up in the shell's history.

    Raises:
        TrackingError: it is no address over HTTP, or holds a user's name or password.
    """
    try:
        parts = urlsplit(uri)
        host, user = parts.hostname, parts.username or parts.password
        _ = parts.port
    except ValueError as error:
        raise TrackingError(f"the address of the server can't be read: {error}") from error
    if user:
        raise TrackingError(
            "the address of the server holds a user's name or password",
            hint="leave them out of it and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or _TOKEN",
        )
    if parts.scheme not in ("http", "https") or not host:
        raise TrackingError(
            "is not the address of a tracking server", where=uri, hint="give http://HOST:PORT or https://HOST"
        )
    return uri.rstrip("/")


class MlflowServer:
    """A server by its address; satisfies `recording.Server`.

    Args:
        uri: its address, as `check_uri` lets it pass.

    Raises:
        TrackingError: MLflow's client is not installed.
    """

    def __init__(self, uri: str) -> None:
        self._uri = check_uri(uri)
        self._client = _client(self._uri)

    def experiment(self, name: str) -> str:
        """The id of the experiment of that name, which is made where there is none."""
        with self._errors():
            found = self._client.get_experiment_by_name(name)
            if found is None:
                return self._named(self._client.create_experiment(name), what="experiment")
            if found.lifecycle_stage == "deleted":
                raise TrackingError(
                    f"the experiment {name!r} was deleted there", where=self._uri, hint="restore it, or name another"
                )
            return self._named(found.experiment_id, what="experiment")

    def find(self, experiment: str, *, tag: str, value: str) -> LoggedRun | None:
        """The oldest run of an experiment that has a tag, deleted ones left out."""
        with self._errors():
            found = self._client.search_runs(
                [experiment], f"tags.`{tag}` = '{value}'", order_by=["attributes.start_time ASC"], max_results=1
            )
            return self._logged(found[0], was_there=True) if found else None

    def begin(self, experiment: str, run: TrackedRun, *, tag: str) -> LoggedRun:
        """A new run that has its identity as a tag, and nothing else yet."""
        with self._errors():
            begun = self._client.create_run(
                experiment, start_time=run.milliseconds, tags={tag: run.identity}, run_name=run.name
            )
            return self._logged(begun, was_there=False)

    def put_facts(self, logged: LoggedRun, run: TrackedRun) -> None:
        """Write parameters, metrics and tags; the same metric at the time of the verdict is one and the same."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(each.name, each.value, run.milliseconds, 0) for each in run.figures]
        params = [Param(each.name, each.value) for each in run.parameters]
        tags = [RunTag(each.name, each.value) for each in run.tags]
        with self._errors():
            for start in range(0, len(metrics), _MOST_FIGURES):
                self._client.log_batch(logged.run_id, metrics=metrics[start : start + _MOST_FIGURES])
            for start in range(0, len(params), _MOST_ENTRIES):
                self._client.log_batch(logged.run_id, params=params[start : start + _MOST_ENTRIES])
            self._client.log_batch(logged.run_id, tags=tags)

    def put_text(self, logged: LoggedRun, *, name: str, text: str) -> None:
        """Write a text among the run's artefacts."""
        with self._errors():
            self._client.log_text(logged.run_id, text, name)

    def put_file(self, logged: LoggedRun, *, path: Path, folder: str) -> None:
        """Copy one file into a folder of the run's artefacts."""
        with self._errors():
            self._client.log_artifact(logged.run_id, str(path), folder)

    def finish(self, logged: LoggedRun, *, mark: Entry) -> None:
        """Mark the run as complete and end it."""
        with self._errors():
            self._client.set_tag(logged.run_id, mark.name, mark.value)
            self._client.set_terminated(logged.run_id)

    def fetch(self, logged: LoggedRun, *, folder: str, to: Path) -> Path:
        """Copy a folder of the run's artefacts into a new folder under `to`, and say which."""
        with self._errors():
            return Path(self._client.download_artifacts(logged.run_id, folder, str(to)))

    def version_of(self, model: str, logged: LoggedRun, *, folder: str) -> str | None:
        """The newest version of a registered model that is made of this folder of the run's artefacts, or None."""
        with self._errors():
            found = self._client.search_model_versions(f"run_id = '{logged.run_id}'")
            own = [each for each in found if (each.name, each.source) == (model, f"{logged.artifacts}/{folder}")]
            return max((str(each.version) for each in own), key=int, default=None)

    def new_version(self, model: str, logged: LoggedRun, *, folder: str, tags: tuple[Entry, ...]) -> str:
        """A new version of a registered model, which is made where there is none."""
        with self._errors():
            if not self._has_model(model):
                self._client.create_registered_model(model)
            made = self._client.create_model_version(
                model, f"{logged.artifacts}/{folder}", logged.run_id, tags={tag.name: tag.value for tag in tags}
            )
            return self._named(made.version, what="model version")

    def _has_model(self, model: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_registered_model(model)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def alias(self, model: str, alias: str) -> str | None:
        """The version that an alias names, or None."""
        with self._errors():
            version = self._client.get_registered_model(model).aliases.get(alias)
            return None if version is None else str(version)

    def set_alias(self, model: str, alias: str, *, version: str) -> None:
        """Let an alias name a version, and no longer any other."""
        with self._errors():
            self._client.set_registered_model_alias(model, alias, version)

    def _logged(self, run: Run, *, was_there: bool) -> LoggedRun:
        return LoggedRun(
            run_id=self._named(run.info.run_id, what="run"),
            artifacts=self._named(run.info.artifact_uri, what="place for artefacts").rstrip("/"),
            complete=run.data.tags.get("gatekeeper.complete") == "true",
            was_there=was_there,
        )

    def _named(self, given: object, *, what: str) -> str:
        """What the server calls something; whatever answers `{}` to everything has logged nothing."""
        if given is None or given == "":
            raise TrackingError(
                f"the answer names no {what}", where=self._uri, hint="is this the address of a tracking server?"
            )
        return str(given)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """What the client raises, as an error that names the server."""
        from google.protobuf.json_format import Error as UnreadableAnswer
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException

        try:
            yield
        except MlflowException as error:
            raise TrackingError(_words(error), where=self._uri, hint=_remedy(error)) from error
        except RequestException as error:
            raise TrackingError(_words(error), where=self._uri, hint="is the server running, and reachable?") from error
        # What the client stumbles over in JSON that is none of MLflow's.
        except (UnreadableAnswer, ValueError, TypeError, AttributeError, LookupError) as error:
            raise TrackingError(
                f"its answer can't be read: {_words(error)}",
                where=self._uri,
                hint="is this the address of a tracking server?",
            ) from error


def _client(uri: str) -> MlflowClient:
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise TrackingError(
            "logging to MLflow needs the extra [mlflow]", hint='pip install "gatekeeper[mlflow]"'
        ) from error
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _words(error: Exception) -> str:
    """What went wrong in one line of bearable length: servers answer with whole pages, and the cause stands last."""
    words = " ".join(str(error).split())
    half = _LONGEST_WORDS // 2
    return words if len(words) <= _LONGEST_WORDS else f"{words[:half]} … {words[-half:]}"


def _remedy(error: MlflowException) -> str | None:
    """What to do about an answer; a name that the server doesn't take says so itself."""
    text = str(error)
    if "error code 401" in text or error.error_code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return "sign in with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if "error code 404" in text:
        return "is this the address of a tracking server?"
    if ("Max retries exceeded" in text or "Connection" in text) and "error responses" not in text:
        return "is the server running, and reachable?"
    return None if error.error_code == "INVALID_PARAMETER_VALUE" else "see the server's log"
