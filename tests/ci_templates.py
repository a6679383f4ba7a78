"""Reads the CI templates of `examples/ci` and runs their scripts as the CI systems would."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "examples" / "ci"
ACTION, WORKFLOW = TEMPLATES / "github" / "action.yml", TEMPLATES / "github" / "workflow.yml"
GITLAB = TEMPLATES / "gitlab" / "gatekeeper.gitlab-ci.yml"
HOOKS, PRE_COMMIT = ROOT / ".pre-commit-hooks.yaml", TEMPLATES / "pre-commit-config.yaml"


def read(path: Path) -> Any:
    """A template's content. GitHub's key `on` stays a string, which YAML 1.1 would read as true."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: true and false, and nothing else."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def github_steps() -> Iterator[dict[str, Any]]:
    """Every step of the action and of the workflow's jobs."""
    yield from read(ACTION)["runs"]["steps"]
    for job in read(WORKFLOW)["jobs"].values():
        yield from job["steps"]


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of gatekeeper that a script made, with what it could have seen of the key."""

    words: tuple[str, ...]
    passphrase: str
    ledger: str


@dataclasses.dataclass(frozen=True)
class Machine:
    """A checkout on a CI machine.

    Attributes:
        checkout: where the repository lies, and scripts run.
        temporary: RUNNER_TEMP.
        programs: comes first on the PATH.
    """

    checkout: Path
    temporary: Path
    programs: Path

    @classmethod
    def make(cls, root: Path) -> Machine:
        machine = cls(checkout=root / "checkout", temporary=root / "temporary", programs=root / "programs")
        for path in (machine.checkout, machine.temporary, machine.programs):
            path.mkdir()
        return machine

    def put_program(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def record_calls(self) -> None:
        """Let `gatekeeper` and `python` be programs that write down how they were called."""
        for name in ("gatekeeper", "python"):
            log = f"{self.programs / name}.log"
            words = '"${GATEKEEPER_KEY_PASSPHRASE-}" "${GATEKEEPER_LEDGER-}" "$@"'
            self.put_program(name, f"exec >> '{log}'\nprintf '%s\\0' {words}\nprintf '\\n\\0'")

    def calls(self, program: str = "gatekeeper") -> list[Call]:
        log = self.programs / f"{program}.log"
        if not log.exists():
            return []
        calls = [record.split("\0")[:-1] for record in log.read_text().split("\n\0")[:-1]]
        return [Call(passphrase=first, ledger=second, words=tuple(words)) for first, second, *words in calls]

    def bash(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script as GitHub's runner does where a step says `shell: bash`."""
        return self.run(("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script), environment)

    def sh(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a script as GitLab's runner does where there is no bash."""
        return self.run(("sh", "-e", "-c", script), environment)

    def run(self, command: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        inherited = {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.temporary), "CI": "true"}
        threads = {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
        return subprocess.run(
            command,
            cwd=self.checkout,
            env={**inherited, **threads, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )


def run_action(machine: Machine, **given: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str]]:
    """Run the action's scripts, and return how they ended, with what all of them printed, and their outputs.

    Args:
        machine: where.
        given: inputs, with _ for -.
    """
    action = read(ACTION)
    inputs = {name: each.get("default", "") for name, each in action["inputs"].items()}
    inputs.update({name.replace("_", "-"): value for name, value in given.items()})
    outputs, summary = machine.temporary / "outputs", machine.temporary / "summary.md"
    outputs.touch()
    ended = subprocess.CompletedProcess((), 0, stdout="", stderr="")
    for step in action["runs"]["steps"]:
        if "run" not in step or (ended.returncode and "cancelled" not in step.get("if", "")):
            continue
        ran = machine.bash(
            step["run"],
            **{name: _filled(value, inputs) for name, value in step.get("env", {}).items()},
            RUNNER_TEMP=str(machine.temporary),
            GITHUB_WORKSPACE=str(machine.checkout),
            GITHUB_OUTPUT=str(outputs),
            GITHUB_STEP_SUMMARY=str(summary),
        )
        ended = subprocess.CompletedProcess(
            ran.args, ended.returncode or ran.returncode, ended.stdout + ran.stdout, ended.stderr + ran.stderr
        )
    return ended, dict(line.split("=", 1) for line in outputs.read_text().splitlines())


def _filled(value: str, inputs: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)


def gitlab_job(name: str) -> dict[str, Any]:
    """A job with what it extends, as GitLab merges them."""
    jobs = read(GITLAB)
    return {**jobs[jobs[name]["extends"]], **jobs[name]}


def run_gitlab(machine: Machine, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a job's scripts, then what comes after them."""
    job = gitlab_job(name)
    variables = {**read(GITLAB)["variables"], **variables, "CI_PROJECT_DIR": str(machine.checkout)}
    ran = machine.sh("\n".join((*job["before_script"], *job["script"])), **variables)
    assert machine.sh("\n".join(job["after_script"]), **variables).returncode == 0
    return ran
