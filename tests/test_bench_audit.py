"""The audit bench: its loops do the same work as the attacks, and a quick run writes every table."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from gatekeeper.audit.attacks.inversion import Search
from tests.bench import audit, audit_speed, rounds
from tests.bench.audit_results import CostResult, GrowthRow, SpeedRow


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a quick run writes."""
    path = tmp_path_factory.mktemp("bench") / "audit.json"
    audit.main(["--quick", "--rounds", "1", "--breaching", str(path.parent / "absent"), "--output", str(path)])
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _names(noun: type) -> set[str]:
    return {field.name for field in dataclasses.fields(noun)}


@pytest.mark.slow
def test_a_quick_run_writes_every_table(quick: dict[str, Any]) -> None:
    assert set(quick) == {"schema", "machine", "settings", "speed", "breaching", "cost", "growth"}
    assert quick["schema"] == "gatekeeper/bench-audit/1"
    assert quick["settings"] == {"rounds": 1, "quick": True, "clock": "wall"}
    assert {row["attack"] for row in quick["speed"]} == {"A", "E", "B"}
    for row in quick["speed"]:
        assert set(row) == _names(SpeedRow)
        assert row["over_loop"]["median"] > 0
    assert set(quick["cost"]) == _names(CostResult)
    for row in quick["growth"]:
        assert set(row) == _names(GrowthRow)


@pytest.mark.slow
def test_growth_is_told_from_the_smallest(quick: dict[str, Any]) -> None:
    for varied in ("pixels", "units"):
        rows = [row for row in quick["growth"] if row["varied"] == varied]
        assert [row["size_ratio"] for row in rows] == [row[varied] / rows[0][varied] for row in rows]
        assert rows[0]["cost_ratio"]["median"] == 1.0


@pytest.mark.slow
def test_the_training_is_scaled_by_its_steps(quick: dict[str, Any]) -> None:
    cost = quick["cost"]
    assert (cost["steps"], cost["measured_steps"]) == (4, 2)
    assert cost["attacks_over_training"]["median"] > 0
    assert cost["matching_over_training"]["median"] > 0


@pytest.mark.parametrize("attack", ["A", "E"])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 8)])
def test_the_loops_reach_what_the_attacks_reach(attack: str, channels: int, side: int) -> None:
    """To the last digits, with the same noise; and not with another."""
    arms = audit_speed.simulated(channels=channels, side=side, images=5)[attack]
    found, expected = arms["ours"](), arms["loop"]()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    other = audit_speed.simulated(channels=channels, side=side, images=5, seed=1)[attack]["loop"]()
    assert not np.allclose(found, other, rtol=1e-9)


def test_the_loop_of_attack_b_descends_as_the_attack_does() -> None:
    search = Search(iterations=4, starts=1)
    given = audit_speed.victims("mlp", width=16, channels=1, side=8, images=3)
    arms = audit_speed.inverting(given, search=search)
    found, expected = (torch.as_tensor(arms[name]()) for name in ("ours", "loop"))
    # Steps go by the gradient's sign, which rounding may turn where it is all but 0.
    assert float(((found - expected).abs() < 1e-5).float().mean()) > 0.95
    shorter = Search(iterations=3, starts=1)
    other = audit_speed.inverting(given, search=shorter)["loop"]()
    assert float(((found - torch.as_tensor(other)).abs() < 1e-5).float().mean()) < 0.8


def test_every_arm_runs_once_a_round_and_once_before() -> None:
    ran: list[str] = []
    ticks = iter(range(100))
    took = rounds.seconds(
        {"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, rounds=2, clock=lambda: float(next(ticks))
    )
    assert ran == ["a", "b", "a", "b", "b", "a"]
    assert took == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
