"""What dry runs find, for tests that don't make one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from gatekeeper.core.forecast import Forecast, PartCost, RunCost, Span
from gatekeeper.rundir import RunDirectory
from tests.ledger_samples import people
from tests.tiny import tiny_card, tiny_plan, tiny_units

COST = RunCost(
    training=Span(low=90.0, high=90.0),
    twin=Span(low=27.0, high=90.0),
    audit=(
        PartCost(name="simulated attacks", seconds=Span(low=5.0, high=20.0), measured=True),
        PartCost(name="inversion", seconds=Span(low=600.0, high=9600.0), measured=False),
    ),
    memory_bytes=812_000_000,
    gpu_memory_bytes=None,
    disk_bytes=12_000_000,
)


def sample_forecast(*, cost: RunCost = COST, problems: tuple[str, ...] = ()) -> Forecast:
    return Forecast(
        dataset=tiny_card(tiny_units(units=400)),
        plan=tiny_plan(),
        epsilon=123.4561,
        accountant="pld",
        median_ncc_one_step=0.1234,
        median_ncc_all_steps=0.2,
        cost=cost,
        problems=problems,
    )


def unaudited(problem: str) -> Forecast:
    """Of a run that can't be approved."""
    return sample_forecast(cost=dataclasses.replace(COST, audit=None), problems=(problem,))


def forecasting(found: Forecast) -> Callable[[RunDirectory], None]:
    """Stands for the private part of a dry run."""

    def write(run: RunDirectory) -> None:
        run.write_forecast(found)
        run.write_identities(people(*range(found.dataset.train_units)))

    return write
