"""The calculator's answer for a terminal; what guards is rounded towards more risk."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, RELAXED, WORST_CASE
from gatekeeper.core.calculation import Calculation, ReadOut
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import IdentificationPower
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.report.content import epsilon_meaning

_LABEL, _WIDTH = 22, 100

_CALIBRATED = (
    "The median NCC is typical, not a bound. What NCC counts as recognisable depends on how alike the images are: "
    "certify calibrates the threshold on other units' images and attacks as well."
)


def render_budget_text(calculation: Calculation) -> str:
    """The answer as text: the mechanism, its ε, each adversary, and what the figures mean."""
    lines = [*_figures(calculation), "", *_adversaries(calculation), ""]
    lines += _paragraph(epsilon_meaning(calculation.guarantee.epsilon.high))
    if calculation.risks.realistic_all_steps is not None:
        lines += _paragraph(_CALIBRATED)
    for note in calculation.notes:
        lines += _paragraph(f"Note: {note}")
    return "\n".join(lines) + "\n"


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)


def _line(label: str, text: str) -> str:
    first, *others = textwrap.wrap(text, _WIDTH - _LABEL)
    return "\n".join([f"{label:<{_LABEL}}{first}", *(" " * _LABEL + other for other in others)])


def _figures(calculation: Calculation) -> Iterator[str]:
    mechanism, guarantee = calculation.mechanism, calculation.guarantee
    yield _line("noise multiplier", _noise(calculation))
    yield _line(
        "epsilon",
        f"at most {round_up(guarantee.epsilon.high, digits=6)}, and at least "
        f"{round_down(guarantee.epsilon.low, digits=6)}, both proven, at delta {in_full(guarantee.delta)}",
    )
    yield _line("accountant", f"{guarantee.accountant}: {guarantee.theorem}")
    yield _line("steps", _length(calculation))
    yield _line("sampling", f"{mechanism.sampling}, q = {in_full(mechanism.sampling_rate)}, {mechanism.adjacency}")
    if calculation.opacus is not None:
        yield _line("Opacus says", _opacus(calculation))


def _noise(calculation: Calculation) -> str:
    """A σ that is typed in again must not be less than the one that was found."""
    sigma = calculation.mechanism.noise_multiplier
    return f"{round_up(sigma, digits=6)} (sought)" if calculation.sought == "noise-multiplier" else in_full(sigma)


def _length(calculation: Calculation) -> str:
    mechanism: Mechanism = calculation.mechanism
    sought = " (sought)" if calculation.sought == "steps" else ""
    epochs = mechanism.steps / mechanism.batches_per_epoch
    return f"{mechanism.steps}{sought}, {epochs:.4g} epochs of {mechanism.batches_per_epoch} steps"


def _opacus(calculation: Calculation) -> str:
    claim, ours = calculation.opacus, calculation.guarantee.epsilon.high
    if claim is None or claim.epsilon is None:
        return f"nothing: {claim.failure if claim else 'not asked'}"
    ratio = f", {claim.epsilon / ours:.3g} times as much" if ours > 0 else ""
    return f"epsilon {claim.epsilon:.6g} (RDP, default orders; best order {claim.order:g}){ratio}"


def _adversaries(calculation: Calculation) -> Iterator[str]:
    risks = calculation.risks
    yield from _identification(risks.identification)
    yield _line(ALL_STEPS.title, _read_out(risks.realistic_all_steps))
    yield _line(ONE_STEP.title, _read_out(risks.realistic_one_step))


def _identification(found: IdentificationPower | None) -> Iterator[str]:
    if found is None:
        yield from (_line(adversary.title, "needs --units or --candidates") for adversary in (WORST_CASE, RELAXED))
        return
    yield _line(WORST_CASE.title, _picking(found.worst_case, found.prior_success, found.worst_case_method))
    yield _line(RELAXED.title, _picking(found.relaxed, found.prior_success, found.relaxed_method))


def _picking(value: float, prior_success: float, method: str) -> str:
    return (
        f"picks the target among {round(1 / prior_success)} with probability at most {round_up(value)} (by chance "
        f"{round_up(prior_success)}; {method})"
    )


def _read_out(found: ReadOut | None) -> str:
    if found is None:
        return "needs --pixels"
    gradients = "1 noisy gradient" if found.participations == 1 else f"{found.participations} noisy gradients"
    median = f"median NCC {round_up(found.median_ncc)} from {gradients}"
    if found.threshold is None or found.rate is None:
        return f"{median}; P(NCC ≥ τ) needs --threshold τ"
    return f"{median}; P(NCC ≥ {in_full(found.threshold)}) at most {round_up(found.rate)}"
