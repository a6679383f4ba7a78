"""What accuracy costs in risk: one candidate at several budgets, each trained, attacked and judged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatekeeper.core.budget import Guarantee
from gatekeeper.core.checks import (
    check_integer,
    check_positive,
    check_sha256,
    check_text,
    check_tuple,
    check_utc_time,
)
from gatekeeper.core.frontier_point import FrontierPoint
from gatekeeper.core.metric import Metric
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Frontier:
    """Every budget that was looked at.

    Attributes:
        gatekeeper_version: what ran it.
        created: UTC time of its end, RFC 3339.
        candidate: the candidate's name.
        candidate_digest: SHA-256 of its canonical form, as it was given.
        policy: the policy's name.
        policy_version: its version.
        policy_digest: SHA-256 of its canonical form.
        max_epsilon: the policy's ceiling for one run.
        metric: the metric of the policy's first rule on accuracy, by which budgets are compared.
        class_name: whose metric, or None.
        data: what the data set is called.
        synthetic: whether its images were generated.
        unit: whose privacy is protected.
        train_units: how many there are.
        image_shape: channels, then spatial sides.
        points: in order of ε, then of seeds; at least one.
        private_runs: private runs of this frontier that the ledger counted, whatever became of them.
        non_private_runs: those that trained without privacy: twins, and ε = ∞.
        total: ε of all runs on the units that have spent the most, just after the last run that was measured here; None
            where none was.
    """

    gatekeeper_version: str
    created: str
    candidate: str
    candidate_digest: str
    policy: str
    policy_version: int
    policy_digest: str
    max_epsilon: float
    metric: Metric
    class_name: str | None
    data: str
    synthetic: bool
    unit: str
    train_units: int
    image_shape: tuple[int, ...]
    points: tuple[FrontierPoint, ...]
    private_runs: int
    non_private_runs: int
    total: Guarantee | None

    def __post_init__(self) -> None:
        for name in ("gatekeeper_version", "candidate", "policy", "data", "unit"):
            check_text(**{name: getattr(self, name)})
        check_utc_time(created=self.created)
        check_sha256(candidate_digest=self.candidate_digest)
        check_sha256(policy_digest=self.policy_digest)
        check_positive(max_epsilon=self.max_epsilon)
        check_integer(train_units=self.train_units, at_least=1)
        check_integer(private_runs=self.private_runs, at_least=0)
        check_integer(non_private_runs=self.non_private_runs, at_least=0)
        check_tuple(points=self.points, of=FrontierPoint)
        keys = [(point.epsilon, point.seed) for point in self.points]
        if not keys or keys != sorted(set(keys)):
            raise InvalidValueError(f"points must be in order of ε and seed, each once, and at least one; got {keys!r}")
        if self.private_runs < sum(point.is_measured and point.is_private for point in self.points):
            raise InvalidValueError(f"{self.private_runs} private runs can't have made so many points")

    @property
    def subject(self) -> tuple[Metric, str | None]:
        """By which metric budgets are compared."""
        return self.metric, self.class_name

    def points_at(self, epsilon: float) -> tuple[FrontierPoint, ...]:
        """Every seed of one budget."""
        return tuple(point for point in self.points if point.epsilon == epsilon)

    def mean_estimate(self, epsilon: float) -> float:
        """The mean over seeds of the estimate by which budgets are compared; NaN where one is missing."""
        found = [point.measured(self.subject) for point in self.points_at(epsilon)]
        return math.fsum(math.nan if each is None else each.estimate for each in found) / len(found)

    @property
    def passing(self) -> tuple[float, ...]:
        """The budgets of which every run was approved, in order."""
        epsilons = dict.fromkeys(point.epsilon for point in self.points)
        return tuple(e for e in epsilons if all(point.outcome == "approved" for point in self.points_at(e)))

    @property
    def best(self) -> float | None:
        """Of the budgets that pass, the one of the highest mean estimate; the smallest of several; None if none."""
        return max(self.passing, key=lambda epsilon: (self.mean_estimate(epsilon), -epsilon), default=None)
