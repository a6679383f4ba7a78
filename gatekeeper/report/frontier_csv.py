"""A frontier as a table for other programs: one row a run, its numbers in full, what is not known left empty.

Columns of metrics and adversaries bear the names that the report gives them, so that no two can be mixed up.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from gatekeeper.core.frontier import Frontier
from gatekeeper.core.frontier_point import FrontierPoint, RiskFigure, Setting
from gatekeeper.core.utility import Measurement
from gatekeeper.report.frontier_columns import (
    case_title,
    drop_subjects,
    find,
    risk_at,
    risk_cases,
    title,
    utility_subjects,
)

Cell = tuple[str, object]


def render_frontier_csv(frontier: Frontier) -> str:
    """The frontier as CSV (RFC 4180): a header, then one row for each ε and seed."""
    rows = [list(_cells(point, frontier)) for point in frontier.points]
    columns = list(dict.fromkeys(name for row in rows for name, _ in row))
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        known = dict(row)
        writer.writerow([_text(known.get(name)) for name in columns])
    return output.getvalue()


def _text(value: object) -> str:
    """A number as `float` reads it back; nothing where nothing is known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)


def _cells(point: FrontierPoint, frontier: Frontier) -> Iterator[Cell]:
    yield from (
        ("epsilon_asked", point.epsilon),
        ("seed", point.seed),
        ("outcome", point.outcome),
        ("failing_rules", " ".join(point.failing)),
        ("undecided_rules", " ".join(point.undecided)),
        ("reason", point.reason),
        ("run", point.run),
        ("attempt", point.attempt),
    )
    yield from _setting(point.setting)
    for subject in utility_subjects(frontier):
        yield from _measured(title(subject), find(subject, point.utility))
    for subject in drop_subjects(frontier):
        yield from _measured(f"drop of {title(subject)}", find(subject, point.drops))
    cases = risk_cases(frontier)
    attacks = {case: _attacks(frontier, case) for case in cases}
    for case in cases:
        yield from _risk(case_title(case, cases), risk_at(point, case), attacks[case])


def _setting(setting: Setting | None) -> Iterator[Cell]:
    mechanism = None if setting is None else setting.mechanism
    spent = None if setting is None else setting.guarantee
    for name in ("noise_multiplier", "sensitivity_slack", "sampling", "sampling_rate", "steps", "adjacency"):
        yield name, getattr(mechanism, name, None)
    for name in ("clipping", "clipping_norm", "pixels", "participations", "snr_one_step", "snr_all_steps"):
        yield name, getattr(setting, name, None)
    yield "epsilon_low", None if spent is None else spent.epsilon.low
    yield "epsilon_high", None if spent is None else spent.epsilon.high
    yield "delta", None if spent is None else spent.delta
    yield "accountant", None if spent is None else spent.accountant


def _measured(name: str, found: Measurement | None) -> Iterator[Cell]:
    yield name, None if found is None else found.estimate
    for end in ("low", "high", "confidence", "units"):
        yield f"{name}: {end}", getattr(found, end, None)


def _attacks(frontier: Frontier, case: object) -> tuple[str, ...]:
    """Every attack that played an adversary at any budget."""
    return tuple(
        dict.fromkeys(
            attack.attack
            for point in frontier.points
            for risk in point.risks
            if (risk.adversary, risk.similarity) == case
            for attack in risk.attacks
        )
    )


def _risk(name: str, risk: RiskFigure | None, attacks: tuple[str, ...]) -> Iterator[Cell]:
    yield f"{name}: bound", getattr(risk, "bound", None)
    yield f"{name}: threshold", getattr(risk, "threshold", None)
    for attack in attacks:
        found = next((each for each in risk.attacks if each.attack == attack), None) if risk else None
        prefix = f"{name}, attack {attack}"
        yield f"{prefix}: threshold", None if found is None else found.threshold
        yield f"{prefix}: reconstructed", None if found is None else found.sample.successes
        yield f"{prefix}: attacked", None if found is None else found.sample.trials
        yield f"{prefix}: upper", None if found is None else found.upper
        yield f"{prefix}: confidence", None if found is None else found.confidence
