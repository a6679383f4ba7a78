"""The release policy: everything that determines the judgement, and nothing that determines the model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import get_args

from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.binomial import trials_needed, upper_limit
from gatekeeper.core.checks import (
    check_choice,
    check_confidence,
    check_integer,
    check_open_probability,
    check_positive,
    check_sha256,
    check_text,
    check_tuple,
)
from gatekeeper.core.code import CodeFile
from gatekeeper.core.fields import ADDED
from gatekeeper.core.mechanism import Adjacency
from gatekeeper.core.rule_names import name_clash
from gatekeeper.core.rules import RiskRule as RiskRule
from gatekeeper.core.rules import UtilityRule as UtilityRule
from gatekeeper.core.rules import UtilityStatistic as UtilityStatistic
from gatekeeper.core.weights_only import WeightsSearch
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivacyTerms:
    """Ceilings on the privacy budget.

    Attributes:
        unit: whose privacy is protected: a column of the data set.
        adjacency: how neighbouring data sets differ.
        max_epsilon: the largest ε of one run.
        max_delta: the largest δ; it must also be below 1/units.
        max_total_epsilon: the largest ε of all runs in the ledger that used the same units, at the run's δ; a run
            that would pass it is refused before its first step. None means no limit.
    """

    unit: str
    adjacency: Adjacency
    max_epsilon: float
    max_delta: float
    max_total_epsilon: float | None = None

    def __post_init__(self) -> None:
        check_text(unit=self.unit)
        check_choice(adjacency=self.adjacency, choices=get_args(Adjacency))
        check_positive(max_epsilon=self.max_epsilon)
        check_open_probability(max_delta=self.max_delta)
        if self.max_total_epsilon is not None:
            check_positive(max_total_epsilon=self.max_total_epsilon)
            if self.max_total_epsilon < self.max_epsilon:
                raise InvalidValueError(
                    f"total_epsilon {self.max_total_epsilon!r} is below the ε of one run, {self.max_epsilon!r}: raise "
                    "the one or lower the other"
                )


_SEARCH = WeightsSearch()


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditTerms:
    """How hard the audit looks.

    Attributes:
        units: how many training units are attacked; fewer are there if the data set is smaller.
        worst_units: size of the worst-k stratum.
        noise_draws: independent noise draws for each unit; success in any counts, or, of adversaries with a prior,
            the draw with most successes.
        min_positive_control: the least share that must be reconstructed with the noise off.
        max_negative_control: the largest share of units never trained on that may be "reconstructed"; a control has
            failed when the lower confidence limit of the share is above it.
        null_confidence: one-sided confidence of the null's quantile.
        candidates: how many candidates the worst-case and relaxed adversaries choose among (κ is its
            reciprocal); None means the number of training units.
        weights_only: how hard attacks on the released model search, where a rule names them.
    """

    units: int
    worst_units: int
    noise_draws: int
    min_positive_control: float
    max_negative_control: float
    null_confidence: float = 0.95
    candidates: int | None = None
    weights_only: WeightsSearch = field(default=_SEARCH, metadata=ADDED)

    def __post_init__(self) -> None:
        check_integer(units=self.units, at_least=1)
        check_integer(worst_units=self.worst_units, at_least=0)
        check_integer(noise_draws=self.noise_draws, at_least=1)
        check_open_probability(min_positive_control=self.min_positive_control)
        check_open_probability(max_negative_control=self.max_negative_control)
        check_confidence(null_confidence=self.null_confidence)
        if self.candidates is not None:
            check_integer(candidates=self.candidates, at_least=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class WaiverTerms:
    """On which terms a violation may be excused.

    Attributes:
        max_days: the most days that a waiver may still have to run when a model is judged.
        signed: whether each needs an approver's signature.
    """

    max_days: int
    signed: bool = True

    def __post_init__(self) -> None:
        check_integer(max_days=self.max_days, at_least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class ParentPolicy:
    """A policy that another one extends, and may only tighten.

    Attributes:
        name: the parent's name.
        version: its version.
        sha256: digest of its canonical form, in which its own parents are merged.
    """

    name: str
    version: int
    sha256: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_integer(version=self.version, at_least=1)
        check_sha256(sha256=self.sha256)

    def __str__(self) -> str:
        return f"{self.name} v{self.version}@sha256:{self.sha256}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """What must hold before a model may be released.

    Attributes:
        name: the policy's name.
        version: its version, from 1.
        owner: who answers for it.
        description: one sentence, or None.
        privacy: ceilings on the budget.
        rules: every demand, at least one on risk, in the order in which findings are reported.
        audit: how hard the audit looks.
        max_attempts: how often the policy may be tried on the same units; None means without end, at a price (see
            `confidence_of_attempt`).
        allow_code: the files of a candidate's own code that may run; none where it is empty.
        parents: the policies that this one extends; what they demand is part of it already.
        require_lock: whether a model passes only if the policy was locked before the run.
        waivers: on which terms violations may be excused; None means never.
    """

    name: str
    version: int
    owner: str
    description: str | None
    privacy: PrivacyTerms
    rules: tuple[UtilityRule | RiskRule, ...]
    audit: AuditTerms
    max_attempts: int | None = None
    allow_code: tuple[CodeFile, ...] = ()
    parents: tuple[ParentPolicy, ...] = field(default=(), metadata=ADDED)
    require_lock: bool = field(default=False, metadata=ADDED)
    waivers: WaiverTerms | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_integer(version=self.version, at_least=1)
        check_text(owner=self.owner)
        if self.max_attempts is not None:
            check_integer(max_attempts=self.max_attempts, at_least=1)
        check_tuple(allow_code=self.allow_code, of=CodeFile)
        check_tuple(parents=self.parents, of=ParentPolicy)
        if not self.rules:
            raise InvalidValueError("a policy without rules approves nothing; add at least one")
        ids = [rule.id for rule in self.rules]
        repeated = sorted({rule_id for rule_id in ids if ids.count(rule_id) > 1})
        if repeated:
            raise InvalidValueError(f"rule ids must be unique; repeated: {', '.join(repeated)}")
        clash = name_clash(ids)
        if clash is not None:
            raise InvalidValueError(clash)
        if not self.risk_rules:
            raise InvalidValueError("a policy needs at least one risk rule; accuracy alone releases nothing")
        if not self.utility_rules:
            raise InvalidValueError("a policy needs at least one metric rule; noise alone is not a model")
        for rule in self.risk_rules:
            self._check_reachable(rule)

    def _check_reachable(self, rule: RiskRule) -> None:
        """A limit that no outcome of the sample can meet is a mistake of the policy, not of the model."""
        if rule.worst_max is not None and not self.audit.worst_units:
            raise InvalidValueError(f"rule {rule.id} limits the worst stratum, but audit.worst_units is 0")
        if "attack" not in rule.evidence:
            return
        confidence = confidence_of_attempt(rule.confidence, attempt=1, max_attempts=self.max_attempts)
        best = upper_limit(successes=0, trials=self.audit.units, confidence=confidence)
        if best > rule.maximum:
            needed = trials_needed(maximum=rule.maximum, confidence=confidence)
            raise InvalidValueError(
                f"rule {rule.id}: 0 of {self.audit.units} units gives an upper limit of {best:.4f}, above max "
                f"{rule.maximum!r}; audit at least {needed} units or raise max"
            )

    def rules_at(self, attempt: int) -> tuple[UtilityRule | RiskRule, ...]:
        """The rules as they are read at one attempt on the same units, from 1: with the confidence left to it."""
        return tuple(
            replace(
                rule,
                confidence=confidence_of_attempt(rule.confidence, attempt=attempt, max_attempts=self.max_attempts),
            )
            for rule in self.rules
        )

    @property
    def utility_rules(self) -> tuple[UtilityRule, ...]:
        """The rules on accuracy, in order."""
        return tuple(rule for rule in self.rules if isinstance(rule, UtilityRule))

    @property
    def risk_rules(self) -> tuple[RiskRule, ...]:
        """The rules on risk, in order."""
        return tuple(rule for rule in self.rules if isinstance(rule, RiskRule))
