"""A mechanism's guarantee: the smallest of the proven upper bounds on ε, by the name of the method that gave it.

| accountant                  | applies to                                        | tight                            |
| --------------------------- | ------------------------------------------------- | -------------------------------- |
| `gaussian`                  | every mechanism, as if each step used each unit   | at q = 1: exact                  |
| `balls-and-bins`            | balls and bins: one use an epoch, bins revealed   | at large ε                       |
| `balls-and-bins-amplified`  | balls and bins, σ above 0.125, bins secret        | mostly to 0.3 % (not proven)     |
| `participation-bound`       | Poisson sampling, pattern revealed                | at large ε                       |
| `privacy-loss-distribution` | Poisson sampling, where the above is not narrow   | mostly to 0.3 %                  |

Losses are computed only where the interval that revealing the pattern gives is wider than 0.2 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gatekeeper.core.budget import Guarantee, Interval
from gatekeeper.core.checks import check_open_probability
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.errors import InternalError
from gatekeeper.privacy import balls_and_bins, gaussian, participation, pld
from gatekeeper.privacy.losses import Direction

_NARROW = 0.002
_LEAST_DELTA_OF_LOSSES = 1e-300  # below it the tails of one step's loss can't be told from zero

_EVERY_STEP = "Balle and Wang 2018, theorem 8, as if every step used every unit"
_EXACT = "Balle and Wang 2018, theorem 8"
_DEALT = "Balle and Wang 2018, theorem 8, for one use of each unit an epoch (Chua et al. 2024, balls and bins)"
_HIDDEN = "Chua et al. 2024 (balls and bins), the likelihood ratio discretised upwards in convex order"
_PATTERN = "joint convexity of the hockey-stick divergence over the pattern of participation"
_LOSSES = "Zhu, Dong and Wang 2022, theorems 10 and 11, discretised as by Doroshenko et al. 2022"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bounds:
    """One method's answer."""

    accountant: str
    theorem: str
    epsilon: Interval


def _worst_case(mechanism: Mechanism, delta: float) -> _Bounds:
    """Every step uses the unit: exact where q = 1, an upper bound otherwise."""
    exact = mechanism.sampling_rate == 1
    found = gaussian.epsilon(mu=math.sqrt(mechanism.steps) / mechanism.relative_noise, delta=delta)
    interval = found if exact else Interval(low=0.0, estimate=found.high, high=found.high)
    return _Bounds(accountant="gaussian", theorem=_EXACT if exact else _EVERY_STEP, epsilon=interval)


def _by_pattern(mechanism: Mechanism, delta: float) -> _Bounds:
    """The adversary is told in which steps the unit takes part."""
    dealt = mechanism.sampling == "balls-and-bins"
    return _Bounds(
        accountant="balls-and-bins" if dealt else "participation-bound",
        theorem=_DEALT if dealt else _PATTERN,
        epsilon=participation.epsilon(mechanism, delta=delta),
    )


def _wants_losses(mechanism: Mechanism, epsilon: Interval, delta: float) -> bool:
    wide = math.isfinite(epsilon.high) and epsilon.low < epsilon.high * (1 - _NARROW)
    hidden = mechanism.sampling == "poisson" or amplifiable(mechanism, delta)
    return wide and hidden and delta >= _LEAST_DELTA_OF_LOSSES


def amplifiable(mechanism: Mechanism, delta: float) -> bool:
    """Whether balls and bins hide the unit's batch well enough for `balls_and_bins` to have a say."""
    well = (
        1 < mechanism.batches_per_epoch <= balls_and_bins.MOST_BATCHES
        and 1 / mechanism.relative_noise <= balls_and_bins.LARGEST_MU
    )
    return well and delta >= balls_and_bins.LEAST_DELTA


def epochs(mechanism: Mechanism, direction: Direction) -> balls_and_bins.Epochs:
    """All epochs begun, as losses to be added."""
    return balls_and_bins.Epochs(
        batches=mechanism.batches_per_epoch,
        mu=1 / mechanism.relative_noise,
        times=mechanism.epochs_begun,
        direction=direction,
    )


def _amplified(mechanism: Mechanism, delta: float, scale: float) -> _Bounds:
    """The adversary is not told the bins."""
    found = pld.upper_interval(lambda direction: [epochs(mechanism, direction)], delta=delta, scale=scale)
    return _Bounds(accountant="balls-and-bins-amplified", theorem=_HIDDEN, epsilon=found)


def _all_bounds(mechanism: Mechanism, delta: float) -> list[_Bounds]:
    worst = _worst_case(mechanism, delta)
    if mechanism.sampling_rate == 1:
        return [worst]
    pattern = _by_pattern(mechanism, delta)
    scale = min(pattern.epsilon.high, worst.epsilon.high)
    if not _wants_losses(mechanism, pattern.epsilon, delta):
        return [pattern, worst]
    if mechanism.sampling == "balls-and-bins":
        return [_amplified(mechanism, delta, scale), pattern, worst]
    losses = pld.epsilon(mechanism, delta=delta, scale=scale)
    return [_Bounds(accountant="privacy-loss-distribution", theorem=_LOSSES, epsilon=losses), pattern, worst]


def account(mechanism: Mechanism, delta: float) -> Guarantee:
    """The mechanism's (ε, δ)-differential privacy at the given δ.

    | case                                | ε                                                      |
    | ----------------------------------- | ------------------------------------------------------ |
    | no steps                            | 0: nothing was released                                |
    | δ at least the total variation      | 0 … 1e-12                                              |
    | otherwise                           | `high` proven, `low` proven, the truth between the two |

    Args:
        mechanism: what ran (or will run); add-or-remove-one adjacency, to which zero-out is equal.
        delta: δ, strictly between 0 and 1.

    Returns:
        ε in nats: `high` is the guarantee, rounded up, with the accountant and the theorem that prove it; `low`
        is the best proven lower bound on the smallest ε of the mechanism at δ.

    Raises:
        InvalidValueError: δ is outside its range.
        InternalError: two proven bounds contradict each other.

    >>> run = Mechanism(sampling="poisson", sampling_rate=0.01, noise_multiplier=1e-4, steps=1000,
    ...                 adjacency="zero-out", unit="image")
    >>> found = account(run, 1e-5)
    >>> found.accountant, f"{found.epsilon.high:.4g}"
    ('participation-bound', '1.3e+09')
    """
    check_open_probability(delta=delta)
    if mechanism.steps == 0:
        nothing = Interval(low=0.0, estimate=0.0, high=0.0)
        return Guarantee(epsilon=nothing, delta=delta, accountant="gaussian", theorem=_EXACT)
    bounds = _all_bounds(mechanism, delta)
    best = min(bounds, key=lambda found: found.epsilon.high)
    high, low = best.epsilon.high, max(found.epsilon.low for found in bounds)
    if low > high * (1 + 1e-9) + 1e-9:
        raise InternalError(f"a lower bound of {low!r} exceeds an upper bound of {high!r} on ε of {mechanism!r}")
    low = min(low, high)
    epsilon = Interval(low=low, estimate=min(high, max(low, best.epsilon.estimate)), high=high)
    return Guarantee(epsilon=epsilon, delta=delta, accountant=best.accountant, theorem=best.theorem)


def quick_delta(mechanism: Mechanism, *, epsilon: float, delta: float) -> float:
    """A proven δ at ε, sharp where it is about `delta`, and much faster than `account`: for searches, which end there.

    Args:
        mechanism: Poisson sampling with 0 < q < 1, or balls and bins, with at least one step.
        epsilon: ε in nats, above 0.
        delta: the δ that is sought, strictly between 0 and 1.
    """
    if mechanism.sampling == "poisson":
        return pld.upper_delta(mechanism, epsilon=epsilon, delta=delta)
    if not amplifiable(mechanism, delta):
        return 1.0
    return max(
        pld.Accountant(sources=(epochs(mechanism, direction),), delta=delta).suited(epsilon).delta_upper(epsilon)
        for direction in ("remove", "add")
    )


def quick_epsilon(mechanism: Mechanism, *, delta: float) -> float:
    """A proven ε, usually within 1e-3 of `account(…).epsilon.high` and faster: for searches, which end in `account`.

    Args:
        mechanism: Poisson sampling with 0 < q < 1 and at least one step.
        delta: δ, strictly between 0 and 1.
    """
    pattern, worst = _by_pattern(mechanism, delta).epsilon, _worst_case(mechanism, delta).epsilon.high
    scale = min(pattern.high, worst)
    return pld.upper(mechanism, delta=delta, scale=scale) if _wants_losses(mechanism, pattern, delta) else scale
