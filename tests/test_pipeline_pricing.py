"""What the attacks that rules name are guessed to cost, and what a small run really is priced at."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gatekeeper import data
from gatekeeper.config import load_candidate, load_policy
from gatekeeper.core.policy import Policy
from gatekeeper.pipeline.planning import make_plan
from gatekeeper.pipeline.pricing import guessed, price
from gatekeeper.training.timing import MeasuredStep
from tests.test_end_to_end import CANDIDATE, POLICY
from tests.tiny import tiny_card, tiny_plan, tiny_units

STEP = MeasuredStep(seconds=0.2, views=20, plain_seconds=0.1, parameters=1000, trained=1000, gpu_bytes=None)
ATTACKS = """\
    - id: own
      risk: reconstruction
      adversary: {observes: one-step}
      similarity: {measure: ncc, above_null: 0.99}
      attacks: [imprint-bins, imprint-trap, inversion]
      max: 0.05
    - id: weights
      risk: reconstruction
      adversary: {observes: weights-only}
      similarity: {measure: ncc, above_null: 0.99}
      attacks: [stationarity, class-inversion]
      max: 0.05
  audit:"""


@pytest.fixture
def policy(tmp_path) -> Policy:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(minimum="0.1", attempts=1, total="").replace("  audit:", ATTACKS))
    return load_policy(path)


class Unheard:
    def begin(self, title: str, total: int) -> None: ...

    def done(self, steps: int) -> None: ...

    def advance(self, steps: int) -> None: ...


def _costs(policy: Policy, step: MeasuredStep = STEP) -> dict[str, float]:
    """Each guess's geometric middle."""
    found = {}
    for part in guessed(policy, tiny_plan(), tiny_card(tiny_units(units=400)), step):
        assert not part.measured
        assert part.seconds.high == pytest.approx(16 * part.seconds.low)
        found[part.name] = (part.seconds.high * part.seconds.low) ** 0.5
    return found


def test_each_attack_that_a_rule_names_has_a_cost_that_grows_with_its_work(policy: Policy) -> None:
    costs = _costs(policy)
    assert set(costs) == {
        "imprint-bins, one-step",
        "imprint-trap, one-step",
        "inversion",
        "stationarity",
        "class-inversion",
    }
    # 2 draws of 80 + 10 units and 80 quiet ones, 2 starts of 600 iterations, two private views of 10 ms each.
    assert costs["inversion"] == pytest.approx(260 * 2 * 600 * 2 * 0.01)
    slower = _costs(policy, dataclasses.replace(STEP, seconds=0.4, plain_seconds=0.2))
    assert slower == pytest.approx({name: 2 * cost for name, cost in costs.items()})
    search = dataclasses.replace(policy.audit.weights_only, candidates=200)
    wider = _costs(dataclasses.replace(policy, audit=dataclasses.replace(policy.audit, weights_only=search)))
    assert wider["class-inversion"] == pytest.approx(2 * costs["class-inversion"])
    assert wider["inversion"] == costs["inversion"]


def test_rules_that_name_no_attack_cost_nothing_more(policy: Policy) -> None:
    without = dataclasses.replace(policy, rules=policy.rules[:3])
    assert _costs(without) == {}


@pytest.mark.slow
@pytest.mark.parametrize("audited", [True, False])
def test_a_run_is_priced_by_probes_of_its_own_code(tmp_path, policy: Policy, audited: bool) -> None:
    (tmp_path / "candidate.yaml").write_text(CANDIDATE.format(epsilon="1.0e+3"))
    candidate = load_candidate(tmp_path / "candidate.yaml")
    dataset = data.load(candidate.data)
    card = dataset.card(salt=bytes(32))
    plan = make_plan(candidate, policy, card)
    cost = price(
        policy=dataclasses.replace(policy, rules=policy.rules[:3]),
        candidate=candidate,
        plan=plan,
        card=card,
        dataset=dataset,
        device=torch.device("cpu"),
        audited=audited,
        progress=Unheard(),
    )
    names = None if cost.audit is None else [part.name for part in cost.audit if part.measured]
    assert names == (["simulated attacks", "candidate matching", "limits of the metrics"] if audited else None)
    assert cost.training.high > 0
    assert cost.twin is not None  # a rule compares with it
    assert cost.twin.high <= cost.training.high
    assert 5e7 < cost.memory_bytes < 1e11
    assert cost.gpu_memory_bytes is None
    assert cost.disk_bytes > 4 * 6000
