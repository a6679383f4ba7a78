"""A hand-made frontier with every kind of point. `python -m tests.frontier_samples` writes its golden files again."""

from __future__ import annotations

import math
from pathlib import Path

from gatekeeper.core.adversary import ONE_STEP, WORST_CASE
from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.frontier import Frontier
from gatekeeper.core.frontier_point import AttackFigure, FrontierPoint, RiskFigure, Setting, signal_to_noise
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import Count, Similarity
from gatekeeper.core.utility import Measurement
from gatekeeper.report.frontier_csv import render_frontier_csv
from gatekeeper.report.frontier_json import render_frontier_json
from gatekeeper.report.frontier_text import render_frontier_markdown

GOLDEN = Path(__file__).parent / "golden"
PIXELS = 3 * 16 * 16


def measured(estimate: float, *, low: float, high: float, metric: str = "accuracy") -> Measurement:
    return Measurement(
        metric=metric, estimate=estimate, low=low, high=high, confidence=0.99, units=120, method="by hand"
    )


def setting(sigma: float, epsilon: float) -> Setting:
    mechanism = Mechanism(
        sampling="balls-and-bins",
        sampling_rate=0.25,
        noise_multiplier=sigma,
        steps=40,
        adjacency="zero-out",
        unit="lesion",
    )
    return Setting(
        mechanism=mechanism,
        guarantee=Guarantee(
            epsilon=Interval(low=0.9 * epsilon, estimate=epsilon, high=epsilon),
            delta=1e-6,
            accountant="balls-and-bins",
            theorem="a theorem",
        ),
        clipping="flat",
        clipping_norm=0.5,
        pixels=PIXELS,
        participations=10,
        snr_one_step=signal_to_noise(relative_noise=sigma, participations=1, pixels=PIXELS),
        snr_all_steps=signal_to_noise(relative_noise=sigma, participations=10, pixels=PIXELS),
    )


def risks(*, bound: float, successes: int, worst: float) -> tuple[RiskFigure, ...]:
    sample = Count(successes=successes, trials=300)
    attack = AttackFigure(
        attack="analytic",
        sample=sample,
        upper=sample.upper(confidence=0.99),
        confidence=0.99,
        median_similarity=0.25,
        threshold=0.75,
    )
    return (
        RiskFigure(
            adversary=WORST_CASE,
            similarity=None,
            threshold=None,
            bound=worst,
            quantity="P(the target is picked among 400 candidates)",
            proven_against="every attack",
            prior_success=1 / 400,
            attacks=(),
        ),
        RiskFigure(
            adversary=ONE_STEP,
            similarity=Similarity(),
            threshold=0.75,
            bound=bound,
            quantity="P(NCC ≥ 0.75) for a unit of at most 2 images",
            proven_against="linear read-outs",
            prior_success=None,
            attacks=(attack,),
        ),
    )


def point(epsilon: float, seed: int = 1, **changes: object) -> FrontierPoint:
    """An approved point, but for what is changed."""
    fields: dict[str, object] = {
        "epsilon": epsilon,
        "seed": seed,
        "run": f"run-{epsilon:g}-{seed}",
        "outcome": "approved",
        "reason": None,
        "setting": setting(10 / math.sqrt(epsilon), epsilon) if 0 < epsilon < math.inf else None,
        "utility": (measured(0.8, low=0.7, high=0.875), measured(0.5, low=0.25, high=0.625, metric="mcc")),
        "drops": (measured(0.0625, low=-0.125, high=0.1875),),
        "risks": risks(bound=1e-9, successes=0, worst=0.5),
        "attempt": 1,
        "failing": (),
        "undecided": (),
    }
    return FrontierPoint(**{**fields, **changes})


NOTHING = {"setting": None, "utility": (), "drops": (), "risks": (), "attempt": None}


def sample_frontier(**changes: object) -> Frontier:
    """Six budgets: inconclusive, two that pass, refused, not run, without a model, and without privacy."""
    fields: dict[str, object] = {
        "gatekeeper_version": "1.2.3",
        "created": "2030-01-02T03:04:05Z",
        "candidate": "lesion|classifier",
        "candidate_digest": "a" * 64,
        "policy": "dermatology",
        "policy_version": 2,
        "policy_digest": "b" * 64,
        "max_epsilon": 1e9,
        "metric": "accuracy",
        "class_name": None,
        "data": "lesions",
        "synthetic": True,
        "unit": "lesion",
        "train_units": 400,
        "image_shape": (3, 16, 16),
        "points": (
            point(
                1.0, outcome="inconclusive", undecided=("mcc",), utility=(measured(math.nan, low=math.nan, high=1.0),)
            ),
            point(8.0, utility=(measured(0.75, low=0.6, high=0.8), measured(0.4, low=0.2, high=0.5, metric="mcc"))),
            point(1e6),
            point(
                1e9,
                outcome="refused",
                failing=("reconstruction", "reconstruction/worst"),
                risks=risks(bound=1.0, successes=299, worst=1.0),
            ),
            point(1e12, outcome="declined", reason="this would be attempt 6; it allows 5", **NOTHING),
            point(1e15, outcome="failed", reason="noise can't be added exactly", **NOTHING),
            point(
                math.inf,
                outcome="refused",
                reason="trained without noise",
                failing=("privacy-epsilon",),
                risks=(),
                drops=(),
                attempt=None,
            ),
        ),
        "private_runs": 5,
        "non_private_runs": 6,
        "total": Guarantee(
            epsilon=Interval(low=1e9, estimate=1.1e9, high=1.123456e9), delta=1e-6, accountant="g", theorem="t"
        ),
    }
    return Frontier(**{**fields, **changes})


def rendered() -> dict[str, str]:
    """The golden files' content, by name."""
    frontier = sample_frontier()
    return {
        "frontier.md": render_frontier_markdown(frontier),
        "frontier.csv": render_frontier_csv(frontier),
        "frontier.json": render_frontier_json(frontier),
    }


if __name__ == "__main__":
    for name, text in rendered().items():
        (GOLDEN / name).write_text(text, encoding="utf-8", newline="")
