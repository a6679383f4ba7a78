"""The templates of `examples/ci`: what they may, and what their scripts do."""

from __future__ import annotations

import json
import re
import stat
import subprocess
from pathlib import Path

import click
import jsonschema
import pytest
from check_jsonschema import builtin_schemas

from gatekeeper.cli.main import app
from tests.ci_templates import (
    ACTION,
    GITLAB,
    WORKFLOW,
    Call,
    Machine,
    github_steps,
    gitlab_job,
    read,
    run_action,
    run_gitlab,
)

HOSTILE = "candidates/$(touch pwned) ; touch pwned2 '\".yaml"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine.make(tmp_path)
    machine.record_calls()
    return machine


def _parses(call: Call) -> bool:
    """Whether gatekeeper has such a command with such options."""
    command: click.Command = app
    words = list(call.words)
    if words == ["--version"]:
        return True
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    command.make_context("gatekeeper", words)
    return True


# What they may


@pytest.mark.parametrize(
    ("path", "schema"), [(ACTION, "github-actions"), (WORKFLOW, "github-workflows"), (GITLAB, "gitlab-ci")]
)
def test_a_template_is_what_its_vendor_reads(path: Path, schema: str) -> None:
    found = builtin_schemas.get_builtin_schema(f"vendor.{schema}")
    jsonschema.validators.validator_for(found)(found).validate(read(path))


def test_no_text_of_others_is_pasted_into_a_script() -> None:
    scripts = [step["run"] for step in github_steps() if "run" in step]
    assert len(scripts) >= 8
    assert not [script for script in scripts if "${{" in script]


def test_every_action_of_others_is_pinned_to_a_commit_with_its_version() -> None:
    lines = [line for path in (ACTION, WORKFLOW) for line in path.read_text().splitlines() if "uses:" in line]
    assert len(lines) >= 10
    for line in lines:
        assert re.search(r"uses: (\./\.github/actions/gatekeeper|[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$", line), line


def test_a_fork_gets_no_secret_and_no_more_than_reading() -> None:
    workflow = read(WORKFLOW)
    assert set(workflow["on"]) == {"pull_request", "push"}
    assert workflow["permissions"] == {}
    job = workflow["jobs"]["audit-fork"]
    assert job["permissions"] == {"contents": "read"}
    assert "secrets" not in json.dumps([job, workflow["env"]])
    gate = next(step["with"] for step in job["steps"] if step.get("id") == "gate")
    assert (gate["mode"], gate["exit-zero"]) == ("audit", "true")
    assert "head.repo.fork" in job["if"]


def test_the_release_key_is_in_one_job_which_an_environment_protects() -> None:
    jobs = read(WORKFLOW)["jobs"]
    holding = [name for name, job in jobs.items() if "secrets.GATEKEEPER_KEY" in json.dumps(job)]
    assert holding == ["certify"]
    assert jobs["certify"]["environment"] == "release"
    assert jobs["certify"]["if"] == "${{ github.event_name == 'push' }}"
    for job in jobs.values():
        assert set(job["permissions"].items()) <= {("contents", "read"), ("security-events", "write")}
        checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
        assert [step["with"] for step in checkouts] == [{"persist-credentials": False}]


def test_the_workflow_gives_the_action_what_it_takes_and_reads_what_it_gives() -> None:
    action = read(ACTION)
    for job in read(WORKFLOW)["jobs"].values():
        gate = next(step for step in job["steps"] if step.get("id") == "gate")
        required = {name for name, each in action["inputs"].items() if each.get("required")}
        assert required <= set(gate["with"]) <= set(action["inputs"])
        assert set(re.findall(r"steps\.gate\.outputs\.(\w+)", json.dumps(job))) <= set(action["outputs"])


def test_every_script_is_one() -> None:
    for step in github_steps():
        if "run" in step:
            subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
    for name in ("gatekeeper-audit", "gatekeeper-certify"):
        job = gitlab_job(name)
        script = "\n".join((*job["before_script"], *job["script"], *job["after_script"]))
        subprocess.run(["sh", "-n", "-c", script], check=True)


# What they do, on GitHub


def _certify(machine: Machine) -> Call:
    return next(call for call in machine.calls() if call.words[0] == "certify")


def test_an_audit_has_no_key_and_counts_in_a_ledger_of_its_own(machine: Machine) -> None:
    ended, _ = run_action(machine, candidate=HOSTILE, policy="policy.yaml", passphrase="secret", key="release.key")
    assert ended.returncode == 0, ended.stderr
    validated, call = [call.words for call in machine.calls() if "validate" in call.words], _certify(machine)
    assert validated == [("policy", "validate", "--", "policy.yaml"), ("candidate", "validate", "--", HOSTILE)]
    assert "--audit-only" in call.words
    assert not {"--exit-zero", "--key", "--out"} & set(call.words)
    assert (call.passphrase, call.words[-1]) == ("", HOSTILE)
    assert call.ledger == str(machine.temporary / "gatekeeper" / "ledger.sqlite")
    assert ("ledger", "init") in [call.words for call in machine.calls()]
    assert not list(machine.checkout.glob("pwned*"))
    assert "earlier runs on these data are not counted" in ended.stdout


def test_what_an_audit_calls_is_there(machine: Machine) -> None:
    run_action(machine, candidate="candidate.yaml", policy="policy.yaml", exit_zero="true")
    assert "--exit-zero" in _certify(machine).words
    assert all(_parses(call) for call in machine.calls())


def test_a_certification_has_key_passphrase_and_the_ledger(machine: Machine) -> None:
    ended, _ = run_action(
        machine,
        candidate="candidate.yaml",
        policy="policy.yaml",
        mode="certify",
        key="awskms:alias/release",
        public_key="release.pub",
        passphrase="secret",
        ledger="postgresql+psycopg://ledger",
    )
    assert ended.returncode == 0, ended.stderr
    call = _certify(machine)
    assert (call.passphrase, call.ledger) == ("secret", "postgresql+psycopg://ledger")
    assert "secret" not in ended.stdout + ended.stderr + " ".join(call.words)
    assert all(_parses(call) for call in machine.calls())
    assert not [call for call in machine.calls() if call.words[0] == "ledger"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "certify", "key": "release.key"}, "give the ledger"),
        ({"mode": "certify", "ledger": "ledger.sqlite"}, "give a key"),
        ({"mode": "certfy"}, "neither audit nor certify"),
        ({"requirement": "gatekeeper[digits]"}, "a name on PyPI"),
    ],
)
def test_what_is_missing_is_said_before_anything_runs(machine: Machine, given: dict[str, str], said: str) -> None:
    ended, outputs = run_action(machine, candidate="candidate.yaml", policy="policy.yaml", **given)
    assert ended.returncode == 2
    assert said in ended.stdout
    assert not [call for call in machine.calls() if call.words[0] in ("certify", "ledger")]
    assert not machine.calls("python")
    assert "sarif" not in outputs


def test_what_is_installed_is_one_word_of_pips(machine: Machine) -> None:
    wheel = "https://example.org/gatekeeper-0.1.0-py3-none-any.whl#sha256=00 ; touch pwned"
    run_action(machine, candidate="candidate.yaml", policy="policy.yaml", requirement=wheel)
    assert [call.words[-1] for call in machine.calls("python")] == [wheel]
    assert not list(machine.checkout.glob("pwned*"))


def test_the_keys_that_the_workflow_writes_are_their_owners_alone_and_removed(machine: Machine) -> None:
    steps = {step["name"]: step["run"] for step in read(WORKFLOW)["jobs"]["certify"]["steps"] if "name" in step}
    secrets = {"RELEASE_KEY": "-----BEGIN\n$(id)\n-----END", "LEDGER_KEY": "ledger"}
    ended = machine.bash(steps["Write the keys"], RUNNER_TEMP=str(machine.temporary), **secrets)
    assert (ended.returncode, ended.stdout) == (0, "")
    key = machine.temporary / "release.key"
    assert key.read_text() == "-----BEGIN\n$(id)\n-----END\n"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert machine.bash(steps["Remove the keys"], RUNNER_TEMP=str(machine.temporary)).returncode == 0
    assert not list(machine.temporary.iterdir())


# What they do, on GitLab


@pytest.mark.parametrize(("source", "informs"), [("7", False), ("8", True)])
def test_a_merge_request_from_a_fork_informs_and_others_block(machine: Machine, source: str, informs: bool) -> None:
    projects = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": source, "CI_MERGE_REQUEST_PROJECT_ID": "7"}
    ran = run_gitlab(machine, "gatekeeper-audit", GATEKEEPER_CANDIDATE=HOSTILE, **projects)
    assert ran.returncode == 0, ran.stderr
    call = _certify(machine)
    assert "--audit-only" in call.words
    assert ("--exit-zero" in call.words) == informs
    assert (call.words[1], call.ledger) == (HOSTILE, ".gatekeeper/ledger.sqlite")
    assert not list(machine.checkout.glob("pwned*"))


def test_what_an_audit_calls_on_gitlab_is_there(machine: Machine) -> None:
    projects = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "8", "CI_MERGE_REQUEST_PROJECT_ID": "7"}
    run_gitlab(machine, "gatekeeper-audit", **projects)
    assert all(_parses(call) for call in machine.calls())


def _certified_on_gitlab(machine: Machine) -> list[Call]:
    for name in ("release", "ledger"):
        (machine.temporary / name).write_text("-----BEGIN")
        (machine.temporary / name).chmod(0o644)
    machine.put_program("chmod", '/bin/chmod "$@" && stat -c "%a %n" "$2"')
    ran = run_gitlab(
        machine,
        "gatekeeper-certify",
        GATEKEEPER_LEDGER="ledger.sqlite",
        GATEKEEPER_KEY_FILE=str(machine.temporary / "release"),
        GATEKEEPER_LEDGER_KEY_FILE=str(machine.temporary / "ledger"),
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "600 .gatekeeper-ledger.key\n600 .gatekeeper-release.key\n"
    assert not list(machine.checkout.glob("*.key"))
    return machine.calls()


def test_the_default_branch_is_certified_with_a_key_that_is_removed(machine: Machine) -> None:
    calls = _certified_on_gitlab(machine)
    assert [call.words[:1] for call in calls] == [("policy",), ("candidate",), ("certify",), ("verify",)]
    assert calls[2].words[4:6] == ("--key", ".gatekeeper-release.key")
    assert gitlab_job("gatekeeper-certify")["rules"] == [{"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"}]


def test_what_a_certification_calls_on_gitlab_is_there(machine: Machine) -> None:
    assert all(_parses(call) for call in _certified_on_gitlab(machine))


def test_a_certification_on_gitlab_needs_the_ledger(machine: Machine) -> None:
    ran = run_gitlab(machine, "gatekeeper-certify")
    assert ran.returncode == 2
    assert "set GATEKEEPER_LEDGER" in ran.stdout
    assert [call.words[0] for call in machine.calls()] == ["policy", "candidate"]


def test_the_reports_that_gitlab_shows_are_those_that_are_written() -> None:
    for name in ("gatekeeper-audit", "gatekeeper-certify"):
        job = gitlab_job(name)
        written = set(re.findall(r"-o \w+:(\S+)", " ".join(job["script"])))
        shown = {*job["artifacts"]["reports"].values(), *job["artifacts"]["paths"]} - {"release"}
        assert written == shown
        assert job["artifacts"]["when"] == "always"
