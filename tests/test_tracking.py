"""What a tracking server is told: nothing private, each run once, and a model only after its copy was verified."""

from __future__ import annotations

import dataclasses
import http.server
import math
import shutil
import threading
from pathlib import Path

import pytest

from gatekeeper.core.tracked import (
    Document,
    Entry,
    Figure,
    LoggedRun,
    RegisteredVersion,
    ReleaseFiles,
    TrackedRun,
)
from gatekeeper.errors import InvalidValueError, RunDirectoryError, TrackingError, VerificationError
from gatekeeper.pipeline import tracking
from gatekeeper.pipeline.tracking import Demand, record, register_release, track_release, track_run
from gatekeeper.report.tracked import figures
from gatekeeper.rundir import RunDirectory
from gatekeeper.signing.files import list_tree
from gatekeeper.tracking.server import MlflowServer, check_uri
from tests.coherent_release import MODEL, SECRET, coherent_release
from tests.command_line import gatekeeper
from tests.endorsements import RELEASE_KEY, STRANGER
from tests.facts import measurement, sample_facts
from tests.once import once
from tests.test_cli_report import judged_run


class FakeServer:
    """Satisfies `recording.Server`: a folder of artefacts, and dictionaries."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: dict[str, dict[str, str]] = {}
        self.told: dict[str, TrackedRun] = {}
        self.versions: list[tuple[str, str]] = []
        self.aliases: dict[tuple[str, str], str] = {}
        self.fails_at: str | None = None

    def experiment(self, name: str) -> str:
        return name

    def find(self, experiment: str, *, tag: str, value: str) -> LoggedRun | None:
        for run_id, tags in self.runs.items():
            if tags["experiment"] == experiment and tags.get(tag) == value:
                complete = tags.get("gatekeeper.complete") == "true"
                return LoggedRun(run_id=run_id, artifacts=f"fake:{run_id}", complete=complete, was_there=True)
        return None

    def begin(self, experiment: str, run: TrackedRun, *, tag: str) -> LoggedRun:
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = {"experiment": experiment, tag: run.identity}
        return LoggedRun(run_id=run_id, artifacts=f"fake:{run_id}", complete=False, was_there=False)

    def put_facts(self, logged: LoggedRun, run: TrackedRun) -> None:
        self.told[logged.run_id] = run
        self.runs[logged.run_id] |= {tag.name: tag.value for tag in run.tags}

    def put_text(self, logged: LoggedRun, *, name: str, text: str) -> None:
        if name == self.fails_at:
            raise TrackingError("the server went away")
        self._place(logged, name).write_text(text, encoding="utf-8")

    def put_file(self, logged: LoggedRun, *, path: Path, folder: str) -> None:
        if path.name == self.fails_at:
            raise TrackingError("the server went away")
        shutil.copy(path, self._place(logged, f"{folder}/{path.name}"))

    def finish(self, logged: LoggedRun, *, mark: Entry) -> None:
        self.runs[logged.run_id][mark.name] = mark.value

    def fetch(self, logged: LoggedRun, *, folder: str, to: Path) -> Path:
        shutil.copytree(self.root / logged.run_id / folder, to / folder)
        return to / folder

    def version_of(self, model: str, logged: LoggedRun, *, folder: str) -> str | None:
        source = (model, f"{logged.artifacts}/{folder}")
        return str(self.versions.index(source) + 1) if source in self.versions else None

    def new_version(self, model: str, logged: LoggedRun, *, folder: str, tags: tuple[Entry, ...]) -> str:
        self.versions.append((model, f"{logged.artifacts}/{folder}"))
        return str(len(self.versions))

    def alias(self, model: str, alias: str) -> str | None:
        return self.aliases.get((model, alias))

    def set_alias(self, model: str, alias: str, *, version: str) -> None:
        self.aliases[model, alias] = version

    def _place(self, logged: LoggedRun, name: str) -> Path:
        path = self.root / logged.run_id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def content(self) -> bytes:
        """All bytes that arrived."""
        files = b"".join(path.read_bytes() for path in sorted(self.root.rglob("*")) if path.is_file())
        return files + repr((self.runs, self.told)).encode()


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path / "server")


def _make(path: Path) -> None:
    coherent_release(path)


@pytest.fixture
def made(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own with runs/, out/ and release.pub."""
    return Path(shutil.copytree(once(tmp_path_factory, "tracked", _make), tmp_path / "made"))


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> TrackedRun:
    """A release that was verified, of which no file is changed."""
    made = once(tmp_path_factory, "tracked", _make)
    return track_release(made / "out", demand(made))


def run_of(made: Path) -> RunDirectory:
    (path,) = (made / "runs").iterdir()
    return RunDirectory(path)


def demand(made: Path) -> Demand:
    return Demand(public_key=made / "release.pub", trust=None, policy_digest=None)


def registered(server: FakeServer, made: Path, run: TrackedRun, *, alias: str | None = "champion") -> RegisteredVersion:
    logged = record(server, run, experiment="e")
    return register_release(server, logged, run, model="lesions", alias=alias, demand=demand(made))


# What is told


def test_a_run_is_told_by_figures_and_reports_and_nothing_else(server: FakeServer, made: Path) -> None:
    run = run_of(made)
    record(server, track_run(run), experiment="e")
    names = {path.relative_to(server.root).as_posix() for path in server.root.rglob("*") if path.is_file()}
    expected = {"report.json", "report.md", "report.txt", "policy.json", "candidate.json"}
    assert names - {"run-0/report.html"} == {f"run-0/{name}" for name in expected}
    content = server.content()
    for private in (SECRET.encode(), run.salt, run.salt.hex().encode(), MODEL, str(made).encode()):
        assert private not in content


def test_of_a_release_its_own_files_are_copied_and_nothing_else(
    server: FakeServer, made: Path, release: TrackedRun
) -> None:
    record(server, release, experiment="e")
    assert list_tree(server.root / "run-0" / "release").files == list_tree(made / "out").files
    content, run = server.content(), run_of(made)
    assert MODEL in content
    for private in (SECRET.encode(), run.salt, run.salt.hex().encode()):
        assert private not in content


def test_tags_and_figures_are_those_of_the_facts(made: Path, release: TrackedRun) -> None:
    run, facts = release, run_of(made).read_judgement().facts
    tags = {tag.name.removeprefix("gatekeeper."): tag.value for tag in run.tags}
    told = {figure.name: figure.value for figure in run.figures}
    assert (tags["verdict"], tags["signed"]) == ("approved", "true")
    assert tags["signer"] == RELEASE_KEY.public.fingerprint
    assert tags["model_sha256"] == facts.evidence.model.sha256
    assert told["epsilon"] == facts.guarantee.epsilon.high
    assert told["noise_multiplier"] == facts.evidence.record.mechanism.noise_multiplier
    sigma, pixels = facts.evidence.record.mechanism.relative_noise, facts.evidence.dataset.pixels
    assert told["snr_one_step"] == pytest.approx(1 / (pixels * sigma**2))
    assert told["risk/worst_case/bound"] == next(b.value for b in facts.bounds if b.adversary.title == "worst case")
    assert "risk/realistic_one_step_with_prior/ncc/model_figure" in told
    first = facts.evidence.utility.measurements[0]
    assert told[f"utility/{first.metric}/lower_limit_{100 * first.confidence:.6g}"] == first.low
    parameters = {entry.name: entry.value for entry in run.parameters}
    assert parameters["dataset.train_units"] == str(facts.evidence.dataset.train_units)
    assert all(0 < len(value) <= 500 for value in parameters.values())


def test_a_refused_run_says_so(tmp_path: Path) -> None:
    run = track_run(RunDirectory(Path(judged_run(tmp_path))))
    tags = {tag.name: tag.value for tag in run.tags}
    assert tags["gatekeeper.verdict"] == "refused"
    assert tags["gatekeeper.signed"] == "false"
    assert {figure.name: figure.value for figure in run.figures}["rule/accuracy/passed"] == 0.0


def test_what_is_not_finite_is_no_metric_and_names_never_repeat(tmp_path: Path) -> None:
    nothing = dataclasses.replace(measurement(), estimate=math.nan, low=math.nan, high=math.nan)
    alike = [dataclasses.replace(measurement(), metric="dice", class_name=name) for name in ("a:b", "a;b", "..")]
    facts = sample_facts(accuracy=nothing)
    utility = dataclasses.replace(facts.evidence.utility, measurements=(nothing, *alike))
    facts = dataclasses.replace(facts, evidence=dataclasses.replace(facts.evidence, utility=utility))
    run = track_run(RunDirectory(Path(judged_run(tmp_path, facts))))
    names = [figure.name for figure in run.figures]
    assert [name for name in names if name.startswith("utility/dice/") and "estimate" in name] == [
        "utility/dice/a_b/estimate_95",
        "utility/dice/a_b/estimate_95.2",
        "utility/dice/_/estimate_95",
    ]
    assert not [name for name in names if name.startswith("utility/accuracy")]
    assert all(math.isfinite(figure.value) for figure in run.figures)
    assert figures.__doc__


def test_a_run_that_was_not_judged_can_not_be_told(made: Path) -> None:
    run = run_of(made)
    (run.path / "judgement.json").unlink()
    with pytest.raises(RunDirectoryError, match=r"judgement\.json"):
        track_run(run)


# Once


@pytest.mark.slow
def test_the_same_run_is_logged_once_and_its_release_beside_it(
    server: FakeServer, made: Path, release: TrackedRun
) -> None:
    first, again = (record(server, track_run(run_of(made)), experiment="e") for _ in range(2))
    assert (first.was_there, again.was_there, again.run_id) == (False, True, first.run_id)
    assert record(server, release, experiment="e").run_id != first.run_id
    assert {tags["gatekeeper.run"] for tags in server.runs.values()} == {run_of(made).path.name}


@pytest.mark.parametrize("name", ["report.json", "model.onnx", "certificate.sigstore.json"])
def test_what_was_cut_short_is_completed(server: FakeServer, made: Path, release: TrackedRun, name: str) -> None:
    server.fails_at = name
    with pytest.raises(TrackingError):
        record(server, release, experiment="e")
    assert "gatekeeper.complete" not in server.runs["run-0"]
    server.fails_at = None
    found = record(server, release, experiment="e")
    assert (found.run_id, found.complete, len(server.runs)) == ("run-0", True, 1)
    assert list_tree(server.root / "run-0" / "release").files == list_tree(made / "out").files


# Only what verifies


def test_a_release_is_registered_once_and_its_alias_moves(server: FakeServer, made: Path, release: TrackedRun) -> None:
    server.versions, server.aliases = [("lesions", "fake:other/release")], {("lesions", "champion"): "1"}
    first, again = registered(server, made, release), registered(server, made, release)
    assert (first.version, first.was_there, first.replaced) == ("2", False, "1")
    assert (again.version, again.was_there, again.replaced) == ("2", True, None)
    assert server.aliases == {("lesions", "champion"): "2"}


def test_without_an_alias_none_moves(server: FakeServer, made: Path, release: TrackedRun) -> None:
    registered(server, made, release, alias=None)
    assert (len(server.versions), server.aliases) == (1, {})


@pytest.mark.parametrize("name", ["model.onnx", "attestations/report.json", "attestations/certificate.sigstore.json"])
def test_a_changed_release_is_not_logged(made: Path, name: str) -> None:
    (made / "out" / name).write_bytes((made / "out" / name).read_bytes() + b" ")
    with pytest.raises(VerificationError):
        track_release(made / "out", demand(made))


def test_a_release_that_a_stranger_signed_is_not_logged(made: Path) -> None:
    (made / "release.pub").write_bytes(STRANGER.public.pem)
    with pytest.raises(VerificationError):
        track_release(made / "out", demand(made))


def test_a_key_within_the_release_is_no_reason_to_trust_it(made: Path) -> None:
    own = Demand(public_key=made / "out/attestations/signer.pub", trust=None, policy_digest=None)
    with pytest.raises(VerificationError, match="lies inside the release"):
        track_release(made / "out", own)


def test_a_copy_that_was_changed_on_the_server_is_never_registered(
    server: FakeServer, made: Path, release: TrackedRun
) -> None:
    record(server, release, experiment="e")
    (server.root / "run-0/release/model.onnx").write_bytes(b"another model")
    with pytest.raises(VerificationError, match="the server's copy of the release does not verify"):
        registered(server, made, release)
    assert (server.versions, server.aliases) == ([], {})


def test_a_copy_of_another_good_release_is_never_registered(
    server: FakeServer, made: Path, release: TrackedRun
) -> None:
    other = dataclasses.replace(release, identity="0" * 64)
    with pytest.raises(VerificationError, match="another release"):
        registered(server, made, other)
    assert (server.versions, server.aliases) == ([], {})


def test_a_run_is_never_registered(server: FakeServer, made: Path) -> None:
    run = track_run(run_of(made))
    logged = record(server, run, experiment="e")
    with pytest.raises(TrackingError, match="no release"):
        register_release(server, logged, run, model="lesions", alias="champion", demand=demand(made))
    assert (server.versions, server.aliases) == ([], {})


# The nouns


def test_a_document_is_no_path() -> None:
    with pytest.raises(InvalidValueError):
        Document(name="../salt", text="")


def test_two_tags_of_one_name_are_a_mistake(made: Path) -> None:
    run = track_run(run_of(made))
    with pytest.raises(InvalidValueError, match="two tags"):
        dataclasses.replace(run, tags=(Entry(name="a", value="1"), Entry(name="a", value="2")))
    with pytest.raises(InvalidValueError):
        Figure(name="epsilon", value=math.inf)
    assert dataclasses.replace(run, release=ReleaseFiles(directory=made, names=())).release


# The command


@pytest.fixture
def command(server: FakeServer, made: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(made)
    monkeypatch.setattr(tracking, "connect", lambda uri: server)
    return ("mlflow", "log", "--tracking-uri", "http://localhost:5000")


KEY = ("--public-key", "release.pub", "--any-policy")


@pytest.mark.slow
def test_the_command_says_what_it_did(command: tuple[str, ...], server: FakeServer, made: Path) -> None:
    run = f"runs/{run_of(made).path.name}"
    assert gatekeeper(*command, run).stdout == "logged: run run-0 of gatekeeper\n"
    assert gatekeeper(*command, run).stdout == "was logged already: run run-0 of gatekeeper\n"
    ran = gatekeeper(*command, "out", *KEY, "--register", "lesions", "--alias", "champion")
    assert (ran.code, ran.stdout.splitlines()) == (
        0,
        ["logged: run run-1 of gatekeeper", "registered: lesions version 1, alias champion"],
    )
    server.aliases["lesions", "champion"] = "7"
    again = gatekeeper(*command, "out", *KEY, "--register", "lesions", "--alias", "champion")
    assert again.stdout.splitlines()[1] == (
        "was registered already: lesions version 1, alias champion (before: version 7)"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("out",), "give one of --public-key, --trust"),
        (("out", "--any-policy"), "give one of --public-key, --trust"),
        (("out", "--public-key", "release.pub"), "one of --policy, --policy-digest, --any-policy"),
        (("out", *KEY, "--alias", "champion"), "add --register"),
        (("out", *KEY, "--register", ""), "a name is not empty"),
        (("RUN", "--register", "lesions"), "only a signed release"),
        (("RUN", "--register", "lesions", "--alias", "champion", *KEY), "only a signed release"),
        (("RUN", "--any-policy"), "only a signed release"),
        (("absent",), "there is no such run directory"),
        (("out/attestations",), "others can read"),
    ],
)
def test_what_can_not_be_is_said_and_nothing_is_logged(
    command: tuple[str, ...], server: FakeServer, made: Path, arguments: tuple[str, ...], says: str
) -> None:
    words = [f"runs/{run_of(made).path.name}" if word == "RUN" else word for word in arguments]
    ran = gatekeeper(*command, *words)
    assert ran.code == 2, ran.stdout
    assert says in ran.stderr
    assert not server.runs


def test_a_release_that_does_not_verify_is_exit_code_4(
    command: tuple[str, ...], server: FakeServer, made: Path
) -> None:
    (made / "out/model.onnx").write_bytes(b"another model")
    ran = gatekeeper(*command, "out", *KEY, "--register", "lesions", "--alias", "champion")
    assert (ran.code, ran.stdout, server.runs) == (4, "", {})


@pytest.mark.slow  # MLflow's client takes seconds to load
@pytest.mark.parametrize(
    ("answer", "says"),
    [("{}", "names no experiment"), ('{"experiment": 3}', "can't be read"), ('{"runs": [{}]}', "names no")],
)
def test_what_is_no_answer_of_mlflows_is_said(answer: str, says: str) -> None:
    pytest.importorskip("mlflow")

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            mlflow = MlflowServer(f"http://127.0.0.1:{server.server_port}")
            with pytest.raises(TrackingError, match=says):
                mlflow.experiment("e")
            if "runs" in answer:
                with pytest.raises(TrackingError, match="names no run"):
                    mlflow.find("1", tag="a", value="b")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("uri", ["ftp://host", "mlruns", "file:///tmp", "http://", "http://host:port", "sqlite:///x"])
def test_what_is_no_address_of_a_server_is_refused(uri: str) -> None:
    with pytest.raises(TrackingError):
        check_uri(uri)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_PASSWORD") as caught:
        check_uri("https://jan:geheim@mlflow.example.org")
    assert "geheim" not in str(caught.value)
