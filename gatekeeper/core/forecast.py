"""What a run would be, and what it would cost, before it is."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import check_integer, check_non_negative, check_text, check_tuple
from gatekeeper.core.record import DatasetCard, TrainingPlan
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """An estimate of a duration, as a range.

    Attributes:
        low: seconds, at least 0.
        high: seconds, at least `low`.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        check_non_negative(low=self.low)
        check_non_negative(high=self.high)
        if self.high < self.low:
            raise InvalidValueError(f"a span ends where it begins or later, got {self.low!r} to {self.high!r}")

    def plus(self, other: Span) -> Span:
        """Both, one after the other."""
        return Span(low=self.low + other.low, high=self.high + other.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class PartCost:
    """What one part of the audit would take.

    Attributes:
        name: which part.
        seconds: how long.
        measured: whether a small probe of it was timed; otherwise it was guessed from the time of a training step.
    """

    name: str
    seconds: Span
    measured: bool

    def __post_init__(self) -> None:
        check_text(name=self.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCost:
    """Estimates of what a run would take of this machine, as busy as it is now.

    Attributes:
        training: from two steps on random images.
        twin: of the non-private twin, or None where no rule wants one.
        audit: each attack, and the limits of the metrics; None where the data can't satisfy the policy, so
            that none would begin.
        memory_bytes: what this process has used at most, with data, network, two steps and the probes: the run needs
            as much, and may need more.
        gpu_memory_bytes: the same of the GPU, or None without one.
        disk_bytes: what the run directory would hold at most.
    """

    training: Span
    twin: Span | None
    audit: tuple[PartCost, ...] | None
    memory_bytes: int
    gpu_memory_bytes: int | None
    disk_bytes: int

    def __post_init__(self) -> None:
        if self.audit is not None:
            check_tuple(audit=self.audit, of=PartCost)
        check_integer(memory_bytes=self.memory_bytes, at_least=1)
        check_integer(disk_bytes=self.disk_bytes, at_least=0)
        if self.gpu_memory_bytes is not None:
            check_integer(gpu_memory_bytes=self.gpu_memory_bytes, at_least=0)

    @property
    def whole_audit(self) -> Span | None:
        """All of its parts."""
        return None if self.audit is None else sum_of(tuple(part.seconds for part in self.audit))

    @property
    def total(self) -> Span:
        """Training, and twin and audit where there are any."""
        return sum_of(tuple(span for span in (self.training, self.twin, self.whole_audit) if span is not None))


def sum_of(spans: tuple[Span, ...]) -> Span:
    """All of them, one after the other."""
    total = Span(low=0.0, high=0.0)
    for span in spans:
        total = total.plus(span)
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a run would be, without running it.

    Attributes:
        dataset: the data's public facts.
        plan: what would run.
        epsilon: the proven ε of that plan, rounded up.
        accountant: which method proves it.
        median_ncc_one_step: the closed form's median similarity for an attacker who sees one step.
        median_ncc_all_steps: the same for an attacker who sees every step.
        cost: time, memory and disk, estimated.
        problems: why the run could not be approved, whatever it measures; empty where nothing stands in the way.
    """

    dataset: DatasetCard
    plan: TrainingPlan
    epsilon: float
    accountant: str
    median_ncc_one_step: float
    median_ncc_all_steps: float
    cost: RunCost
    problems: tuple[str, ...]

    def __post_init__(self) -> None:
        check_non_negative(epsilon=self.epsilon)
        check_text(accountant=self.accountant)
        check_tuple(problems=self.problems, of=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerForecast:
    """What a ledger would say of a run, had it been reserved now; nothing is written there.

    Attributes:
        attempt: which attempt of the policy on these units it would be, from 1.
        max_attempts: how many the policy allows, or None.
        runs: private runs that used any of the units before.
        total_before: ε of those runs on the units that have spent the most, an upper bound; 0 where there were none.
        total_after: the same with this run.
        total_limit: the policy's `total_epsilon`, or None.
        objection: why the run would be refused before its first step, or None.
        problems: why this attempt could not be approved, whatever it measures.
    """

    attempt: int
    max_attempts: int | None
    runs: int
    total_before: float
    total_after: float
    total_limit: float | None
    objection: str | None
    problems: tuple[str, ...]

    def __post_init__(self) -> None:
        check_tuple(problems=self.problems, of=str)
        check_integer(attempt=self.attempt, at_least=1)
        check_integer(runs=self.runs, at_least=0)
        check_non_negative(total_before=self.total_before)
        check_non_negative(total_after=self.total_after)

    @property
    def attempts_left(self) -> int | None:
        """How many attempts would be left afterwards; None without a limit."""
        return None if self.max_attempts is None else max(0, self.max_attempts - self.attempt)

    @property
    def total_left(self) -> float | None:
        """How far the total would stay below its limit; None without a limit."""
        return None if self.total_limit is None else max(0.0, self.total_limit - self.total_after)
