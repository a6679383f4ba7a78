"""The templates of `examples/ci` with the real gatekeeper: a release comes out, and pre-commit finds the mistakes."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.ci_templates import HOOKS, PRE_COMMIT, ROOT, Machine, read, run_action
from tests.command_line import gatekeeper
from tests.test_end_to_end import CANDIDATE, PASSPHRASE, POLICY

# Hooks


def _hooks() -> dict[str, dict[str, object]]:
    return {hook["id"]: hook for hook in read(HOOKS)}


def test_hooks_find_the_files_that_the_documents_speak_of() -> None:
    hooks = _hooks()
    assert set(hooks) == {"gatekeeper-policy", "gatekeeper-candidate"}
    files = (
        "policies/demo.yaml",
        "policy.yaml",
        "a/policy-2.yml",
        "candidate.yaml",
        "candidates/x.yaml",
        "docs/a.yaml",
    )
    found = {name: [file for file in files if re.search(str(hook["files"]), file)] for name, hook in hooks.items()}
    assert found == {"gatekeeper-policy": list(files[:3]), "gatekeeper-candidate": list(files[3:5])}


@pytest.mark.parametrize(("folder", "hook"), [("policies", "gatekeeper-policy"), ("examples", "gatekeeper-candidate")])
def test_a_hook_takes_every_ready_file_at_once(folder: str, hook: str) -> None:
    files = [str(path) for path in sorted((ROOT / folder).glob("*.yaml"))]
    name, *words = str(_hooks()[hook]["entry"]).split()
    assert name == "gatekeeper"
    ran = gatekeeper(*words, *files)
    assert (ran.code, len(ran.stdout.splitlines())) == (0, len(files)), ran.stderr


def test_the_configuration_for_pre_commit_names_hooks_that_are_there() -> None:
    (repo,) = read(PRE_COMMIT)["repos"]
    assert {hook["id"] for hook in repo["hooks"]} == set(_hooks())


@pytest.mark.slow
def test_pre_commit_reads_the_hooks_and_stops_a_commit_with_a_mistake(tmp_path: Path) -> None:
    pre_commit = (sys.executable, "-m", "pre_commit")
    subprocess.run([*pre_commit, "validate-manifest", str(HOOKS)], check=True)
    subprocess.run([*pre_commit, "validate-config", str(PRE_COMMIT)], check=True)
    machine = Machine.make(tmp_path)
    machine.put_program("gatekeeper", f'exec "{sys.executable}" -m gatekeeper "$@"')
    # As `language: system`: the installed gatekeeper, not an environment of its own.
    local = {"repo": "local", "hooks": [{**hook, "language": "system"} for hook in _hooks().values()]}
    (machine.checkout / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [local]}))
    (machine.checkout / "policies").mkdir()
    policy = shutil.copy(ROOT / "policies" / "digits.yaml", machine.checkout / "policies" / "digits.yaml")
    shutil.copy(ROOT / "examples" / "digits.yaml", machine.checkout / "candidate.yaml")
    for command in (("init", "-q"), ("add", ".")):
        assert machine.run(("git", *command), {}).returncode == 0
    passed = machine.run((*pre_commit, "run", "--all-files"), {})
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.count("Passed") == 2
    Path(policy).write_text(Path(policy).read_text().replace("max_attempts", "max_atempts"))
    machine.run(("git", "add", "."), {})
    failed = machine.run((*pre_commit, "run"), {})
    assert failed.returncode == 1
    assert "policies/digits.yaml:" in failed.stdout
    assert "max_attempts" in failed.stdout


# The action


@dataclasses.dataclass(frozen=True)
class Project:
    machine: Machine
    key: Path
    ledger: dict[str, str]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout with a policy and a candidate, a key and a ledger."""
    machine = Machine.make(tmp_path)
    machine.put_program("gatekeeper", f'exec "{sys.executable}" -m gatekeeper "$@"')
    (machine.checkout / "candidate.yaml").write_text(CANDIDATE.format(epsilon="1.0e+3"))
    (machine.checkout / "policy.yaml").write_text(POLICY.format(minimum="0.1", attempts=2, total=""))
    ledger = {"ledger": str(tmp_path / "ledger.sqlite"), "ledger_key": str(tmp_path / "ledger.key")}
    made = gatekeeper("ledger", "init", "--ledger", ledger["ledger"], "--ledger-key", ledger["ledger_key"])
    assert made.code == 0, made.stderr
    key = tmp_path / "release"
    named = {"GATEKEEPER_KEY_PASSPHRASE": PASSPHRASE}
    assert machine.run(("gatekeeper", "keys", "generate", str(key)), named).returncode == 0
    return Project(machine=machine, key=key, ledger=ledger)


FILES = {"candidate": "candidate.yaml", "policy": "policy.yaml"}


@pytest.mark.slow
def test_the_action_certifies_signs_and_reports(project: Project) -> None:
    machine, key = project.machine, f"{project.key}.key"
    ended, outputs = run_action(
        machine, **FILES, **project.ledger, mode="certify", key=key, passphrase=PASSPHRASE, out="release"
    )
    assert ended.returncode == 0, ended.stderr
    assert outputs == {
        "verdict": "approved",
        "report": "gatekeeper-reports/report.json",
        "sarif": "gatekeeper-reports/report.sarif",
    }
    reports = machine.checkout / "gatekeeper-reports"
    assert {path.name for path in reports.iterdir()} == {"report.json", "report.sarif", "junit.xml", "report.md"}
    assert json.loads((reports / "report.sarif").read_text())["version"] == "2.1.0"
    assert "APPROVED" in (machine.temporary / "summary.md").read_text()
    assert "::notice" in ended.stdout
    assert PASSPHRASE not in ended.stdout + ended.stderr
    verify = ("gatekeeper", "verify", "release", "--public-key", f"{project.key}.pub", "--policy", "policy.yaml")
    assert machine.run(verify, {}).returncode == 0
    assert [path.relative_to(machine.checkout) for path in machine.checkout.rglob("*.onnx")] == [
        Path("release/model.onnx")
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("exit_zero", "code"), [("true", 0), ("false", 1)])
def test_an_audit_that_is_refused_fails_the_step_unless_it_only_informs(
    project: Project, exit_zero: str, code: int
) -> None:
    machine = project.machine
    (machine.checkout / "policy.yaml").write_text(POLICY.format(minimum="0.999", attempts=1, total=""))
    ended, outputs = run_action(machine, **FILES, exit_zero=exit_zero)
    assert ended.returncode == code, ended.stderr
    assert (outputs["verdict"], outputs["sarif"]) == ("refused", "gatekeeper-reports/report.sarif")
    assert "::error" in ended.stdout
    assert not list(machine.checkout.rglob("*.onnx"))
