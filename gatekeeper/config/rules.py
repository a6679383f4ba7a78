"""One rule of a policy file as a `UtilityRule` or a `RiskRule`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gatekeeper.config.document import Document, Read, Reader, Section
from gatekeeper.config.nodes import Node
from gatekeeper.config.readers import BOOLEAN, TEXT, choice, list_of, real, whole
from gatekeeper.core.adversary import (
    ATTACKS,
    KNOWS,
    OBSERVES,
    PAPER_ATTACKS,
    PRESETS,
    PRIORS,
    SOURCES,
    Adversary,
    AttackName,
    Knows,
    Prior,
    Source,
)
from gatekeeper.core.binomial import upper_limit
from gatekeeper.core.checks import check_finite, check_open_probability, check_positive, check_probability
from gatekeeper.core.metric import CLASS_METRICS, METRICS
from gatekeeper.core.policy import RiskRule, UtilityRule, UtilityStatistic
from gatekeeper.core.risk import EVIDENCE, MEASURES, Measure, Similarity

_SHOWN_SAMPLES = (59, 100, 299, 1000, 2995)
_DEFAULT_CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleRead:
    """A rule as far as it could be read.

    Attributes:
        section: where it stands.
        id: its name.
        noun: the rule.
    """

    section: Section
    id: Read[str]
    noun: Read[UtilityRule] | Read[RiskRule]


def read_rule(document: Document, name: str, node: Node) -> Read[RuleRead]:
    """Reads a rule, of the kind that its keys say: `metric` or `risk`."""
    section = document.section(name, node)
    rule_id = section.required("id", TEXT)
    return Read((RuleRead(section=section, id=rule_id, noun=_noun(section, rule_id)),))


def _noun(section: Section, rule_id: Read[str]) -> Read[UtilityRule] | Read[RiskRule]:
    is_metric, is_risk = section.has("metric"), section.has("risk")
    if is_risk and is_metric:
        section.report("risk", "a rule has `metric` or `risk`, not both", hint="make two rules of it")
    if is_risk or is_metric:
        return _risk_rule(section, rule_id) if is_risk else _utility_rule(section, rule_id)
    section.report_missing("metric", hint="a rule has `metric` (on accuracy) or `risk` (on reconstruction)")
    section.ignore_other_keys()
    return section.document.nothing()


def _utility_rule(section: Section, rule_id: Read[str]) -> Read[UtilityRule]:
    metric = section.required("metric", choice(METRICS))
    class_name = _class_name(section, metric)
    minimum = section.optional("min", real(check_finite), default=None)
    max_drop = section.optional("max_drop", real(check_positive), default=None)
    _check_baseline(section)
    drops = section.has("max_drop")
    guarding: UtilityStatistic = "upper_confidence_bound" if drops else "lower_confidence_bound"
    statistic: Read[UtilityStatistic] = section.optional("statistic", choice((guarding, "estimate")), default=guarding)
    confidence = section.optional("confidence", real(check_open_probability), default=_DEFAULT_CONFIDENCE)
    min_units = section.optional("min_units", whole(at_least=1), default=30)
    waivable = section.optional("waivable", BOOLEAN, default=True)
    return section.build(
        lambda: UtilityRule(
            id=rule_id.value,
            metric=metric.value,
            class_name=class_name.value,
            minimum=minimum.value,
            max_drop=max_drop.value,
            statistic=statistic.value,
            confidence=confidence.value,
            min_units=min_units.value,
            waivable=waivable.value,
        ),
        blame="min",
    )


def _class_name(section: Section, metric: Read[Any]) -> Read[str | None]:
    """The class whose metric is judged, of metrics of which each class has its own."""
    for name in metric.content:
        if section.has("class") and name not in CLASS_METRICS:
            section.report(
                "class",
                f"class goes with the metric {', '.join(CLASS_METRICS)}, not with {name}",
                hint="remove the key",
            )
    return section.optional("class", TEXT, default=None)


def _check_baseline(section: Section) -> None:
    """A rule limits the metric itself or its drop, and a drop names what it is measured from."""
    if section.has("min") and section.has("max_drop"):
        section.report("max_drop", "a metric rule has `min` or `max_drop`, not both", hint="make two rules of it")
    elif section.has("max_drop"):
        section.required("baseline", choice(("non-private",)))
    elif section.has("baseline"):
        section.report("baseline", "baseline goes with max_drop: a min is absolute", hint="remove the key")
    if not section.has("min") and not section.has("max_drop"):
        section.report_missing("min", hint="a metric rule has `min` or `max_drop`")


def _risk_rule(section: Section, rule_id: Read[str]) -> Read[RiskRule]:
    section.required("risk", choice(("reconstruction",)))
    preset = _preset(section)
    adversary = _adversary(section) if preset is None else preset
    knows_nothing = adversary.value_or(None) is None or adversary.value.knows == "nothing"
    similarity = _similarity(section.optional_mapping("similarity"), default=Similarity() if knows_nothing else None)
    confidence = section.optional("confidence", real(check_open_probability), default=_DEFAULT_CONFIDENCE)
    maximum = section.required("max", _risk_limit(confidence=confidence.value_or(_DEFAULT_CONFIDENCE)))
    section.optional("statistic", choice(("upper_confidence_bound",)), default=None)
    worst = section.optional_mapping("worst")
    worst_max = worst.required("max", real(check_probability)) if worst else Read((None,))
    as_the_paper = preset is not None and section.is_text("adversary", "paper-2024")
    unbounded = adversary.content != () and not adversary.value.has_bound
    default_evidence = (
        ("attack",) if as_the_paper or unbounded else ("bound", "attack") if knows_nothing else ("bound",)
    )
    evidence = section.optional("evidence", list_of(choice(EVIDENCE)), default=default_evidence)
    read = evidence.value_or(())
    listed: Reader[tuple[AttackName, ...]] = list_of(choice(tuple(ATTACKS)))
    attacks = section.optional("attacks", listed, default=PAPER_ATTACKS if as_the_paper and "attack" in read else None)
    source: Read[Source | None] = section.optional("source", choice(SOURCES), default=None)
    waivable = section.optional("waivable", BOOLEAN, default=True)
    return section.build(
        lambda: RiskRule(
            id=rule_id.value,
            adversary=adversary.value,
            similarity=similarity.value,
            maximum=maximum.value,
            confidence=confidence.value,
            worst_max=worst_max.value,
            evidence=evidence.value,
            attacks=attacks.value,
            source=source.value,
            waivable=waivable.value,
        ),
        blame="evidence" if unbounded and "bound" in read else _blame(section, knows_nothing=knows_nothing),
    )


def _blame(section: Section, *, knows_nothing: bool) -> str:
    """Where a contradiction between the keys of a risk rule is reported: at a key that could be removed."""
    removable = (
        ("attacks", "source", "evidence", "similarity") if knows_nothing else ("similarity", "worst", "evidence")
    )
    return next((key for key in removable if section.has(key)), "adversary")


def _preset(section: Section) -> Read[Adversary] | None:
    """The adversary that is called by a name; None where its properties are given, or nothing is."""
    if not section.is_text("adversary"):
        return None
    name = section.required("adversary", choice(tuple(PRESETS)))
    return Read(tuple(PRESETS[each] for each in name.content))


def _adversary(rule: Section) -> Read[Adversary]:
    section = rule.mapping("adversary")
    observes = section.required("observes", choice(OBSERVES))
    knows: Read[Knows] = section.optional("knows", choice(KNOWS), default="nothing")
    prior: Read[Prior] = section.optional("prior", choice(PRIORS), default="none")
    return section.build(
        lambda: Adversary(observes=observes.value, knows=knows.value, prior=prior.value), blame="observes"
    )


def _similarity(section: Section | None, *, default: Similarity | None) -> Read[Similarity] | Read[Similarity | None]:
    if section is None:
        return Read((default,))
    share = real(check_open_probability)
    measure: Read[Measure] = section.optional("measure", choice(MEASURES), default="ncc")
    at_least = section.optional("at_least", share, default=None)
    above_null = section.optional("above_null", share, default=None if section.has("at_least") else 0.99)
    at_most = section.optional("at_most", share, default=None)
    return section.build(
        lambda: Similarity(
            measure=measure.value, above_null=above_null.value, at_least=at_least.value, at_most=at_most.value
        ),
        blame="at_least",
    )


def _risk_limit(*, confidence: float) -> Reader[float]:
    """Reads the limit of a risk rule; zero gets an explanation of what a sample can show."""
    reader = real(check_open_probability)

    def read(document: Document, name: str, node: Node) -> Read[float]:
        value = real(check_finite)(document, name, node)
        if value.value_or(None) == 0:
            return document.refuse(
                node, f"{name} is 0, but no sample can show that a risk is zero", hint=_what_samples_show(confidence)
            )
        return reader(document, name, node) if value.content else value

    return read


def _what_samples_show(confidence: float) -> str:
    """The upper limit that each sample size gives when nothing at all was reconstructed."""
    rows = []
    for units in _SHOWN_SAMPLES:
        percent = 100 * upper_limit(successes=0, trials=units, confidence=confidence)
        scale = 10 ** (2 - math.floor(math.log10(percent)))
        rows.append(f"0 of {units:>4} units shows at most {math.ceil(percent * scale) / scale:g} %")
    table = "\n      ".join(rows)
    return f"give the largest share that is acceptable; at confidence {confidence!r},\n      {table}"
