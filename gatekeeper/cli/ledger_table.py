"""The runs of a ledger as a table, and as JSON."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from gatekeeper.cli.output import use_colour
from gatekeeper.core.codec import canonical, plain
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.core.rounding import round_down, round_up
from gatekeeper.report.printed import printed

if TYPE_CHECKING:
    from gatekeeper.pipeline.ledgers import RunSummary

SCHEMA = "urn:gatekeeper:ledger:v1"
_WIDEST = 240


def as_json(head: LedgerHead, runs: tuple[RunSummary, ...]) -> str:
    """Versioned JSON: the head, and every run with its reservation and what is counted of it."""
    return canonical({"schema": SCHEMA, "head": plain(head), "runs": [plain(run) for run in runs]})


def as_text(head: LedgerHead, runs: tuple[RunSummary, ...]) -> str:
    """A table with a row for each run, and the head below."""
    table = Table(box=box.SIMPLE)
    for name in ("entry", "time", "run", "policy", "units", "what is counted", "settled", "ended"):
        table.add_column(name, overflow="fold", justify="right" if name in {"entry", "units"} else "left")
    for run in runs:
        table.add_row(*_cells(run))
    return _rendered(table) + f"{len(runs)} runs; head {head}\n"


def _cells(run: RunSummary) -> tuple[str, ...]:
    return (
        str(run.number),
        run.time,
        run.reservation.run,
        run.reservation.policy_name,
        str(run.units),
        _counted(run),
        "settled" if run.settled else "never settled: counted in full",
        _ended(run),
    )


def _ended(run: RunSummary) -> str:
    """How it ended; an audit is called approved nowhere."""
    from gatekeeper.pipeline.counting import AUDIT_ONLY

    ended: str = run.conclusion or ""
    if run.detail == AUDIT_ONLY:
        ended = f"audit {'passed' if ended == 'approved' else ended}"
    return f"{ended}: {run.detail}" if run.detail else ended


def _counted(run: RunSummary) -> str:
    """The mechanism; its noise is rounded down and its sampling rate up, towards more loss."""
    mechanism = run.mechanism
    if mechanism is None:
        return "NOT PRIVATE"
    numbers = (
        f"{mechanism.sampling}, σ {round_down(mechanism.noise_multiplier)}, "
        f"q {round_up(mechanism.sampling_rate)}, T {mechanism.steps}"
    )
    return f"{numbers}, and NOT PRIVATE besides" if run.reservation.non_private else numbers


def _rendered(table: Table) -> str:
    width = shutil.get_terminal_size((_WIDEST, 24)).columns if sys.stdout.isatty() else _WIDEST
    return printed((table,), width=width, colour=use_colour())
