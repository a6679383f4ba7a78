"""What the command line promises where something goes wrong: exit codes, order, places, and who may interrupt."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gatekeeper.cli import output, preflight
from gatekeeper.cli.interrupts import ignore_interrupts, interrupt_on_termination
from gatekeeper.cli.main import boundary
from gatekeeper.cli.passphrase import MOST_BYTES, VARIABLE, read_passphrase
from gatekeeper.cli.worker import work
from gatekeeper.core.codec import encode
from gatekeeper.core.record import Permit
from gatekeeper.core.verdict import Approval, Finding, Refusal
from gatekeeper.errors import GatekeeperError, InternalError, PrivatePartError, RunDirectoryError, SigningError
from gatekeeper.pipeline import child, counting, judgement
from gatekeeper.pipeline import forecasting as forecasting_module
from gatekeeper.rundir import Judgement, RunDirectory
from tests.authorities import DAY, NOW, certificate, pem
from tests.command_line import gatekeeper
from tests.facts import sample_facts, sample_policy
from tests.forecasts import forecasting, sample_forecast
from tests.test_end_to_end import CANDIDATE, PATIENCE, POLICY
from tests.tiny import tiny_candidate

PASSPHRASE = "correct horse"
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """Commands run inside the test process here, and a release ignores signals to the end of its process."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a candidate, a policy, and what looks like an encrypted key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, PASSPHRASE)
    (tmp_path / "candidate.yaml").write_text(CANDIDATE.format(epsilon="1.0e+3"))
    (tmp_path / "policy.yaml").write_text(POLICY.format(minimum="0.1", attempts=1, total=""))
    write_key(tmp_path / "release.key")
    assert gatekeeper("ledger", "init").code == 0
    return tmp_path


def write_key(path: Path, *, kind: str = "ENCRYPTED PRIVATE KEY", mode: int = 0o600) -> None:
    path.write_text(f"-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n")
    path.chmod(mode)


CERTIFY = ("certify", "candidate.yaml", "--policy", "policy.yaml")
SIGNED = (*CERTIFY, "--key", "release.key", "--out", "out")


def finding() -> Finding:
    return Finding(
        rule="accuracy",
        statement="accuracy ≥ 0.1",
        status="passed",
        comparator="≥",
        measured=0.9,
        limit=0.1,
        margin=0.8,
        statistic="lower confidence bound",
        confidence=0.95,
        sample_size=100,
        detail="a detail",
        remedy=None,
    )


APPROVAL = Approval(model_digest="2" * 64, policy_digest="3" * 64, findings=(finding(),))
REFUSAL = Refusal(
    policy_digest="3" * 64,
    findings=(dataclasses.replace(finding(), status="failed", measured=0.05, margin=-0.05, remedy="train better"),),
)


@dataclasses.dataclass
class Stage:
    """Stands for training, judgement and release; tells what was called, in order."""

    calls: list[str]
    verdict: Approval | Refusal = APPROVAL
    during_training: Callable[[RunDirectory], None] = lambda run: None
    during_release: Callable[[], None] = lambda: None
    policies: list[str] = dataclasses.field(default_factory=list)
    objection: str | None = None
    everything: list[str] = dataclasses.field(default_factory=list)

    def run_private_part(self, run: RunDirectory, task: str, *, quiet: bool = False, device: str = "auto") -> None:
        self.everything.append(task)
        if task == "plan":
            return
        self.calls.append(task)
        self.during_training(run)

    def reserve(self, run: RunDirectory, policy: object, ledger: object, *, lock: object = None) -> counting.Permission:
        self.everything.append("reserve")
        permit = Permit(attempt=1) if self.objection is None else None
        return counting.Permission(permit=permit, objection=self.objection)

    def settle(self, run: RunDirectory, ledger: object, *, permit: Permit) -> None:
        self.everything.append("settle")

    def conclude(self, run: RunDirectory, ledger: object, conclusion: str, detail: str = "") -> None:
        self.everything.append(f"{conclusion} {detail}".strip())

    def judge(self, run: RunDirectory, *, policy: object, candidate: object, endorsed: object = None) -> Judgement:
        self.calls.append("judge")
        self.everything.append("judge")
        return Judgement(created="2026-01-01T00:00:00Z", facts=sample_facts(), verdict=self.verdict)

    def release(
        self, run: RunDirectory, *, policy: object, candidate: object, key: object, out: Path, endorsed: object = None
    ) -> None:
        self.calls.append("release")
        self.policies.append(encode(policy))
        self.during_release()


@pytest.fixture
def stage(here: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage([])
    monkeypatch.setattr(child, "run_private_part", stage.run_private_part)
    for name in ("reserve", "settle", "conclude"):
        monkeypatch.setattr(counting, name, getattr(stage, name))
    monkeypatch.setattr(judgement, "judge", stage.judge)
    monkeypatch.setattr(judgement, "release", stage.release)
    return stage


def new_run(root: Path) -> RunDirectory:
    return RunDirectory.create(root, policy=sample_policy(), candidate=tiny_candidate())


# Usage


def test_an_expired_certificate_of_the_key_stops_both_commands_before_anything_runs(stage: Stage, here: Path) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    expired = certificate(private, "gate", uses=(), begins=NOW - 9 * DAY, ends=NOW - DAY)
    (here / "chain.pem").write_text(pem(expired))
    run = str(new_run(here / "runs").path)
    sign = ("sign", run, "--policy", "policy.yaml", "--key", "release.key", "--out", "out")
    for command in (SIGNED, sign):
        ran = gatekeeper(*command, "--certificate", "chain.pem")
        assert ran.code == 4
        assert "chain.pem: the certificate of CN=gate has expired" in ran.stderr
    assert gatekeeper(*CERTIFY, "--no-sign", "--certificate", "chain.pem").code == 2
    assert stage.everything == []


@pytest.mark.parametrize(
    "extra", [("--key", "release.key", "--out", "out"), ("--key", "release.key"), ("--out", "out")]
)
def test_no_sign_with_a_key_or_a_place_is_refused_and_signs_nothing(stage: Stage, extra: tuple[str, ...]) -> None:
    assert gatekeeper(*CERTIFY, "--no-sign", *extra).code == 2
    assert stage.calls == []


def test_a_dry_run_with_a_key_does_not_sign(stage: Stage) -> None:
    stage.during_training = forecasting(sample_forecast())
    ran = gatekeeper(*SIGNED, "--dry-run")
    assert ran.code == 0, ran.stderr
    assert stage.calls == ["forecast"]
    assert "ε ≤ 123.457" in ran.stdout


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_key_without_a_name_is_a_usage_error(here: Path, name: str) -> None:
    ran = gatekeeper("keys", "generate", name)
    assert ran.code == 2
    assert "Traceback" not in ran.stderr


def test_init_needs_two_files_and_leaves_nothing_half_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gatekeeper("init", "data", "--candidate", "x.yaml", "--policy", "./x.yaml").code == 2
    monkeypatch.setattr("gatekeeper.pipeline.inputs.starter_files", lambda data: ("a", "b"))
    ran = gatekeeper("init", "data", "--candidate", "x.yaml", "--policy", "no/y.yaml")
    assert ran.code == 2
    assert "no/y.yaml" in ran.stderr
    assert not (here / "x.yaml").exists()
    assert gatekeeper("init", "data", "--candidate", "x.yaml", "--policy", "y.yaml").code == 0
    assert ((here / "x.yaml").read_text(), (here / "y.yaml").read_text()) == ("a", "b")


# Exit codes


def test_only_a_commands_own_exit_gives_1(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: BaseException) -> int:
        def action() -> None:
            raise error

        return boundary(action)

    assert raising(click.exceptions.Exit(1)) == 1
    assert raising(SystemExit(1)) == 5
    assert raising(SystemExit(0)) == 0
    assert raising(BrokenPipeError()) == 5
    assert raising(click.ClickException("exits with 1 by default")) == 2
    assert raising(click.FileError("name")) == 2
    assert raising(ZeroDivisionError()) == 5
    assert raising(SigningError("no")) == 4
    assert raising(KeyboardInterrupt()) == 130
    assert "nothing was released" not in capsys.readouterr().err


PIPES = """
import os, sys
import click
import importlib
cli = importlib.import_module("gatekeeper.cli.main")
@cli.app.command()
def speak():
    {body}
sys.argv = ["gatekeeper", "speak"]
cli.main()
"""


@pytest.mark.parametrize(
    ("body", "stream", "code"),
    [
        ("click.echo('x')", "stdout", 5),  # the reader has gone
        ("1 / 0", "stderr", 5),  # the traceback has no reader
        ("raise click.exceptions.Exit(3)", "stdout", 3),
        ("raise click.UsageError('no')", "stderr", 2),
    ],
)
def test_a_reader_that_has_gone_never_gives_1_or_120(body: str, stream: str, code: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writing}
    command = [sys.executable, "-c", PIPES.format(body=body)]
    assert subprocess.run(command, check=False, timeout=PATIENCE, **streams).returncode == code  # type: ignore[call-overload]
    os.close(writing)


def test_no_file_becomes_a_standard_stream_that_was_closed() -> None:
    body = "assert os.open('/', os.O_RDONLY) > 2; print('x'); raise click.exceptions.Exit(3)"
    command = [sys.executable, "-c", PIPES.format(body=body)]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    assert subprocess.run(closed, check=False, timeout=PATIENCE).returncode == 3


def test_a_narrow_encoding_prints_what_it_can() -> None:
    command = [sys.executable, "-c", PIPES.format(body="click.echo('ε')")]
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=PATIENCE)
    assert (ran.returncode, ran.stdout) == (0, b"\\u03b5\n")


# Order: release, then print


def test_an_approval_is_released_before_it_is_printed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.cli.certify.deliver", lambda outputs: stage.calls.append("print"))
    assert gatekeeper(*SIGNED).code == 0
    assert stage.calls == ["produce", "judge", "release", "print"]


@pytest.mark.parametrize(("verdict", "code"), [(APPROVAL, 0), (REFUSAL, 1)])
def test_the_verdict_decides_the_exit_code_whatever_can_be_written(
    stage: Stage, here: Path, verdict: Approval | Refusal, code: int
) -> None:
    stage.verdict = verdict
    stage.during_training = lambda run: (here / "reports").rename(here / "gone")  # type: ignore[assignment,return-value]
    (here / "reports").mkdir()
    ran = gatekeeper(*SIGNED, "-o", "json:reports/r.json", "-o", "text:report.txt")
    assert ran.code == code, ran.stderr
    assert "warning: reports/r.json" in ran.stderr
    assert (here / "report.txt").exists()
    assert ("release" in stage.calls) == (code == 0)


def test_a_full_stdout_is_a_warning(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        output.deliver((output.Output(path=None, text="x\n"),))
    assert "warning: the report can't be printed" in capsys.readouterr().err


def test_a_failure_to_sign_says_that_the_run_is_kept_and_how_to_sign_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (SigningError("wrong passphrase", hint="try again"), RunDirectoryError("full")):
        monkeypatch.setenv(VARIABLE, "pp")
        stage.during_release = raiser(error)
        ran = gatekeeper(*SIGNED)
        assert ran.code == error.exit_code
        last = ran.stderr.strip().splitlines()[-1]
        assert "the run is approved and kept: gatekeeper sign .gatekeeper/runs/" in last
        assert last.endswith("--policy policy.yaml --key release.key --out out")
    stage.during_release = raiser(OSError(28, "No space left on device"))
    monkeypatch.setenv(VARIABLE, "pp")
    ran = gatekeeper(*SIGNED)
    assert ran.code == 4
    assert "approved and kept" in ran.stderr


def raiser(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_without_a_key_the_command_that_signs_is_named(stage: Stage) -> None:
    ran = gatekeeper(*CERTIFY, "--no-sign")
    assert ran.code == 0
    assert "--policy policy.yaml --key KEY --out DIR" in ran.stderr


# What is known before the training


@pytest.mark.parametrize(
    "target", ["missing/report.json", "out/report.json", "out", ".", "link/report.json", "policy.yaml/report.json"]
)
def test_a_report_that_can_not_be_written_is_found_before_the_training(stage: Stage, here: Path, target: str) -> None:
    (here / "link").symlink_to(here / "out")
    ran = gatekeeper(*SIGNED, "-o", f"json:{target}")
    assert ran.code == 2
    assert target in ran.stderr
    assert stage.calls == []


def _no_key(here: Path) -> None:
    (here / "release.key").unlink()


def _pipe(here: Path) -> None:
    _no_key(here)
    os.mkfifo(here / "release.key", 0o600)


@pytest.mark.parametrize(
    ("spoil", "fragment"),
    [
        (_no_key, "no such key"),
        (_pipe, "not a regular file"),
        (lambda here: (here / "release.key").chmod(0o640), "chmod 600"),
        (lambda here: write_key(here / "release.key", kind="PUBLIC KEY"), "no private key"),
        (lambda here: write_key(here / "release.key", kind="PRIVATE KEY"), "not encrypted"),
        (lambda here: os.environ.pop(VARIABLE), "no passphrase was given"),
        (lambda here: os.environ.update({VARIABLE: ""}), "passphrase is empty"),
        (lambda here: (here / "out").mkdir(), "never overwritten"),
        (lambda here: (here / "out").symlink_to("nowhere"), "never overwritten"),
    ],
)
def test_what_would_spoil_the_signature_is_found_before_the_training(
    stage: Stage, here: Path, spoil: Callable[[Path], object], fragment: str
) -> None:
    spoil(here)
    ran = gatekeeper(*SIGNED)
    assert ran.code == 4
    assert fragment in ran.stderr
    assert stage.calls == []
    assert not (here / ".gatekeeper/runs").exists()


def test_a_release_on_another_file_system_is_found_before_the_training(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_nearest", lambda path: Path("/proc"))
    ran = gatekeeper(*SIGNED)
    assert ran.code == 4
    assert "another file system" in ran.stderr
    assert stage.calls == []


def test_an_unwritable_place_for_runs_is_named(stage: Stage, here: Path) -> None:
    (here / "file").write_text("")
    ran = gatekeeper(*SIGNED, "--runs", "file/runs")
    assert ran.code == 2
    assert "file/runs" in ran.stderr


# Passphrases


def test_a_passphrase_that_comes_in_pieces_is_read_to_the_newline_or_the_end() -> None:
    for pieces in ((b"correct ", b"horse\n"), (b"correct ", b"horse")):
        reading, writing = os.pipe()

        def write(pieces: tuple[bytes, ...] = pieces, writing: int = writing) -> None:
            for piece in pieces:
                os.write(writing, piece)
                time.sleep(0.05)
            os.close(writing)

        writer = threading.Thread(target=write)
        writer.start()
        assert read_passphrase(reading) == b"correct horse"
        writer.join()
        os.close(reading)


def test_a_passphrase_is_bytes_and_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, os.fsdecode(b"\xff\xfe"))
    assert read_passphrase(None) == b"\xff\xfe"
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("passphrase", ["", "s3cret" * 200])
def test_an_unusable_passphrase_is_refused_and_not_printed(monkeypatch: pytest.MonkeyPatch, passphrase: str) -> None:
    monkeypatch.setenv(VARIABLE, passphrase)
    with pytest.raises(SigningError) as caught:
        read_passphrase(None)
    assert "s3cret" not in str(caught.value)
    assert len(passphrase) == 0 or str(MOST_BYTES) in str(caught.value)


def test_a_descriptor_out_of_range_is_a_usage_error(stage: Stage) -> None:
    assert gatekeeper(*SIGNED, "--passphrase-fd", str(2**40)).code == 2
    assert gatekeeper(*SIGNED, "--passphrase-fd", "-1").code == 2


# Signing by the key's holder


def test_sign_takes_the_policy_of_the_keys_holder(stage: Stage, here: Path) -> None:
    from gatekeeper.pipeline.inputs import read_policy

    run = new_run(here / "runs")
    arguments = ("sign", str(run.path), "--key", "release.key", "--out", "out")
    assert gatekeeper(*arguments).code == 2
    assert stage.calls == []
    assert gatekeeper(*arguments, "--policy", "policy.yaml").code == 0
    assert stage.policies == [encode(read_policy(here / "policy.yaml"))]


def test_a_release_inside_its_run_is_refused(stage: Stage, here: Path) -> None:
    run = new_run(here / "runs")
    (here / "alias").symlink_to(run.path)
    for out in (run.path / "out", here / "alias" / "out"):
        arguments = ("sign", str(run.path), "--policy", "policy.yaml", "--key", "release.key", "--out", str(out))
        assert gatekeeper(*arguments).code == 2
    assert stage.calls == []


# Interrupts and locks


def test_the_run_is_locked_from_the_training_to_the_release(stage: Stage, here: Path) -> None:
    locked = []

    def probe(*_: object) -> None:
        (run,) = (here / ".gatekeeper/runs").iterdir()
        try:
            with RunDirectory(run).lock():
                locked.append(False)
        except RunDirectoryError:
            locked.append(True)

    stage.during_training = stage.during_release = probe
    assert gatekeeper(*SIGNED).code == 0
    assert locked == [True, True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_interrupts_a_release(stage: Stage, number: int) -> None:
    interrupt_on_termination()
    stage.during_release = lambda: signal.raise_signal(number)
    ran = gatekeeper(*SIGNED)
    assert ran.code == 0, ran.stderr
    assert "released" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_training_can_be_interrupted_and_nothing_is_claimed(stage: Stage, here: Path, number: int) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test run under nohup ignores it,
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and one in a shell's background this one
    interrupt_on_termination()
    stage.during_training = lambda run: signal.raise_signal(number)
    ran = gatekeeper(*SIGNED)
    assert ran.code == 130
    (run,) = (here / ".gatekeeper/runs").iterdir()
    command = f"gatekeeper {' '.join(SIGNED)} --resume {run.relative_to(here)}"
    assert ran.stderr.strip().endswith(f"interrupted; to go on: {command}")
    assert stage.calls == ["produce"]


def test_what_an_interrupted_run_has_done_is_not_done_again(
    stage: Stage, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reserve_again(run: RunDirectory, policy: object, ledger: object, *, lock: object = None) -> counting.Permission:
        stage.everything.append("reserve again")
        return counting.Permission(permit=Permit(attempt=1), objection=None)

    def interrupt(run: RunDirectory) -> None:
        for name in ("planned.json", "permit.json", "evidence.json"):
            (run.path / name).write_text("{}")
        run.training.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(counting, "reserve_again", reserve_again)
    stage.during_training = interrupt
    assert gatekeeper(*CERTIFY, "--no-sign").code == 130
    stage.everything.clear()
    ran = gatekeeper(*CERTIFY, "--no-sign", "--resume")
    assert ran.code == 0, ran.stderr
    assert "trained and measured, to be judged" in ran.stderr
    assert stage.everything == ["reserve again", "settle", "judge", "approved"]
    (run,) = (here / ".gatekeeper/runs").iterdir()
    assert not (run / "training").exists()


def test_a_child_that_was_killed_leaves_a_run_that_can_go_on_and_the_error_says_how(stage: Stage) -> None:
    def die(run: RunDirectory) -> None:
        raise InternalError("the training process was killed")

    stage.during_training = die
    ran = gatekeeper(*CERTIFY, "--no-sign", "-o", "json:report.json")
    assert ran.code == 5
    command = f"gatekeeper {' '.join(CERTIFY)} --no-sign --output json:report.json --resume .gatekeeper/runs/"
    assert command in ran.stderr


def test_a_dry_run_reads_what_others_vouch_for(stage: Stage) -> None:
    for option in ("--waivers", "--trust"):
        ran = gatekeeper(*CERTIFY, "--dry-run", option, "absent.yaml")
        assert ran.code == 2
        assert "absent.yaml" in ran.stderr
    assert gatekeeper(*CERTIFY, "--dry-run", "--lock", "absent.yaml").code == 2


def test_a_dry_run_has_nothing_to_resume(stage: Stage) -> None:
    ran = gatekeeper(*CERTIFY, "--dry-run", "--resume")
    assert ran.code == 2
    assert "nothing to --resume" in ran.stderr
    assert stage.everything == []


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupt_on_termination()
    signal.raise_signal(signal.SIGHUP)
    ignore_interrupts()
    signal.raise_signal(signal.SIGTERM)


# The child


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return new_run(tmp_path / "runs")


@pytest.fixture
def as_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the child run a script of ours instead of the worker."""

    def install(script: str) -> None:
        package = tmp_path / "stand_in.py"
        package.write_text("import os, subprocess, sys, time\ntask, run, parent = sys.argv[1:4]\n" + script)
        shim = tmp_path / "python"
        shim.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} {package} "$@"\n')
        shim.chmod(0o700)
        monkeypatch.setattr(child.sys, "executable", str(shim))

    return install


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """Whether a process ends."""
    deadline = time.monotonic() + 120
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_nothing_in_the_current_directory_runs_in_the_child(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("click", "numpy", "onnxruntime", "gatekeeper"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (run.path / "candidate.json").write_text("{}")
    with pytest.raises(PrivatePartError, match=r"candidate\.json was changed"):
        child.run_private_part(run, "forecast")
    assert not (tmp_path / "ran").exists()


def test_the_parent_is_closed_before_the_child_starts(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_DUMPABLE, 1)
    seen = []

    def start(*_: object, **__: object) -> None:
        seen.append(prctl(PR_GET_DUMPABLE))
        raise ZeroDivisionError

    monkeypatch.setattr(child.subprocess, "Popen", start)
    with pytest.raises(ZeroDivisionError):
        child.run_private_part(run, "forecast")
    prctl(PR_SET_DUMPABLE, 1)
    assert seen == [0]


@pytest.mark.parametrize("code", [0, 1, 256, -1, 999])
def test_a_child_can_not_report_a_verdict(run: RunDirectory, as_child: Callable[[str], None], code: int) -> None:
    failure = f'{{"code":"c","exit_code":{code},"hint":null,"message":"m","where":null}}'
    as_child(f"open(run + '/failure.json', 'w').write({failure!r} + chr(10)); sys.exit(1)")
    with pytest.raises(InternalError, match="exit_code must be one of") as caught:
        child.run_private_part(run, "produce")
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(("code", "expected"), [(2, 2), (3, 3), (130, 130)])
def test_a_childs_failure_is_the_commands(
    run: RunDirectory, as_child: Callable[[str], None], code: int, expected: int
) -> None:
    failure = f'{{"code":"c","exit_code":{code},"hint":null,"message":"m","where":null}}'
    as_child(f"open(run + '/failure.json', 'w').write({failure!r} + chr(10)); sys.exit(1)")
    with pytest.raises(PrivatePartError) as caught:
        child.run_private_part(run, "produce")
    assert caught.value.exit_code == expected


@pytest.mark.parametrize(
    "ending", ["sys.exit(1)", "sys.exit(7)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 40)"]
)
def test_a_child_that_says_nothing_is_a_bug(run: RunDirectory, as_child: Callable[[str], None], ending: str) -> None:
    as_child(ending)
    with pytest.raises(InternalError):
        child.run_private_part(run, "produce")


def test_what_the_child_started_ends_with_it_and_its_twin_is_removed(
    run: RunDirectory, as_child: Callable[[str], None]
) -> None:
    as_child(
        "open(run + '/twin.onnx', 'w'); os.mkdir(run + '/twin-data')\n"
        "left = subprocess.Popen(['sleep', '3600'])\n"
        "open(run + '/pid', 'w').write(str(left.pid))\n"
    )
    child.run_private_part(run, "produce")
    assert ends(int((run.path / "pid").read_text()))
    assert not list(run.path.glob("twin*"))


def test_an_interrupt_ends_a_child_that_does_not_stop_and_what_it_started(
    run: RunDirectory, as_child: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PATIENCE_SECONDS", 0.2)
    as_child(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "left = subprocess.Popen(['sleep', '3600'])\n"
        "open(run + '/twin.onnx', 'w')\n"
        "open(run + '/pids', 'w').write(f'{os.getpid()} {left.pid}')\n"
        "os.kill(int(parent), signal.SIGTERM); time.sleep(3600)\n"
    )
    interrupt_on_termination()
    with pytest.raises(KeyboardInterrupt):
        child.run_private_part(run, "produce")
    assert all(ends(int(pid)) for pid in (run.path / "pids").read_text().split())
    assert not (run.path / "twin.onnx").exists()


def test_an_interrupted_child_may_finish_its_step(run: RunDirectory, as_child: Callable[[str], None]) -> None:
    as_child(
        "import signal\n"
        "def stop(number, frame):\n"
        "    time.sleep(0.3); open(run + '/kept', 'w'); sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "os.kill(int(parent), signal.SIGINT); time.sleep(3600)\n"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        child.run_private_part(run, "produce")
    assert (run.path / "kept").exists()


def test_a_second_interrupt_does_not_wait(run: RunDirectory, as_child: Callable[[str], None]) -> None:
    as_child(
        "import signal\n"
        "signal.signal(signal.SIGTERM, lambda *_: os.kill(int(parent), signal.SIGINT))\n"
        "open(run + '/pid', 'w').write(str(os.getpid()))\n"
        "os.kill(int(parent), signal.SIGINT)\n"
        "while True: time.sleep(3600)\n"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        child.run_private_part(run, "produce")
    assert ends(int((run.path / "pid").read_text()))


def test_a_child_that_was_interrupted_itself_interrupts_its_parent(
    run: RunDirectory, as_child: Callable[[str], None]
) -> None:
    as_child("import signal; os.kill(os.getpid(), signal.SIGTERM); time.sleep(3600)")
    with pytest.raises(KeyboardInterrupt):
        child.run_private_part(run, "produce")


PARENT = """
import subprocess, sys
code = "from gatekeeper.pipeline.child import die_with_parent; import os, sys, time; die_with_parent({parent}); " \\
    "print(os.getpid(), flush=True); time.sleep(3600)"
process = subprocess.Popen([sys.executable, "-c", code])
process.wait()
print("ended", process.returncode, flush=True)
"""


def test_the_child_dies_with_a_parent_that_is_killed() -> None:
    command = [sys.executable, "-c", PARENT.format(parent="os.getppid()")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert ends(pid)


def test_a_child_whose_parent_is_gone_already_does_nothing() -> None:
    command = [sys.executable, "-c", PARENT.format(parent="1")]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
    assert ran.stdout == "ended -9\n"


def test_the_worker_removes_the_twin_and_leaves_the_lock_to_its_parent(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: RunDirectory, progress: object, *, device: str) -> object:
        (run.path / "twin.onnx").write_bytes(b"")
        raise GatekeeperError("stop")

    monkeypatch.setattr(forecasting_module, "forecast", fail)
    with run.lock(), pytest.raises(click.exceptions.Exit):
        work("forecast", run.path, quiet=True, device="cpu")
    assert not list(run.path.glob("twin*"))


# The ledger


def test_a_run_is_counted_before_its_first_step_and_settled_before_it_is_judged(stage: Stage) -> None:
    assert gatekeeper(*CERTIFY, "--no-sign").code == 0
    assert stage.everything == ["plan", "reserve", "produce", "settle", "judge", "approved"]


def test_what_the_policy_declines_is_not_trained(stage: Stage) -> None:
    stage.objection = "the total would be too large"
    ran = gatekeeper(*CERTIFY, "--no-sign")
    assert ran.code == 1
    assert "REFUSED before its first step: the total would be too large" in ran.stderr
    assert stage.everything == ["plan", "reserve"]


@pytest.mark.parametrize(
    ("error", "said"),
    [(GatekeeperError("no"), "failed gatekeeper-error"), (KeyboardInterrupt(), "failed interrupted")],
)
def test_a_run_that_fails_is_concluded_and_never_settled(stage: Stage, error: BaseException, said: str) -> None:
    def fail(run: RunDirectory) -> None:
        raise error

    stage.during_training = fail
    assert gatekeeper(*CERTIFY, "--no-sign").code not in (0, 1)
    assert stage.everything == ["plan", "reserve", "produce", said]


# Runs


def test_a_broken_run_is_listed_as_unreadable_and_the_list_goes_on(here: Path) -> None:
    first, second, _ = sorted((new_run(here / "runs") for _ in range(3)), key=lambda run: run.path)
    first.path.chmod(0o755)
    (second.path / "judgement.json").write_text("{}")
    ran = gatekeeper("runs", "list", "--runs", "runs")
    assert ran.code == 0
    assert [line.split()[-1] for line in ran.stdout.splitlines()] == ["unreadable", "unreadable", "unfinished"]


def test_prune_deletes_what_is_certainly_a_run_and_nothing_else(here: Path) -> None:
    root = here / "runs"
    sound, salty, held = new_run(root), new_run(root), new_run(root)
    (salty.path / "salt").write_bytes(b"short")
    other = new_run(root)
    photos = other.path.rename(root / "photos")
    stranger = new_run(root)
    (stranger.path / "policy.json").write_text("{}")
    with held.lock():
        ran = gatekeeper("runs", "prune", "--runs", "runs", "--keep", "0", "--yes")
    assert ran.code == 0, ran.stderr
    assert not sound.path.exists()
    assert all(path.exists() for path in (salty.path, held.path, photos, stranger.path))
    for run in (salty, held, stranger):
        assert f"left alone: {run.path.relative_to(here)}" in ran.stderr


def test_prune_without_a_terminal_needs_yes(here: Path) -> None:
    run = new_run(here / "runs")
    ran = gatekeeper("runs", "prune", "--runs", "runs", "--keep", "0")
    assert ran.code == 2
    assert "--yes" in ran.stderr
    assert run.path.exists()


# Really trained


def _certify(here: Path, *extra: str, **streams: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gatekeeper", *CERTIFY, "--no-sign", *extra]
    return subprocess.Popen(command, cwd=here, stdin=subprocess.DEVNULL, **streams)  # type: ignore[call-overload]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_a_signal_to_certify_ends_the_training(here: Path, number: int, code: int) -> None:
    with _certify(here, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as parent:
        assert parent.stderr is not None
        while not (line := parent.stderr.readline()).endswith(b"training\n"):
            assert line
        (worker,) = _children(parent.pid)
        assert os.getpgid(worker) == worker
        parent.send_signal(number)
        assert parent.wait(timeout=PATIENCE) == code
    assert ends(worker)


@pytest.mark.slow
def test_the_model_is_its_owners_alone_and_a_full_stdout_does_not_change_the_verdict(here: Path) -> None:
    with open("/dev/full", "wb") as full, _certify(here, "-q", stdout=full, stderr=subprocess.PIPE) as parent:
        _, stderr = parent.communicate(timeout=PATIENCE)
    assert parent.returncode == 0, stderr
    assert b"warning: the report can't be printed" in stderr
    (model,) = here.rglob("model.onnx")
    assert model.stat().st_mode & 0o777 == 0o600
