"""Policies that extend others: merged, pinned, and never loosened."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.config import load_policy
from gatekeeper.core.codec import decode, digest, encode
from gatekeeper.core.policy import ParentPolicy, Policy, RiskRule, UtilityRule
from gatekeeper.core.policy_order import compare
from gatekeeper.errors import ConfigError
from tests.config_files import POLICY, file_of, problems_of

HEAD = "apiVersion: gatekeeper/v1\nkind: ReleasePolicy\nmetadata: {name: NAME, version: 1, owner: clinic}\nspec:\n"


def base_of(folder: Path, text: str = POLICY, *, name: str = "base.yaml") -> str:
    """A parent in a folder, as a child names it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return f"{name}@sha256:{digest(load_policy(path))}"


def child_of(folder: Path, spec: str, *parents: str, name: str = "child") -> Path:
    """A policy that extends others, and says `spec` besides."""
    path = folder / f"{name}.yaml"
    pins = ", ".join(f'"{parent}"' for parent in parents)
    path.write_text(HEAD.replace("NAME", name) + f"  extends: [{pins}]\n" + spec, encoding="utf-8")
    return path


STRICTER = """\
  privacy: {epsilon: {max: 1.0e+6}}
  rules:
    - {id: mcc, min: 0.70}
    - {id: site-accuracy, metric: accuracy, min: 0.9}
    - {id: reconstruction, worst: {max: 0.05}}
  require_lock: true
"""


def test_a_child_inherits_what_it_leaves_out_and_keeps_the_parents_order(tmp_path: Path) -> None:
    pin = base_of(tmp_path)
    parent, child = load_policy(tmp_path / "base.yaml"), load_policy(child_of(tmp_path, STRICTER, pin))
    assert [rule.id for rule in child.rules] == ["mcc", "mcc-drop", "reconstruction", "site-accuracy"]
    mcc, risk = child.rules[0], child.rules[2]
    assert isinstance(mcc, UtilityRule)
    assert isinstance(risk, RiskRule)
    assert (mcc.minimum, mcc.min_units) == (0.70, 100)
    assert (risk.worst_max, risk.maximum) == (0.05, 0.02)
    assert (child.privacy.max_epsilon, child.privacy.max_delta) == (1e6, 8e-7)
    assert (child.audit, child.require_lock) == (parent.audit, True)
    assert child.parents == (ParentPolicy(name="dermatology", version=1, sha256=digest(parent)),)
    assert compare(parent, child).conclusion == "tightened"


def test_a_child_that_says_nothing_demands_what_its_parent_does_under_another_digest(tmp_path: Path) -> None:
    pin = base_of(tmp_path)
    parent, child = load_policy(tmp_path / "base.yaml"), load_policy(child_of(tmp_path, "", pin))
    assert compare(parent, child).conclusion == "equal"
    assert digest(parent) != digest(child), "the canonical form says where it comes from"
    assert decode(encode(child), Policy) == child


def test_a_grandchild_is_held_to_all_of_them(tmp_path: Path) -> None:
    child = child_of(tmp_path, STRICTER, base_of(tmp_path))
    pin = f"child.yaml@sha256:{digest(load_policy(child))}"
    good = load_policy(child_of(tmp_path, "  rules: [{id: mcc, min: 0.75}]\n", pin, name="grandchild"))
    assert [parent.name for parent in good.parents] == ["child"]
    assert good.privacy.max_epsilon == 1e6
    bad = child_of(tmp_path, "  rules: [{id: mcc, min: 0.65}]\n", pin, name="grandchild")
    (problem,) = problems_of(load_policy, bad)
    assert "rules.mcc.min: 0.65 is looser than 0.7 in child v1" in problem.message


def test_of_two_parents_the_stricter_demand_has_to_be_written_down(tmp_path: Path) -> None:
    other = POLICY.replace("min: 0.60", "min: 0.50").replace("1.0e+9", "1.0e+5").replace("name: derm", "name: lab-derm")
    pins = (base_of(tmp_path), base_of(tmp_path, other, name="other.yaml"))
    problems = problems_of(load_policy, child_of(tmp_path, "", *pins))
    assert ["rules.mcc.min: 0.5 is looser than 0.6" in problem.message for problem in problems] == [True]
    child = load_policy(child_of(tmp_path, "  rules: [{id: mcc, min: 0.60}]\n", *pins))
    assert (child.privacy.max_epsilon, len(child.parents)) == (1e5, 2)


@pytest.mark.parametrize(
    ("spec", "line", "says"),
    [
        (
            "  privacy: {epsilon: {max: 1.0e+10}}\n",
            6,
            "privacy.epsilon.max: 1e+10 is looser than 1e+09 in dermatology v1",
        ),
        (
            "  rules:\n    - {id: mcc, min: 0.70}\n    - {id: mcc-drop,\n       max_drop: 0.06}\n",
            9,
            "rules.mcc-drop.max_drop",
        ),
        ("  rules:\n    - {id: mcc, statistic: estimate}\n", 7, "rules.mcc.statistic: estimate is looser than"),
        ("  rules: [{id: reconstruction, evidence: [attack]}]\n", 6, "rules.reconstruction.evidence"),
        ("  rules: [{id: reconstruction, adversary: {observes: all-steps}}]\n", 6, "neither stricter nor the same"),
        ("  waivers: {max_days: 3}\n", 6, "waivers: {max_days: 3, signed: true} is looser than not given"),
        ("  max_attempts: 1\n", 6, "rules.mcc.confidence"),
        ("  audit:\n    units: 900\n", 7, "audit.units: 900 is looser than 1000"),
    ],
)
def test_what_loosens_is_refused_with_its_line_both_values_and_a_remedy(
    tmp_path: Path, spec: str, line: int, says: str
) -> None:
    problems = problems_of(load_policy, child_of(tmp_path, spec, base_of(tmp_path)))
    found = [problem for problem in problems if says in problem.message]
    assert [(problem.line, problem.file) for problem in found] == [(line, str(tmp_path / "child.yaml"))]
    assert "may only tighten" in (found[0].hint or "")


def test_other_mistakes_of_a_child_keep_their_lines(tmp_path: Path) -> None:
    spec = "  rules:\n    - {id: mcc, min: high}\n    - {metric: auroc, min: 0.5}\n"
    problems = problems_of(load_policy, child_of(tmp_path, spec, base_of(tmp_path)))
    assert [problem.line for problem in problems] == [7, 8]


def test_a_parent_with_another_digest_is_refused(tmp_path: Path) -> None:
    pin = base_of(tmp_path)
    child = child_of(tmp_path, "", pin)
    (tmp_path / "base.yaml").write_text(POLICY.replace("0.60", "0.61"), encoding="utf-8")
    (problem,) = problems_of(load_policy, child)
    assert pin.split(":")[1] in problem.message
    assert digest(load_policy(tmp_path / "base.yaml")) in problem.message


@pytest.mark.parametrize(
    ("pin", "says"),
    [
        (f"away.yaml@sha256:{'0' * 64}", "can't be read"),
        ("base.yaml", "named with its digest"),
        ("base.yaml@sha256:12", "named with its digest"),
        (f"child.yaml@sha256:{'0' * 64}", "extends itself"),
    ],
)
def test_a_parent_that_is_missing_unpinned_or_the_file_itself_is_refused(tmp_path: Path, pin: str, says: str) -> None:
    (problem,) = problems_of(load_policy, child_of(tmp_path, "", pin))
    assert (problem.line, says in problem.message) == (5, True)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    child_of(tmp_path, "", f"two.yaml@sha256:{'0' * 64}", name="one")
    child_of(tmp_path, "", f"one.yaml@sha256:{'0' * 64}", name="two")
    problems = problems_of(load_policy, tmp_path / "one.yaml")
    assert any("extends itself" in problem.message and "one.yaml → " in problem.message for problem in problems)


def test_the_mistakes_of_a_parent_are_told_with_their_own_lines(tmp_path: Path) -> None:
    file_of(tmp_path, POLICY.replace("unit: lesion", "unit: 5")).rename(tmp_path / "base.yaml")
    problems = problems_of(load_policy, child_of(tmp_path, "", f"base.yaml@sha256:{'0' * 64}"))
    assert {Path(problem.file).name for problem in problems} == {"child.yaml", "base.yaml"}


def test_a_list_of_nothing_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = problems_of(load_policy, child_of(tmp_path, ""))
    assert (problem.line, problem.message) == (5, "extends names no policy")


def test_a_list_that_is_no_list_is_a_mistake_like_any_other(tmp_path: Path) -> None:
    path = file_of(tmp_path, POLICY.replace("spec:\n", "spec:\n  extends: base.yaml\n"))
    with pytest.raises(ConfigError, match=r"spec\.extends must be a list"):
        load_policy(path)
