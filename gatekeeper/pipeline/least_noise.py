"""The settings at which a bound would pass: searched with the very functions that bound, account and plan a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gatekeeper.core.budget import Budget
from gatekeeper.core.certificate import Evidence
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.policy import Policy, RiskRule
from gatekeeper.core.risk import IdentificationPower
from gatekeeper.errors import InvalidValueError, PrivacyError

_LARGEST = 1e9  # a noise multiplier beyond which nobody trains
_STRIDE = 4.0
_TOLERANCE = 1.001  # σ is found to a thousandth, from above


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundOfRule:
    """One rule's bound as a function of the mechanism, on the data of a run.

    Attributes:
        rule: the rule.
        evidence: of the run.
        policy: under which it was judged.
    """

    rule: RiskRule
    evidence: Evidence
    policy: Policy

    def at(self, mechanism: Mechanism) -> float | None:
        """The bound under another mechanism, or None where none is known."""
        from gatekeeper.pipeline.judgement import withstood

        power = self._trivial() if self.rule.adversary.knows == "nothing" else None
        for bound in withstood(mechanism, self.evidence, self.policy, power=power):
            if (bound.adversary, bound.similarity) == (self.rule.adversary, self.rule.similarity):
                return bound.value
        return None

    def _trivial(self) -> IdentificationPower:
        """What is true of every mechanism, γ ≤ 1, and needs no time: the rule doesn't read it."""
        candidates = self.policy.audit.candidates or self.evidence.dataset.train_units
        return IdentificationPower(
            prior_success=1 / candidates,
            worst_case=1.0,
            worst_case_method="trivial",
            relaxed=1.0,
            relaxed_method="trivial",
        )

    def passes(self, mechanism: Mechanism) -> bool:
        """Whether the bound is known and at most the rule's maximum."""
        value = self.at(mechanism)
        return value is not None and value <= self.rule.maximum

    def least_noise(self) -> Mechanism | None:
        """The run's mechanism with about the least noise at which the bound passes; None where no noise is enough.

        The bound passes at the noise multiplier that is returned, and at a hundredth less it does not: it falls as the
        noise grows.
        """
        own = self.evidence.record.mechanism
        fails, passes = own.noise_multiplier, own.noise_multiplier * _STRIDE
        while not self.passes(replace(own, noise_multiplier=passes)):
            if passes >= _LARGEST:
                return None
            fails, passes = passes, min(_LARGEST, passes * _STRIDE)
        while passes > fails * _TOLERANCE:
            middle = (fails * passes) ** 0.5
            fails, passes = (fails, middle) if self.passes(replace(own, noise_multiplier=middle)) else (middle, passes)
        return replace(own, noise_multiplier=passes)

    def largest_epsilon(self, start: float, *, rounded: Callable[[float], float]) -> float | None:
        """An ε for the candidate, rounded, whose own plan passes: about the largest one.

        Args:
            start: ε of `least_noise`, near which the answer lies. The candidate's `sampling: best` may choose another
                sampling at this ε than at the run's, so each try is planned.
            rounded: how it will be printed.
        """
        epsilon = rounded(start)
        for _ in range(60):
            planned = self._planned(epsilon)
            if planned is not None and self.passes(planned):
                return epsilon
            epsilon = rounded(epsilon * 0.98)
        return None

    def _planned(self, epsilon: float) -> Mechanism | None:
        from gatekeeper.privacy import calibrate

        plan = self.evidence.plan
        try:
            return calibrate(
                Budget(epsilon=epsilon, delta=plan.budget.delta),
                sampling=self.evidence.candidate.training.sampling,
                sampling_rate=plan.mechanism.sampling_rate,
                steps=plan.mechanism.steps,
                adjacency=plan.mechanism.adjacency,
                unit=plan.mechanism.unit,
            )
        except (PrivacyError, InvalidValueError):
            return None

    def most_epochs(self) -> Mechanism | None:
        """The run's mechanism with the most epochs at which the bound passes at its own noise; None where none does."""
        own, training = self.evidence.record.mechanism, self.evidence.candidate.training
        per_epoch = training.steps_per_epoch(self.evidence.dataset.train_units)

        def shortened(epochs: int) -> Mechanism:
            return replace(own, steps=epochs * per_epoch)

        passes, fails = 0, training.epochs
        while fails - passes > 1:
            middle = (passes + fails) // 2
            passes, fails = (middle, fails) if self.passes(shortened(middle)) else (passes, middle)
        return shortened(passes) if passes else None
