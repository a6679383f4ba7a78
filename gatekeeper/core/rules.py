"""The rules of a policy: what is demanded of a metric, and of the risk by an adversary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gatekeeper.core.adversary import (
    ATTACKS,
    PLAYS,
    SOURCE_OF,
    SOURCES,
    WEIGHTS_ATTACKS,
    WEIGHTS_ONLY,
    Adversary,
    AttackName,
    Source,
)
from gatekeeper.core.checks import (
    check_choice,
    check_confidence,
    check_finite,
    check_integer,
    check_open_probability,
    check_positive,
    check_probability,
    check_text,
    check_tuple,
)
from gatekeeper.core.fields import ADDED
from gatekeeper.core.metric import CLASS_METRICS, METRICS, Metric
from gatekeeper.core.risk import EVIDENCE, Evidence, Similarity
from gatekeeper.errors import InvalidValueError

UtilityStatistic = Literal["lower_confidence_bound", "upper_confidence_bound", "estimate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UtilityRule:
    """A demand on how well the model does.

    Exactly one of `minimum` (of the metric itself) and `max_drop` (below a non-private twin) is set.

    Attributes:
        id: the rule's name, unique in the policy.
        metric: which metric.
        class_name: whose metric, where each class has its own; None means the metric over all classes.
        minimum: the least value that passes, or None.
        max_drop: the largest loss against the non-private twin that passes, or None.
        statistic: which end of the interval is read: the lower one of a metric, the upper one of a drop, or
            the plain estimate.
        confidence: one-sided confidence of that end.
        min_units: fewer independent test units (groups of the split) than this make the rule inconclusive; of Dice
            those count that have the class.
        waivable: whether a waiver may excuse a violation.
    """

    id: str
    metric: Metric
    minimum: float | None
    max_drop: float | None
    statistic: UtilityStatistic
    confidence: float
    min_units: int
    class_name: str | None = None
    waivable: bool = field(default=True, metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(id=self.id)
        check_choice(metric=self.metric, choices=METRICS)
        if self.class_name is not None:
            check_text(class_name=self.class_name)
            if self.metric not in CLASS_METRICS:
                raise InvalidValueError(
                    f"class goes with the metric {', '.join(CLASS_METRICS)}, not with {self.metric}"
                )
        check_confidence(confidence=self.confidence)
        check_integer(min_units=self.min_units, at_least=1)
        if (self.minimum is None) == (self.max_drop is None):
            raise InvalidValueError(f"rule {self.id} needs exactly one of min and max_drop")
        if self.minimum is not None:
            check_finite(minimum=self.minimum)
            if not -1 <= self.minimum <= 1:
                raise InvalidValueError(f"min must lie in [-1, 1], got {self.minimum!r}")
        if self.max_drop is not None:
            check_positive(max_drop=self.max_drop)
        guarding = "lower_confidence_bound" if self.max_drop is None else "upper_confidence_bound"
        check_choice(statistic=self.statistic, choices=(guarding, "estimate"))

    @property
    def subject(self) -> tuple[Metric, str | None]:
        """What is judged: the metric, and whose it is."""
        return self.metric, self.class_name

    @property
    def needs_twin(self) -> bool:
        """Whether the rule compares with a non-private twin."""
        return self.max_drop is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskRule:
    """A demand on the risk of reconstruction by one adversary.

    Attributes:
        id: the rule's name, unique in the policy.
        adversary: whose success is limited.
        similarity: what counts as success; None for an adversary who picks among candidates.
        maximum: the largest share of units, strictly between 0 and 1.
        confidence: of the attack's one-sided upper limit.
        worst_max: the largest observed share of the worst-k stratum, or None.
        evidence: what is read: the larger of those named.
        attacks: the attacks that are read, each of which must have been run; None means every attack that played this
            adversary, of which there must be one.
        source: `production-step` reads attacks on the run's own code alone, and so on; None means any kind.
        waivable: whether a waiver may excuse a violation, of the worst stratum too.
    """

    id: str
    adversary: Adversary
    similarity: Similarity | None
    maximum: float
    confidence: float
    worst_max: float | None
    evidence: tuple[Evidence, ...]
    attacks: tuple[AttackName, ...] | None = None
    source: Source | None = None
    waivable: bool = field(default=True, metadata=ADDED)

    def __post_init__(self) -> None:
        check_text(id=self.id)
        check_open_probability(maximum=self.maximum)
        self._check_attacks()
        check_confidence(confidence=self.confidence)
        check_tuple(evidence=self.evidence, of=str)
        if not self.evidence or len(set(self.evidence)) != len(self.evidence):
            raise InvalidValueError(f"rule {self.id} needs evidence: bound, attack, or both")
        for item in self.evidence:
            check_choice(evidence=item, choices=EVIDENCE)
        if self.worst_max is not None:
            check_probability(worst_max=self.worst_max)
        self._check_adversary()

    def _check_attacks(self) -> None:
        if self.source is not None:
            check_choice(source=self.source, choices=SOURCES)
        if self.attacks is not None:
            check_tuple(attacks=self.attacks, of=str)
            for attack in self.attacks:
                check_choice(attacks=attack, choices=tuple(ATTACKS))
                if self.adversary not in PLAYS[attack]:
                    able = ", ".join(adversary.title for adversary in PLAYS[attack])
                    raise InvalidValueError(f"rule {self.id}: attack {attack} plays {able}, not {self.adversary.title}")
            if self.adversary == WEIGHTS_ONLY and "stationarity" not in self.attacks:
                raise InvalidValueError(
                    f"rule {self.id}: {', '.join(self.attacks)} shows classes and says nothing of units: it would pass "
                    "without any privacy; name stationarity, too"
                )
            if not self.attacks or len(set(self.attacks)) != len(self.attacks):
                raise InvalidValueError(f"rule {self.id}: name each attack once, or leave attacks out for all")
        if "attack" not in self.evidence and (self.attacks is not None or self.source is not None):
            raise InvalidValueError(f"rule {self.id}: attacks and source need the attack among the evidence")
        if self.source not in (None, "simulated") and self.attacks is None:
            raise InvalidValueError(f"rule {self.id}: name the attacks ({self.source}) that it reads")
        for attack in self.attacks or ():
            if self.source not in (None, SOURCE_OF[attack]):
                raise InvalidValueError(f"rule {self.id}: attack {attack} is {SOURCE_OF[attack]}, not {self.source}")

    def _check_adversary(self) -> None:
        if self.adversary.knows != "nothing":
            if self.similarity is not None or self.evidence != ("bound",) or self.worst_max is not None:
                raise InvalidValueError(
                    f"rule {self.id}: an adversary who knows candidates is judged by its bound alone, "
                    "without similarity or worst"
                )
            return
        if self.similarity is None:
            raise InvalidValueError(f"rule {self.id} needs a similarity: what counts as a reconstruction")
        if self.adversary.prior != "none" and "attack" not in self.evidence:
            raise InvalidValueError(
                f"rule {self.id}: the closed form of an adversary with a prior is a model of images and no proof; add "
                "the attack to the evidence"
            )
        if not self.adversary.has_bound and self.evidence != ("attack",):
            raise InvalidValueError(
                f"rule {self.id}: no bound of its own is known for an adversary who sees the released weights alone",
                hint="set evidence: [attack], and name the attacks",
            )
        if not self.adversary.has_bound and self.attacks is None:
            raise InvalidValueError(
                f"rule {self.id}: attacks on the released weights run where a rule names them",
                hint=f"set attacks to one or several of {', '.join(WEIGHTS_ATTACKS)}",
            )
        if self.worst_max is not None and "attack" not in self.evidence:
            raise InvalidValueError(f"rule {self.id}: worst needs the attack among the evidence")
        if self.similarity.measure != "ncc" and "bound" in self.evidence:
            raise InvalidValueError(f"rule {self.id}: only ncc has a closed-form bound; use evidence: [attack]")
