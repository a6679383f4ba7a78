"""Attack D: an attacker who knows the candidates, and every other record, picks the target from noisy sums.

The worst case of the proofs, played against the code that trained (Hayes, Mahloujifar and Balle 2023, "Bounding
training data reconstruction in DP-SGD", the prior-aware attack). Of n candidates one, drawn uniformly, is
in play beside companions whom the attacker knows. It sees T noisy sums g₁ … g_T, subtracts what is known, and picks
the candidate with contribution c of the greatest log-likelihood,

    Σ_t ⟨g_t − known, c⟩ − ½‖c‖²,

which no attack beats where the noise is Gaussian and the contributions are true. Under zero-out adjacency every unit
takes part in every step, so one unit is all but hidden by a Gaussian mechanism of parameter √T/σ, and the success of
every attack is at most γ(1/n) = Φ(Φ⁻¹(1/n) + √T/σ), at any weights and for any candidates. More is a contradiction: the
code leaks more than its mechanism.

Two attackers look at the same sums. One forms each unit's clipped gradient by itself, without the run's engine: that
the two agree is part of the test. The other replays the step itself with the noise all but off, once with each
candidate and once with none, and so knows whatever a candidate changes in the sum, be it through others' gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.checks import check_integer
from gatekeeper.core.identification import MATCHING, Identification
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.risk import Count, IdentificationPower
from gatekeeper.errors import DataError, InvalidValueError

Floats = NDArray[np.float64]
Units = NDArray[np.int64]

ATTACKS = MATCHING

# Others whose places in the sum are taken, too. The engine's physical batches hold a few units at the least.
COMPANIONS = 7

# Candidates are chosen among so many times as many units.
_POOL = 2


class Step(Protocol):
    """The run's own step with chosen units in play; sums are in units of C, float64, shape (parameters,)."""

    def release(self, units: Units) -> Floats:
        """One noisy sum over `units`, which are in the order of their places."""

    def quiet_release(self, units: Units) -> Floats:
        """The same with the noise all but off."""

    def contributions(self, units: Units) -> Floats:
        """Each unit's clipped gradient, formed by itself without the run's engine, shape (units, parameters)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Knowledge:
    """What an attacker knows before it sees a noisy sum; private.

    Attributes:
        known: what the sum is without any candidate, shape (parameters,).
        contributions: what each candidate adds, shape (n, parameters).
    """

    known: Floats
    contributions: Floats

    def pick(self, total: Floats, *, steps: int) -> int:
        """The most likely candidate, which maximises Σ_t (⟨g_t − known, c⟩ − ½‖c‖²).

        Args:
            total: Σ_t g_t, shape (parameters,).
            steps: T.
        """
        lengths = np.einsum("ij,ij->i", self.contributions, self.contributions)
        return int(np.argmax(self.contributions @ (total - steps * self.known) - steps / 2 * lengths))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scene:
    """Who is in play, and what the attackers know; private.

    Attributes:
        candidates: n units, of which one is in play.
        companions: units that are in play with each of them.
        attackers: one for each of `ATTACKS`.
        quiet: the sum with each candidate and the noise all but off, for the positive control: (n, parameters).
    """

    candidates: Units
    companions: Units
    attackers: tuple[Knowledge, Knowledge]
    quiet: Floats

    def with_target(self, target: int) -> Units:
        """The units in play; the target's place is always the last, and blank without it."""
        return np.append(self.companions, self.candidates[target])

    def picks(self, total: Floats, *, steps: int, target: int) -> NDArray[np.int64]:
        """1 for each attacker who picks the target by Σ_t g_t, else 0."""
        return np.array([attacker.pick(total, steps=steps) == target for attacker in self.attackers], dtype=np.int64)


def set_scene(step: Step, *, units: int, candidates: int, companions: int, rng: np.random.Generator) -> Scene:
    """Draw units, choose candidates that are far apart, and compute what each attacker knows.

    Raises:
        DataError: fewer units than candidates and companions.
    """
    if units < candidates + companions:
        raise DataError(
            f"matching {candidates} candidates beside {companions} companions needs {candidates + companions} units, "
            f"there are {units}",
            hint="use fewer candidates",
        )
    size = min(_POOL * candidates, units - companions)
    drawn = rng.choice(units, size=size + companions, replace=False).astype(np.int64)
    pool, others = drawn[:size], drawn[size:]
    contributions = step.contributions(pool)
    chosen = spread_out(contributions, candidates)
    contributions = contributions[chosen]
    own = Knowledge(known=step.contributions(others).sum(axis=0), contributions=contributions)
    known = step.quiet_release(others)
    sums, quiet = np.empty((2, candidates, len(known)))
    for index, unit in enumerate(pool[chosen]):
        in_play = np.append(others, unit)
        sums[index], quiet[index] = step.quiet_release(in_play), step.quiet_release(in_play)
    sums -= known
    replayed = Knowledge(known=known, contributions=sums)
    return Scene(candidates=pool[chosen], companions=others, attackers=(own, replayed), quiet=quiet)


def spread_out(contributions: Floats, count: int) -> Units:
    """Indices of contributions that are far apart: the longest, then again and again the one farthest from all chosen.

    The bound holds for any candidates, and those that look alike hide a leak behind each other.

    Args:
        contributions: shape (units, parameters).
        count: how many to choose, at most all.
    """
    products = contributions @ contributions.T
    lengths = np.diagonal(products)
    distances = lengths[:, None] + lengths - 2 * products
    chosen = [int(np.argmax(lengths))]
    while len(chosen) < count:
        nearest = distances[:, chosen].min(axis=1)
        nearest[chosen] = -np.inf
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen, dtype=np.int64)


def match(
    step: Step,
    *,
    units: int,
    mechanism: Mechanism,
    power: IdentificationPower,
    trials: int,
    companions: int = COMPANIONS,
    rng: np.random.Generator | None = None,
    progress: Callable[[int], None] = lambda trials: None,
) -> tuple[Identification, ...]:
    """Attack D by both attackers, each with its positive control.

    One set of candidates serves all trials; target and noise are drawn anew in each. The trials are taken target by
    target, which lets the step keep the exact sum. Memory: up to 24n bytes a parameter.

    Args:
        step: the run's own step, at the mechanism's noise.
        units: how many training units there are.
        mechanism: the audit's; every unit takes part in each of its T ≥ 1 steps.
        power: γ of that mechanism; its κ is 1/n.
        trials: how often a target is drawn, at least 1.
        companions: units in play beside the target, at least 0.
        rng: draws units and targets; by default seeded by the operating system.
        progress: hears how many trials are done since it last heard.

    Returns:
        One `Identification` for each of `ATTACKS`.

    Raises:
        InvalidValueError: an argument is out of its range.
        DataError: fewer units than candidates and companions.
    """
    rng = np.random.default_rng() if rng is None else rng
    check_integer(trials=trials, at_least=1)
    check_integer(companions=companions, at_least=0)
    _check_mechanism(mechanism)
    count = _candidates(power)
    scene = set_scene(step, units=units, candidates=count, companions=companions, rng=rng)
    # As many trials for each target as independent uniform draws give it.
    repeats = rng.multinomial(trials, np.full(count, 1 / count))
    right, controlled = np.zeros((2, len(ATTACKS)), dtype=np.int64)
    for target in range(count):
        in_play = scene.with_target(target)
        controlled += scene.picks(scene.quiet[target], steps=1, target=target)
        for _ in range(repeats[target]):
            total = np.sum([step.release(in_play) for _ in range(mechanism.steps)], axis=0)
            right += scene.picks(total, steps=mechanism.steps, target=target)
            progress(1)
    return tuple(
        Identification(
            attack=name,
            candidates=count,
            identified=Count(successes=int(right[index]), trials=trials),
            mechanism=mechanism,
            bound=power.worst_case,
            positive_control=Count(successes=int(controlled[index]), trials=count),
        )
        for index, name in enumerate(ATTACKS)
    )


def _check_mechanism(mechanism: Mechanism) -> None:
    check_integer(steps=mechanism.steps, at_least=1)
    if mechanism.sampling_rate != 1:
        raise InvalidValueError(
            f"matching needs every unit in every step, got a sampling rate of {mechanism.sampling_rate!r}"
        )


def _candidates(power: IdentificationPower) -> int:
    """The number n of candidates, where κ = 1/n."""
    count = round(1 / power.prior_success)
    if count < 2 or abs(count * power.prior_success - 1) > 1e-9:
        raise InvalidValueError(f"prior_success must be 1/candidates, of at least 2, got {power.prior_success!r}")
    return count
