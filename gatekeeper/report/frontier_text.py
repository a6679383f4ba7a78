"""A frontier for people, in Markdown: what each budget gives and risks, what it took, and what every column means."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gatekeeper.core.adversary import WEIGHTS_ONLY, Adversary
from gatekeeper.core.frontier import Frontier
from gatekeeper.core.frontier_point import FrontierPoint, RiskFigure, Setting
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.core.utility import Measurement
from gatekeeper.report.content import WEIGHTS_NOT_MEASURED
from gatekeeper.report.frontier_columns import (
    VERDICTS,
    Case,
    case_title,
    drop_subjects,
    epsilon_text,
    find,
    risk_at,
    risk_cases,
    similarity_title,
    title,
    utility_subjects,
)
from gatekeeper.report.frontier_words import MEANINGS, best_sentence, counted_sentence
from gatekeeper.report.markdown_text import escape


def render_frontier_markdown(frontier: Frontier) -> str:
    """The frontier as Markdown; privacy figures are rounded towards more risk, accuracies' limits away from pass."""
    return "\n".join(_lines(frontier)) + "\n"


def _lines(frontier: Frontier) -> Iterator[str]:
    synthetic = " (SYNTHETIC images)" if frontier.synthetic else ""
    yield f"# Accuracy and risk of {escape(frontier.candidate)} at each budget"
    yield ""
    yield (
        f"Candidate {escape(frontier.candidate)}, policy {escape(frontier.policy)} v{frontier.policy_version}, "
        f"{escape(frontier.data)}{synthetic}: {frontier.train_units} training units ({escape(frontier.unit)}), "
        f"images of {'×'.join(map(str, frontier.image_shape))}. {frontier.created}, "
        f"gatekeeper {frontier.gatekeeper_version}."
    )
    yield ""
    yield f"**{escape(best_sentence(frontier))}**"
    yield ""
    yield counted_sentence(frontier)
    yield from ("", "## What each budget gives and risks", "")
    yield from _table(*_results(frontier))
    yield from ("", "## What it took", "")
    yield from _table(*_settings(frontier))
    reasons = [point for point in frontier.points if point.reason is not None]
    if reasons:
        yield from ("", "## Why a budget has no verdict of its own", "")
        yield from (f"- ε = {epsilon_text(p.epsilon)}, seed {p.seed}: {escape(p.reason or '')}" for p in reasons)
    yield from ("", "## What the figures mean", "")
    yield from (f"- **{name.replace('_', ' ')}**: {meaning}" for name, meaning in MEANINGS)
    yield from _adversaries(frontier)
    yield (
        f"- The policy's ceiling is ε = {epsilon_text(frontier.max_epsilon)} for one run. A budget above it "
        "is trained to be looked at: what is proven to spend more is refused, whatever it reaches."
    )


def _table(header: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join(' --- ' for _ in header)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _results(frontier: Frontier) -> tuple[list[str], list[list[str]]]:
    metrics, drops, cases = utility_subjects(frontier), drop_subjects(frontier), risk_cases(frontier)
    header = ["ε", "seed", *(escape(title(each)) for each in metrics), *(f"drop of {escape(title(d))}" for d in drops)]
    header += [*(f"{case_title(case, cases)}: {case[0].closed_form}; attack" for case in cases), "verdict"]
    rows = [
        [
            epsilon_text(point.epsilon),
            str(point.seed),
            *(_interval(find(metric, point.utility)) for metric in metrics),
            *(_interval(find(drop, point.drops)) for drop in drops),
            *(_risk(point, case) for case in cases),
            _verdict(point),
        ]
        for point in frontier.points
    ]
    return header, rows


def _interval(found: Measurement | None) -> str:
    if found is None:
        return "–"
    if math.isnan(found.estimate):
        return "undefined"
    low, high = round_down(found.low), round_up(found.high)
    return f"{found.estimate:.4f} [{low}, {high}] at {found.confidence:.4g}, n = {found.units}"


def _risk(point: FrontierPoint, case: Case) -> str:
    if not point.is_private:
        return "no noise, no bound"
    risk = risk_at(point, case)
    if risk is None:
        return "–"
    bound = "no bound"
    if risk.bound is not None:
        bound = f"{'≤' if case[0].prior == 'none' else 'model'} {round_up(risk.bound, digits=3)}"
    attacks = (
        f"{each.attack} {each.sample.successes}/{each.sample.trials} (≤ {round_up(each.upper, digits=3)} at "
        f"{each.confidence:.4g}{'' if each.threshold == risk.threshold else f', τ = {each.threshold:.3f}'})"
        for each in risk.attacks
    )
    return "; ".join((bound, *attacks, *_threshold(risk)))


def _threshold(risk: RiskFigure) -> Iterator[str]:
    if risk.threshold is not None:
        yield f"τ = {risk.threshold:.3f}"
    elif risk.prior_success is not None:
        yield f"by chance {round_up(risk.prior_success, digits=3)}"


def _verdict(point: FrontierPoint) -> str:
    words = VERDICTS[point.outcome]
    if point.failing:
        words += f": fails {', '.join(map(escape, point.failing))}"
    if point.undecided:
        words += f"; open: {', '.join(map(escape, point.undecided))}"
    return words


def _settings(frontier: Frontier) -> tuple[list[str], list[list[str]]]:
    header = ["ε", "seed", "σ", "C", "q", "T", "sampling", "k", "SNR, one step", "SNR, all steps", "ε proven", "δ"]
    rows = [[epsilon_text(p.epsilon), str(p.seed), *_setting(p.setting)] for p in frontier.points]
    return header, rows


def _setting(setting: Setting | None) -> list[str]:
    if setting is None:
        return ["–"] * 10
    mechanism, spent = setting.mechanism, setting.guarantee
    return [
        round_down(mechanism.noise_multiplier),
        f"{in_full(setting.clipping_norm)} ({setting.clipping})",
        round_up(mechanism.sampling_rate),
        str(mechanism.steps),
        mechanism.sampling,
        str(setting.participations),
        round_up(setting.snr_one_step, digits=3),
        round_up(setting.snr_all_steps, digits=3),
        f"{round_down(spent.epsilon.low)} … {round_up(spent.epsilon.high)}",
        round_up(spent.delta),
    ]


def _adversaries(frontier: Frontier) -> Iterator[str]:
    cases = risk_cases(frontier)
    for case in cases:
        risk = next(
            risk for point in frontier.points for risk in point.risks if (risk.adversary, risk.similarity) == case
        )
        success = "" if case[1] is None else f" Success: {similarity_title(case[1])}."
        proven = (
            ""
            if risk.proven_against is None
            else f" The {case[0].closed_form} holds against {escape(risk.proven_against)}."
        )
        yield f"- **{case_title(case, cases)}**: {case[0].description}.{success}{proven}{_guess(case[0])}"
    if all(adversary != WEIGHTS_ONLY for adversary, _ in cases):
        yield f"- **{WEIGHTS_ONLY.title}**: {WEIGHTS_ONLY.description}; {WEIGHTS_NOT_MEASURED}."


def _guess(adversary: Adversary) -> str:
    """What a prior alone reaches, beside any noise: not to be taken for what a training gave away."""
    if adversary.prior == "none":
        return ""
    return (
        " Its τ is also above what it guesses from noise of that level alone, so it rises with the noise. A share near "
        "the null's, about 1 % at the default and a few more where units are few, is what guessing reaches."
    )
