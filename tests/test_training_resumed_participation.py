"""Who takes part in a training that died: all deals and all deaths of a small one, enumerated.

One run deals 243 units such that, between them, they show every way of falling into the bins of five epochs once. So
the units' patterns of participation *are* the distribution of one unit's pattern.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gatekeeper.core.record import TrainingPlan
from gatekeeper.privacy.participation import participations
from gatekeeper.training.sampling import Deal, batches, deal_anew
from tests.tiny import tiny_plan
from tests.vaults import DeathError, MemoryVault, lifeline

BATCHES, STEPS, EPOCHS = 3, 6, 5
UNITS = BATCHES**EPOCHS
DEATHS = [deaths for number in range(3) for deaths in itertools.combinations(range(8), number)]


class EveryDeal:
    """A stream of which the k-th deal puts unit u into the bin that is the k-th digit of u."""

    def __init__(self) -> None:
        self.deals = 0

    def words(self, count: int) -> NDArray[np.uint64]:
        digit = np.arange(count) // BATCHES**self.deals % BATCHES
        self.deals += 1
        return digit.astype(np.uint64)


class NoWeights:
    """Stands for the weights: they don't matter here."""

    def state(self) -> dict[str, torch.Tensor]:
        return {"master.0": torch.zeros(1)}


@dataclasses.dataclass
class Story:
    """What became of a training: each sum that was formed, by its number and its units; and the steps that count."""

    formed: list[tuple[int, NDArray[np.int64]]]
    steps: int
    starts: int


def _run(plan: TrainingPlan, deaths: tuple[int, ...], *, deal: Deal | None = None) -> Story:
    """Train, dying just after the sums whose turn is among `deaths` (from 0, over all starts)."""
    vault, stream, story = MemoryVault(), EveryDeal(), Story([], 0, 0)
    while True:
        line = lifeline(vault, plan)
        drawn = batches(plan.mechanism, units=UNITS, stream=stream, start=line.begun, deal=deal or line.deal)  # type: ignore[arg-type]
        try:
            for _, units in zip(range(line.step, plan.steps), drawn, strict=False):
                line.begin()
                story.formed.append((line.begun, units))
                if len(story.formed) - 1 in deaths:
                    raise DeathError
                line.done(NoWeights())  # type: ignore[arg-type]
        except DeathError:
            continue
        return dataclasses.replace(story, steps=line.begun, starts=line.starts)


def _plan(block: int) -> TrainingPlan:
    plan = tiny_plan(steps=STEPS + 20 * block)
    assert plan.mechanism.batches_per_epoch == BATCHES
    return dataclasses.replace(plan, resume_allowance=20 * block)


def _patterns(story: Story) -> Counter[tuple[bool, ...]]:
    """How often each pattern of participation in the formed sums occurs."""
    took_part = np.stack([np.isin(np.arange(UNITS), units) for _, units in story.formed], axis=1)
    return Counter(map(tuple, took_part.tolist()))


def _expected_patterns(numbers: list[int]) -> Counter[tuple[bool, ...]]:
    """The same for balls and bins that nothing interrupts, seen at sums of these numbers only."""
    deals = itertools.product(range(BATCHES), repeat=EPOCHS)
    return Counter(tuple(deal[n // BATCHES] == n % BATCHES for n in numbers) for deal in deals)


@pytest.mark.parametrize("block", [1, 2, 3])
def test_all_starts_together_release_some_of_the_sums_of_one_run_that_nothing_interrupts(block: int) -> None:
    plan = _plan(block)
    for deaths in DEATHS:
        story = _run(plan, deaths)
        numbers = [number for number, _ in story.formed]
        assert numbers == sorted(set(numbers)), "no sum's number is used twice"
        assert numbers[-1] < story.steps, "every sum that was formed counts"
        assert _patterns(story) == _expected_patterns(numbers)
        accounted = participations(dataclasses.replace(plan.mechanism, steps=story.steps))
        assert max(map(sum, _patterns(story))) <= accounted.counts[0] == -(-story.steps // BATCHES)
        assert story.steps <= STEPS + block * (story.starts - 1)


def test_dealing_anew_at_each_start_would_use_a_unit_more_often_than_is_accounted() -> None:
    """What the kept deal is for: without it the enumeration finds units that are used too often."""
    plan = _plan(1)
    stories = [_run(plan, deaths, deal=deal_anew) for deaths in DEATHS]
    assert any(max(map(sum, _patterns(story))) > -(-story.steps // BATCHES) for story in stories)


def test_after_a_stop_in_the_middle_of_an_epoch_nothing_is_used_twice() -> None:
    plan = dataclasses.replace(tiny_plan(steps=STEPS), resume_allowance=0)
    vault, stream, seen = MemoryVault(), EveryDeal(), []
    for _ in range(STEPS):
        line = lifeline(vault, plan, stop=True)
        drawn = batches(plan.mechanism, units=UNITS, stream=stream, start=line.begun, deal=line.deal)  # type: ignore[arg-type]
        line.begin()
        seen.append(next(drawn))
        try:
            line.done(NoWeights())  # type: ignore[arg-type]
        except KeyboardInterrupt:
            continue
    assert (line.begun, line.starts) == (STEPS, STEPS)
    for epoch in (seen[:BATCHES], seen[BATCHES:]):
        assert sorted(np.concatenate(epoch)) == list(range(UNITS))
