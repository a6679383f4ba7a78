"""A real MLflow server is told of a run and a release, as docs/mlflow.md says, and nothing private arrives."""

from __future__ import annotations

import contextlib
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gatekeeper.config import render_policy
from gatekeeper.signing.files import list_tree
from tests.coherent import coherent_policy
from tests.coherent_release import MODEL, SECRET, coherent_release
from tests.command_line import Ran, gatekeeper

pytestmark = pytest.mark.interop

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "mlflow.md").read_text(encoding="utf-8")
PATIENCE = 300.0
KEY = ("--public-key", "release.pub", "--policy", "policy.yaml")


def _program() -> Path:
    path = os.environ.get("GATEKEEPER_MLFLOW")
    if not path:
        pytest.skip("GATEKEEPER_MLFLOW names no program")
    return Path(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Place:
    """A folder with runs/, a release, a key and a policy; and a server with an SQLite database."""

    def __init__(self, path: Path, uri: str) -> None:
        self.path, self.uri = path, uri
        self.run, out = coherent_release(path)
        shutil.move(out, path / "release")
        (path / "policy.yaml").write_text(render_policy(coherent_policy()), encoding="utf-8")

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the guide."""
        programs = f"{Path(sys.executable).parent}{os.pathsep}{_program().parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": programs, "MLFLOW_TRACKING_URI": self.uri}
        return subprocess.run(
            line, shell=True, cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )

    def log(self, *arguments: str, uri: str | None = None) -> Ran:
        """Run the command in this process: MLflow's client takes seconds to load."""
        with contextlib.chdir(self.path):
            return gatekeeper("mlflow", "log", *arguments, "--tracking-uri", uri or self.uri)

    def stored(self) -> list[Path]:
        return [path for path in (self.path / "server").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("mlflow")
    server, port = root / "server", _free_port()
    server.mkdir()
    command = [
        *(str(_program()), "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{server}/mlflow.db", "--artifacts-destination", str(server / "artifacts")),
    ]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet["PATH"] = f"{_program().parent}{os.pathsep}{quiet['PATH']}"
    with (
        (root / "log").open("w") as log,
        subprocess.Popen(command, cwd=server, env=quiet, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/health", process)
            yield Place(root, f"http://127.0.0.1:{port}")
        finally:
            os.killpg(process.pid, 15)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the server did not answer")


def _lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, flags=re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if not line.startswith(("pip ", "export "))]


def test_every_command_of_the_guide_works_in_order(place: Place) -> None:
    lines = _lines()
    assert len(lines) == 5
    shutil.copytree(place.path / "runs", place.path / ".gatekeeper" / "runs")
    for line in lines:
        ran = place.shell(line.replace("RUN", place.run.path.name))
        assert ran.returncode == 0, (line, ran.stderr)
    assert list_tree(place.path / "champion").files == list_tree(place.path / "release").files
    assert "VERIFIED champion" in ran.stdout


def test_logging_again_finds_what_is_there(place: Place) -> None:
    run = str(place.run.path)
    first, again = place.log(run, "--experiment", "again"), place.log(run, "--experiment", "again")
    assert (first.code, again.code) == (0, 0), first.stderr + again.stderr
    assert first.stdout.startswith("logged: run ")
    assert again.stdout == first.stdout.replace("logged: run", "was logged already: run")
    assert not first.stderr


def test_a_new_version_takes_the_alias_over_and_the_same_one_stays(place: Place) -> None:
    for experiment, says in (
        ("one", "registered: scans version 1, alias best"),
        ("one", "was registered already: scans version 1, alias best"),
        ("two", "registered: scans version 2, alias best (before: version 1)"),
    ):
        ran = place.log("release", *KEY, "--experiment", experiment, "--register", "scans", "--alias", "best")
        assert (ran.code, ran.stdout.splitlines()[-1:]) == (0, [says]), ran.stderr


def test_a_copy_that_was_changed_on_the_server_gets_no_version_and_no_alias(place: Place) -> None:
    assert place.log("release", *KEY, "--experiment", "changed").code == 0
    newest = max(
        (path for path in place.stored() if path.name == "model.onnx"), key=lambda path: path.stat().st_mtime_ns
    )
    newest.write_bytes(b"another model")
    ran = place.log("release", *KEY, "--experiment", "changed", "--register", "changed", "--alias", "best")
    assert ran.code == 4
    assert "the server's copy of the release does not verify" in ran.stderr
    newest.write_bytes(MODEL)
    ran = place.log("release", *KEY, "--experiment", "changed", "--register", "changed", "--alias", "best")
    assert "registered: changed version 1, alias best" in ran.stdout


def test_nothing_private_arrived(place: Place) -> None:
    assert place.log(str(place.run.path), "--experiment", "private").code == 0
    assert place.log("release", *KEY, "--experiment", "private").code == 0
    names = {path.name for path in place.stored()}
    assert not names & {"salt", "identities.json", "evidence.json", "ledger.json", "annex.png", "judgement.json"}
    for path in place.stored():
        content = path.read_bytes()
        for private in (
            SECRET.encode(),
            place.run.salt,
            place.run.salt.hex().encode(),
            str(place.path / "runs").encode(),
        ):
            assert private not in content, path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--register", "a/b"), "Names cannot contain"),
        (("--register", "scans", "--alias", "v1"), "reserved"),
    ],
)
def test_names_that_the_server_refuses_are_said(place: Place, arguments: tuple[str, ...], says: str) -> None:
    ran = place.log("release", *KEY, *arguments)
    assert ran.code == 2
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_server_that_is_away_or_no_server_is_an_error_within_seconds(place: Place) -> None:
    began = time.monotonic()
    away = place.log(str(place.run.path), uri=f"http://127.0.0.1:{_free_port()}")
    assert (away.code, "is the server running, and reachable?" in away.stderr) == (2, True)
    assert time.monotonic() - began < 120
    other = place.log(str(place.run.path), uri=f"{place.uri}/elsewhere")
    assert (other.code, "is this the address of a tracking server?" in other.stderr) == (2, True)


@pytest.mark.parametrize(("code", "says"), [(401, "sign in"), (403, "sign in"), (400, "400"), (500, "500")])
def test_what_a_server_answers_is_said(place: Place, code: int, says: str) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.send_error(code)

        do_GET = do_POST = do_PUT = _refuse  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            ran = place.log(str(place.run.path), uri=f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert ran.code == 2, ran.stderr
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_the_extra_the_error_says_how_to_install_it(place: Place) -> None:
    code = (
        "import sys; sys.modules['mlflow'] = None; from gatekeeper.cli.main import main; "
        f"sys.argv = ['gatekeeper', 'mlflow', 'log', {str(place.run.path)!r}, '--tracking-uri', {place.uri!r}]; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert 'pip install "gatekeeper[mlflow]"' in ran.stderr


def test_the_policy_that_must_have_passed_is_demanded(place: Place) -> None:
    other = yaml.safe_load((place.path / "policy.yaml").read_text())
    other["metadata"]["version"] = 99
    (place.path / "other.yaml").write_text(yaml.safe_dump(other))
    ran = place.log("release", "--public-key", "release.pub", "--policy", "other.yaml")
    assert ran.code == 4
    assert "not the policy with digest" in ran.stderr
