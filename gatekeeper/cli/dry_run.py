"""`certify --dry-run`: what a run would be, and what it would cost."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import Forecast, TrainingPlan
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.rundir import RunDirectory


def print_forecast(policy: Policy, candidate: Candidate, *, runs: Path, device: DeviceChoice) -> None:
    """Plan and price a run, and exit with 2 where it could not be approved whatever it measures."""
    from gatekeeper.pipeline.child import run_private_part

    run = RunDirectory.create(runs, policy=policy, candidate=candidate)
    with run.lock():
        try:
            run_private_part(run, "forecast", device=device)
            forecast = run.read_forecast()
        finally:
            run.delete()
    for line in _forecast_lines(forecast):
        click.echo(line)
    if forecast.problems:
        raise click.exceptions.Exit(2)


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


def _forecast_lines(forecast: Forecast) -> list[str]:
    card, mechanism = forecast.dataset, forecast.plan.mechanism
    minutes = forecast.training_seconds / 60
    lines = [
        f"data      {card.name}: {card.train_units} training units ({card.unit}), {card.test_units} test units, "
        f"{'×'.join(map(str, card.image_shape))}, {len(card.classes)} classes",
        f"mechanism {mechanism.sampling}, q = {mechanism.sampling_rate:.6g}, {_steps(forecast.plan)}, "
        f"σ = {round_down(mechanism.noise_multiplier, digits=6)}, {_clipping(forecast.plan)}"
        f"{_precision(forecast.plan)}",
        f"privacy   ε ≤ {round_up(forecast.epsilon, digits=6)} at "
        f"δ = {round_up(forecast.plan.budget.delta, digits=6)} ({forecast.accountant})",
        f"risk      median NCC of the closed form: one step {round_up(forecast.median_ncc_one_step, digits=3)}, "
        f"all steps {round_up(forecast.median_ncc_all_steps, digits=3)} (an estimate; the audit decides)",
        f"time      about {minutes:.1f} min of training, before the twin and the audit",
    ]
    return lines + [f"problem   {problem}" for problem in forecast.problems]
