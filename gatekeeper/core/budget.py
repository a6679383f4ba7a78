"""Privacy budgets and the intervals that bound them."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import check_not_nan, check_open_probability, check_positive
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A quantity known to lie between two ends.

    The gate reads whichever end guards: the high end of a risk, the low end of an accuracy.

    Attributes:
        low: lower end, at most `estimate`.
        estimate: the best single figure; for display only.
        high: upper end, at least `estimate`; may be infinite.
    """

    low: float
    estimate: float
    high: float

    def __post_init__(self) -> None:
        check_not_nan(low=self.low)
        check_not_nan(estimate=self.estimate)
        check_not_nan(high=self.high)
        if not self.low <= self.estimate <= self.high:
            raise InvalidValueError(
                f"an interval needs low ≤ estimate ≤ high, got {self.low!r}, {self.estimate!r}, {self.high!r}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """A limit on privacy loss: (ε, δ)-differential privacy at most.

    Attributes:
        epsilon: ε in nats, above 0 and finite; 10⁶ … 10¹² are ordinary here.
        delta: δ, strictly between 0 and 1.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        check_positive(epsilon=self.epsilon)
        check_open_probability(delta=self.delta)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarantee:
    """A proven privacy spend: the mechanism is (ε.high, δ)-differentially private.

    Attributes:
        epsilon: bounds on the smallest ε at `delta`; `high` is the guarantee, `low` says how loose it can be.
        delta: δ of the guarantee.
        accountant: which method gave `epsilon.high`, such as `participation-bound`.
        theorem: where that method is proven.
    """

    epsilon: Interval
    delta: float
    accountant: str
    theorem: str

    def __post_init__(self) -> None:
        check_open_probability(delta=self.delta)
        if self.epsilon.low < 0:
            raise InvalidValueError(f"epsilon must be at least 0, got {self.epsilon.low!r}")
