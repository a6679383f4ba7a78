"""What a shell is told when it asks how a command line could go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from gatekeeper.cli.completion import SHELLS, VARIABLE
from gatekeeper.cli.main import app
from gatekeeper.cli.output import FORMATS
from gatekeeper.rundir import RunDirectory
from tests.command_line import gatekeeper
from tests.facts import sample_policy
from tests.test_architecture import HEAVY
from tests.test_end_to_end import POLICY
from tests.tiny import tiny_candidate


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def completed(line: str) -> list[str]:
    """What bash is told: `type,value` for each completion of the last word, by click's protocol."""
    words = line.split(" ")
    environment = {VARIABLE: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    result = CliRunner().invoke(app, env=environment, prog_name="gatekeeper")
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_commands_options_and_choices_are_completed() -> None:
    assert completed("gatekeeper cert") == ["plain,certify"]
    assert completed("gatekeeper certify --dry-r") == ["plain,--dry-run", "plain,--dry-run-schema"]
    assert completed("gatekeeper certify x.yaml --format ") == [f"plain,{name}" for name in FORMATS]
    assert completed("gatekeeper completion ") == [f"plain,{name}" for name in SHELLS]


def test_report_formats_come_before_files() -> None:
    assert completed("gatekeeper report RUN -o j") == ["plain,json:", "plain,junit:"]
    assert completed("gatekeeper report RUN -o json:rep") == ["file,json:rep"]


def _runs(folder: str = ".gatekeeper/runs") -> list[str]:
    made = [RunDirectory.create(Path(folder), policy=sample_policy(), candidate=tiny_candidate()) for _ in range(2)]
    return [f"plain,{run.path}" for run in sorted(made, key=lambda run: run.path.name, reverse=True)]


@pytest.mark.parametrize("command", ["report", "explain", "sign", "refuse", "certify x.yaml --resume"])
def test_runs_are_completed_newest_first_by_path_or_by_name(command: str) -> None:
    runs = _runs()
    assert completed(f"gatekeeper {command} ") == runs
    assert completed(f"gatekeeper {command} .gatekeeper/r") == runs
    name = Path(runs[0]).name
    assert completed(f"gatekeeper {command} {name[:-1]}") == runs[:1]
    assert completed(f"gatekeeper {command} other") == ["dir,other"]


def test_runs_are_those_below_the_runs_that_were_named() -> None:
    _runs()
    there = _runs("elsewhere")
    assert completed("gatekeeper certify x.yaml --runs elsewhere --resume ") == there


def test_a_broken_run_is_not_offered() -> None:
    runs = _runs()
    Path(runs[0].removeprefix("plain,")).chmod(0o755)
    assert completed("gatekeeper report ") == runs[1:]


def test_policies_and_candidates_are_yaml_files_a_few_folders_down() -> None:
    for name in (
        "a.yaml",
        "b.txt",
        "policies/demo.yml",
        "policies/team/strict.yaml",
        ".hidden/c.yaml",
        "d/e/f/g/h.yaml",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    every = ["plain,a.yaml", "plain,policies/demo.yml", "plain,policies/team/strict.yaml"]
    for command in (
        "certify",
        "certify x.yaml --policy",
        "policy validate",
        "frontier",
        "candidate validate",
        "policy diff",
    ):
        assert completed(f"gatekeeper {command} ") == every
        assert completed(f"gatekeeper {command} pol") == every[1:]
        assert completed(f"gatekeeper {command} policies/te") == every[2:]
        assert completed(f"gatekeeper {command} nothing") == ["file,nothing"]
    assert completed("gatekeeper certify .hid") == ["plain,.hidden/c.yaml"]


def test_rules_are_those_of_the_policy_that_was_named() -> None:
    Path("policy.yaml").write_text(POLICY.format(minimum="0.1", attempts=1, total=""))
    named = "gatekeeper policy explain --policy policy.yaml "
    assert completed(f"{named}rec") == ["plain,reconstruction", "plain,reconstruction/worst"]
    assert "plain,privacy-epsilon" in completed(named)
    for rule in completed(named):
        assert gatekeeper("policy", "explain", rule.removeprefix("plain,"), "--policy", "policy.yaml").code == 0
    assert completed("gatekeeper policy explain rec") == [""]
    Path("policy.yaml").write_text("apiVersion: [")
    assert completed(named) == [""]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_asks_by_the_protocol(shell: str) -> None:
    ran = gatekeeper("completion", shell)
    assert ran.code == 0
    assert f"{VARIABLE}={shell}_complete" in ran.stdout
    assert "gatekeeper" in ran.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n", "-c", ran.stdout], check=True)


@pytest.mark.parametrize("command", ["report", "certify", "policy explain --policy policy.yaml"])
def test_completing_loads_nothing_heavy(command: str) -> None:
    _runs()
    Path("policy.yaml").write_text(POLICY.format(minimum="0.1", attempts=1, total=""))
    line = f"gatekeeper {command} "
    script = (
        "import sys\nfrom gatekeeper.cli.main import app\n"
        "try:\n    app(prog_name='gatekeeper')\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={VARIABLE: "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "plain," in ran.stdout
    assert not set(ran.stderr.split()) & (HEAVY | {"numpy", "scipy", "sqlalchemy"})


@pytest.mark.slow
def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    # As the installed command, whose name click takes for the program's.
    code = "import sys; from gatekeeper.cli import main; sys.argv[0] = 'gatekeeper'; main()"
    (tmp_path / "gatekeeper").write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    (tmp_path / "gatekeeper").chmod(0o755)
    script = (
        'PATH="$PWD:$PATH"; source <(gatekeeper completion bash); complete -p gatekeeper; '
        "COMP_WORDS=(gatekeeper policy val); COMP_CWORD=2; _gatekeeper_completion gatekeeper; echo ${COMPREPLY[@]}"
    )
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "validate", ran
