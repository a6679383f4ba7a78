"""Tables that only the page has room for: candidates matched, spends of the ledger, waivers."""

from __future__ import annotations

from gatekeeper.core.identification import CONTRADICTION_CONFIDENCE, Identification
from gatekeeper.core.ledger import Spend
from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.core.waiver import PresentedWaiver
from gatekeeper.report.content import Report
from gatekeeper.report.tables import TableText


def own_code_table(report: Report) -> TableText | None:
    """How often candidates were matched in noisy sums of the run's own code; None where there were too few units."""
    found = report.facts.evidence.identifications
    if not found:
        return None
    return TableText(
        title="The run's own code: candidates matched in its noisy sums",
        columns=("attack", "candidates", "picked", "lower limit", "bound", "noise off"),
        numeric=("candidates", "picked", "lower limit", "bound", "noise off"),
        rows=tuple(_matched(each) for each in found),
        caption=f"lower limit: one-sided, at confidence {round_down(CONTRADICTION_CONFIDENCE, digits=6)}; above the "
        "bound it would prove that the code leaks more than its mechanism. Made at a noise of its own, where no attack "
        "does well, not at the run's",
    )


def _matched(found: Identification) -> tuple[str, ...]:
    return (
        found.attack,
        str(found.candidates),
        f"{found.identified.successes}/{found.identified.trials}",
        round_down(found.identified.lower(confidence=CONTRADICTION_CONFIDENCE), digits=3),
        round_up(found.bound, digits=3),
        f"{found.positive_control.successes}/{found.positive_control.trials}",
    )


def ledger_table(report: Report) -> TableText:
    """What each run took of the units that have spent the most."""
    ledger = report.facts.ledger
    return TableText(
        title="Runs on the units that have spent the most",
        columns=("run", "sampling", "q", "σ", "steps", "end reported", "units at once"),
        numeric=("q", "σ", "steps", "units at once"),
        rows=tuple(_spent(each, own=ledger.run) for each in ledger.spends),
        caption="end reported: a run that never reported its end counts with every step it may have taken; units at "
        "once: how many of that run's units were one of these",
    )


def _spent(spend: Spend, *, own: str) -> tuple[str, ...]:
    mechanism = spend.mechanism
    return (
        f"{spend.run} (this run)" if spend.run == own else spend.run,
        mechanism.sampling,
        round_up(mechanism.sampling_rate),
        round_down(mechanism.noise_multiplier),
        str(mechanism.steps),
        "yes" if spend.settled else "no",
        str(spend.multiplicity),
    )


def waiver_table(report: Report) -> TableText | None:
    """The waivers that were shown to the gate, used or not; None where there were none."""
    if not report.facts.waivers:
        return None
    used = {finding.waiver for finding in report.verdict.findings}
    return TableText(
        title="Waivers that were shown to the gate",
        columns=("waiver", "rule", "ceiling", "until", "owner", "approver", "key", "reason", "used"),
        numeric=("ceiling",),
        rows=tuple(_waived(each, used=each.waiver.id in used) for each in report.facts.waivers),
        caption="until: the end of that day in UTC; key: fingerprint of the key whose signature was verified",
    )


def _waived(each: PresentedWaiver, *, used: bool) -> tuple[str, ...]:
    waiver = each.waiver
    return (
        waiver.id,
        waiver.rule,
        in_full(waiver.ceiling),
        waiver.expires,
        waiver.owner,
        waiver.approver,
        each.signer or "nobody signed it",
        waiver.reason,
        "yes" if used else "no",
    )
