"""The lines of a policy file that findings are shown at."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import load_policy, locate_rules
from gatekeeper.core.codec import digest
from gatekeeper.errors import InvalidInputError
from gatekeeper.pipeline.inputs import locate_policy
from tests.config_files import POLICY

ROOT = Path(__file__).resolve().parent.parent


def lines_of(path: Path) -> dict[str, str]:
    """What stands in the line of each finding."""
    located = locate_rules(path, load_policy(path))
    text = path.read_text(encoding="utf-8").splitlines()
    return {each.rule: text[each.line - 1].strip() for each in located.lines}


def written(folder: Path, text: str, name: str = "policy.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_finding_stands_where_the_file_demands_it(tmp_path: Path) -> None:
    text = POLICY.replace("  audit:", "  max_attempts: 3\n  require_lock: true\n  audit:")
    assert lines_of(written(tmp_path, text)) == {
        "privacy-epsilon": "epsilon: {max: 1.0e+9}",
        "privacy-delta": "delta: {max: 8.0e-7}",
        "privacy-total-epsilon": "privacy:",
        "attempts": "max_attempts: 3",
        "policy-lock": "require_lock: true",
        "own-code": "spec:",
        "mcc": "- id: mcc",
        "mcc-drop": "- id: mcc-drop",
        "reconstruction": "- id: reconstruction",
        "reconstruction/worst": "worst: {max: 0.10}",
    }


def test_what_a_file_inherits_stands_at_its_extends(tmp_path: Path) -> None:
    base = written(tmp_path, POLICY, "base.yaml")
    pin = f"base.yaml@sha256:{digest(load_policy(base))}"
    child = written(
        tmp_path,
        "apiVersion: gatekeeper/v1\nkind: ReleasePolicy\nmetadata: {name: child, version: 1, owner: us}\nspec:\n"
        f"  extends: [{pin}]\n  privacy:\n    epsilon: {{max: 1.0e+8}}\n  rules:\n    - id: mcc\n      min: 0.7\n",
    )
    lines = lines_of(child)
    assert lines["privacy-epsilon"] == "epsilon: {max: 1.0e+8}"
    assert lines["mcc"] == "- id: mcc"
    assert lines["privacy-delta"] == lines["reconstruction"] == lines["reconstruction/worst"] == f"extends: [{pin}]"
    assert lines["own-code"] == "spec:"


@pytest.mark.parametrize("path", sorted((ROOT / "policies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_rule_of_a_ready_policy_has_its_line(path: Path) -> None:
    lines = lines_of(path)
    for rule in load_policy(path).rules:
        assert lines[rule.id].endswith((f"id: {rule.id}",)) or rule.id in lines[rule.id]


def test_another_policy_than_the_one_that_judged_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, POLICY)
    judged = load_policy(path)
    assert locate_policy(path, judged=judged).line_of("mcc") == 11
    written(tmp_path, POLICY.replace("min: 0.60", "min: 0.59"))
    with pytest.raises(InvalidInputError, match="the run is judged by dermatology v1") as caught:
        locate_policy(path, judged=judged)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
