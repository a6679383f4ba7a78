"""What clipping costs where noise costs nothing (`make bench BENCH=utility`): each rule against plain training.

At ε = 10⁹ the noise is negligible, so that what a private model lacks beside its non-private twin is the clip's doing.
Both are trained by the product's own functions, from the same recipe; their difference is that of Matthews' correlation
on the test images, as a mean over seeds, with the percentiles of a bootstrap over the test units that draws the same
units for both.

    python -m tests.bench.utility [SEEDS [SET …]]
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatekeeper import data
from gatekeeper.core.candidate import AugmentationSpec, Candidate, ModelSpec, OptimizerSpec, TrainingSpec
from gatekeeper.core.clipping import CLIPPINGS
from gatekeeper.core.data_spec import DataSpec, PhantomSpec, SplitSpec
from gatekeeper.core.policy import PrivacyTerms
from gatekeeper.data.dataset import Dataset
from gatekeeper.evaluation.metrics import Confusion, confusion, mcc
from gatekeeper.pipeline.planning import make_plan
from gatekeeper.training import train, train_twin
from tests.facts import sample_policy

ROOT = Path(__file__).parent.parent.parent
BCCD = Path(os.environ.get("GATEKEEPER_BCCD", ROOT.parent / "shared" / "data" / "bccd"))
PLAIN = "plain"
ARMS = (PLAIN, *CLIPPINGS)
SEEDS = 3
EPSILON, DELTA = 1e9, 1e-6
MOST_BELOW = 0.03
_DRAWS = 2000


def _candidate(spec: DataSpec, model: ModelSpec, training: TrainingSpec) -> Candidate:
    return Candidate(name=spec.format, description=None, data=spec, model=model, training=training)


def candidates() -> dict[str, Candidate]:
    """The sets that are there, each with a recipe that suits every rule."""
    nadam, moved = OptimizerSpec(name="nadam", lr=2e-3), AugmentationSpec(flips=True, shift=2)
    resnet = ModelSpec(network="resnet9", width=8)
    small = TrainingSpec(
        epochs=20, expected_batch=64, clipping_norm=1.0, optimizer=nadam, augmentation=moved, warmup=0.05, ema=0.98
    )
    found = {
        "digits": _candidate(
            DataSpec(format="digits", path=None, unit="image", split=SplitSpec(test=0.3, seed=1)),
            ModelSpec(network="mlp", width=128),
            dataclasses.replace(small, epochs=30, augmentation=AugmentationSpec()),
        ),
        "phantom-lesions": _candidate(
            DataSpec(
                format="phantom-lesions",
                path=None,
                unit="lesion",
                image_size=(32, 32),
                split=SplitSpec(test=0.3, seed=1, by="patient"),
                phantom=PhantomSpec(patients=400),
            ),
            resnet,
            small,
        ),
    }
    if BCCD.is_dir():
        spec = DataSpec(
            format="ham10000",
            path=str(BCCD),
            unit="image_id",
            label="dx",
            image_size=(32, 32),
            split=SplitSpec(test=0.3, seed=1, by="lesion_id"),
        )
        found["bccd"] = _candidate(spec, resnet, small)
    return found


@cache
def _dataset(name: str) -> Dataset:
    return data.load(candidates()[name].data)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One training: on which set, by which rule or plainly, with which seed."""

    name: str
    arm: str
    seed: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What a trained network answered on the test images."""

    job: Job
    scores: NDArray[np.float64]
    noise_multiplier: float
    clipped_share: float | None
    seconds: float


def run(job: Job, candidate: Candidate | None = None) -> Outcome:
    """Train, and answer on the test images."""
    torch.set_num_threads(1)
    began, dataset = time.monotonic(), _dataset(job.name)
    candidate = candidate or candidates()[job.name]
    rule = "flat" if job.arm == PLAIN else job.arm
    candidate = dataclasses.replace(
        candidate,
        training=dataclasses.replace(candidate.training, clipping=rule, seed=job.seed, epsilon=EPSILON, delta=DELTA),
    )
    card = dataset.card(salt=bytes(32))
    privacy = PrivacyTerms(unit=card.unit, adjacency="zero-out", max_epsilon=EPSILON, max_delta=DELTA)
    plan = make_plan(candidate, dataclasses.replace(sample_policy(), privacy=privacy), card)
    settings: dict[str, Any] = {"candidate": candidate, "plan": plan, "card": card, "data": dataset.train}
    adaptation = None
    if job.arm == PLAIN:
        network = train_twin(**settings, on_step=lambda _: None)
    else:
        trained = train(**settings, on_step=lambda _: None)
        network, adaptation = trained.network, trained.record.adaptation
    with torch.no_grad():
        scores = network(torch.tensor(dataset.test.images).float() / 255).double().numpy()
    return Outcome(
        job=job,
        scores=scores,
        noise_multiplier=plan.mechanism.noise_multiplier,
        clipped_share=adaptation and adaptation.clipped_share,
        seconds=time.monotonic() - began,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One rule on one set: Matthews' correlation as a mean over seeds, and how far it is below plain training."""

    name: str
    arm: str
    mcc: float
    below_plain: float
    below_plain_low: float
    below_plain_high: float
    noise_multiplier: float
    clipped_share: float | None
    seconds: float


def rows(outcomes: list[Outcome], name: str) -> Iterator[Row]:
    """A set's lines of the table."""
    test = _dataset(name).test.by_group()
    draws = np.random.default_rng(0).multinomial(test.units, np.full(test.units, 1 / test.units), size=_DRAWS)
    weights = np.vstack([np.ones(test.units), draws])

    def over_seeds(arm: str) -> NDArray[np.float64]:
        tables: list[Confusion] = [
            confusion(scores=outcome.scores, labels=test.labels, unit_of=test.unit_of, units=test.units)
            for outcome in outcomes
            if (outcome.job.name, outcome.job.arm) == (name, arm)
        ]
        return np.mean([mcc(table.weighted(weights)) for table in tables], axis=0)

    plain = over_seeds(PLAIN)
    for arm in ARMS:
        own = [outcome for outcome in outcomes if (outcome.job.name, outcome.job.arm) == (name, arm)]
        reached = over_seeds(arm)
        below = plain - reached
        shares = [outcome.clipped_share for outcome in own if outcome.clipped_share is not None]
        low, high = np.quantile(below[1:], [0.025, 0.975])
        yield Row(
            name=name,
            arm=arm,
            mcc=float(reached[0]),
            below_plain=float(below[0]),
            below_plain_low=float(low),
            below_plain_high=float(high),
            noise_multiplier=own[0].noise_multiplier,
            clipped_share=float(np.mean(shares)) if shares else None,
            seconds=float(np.mean([outcome.seconds for outcome in own])),
        )


def main(seeds: int = SEEDS, *names: str) -> None:
    """Print the table and write build/bench/utility.json."""
    chosen = names or tuple(candidates())
    jobs = [Job(name=name, arm=arm, seed=seed) for name in chosen for seed in range(seeds) for arm in ARMS]
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        outcomes = []
        for outcome in pool.map(run, jobs):
            outcomes.append(outcome)
            print(f"{outcome.job} in {outcome.seconds:.0f} s", file=sys.stderr, flush=True)
    table = [row for name in chosen for row in rows(outcomes, name)]
    print(
        f"Matthews' correlation at ε = {EPSILON:g}, mean of {seeds} seeds; how far below plain training, and 95 % of it"
    )
    for row in table:
        clipped = "" if row.clipped_share is None else f"  clipped {row.clipped_share:.0%}"
        print(
            f"{row.name:16} {row.arm:10} {row.mcc:6.3f}  {row.below_plain:+.3f} "
            f"[{row.below_plain_low:+.3f}, {row.below_plain_high:+.3f}]  {row.seconds:5.0f} s{clipped}"
        )
    if "bccd" not in chosen:
        print("bccd: skipped" + ("" if BCCD.is_dir() else ", the set is not there (GATEKEEPER_BCCD)"))
    path = Path("build/bench/utility.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "epsilon": EPSILON,
        "seeds": seeds,
        "most_below": MOST_BELOW,
        "rows": [dataclasses.asdict(row) for row in table],
        "recipes": {name: dataclasses.asdict(candidates()[name]) for name in chosen},
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main(*[int(each) if each.isdigit() else each for each in sys.argv[1:]])
