"""How often one unit takes part in a training run, as a distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

from gatekeeper.core.checks import check_integer, check_probability, check_tuple
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Participations:
    """The distribution of K, the number of steps that one unit takes part in.

    Binomial(T, q) under Poisson sampling; the number of epochs, with certainty, under balls and bins.

    Attributes:
        counts: the values of K that carry mass, in increasing order.
        probabilities: P(K = count) for each.
        tail: an upper bound on the probability of all counts that were cut off.
    """

    counts: tuple[int, ...]
    probabilities: tuple[float, ...]
    tail: float

    def __post_init__(self) -> None:
        check_tuple(counts=self.counts, of=int)
        check_tuple(probabilities=self.probabilities, of=float)
        check_probability(tail=self.tail)
        if not self.counts or len(self.counts) != len(self.probabilities):
            raise InvalidValueError("counts and probabilities must have the same length, at least 1")
        for count, probability in zip(self.counts, self.probabilities, strict=True):
            check_integer(count=count, at_least=0)
            check_probability(probability=probability)
        if list(self.counts) != sorted(set(self.counts)):
            raise InvalidValueError("counts must increase")
        if abs(math.fsum(self.probabilities) + self.tail - 1) > 1e-6:
            raise InvalidValueError("probabilities and tail must add up to 1")

    def upper_quantile(self, probability: float = 0.99) -> int:
        """The smallest k with P(K ≤ k) ≥ `probability`, or the largest count kept where the tail hides it.

        >>> Participations(counts=(3,), probabilities=(1.0,), tail=0.0).upper_quantile()
        3
        """
        for count, reached in zip(self.counts, accumulate(self.probabilities), strict=True):
            if reached >= probability - 1e-12:
                return count
        return self.counts[-1]
