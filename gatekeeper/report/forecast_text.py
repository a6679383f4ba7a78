"""A dry run as text."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper.core.forecast import Forecast, LedgerForecast, RunCost, Span
from gatekeeper.core.pace import in_words
from gatekeeper.core.record import TrainingPlan
from gatekeeper.core.rounding import in_full, round_down, round_up


def render_forecast_text(found: Forecast, foreseen: LedgerForecast | None, *, free_bytes: int) -> str:
    """What a run would be, take and cost, one thing a line.

    Args:
        found: by the private part.
        foreseen: by the ledger, or None where none was read.
        free_bytes: on the disk where run directories lie.
    """
    lines = (*_plan_lines(found), *_cost_lines(found.cost, free_bytes=free_bytes), *_ledger_lines(found, foreseen))
    problems = dict.fromkeys((*found.problems, *(() if foreseen is None else foreseen.problems)))
    return "\n".join((*lines, *(f"problem   {problem}" for problem in problems))) + "\n"


def _plan_lines(found: Forecast) -> Iterator[str]:
    card, mechanism = found.dataset, found.plan.mechanism
    yield (
        f"data      {card.name}: {card.train_units} training units ({card.unit}), {card.test_units} test units, "
        f"{'×'.join(map(str, card.image_shape))}, {len(card.classes)} classes"
    )
    yield (
        f"mechanism {mechanism.sampling}, q = {mechanism.sampling_rate:.6g}, {_steps(found.plan)}, "
        f"σ = {round_down(mechanism.noise_multiplier, digits=6)}, {_clipping(found.plan)}{_precision(found.plan)}"
    )
    yield (
        f"privacy   ε ≤ {round_up(found.epsilon, digits=6)} at "
        f"δ = {round_up(found.plan.budget.delta, digits=6)} ({found.accountant})"
    )
    yield (
        f"risk      median NCC of the closed form: one step {round_up(found.median_ncc_one_step, digits=3)}, "
        f"all steps {round_up(found.median_ncc_all_steps, digits=3)} (an estimate; the audit decides)"
    )


def _cost_lines(cost: RunCost, *, free_bytes: int) -> Iterator[str]:
    parts = [f"about {in_words(cost.training.high)} of training"]
    if cost.twin is not None:
        parts.append(f"{_span(cost.twin)} of the twin's")
    if cost.whole_audit is not None:
        parts.append(f"{_span(cost.whole_audit)} of the audit")
    yield f"time      {', '.join(parts)} (estimates on this machine, as busy as it is now)"
    for part in cost.audit or ():
        source = "from a small probe" if part.measured else "guessed from a training step"
        yield f"          {part.name}: {_span(part.seconds)}, {source}"
    gpu = "" if cost.gpu_memory_bytes is None else f", {_bytes(cost.gpu_memory_bytes)} of the GPU's"
    yield f"memory    at least {_bytes(cost.memory_bytes)}{gpu}: data, network, two steps and the probes took as much"
    short = "" if free_bytes > cost.disk_bytes else ": TOO LITTLE"
    yield f"disk      up to {_bytes(cost.disk_bytes)} in the run directory; {_bytes(free_bytes)} are free there{short}"


def _ledger_lines(found: Forecast, foreseen: LedgerForecast | None) -> Iterator[str]:
    if foreseen is None:
        yield "ledger    none was read, so earlier runs are not counted here: give --ledger"
        return
    allowed = "" if foreseen.max_attempts is None else f" of {foreseen.max_attempts}, {foreseen.attempts_left} left"
    yield f"ledger    attempt {foreseen.attempt}{allowed}; {foreseen.runs} private runs on these units before"
    delta = in_full(found.plan.budget.delta)
    total = f"ε ≤ {round_up(foreseen.total_before, digits=6)} so far, ≤ {round_up(foreseen.total_after, digits=6)} with"
    limit = (
        "; the policy sets no total_epsilon"
        if foreseen.total_limit is None or foreseen.total_left is None
        else f"; total_epsilon {in_full(foreseen.total_limit)} leaves {round_down(foreseen.total_left, digits=6)}"
    )
    yield f"          {total} this run at δ = {delta}{limit}"
    if foreseen.objection is not None:
        yield f"          it would be REFUSED before its first step: {foreseen.objection}"


def _span(span: Span) -> str:
    low, high = in_words(span.low), in_words(span.high)
    return high if low == high else f"{low} to {high}"


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def _steps(plan: TrainingPlan) -> str:
    spare = f" and {plan.resume_allowance} to be done again after a crash" if plan.resume_allowance else ""
    return f"{plan.steps} steps{spare}"


def _clipping(plan: TrainingPlan) -> str:
    if plan.clipping == "flat":
        return f"C = {plan.clipping_norm:g}"
    begins = "adaptive, from" if plan.clipping == "adaptive" else "automatic,"
    return f"clipping {begins} C = {plan.clipping_norm:g}"


def _precision(plan: TrainingPlan) -> str:
    return "" if plan.precision == "float32" else f", the network in {plan.precision}"
