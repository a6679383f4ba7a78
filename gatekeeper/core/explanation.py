"""Why a run's verdict is what it is, rule by rule, and which setting would change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_finite, check_integer, check_text, check_tuple
from gatekeeper.core.verdict import Status

VerdictWord = Literal["approved", "audit-passed", "refused", "inconclusive"]

_VERDICTS: tuple[str, ...] = get_args(VerdictWord)


@dataclass(frozen=True, kw_only=True, slots=True)
class Knob:
    """A setting, and the value at which what is computed of a rule would pass. No promise: see the caveats beside it.

    Attributes:
        setting: which, such as `noise multiplier` or `training.epsilon`.
        now: its value in this run.
        needed: the value that is enough, by closed form or by extrapolation; None where no value is.
        meaning: what follows from that, in a sentence.
    """

    setting: str
    now: float
    needed: float | None
    meaning: str

    def __post_init__(self) -> None:
        check_text(setting=self.setting)
        check_finite(now=self.now)
        if self.needed is not None:
            check_finite(needed=self.needed)
        check_text(meaning=self.meaning)


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleExplanation:
    """One rule of the policy, or one that every policy implies.

    Attributes:
        rule: its id.
        status: passed, failed or inconclusive.
        demand: what was demanded.
        margin: how far the run is from it, in words.
        because: what the figure rests on.
        knobs: what would change it; empty where it passes or nothing does.
        caveats: what the knobs don't promise, and what else stands in the way.
    """

    rule: str
    status: Status
    demand: str
    margin: str
    because: str
    knobs: tuple[Knob, ...]
    caveats: tuple[str, ...]

    def __post_init__(self) -> None:
        check_text(rule=self.rule)
        check_choice(status=self.status, choices=get_args(Status))
        check_text(demand=self.demand)
        check_text(margin=self.margin)
        check_text(because=self.because)
        check_tuple(knobs=self.knobs, of=Knob)
        check_tuple(caveats=self.caveats, of=str)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A whole verdict.

    Attributes:
        run: the run's id.
        candidate: the candidate's name.
        policy: the policy's name.
        policy_version: its version.
        attempt: which attempt of the policy on these units it was; the confidence of the rules is that of this attempt.
        verdict: what it was; `audit-passed` of a run that passed and is never to be signed.
        rules: one for each finding, in the verdict's order.
    """

    run: str
    candidate: str
    policy: str
    policy_version: int
    attempt: int
    verdict: VerdictWord
    rules: tuple[RuleExplanation, ...]

    def __post_init__(self) -> None:
        check_text(run=self.run)
        check_text(candidate=self.candidate)
        check_text(policy=self.policy)
        check_integer(policy_version=self.policy_version, at_least=1)
        check_integer(attempt=self.attempt, at_least=1)
        check_choice(verdict=self.verdict, choices=_VERDICTS)
        check_tuple(rules=self.rules, of=RuleExplanation)
