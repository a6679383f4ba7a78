"""The columns that a frontier has: every metric, drop and adversary that any of its points knows, in order."""

from __future__ import annotations

import math
from collections.abc import Iterable

from gatekeeper.core.adversary import Adversary
from gatekeeper.core.frontier import Frontier
from gatekeeper.core.frontier_point import FrontierPoint, RiskFigure
from gatekeeper.core.metric import Metric, metric_title
from gatekeeper.core.risk import Similarity
from gatekeeper.core.rounding import in_full, in_short
from gatekeeper.core.utility import Measurement

Subject = tuple[Metric, str | None]
Case = tuple[Adversary, Similarity | None]

VERDICTS = {
    "approved": "passes",
    "refused": "refused",
    "inconclusive": "inconclusive",
    "declined": "not run",
    "failed": "no model",
}


def utility_subjects(frontier: Frontier) -> tuple[Subject, ...]:
    """Every metric that was measured, the one by which budgets are compared first."""
    found = (m.subject for point in frontier.points for m in point.utility)
    return tuple(dict.fromkeys((frontier.subject, *found)))


def drop_subjects(frontier: Frontier) -> tuple[Subject, ...]:
    """Every metric that was compared with a non-private twin."""
    return tuple(dict.fromkeys(m.subject for point in frontier.points for m in point.drops))


def risk_cases(frontier: Frontier) -> tuple[Case, ...]:
    """Every adversary, with what counts as its success."""
    return tuple(dict.fromkeys((risk.adversary, risk.similarity) for point in frontier.points for risk in point.risks))


def case_title(case: Case, among: Iterable[Case]) -> str:
    """The adversary's name, with its similarity where it has several."""
    adversary, similarity = case
    namesakes = [other for other in among if other[0].title == adversary.title]
    if similarity is None or len(namesakes) < 2:
        return adversary.title
    return f"{adversary.title}, {similarity_title(similarity)}"


def similarity_title(similarity: Similarity) -> str:
    """What counts as success, in a few words."""
    name = similarity.measure.upper()
    if similarity.at_least is not None:
        return f"{name} ≥ {in_full(similarity.at_least)}"
    cap = "" if similarity.at_most is None else f", at most {in_full(similarity.at_most)}"
    return f"{name} above {in_full(similarity.above_null or 0.0)} of strangers{cap}"


def risk_at(point: FrontierPoint, case: Case) -> RiskFigure | None:
    """The point's figures for one adversary, or None."""
    return next((risk for risk in point.risks if (risk.adversary, risk.similarity) == case), None)


def find(subject: Subject, among: tuple[Measurement, ...]) -> Measurement | None:
    """The measurement of one metric, or None."""
    return next((each for each in among if each.subject == subject), None)


def title(subject: Subject) -> str:
    """A metric's name."""
    return metric_title(*subject)


def epsilon_text(epsilon: float) -> str:
    """The ε that was asked for; ∞ without privacy."""
    return "∞ (non-private)" if math.isinf(epsilon) else in_short(epsilon)
