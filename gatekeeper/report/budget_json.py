"""The calculator's answer for machines: versioned JSON with a schema that ships in the package."""

from __future__ import annotations

from importlib import resources
from typing import Any

from gatekeeper.core.adversary import RELAXED, WORST_CASE, Adversary
from gatekeeper.core.calculation import Calculation, ReadOut
from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.risk import IdentificationPower

SCHEMA = "gatekeeper/budget/v1"

_IDENTIFIED = (
    "An upper bound on the probability that the adversary picks the target among equally likely candidates; the prior "
    "success is that of guessing."
)
_READ = (
    "How much the adversary's read-out resembles the image: its median NCC, typical and no bound, and the probability "
    "that the NCC reaches the threshold, where one was given."
)
_READ_OUT = "closed form: planted layer, clip binding, no prior over images"


def render_budget_json(calculation: Calculation, *, gatekeeper_version: str) -> str:
    """The answer as canonical JSON, its numbers in full; `budget_schema` describes it."""
    mechanism, guarantee, risks = calculation.mechanism, calculation.guarantee, calculation.risks
    epsilon = {**plain(guarantee.epsilon), "accountant": guarantee.accountant, "theorem": guarantee.theorem}
    return canonical(
        {
            "schema": SCHEMA,
            "gatekeeper_version": gatekeeper_version,
            "sought": calculation.sought,
            "noise_multiplier": mechanism.noise_multiplier,
            "epsilon": epsilon,
            "delta": guarantee.delta,
            "sampling": mechanism.sampling,
            "sampling_rate": mechanism.sampling_rate,
            "steps": mechanism.steps,
            "adjacency": mechanism.adjacency,
            "risk": {
                **_identification(risks.identification),
                "realistic_one_step": _read_out(risks.realistic_one_step),
                "realistic_all_steps": _read_out(risks.realistic_all_steps),
            },
            "opacus": _opacus(calculation),
            "notes": list(calculation.notes),
        }
    )


def budget_schema() -> str:
    """The JSON Schema (draft 2020-12) of `render_budget_json`'s output, as JSON text."""
    return resources.files("gatekeeper.report").joinpath("budget.schema.json").read_text(encoding="utf-8")


def _identification(found: IdentificationPower | None) -> dict[str, Any]:
    if found is None:
        return {"worst_case": None, "relaxed": None}
    return {
        "worst_case": _picking(WORST_CASE, found.worst_case, found.prior_success, found.worst_case_method),
        "relaxed": _picking(RELAXED, found.relaxed, found.prior_success, found.relaxed_method),
    }


def _picking(adversary: Adversary, value: float, prior_success: float, method: str) -> dict[str, Any]:
    return {
        "value": value,
        "prior_success": prior_success,
        "method": method,
        "meaning": f"The adversary {adversary.description}. {_IDENTIFIED}",
    }


def _read_out(found: ReadOut | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "median_ncc": found.median_ncc,
        "participations": found.participations,
        "threshold": found.threshold,
        "rate": found.rate,
        "method": _READ_OUT,
        "meaning": f"The adversary {found.adversary.description}. {_READ}",
    }


def _opacus(calculation: Calculation) -> dict[str, Any] | None:
    claim = calculation.opacus
    return None if claim is None else {"accountant": "rdp", **plain(claim)}
