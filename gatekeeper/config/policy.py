"""A policy file as a `Policy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from gatekeeper.config.document import Document, Read, Section
from gatekeeper.config.header import POLICY, document_of
from gatekeeper.config.lineage import KEY as EXTENDS
from gatekeeper.config.lineage import check_only_tightened, inherit
from gatekeeper.config.nodes import Node, shown
from gatekeeper.config.readers import BOOLEAN, TEXT, choice, list_of, real, whole
from gatekeeper.config.rules import RuleRead, read_rule
from gatekeeper.config.yaml_tree import parse
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.binomial import trials_needed, upper_limit
from gatekeeper.core.checks import check_open_probability, check_positive
from gatekeeper.core.code import CodeFile
from gatekeeper.core.mechanism import Adjacency
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, RiskRule, WaiverTerms
from gatekeeper.core.rounding import in_full
from gatekeeper.core.rule_names import name_clash
from gatekeeper.core.weights_only import WeightsSearch
from gatekeeper.errors import InvalidValueError

_SMALLEST_AUDITABLE = 1e-9


def load_policy(path: Path) -> Policy:
    """Read a release policy.

    Args:
        path: a YAML file with `kind: ReleasePolicy`; those that it extends are read too, and merged.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: the file has mistakes: every one, in the file's order; or it loosens what it extends.
    """
    return _load(path, ())


def _load(path: Path, above: tuple[Path, ...]) -> Policy:
    lineage = inherit(parse(path), path=path, above=above, load=_load)
    document = document_of(lineage.tree, kind=POLICY)
    metadata = document.root.mapping("metadata")
    name = metadata.required("name", TEXT)
    version = metadata.required("version", whole(at_least=1))
    owner = metadata.required("owner", TEXT)
    description = metadata.optional("description", TEXT, default=None)
    spec = document.root.mapping("spec")
    spec.optional(EXTENDS, list_of(TEXT), default=())
    privacy = _privacy(spec.mapping("privacy"))
    rules = _rules(spec)
    audit = _audit(spec.mapping("audit"))
    max_attempts = spec.optional("max_attempts", whole(at_least=1), default=None)
    allow_code = spec.optional("allow_code", list_of(_code), default=())
    require_lock = spec.optional("require_lock", BOOLEAN, default=False)
    waivers = _waivers(spec.optional_mapping("waivers"))
    for rule in rules:
        noun = rule.noun.value_or(None)
        if isinstance(noun, RiskRule):
            _check_sample(rule.section, noun, audit, next(iter(max_attempts.content), None))
    policy = document.root.build(
        lambda: Policy(
            name=name.value,
            version=version.value,
            owner=owner.value,
            description=description.value,
            privacy=privacy.value,
            rules=tuple(rule.noun.value for rule in rules),
            audit=audit.noun.value,
            max_attempts=max_attempts.value,
            allow_code=allow_code.value,
            require_lock=require_lock.value,
            waivers=waivers.value,
            parents=lineage.pins,
        ),
        blame="spec",
    )
    for each in policy.content:
        check_only_tightened(document, lineage, each)
    return document.finish(policy)


def _code(document: Document, name: str, node: Node) -> Read[CodeFile]:
    """Reads a file of code with its digest."""
    text = TEXT(document, name, node)
    if not text.content:
        return document.nothing()
    try:
        return Read((CodeFile.parse(text.value),))
    except InvalidValueError as error:
        return document.refuse(node, f"{name}: {error.message}", hint=error.hint)


def _privacy(section: Section) -> Read[PrivacyTerms]:
    unit = section.required("unit", TEXT)
    adjacency: Read[Adjacency] = section.optional("adjacency", choice(get_args(Adjacency)), default="zero-out")
    epsilon = section.mapping("epsilon").required("max", real(check_positive))
    delta = section.mapping("delta").required("max", real(check_open_probability))
    all_runs = section.optional_mapping("total_epsilon")
    total = all_runs.required("max", real(check_positive)) if all_runs else Read((None,))
    return section.build(
        lambda: PrivacyTerms(
            unit=unit.value,
            adjacency=adjacency.value,
            max_epsilon=epsilon.value,
            max_delta=delta.value,
            max_total_epsilon=total.value,
        ),
        blame="total_epsilon" if all_runs else "epsilon",
    )


def _waivers(section: Section | None) -> Read[WaiverTerms] | Read[None]:
    if section is None:
        return Read((None,))
    max_days = section.required("max_days", whole(at_least=1))
    signed = section.optional("signed", BOOLEAN, default=True)
    return section.build(lambda: WaiverTerms(max_days=max_days.value, signed=signed.value), blame="max_days")


@dataclass(frozen=True, kw_only=True, slots=True)
class _AuditRead:
    """The audit's terms, and the sizes of its samples, which rules depend on even where another key is wrong."""

    noun: Read[AuditTerms]
    units: Read[int]
    worst_units: Read[int]


def _audit(section: Section) -> _AuditRead:
    units = section.required("units", whole(at_least=1))
    worst_units = section.optional("worst_units", whole(at_least=0), default=0)
    noise_draws = section.optional("noise_draws", whole(at_least=1), default=3)
    positive = section.mapping("positive_control").required("min", real(check_open_probability))
    negative = section.mapping("negative_control").required("max", real(check_open_probability))
    null_confidence = section.optional("null_confidence", real(check_open_probability), default=0.95)
    candidates = section.optional("candidates", whole(at_least=2), default=None)
    search = _weights_only(section.optional_mapping("weights_only"))
    noun = section.build(
        lambda: AuditTerms(
            units=units.value,
            worst_units=worst_units.value,
            noise_draws=noise_draws.value,
            min_positive_control=positive.value,
            max_negative_control=negative.value,
            null_confidence=null_confidence.value,
            candidates=candidates.value,
            weights_only=search.value,
        ),
        blame="units",
    )
    return _AuditRead(noun=noun, units=units, worst_units=worst_units)


def _weights_only(section: Section | None) -> Read[WeightsSearch]:
    default = WeightsSearch()
    if section is None:
        return Read((default,))
    candidates = section.optional("candidates", whole(at_least=2), default=default.candidates)
    starts = section.optional("starts", whole(at_least=1), default=default.starts)
    iterations = section.optional("iterations", whole(at_least=1), default=default.iterations)
    control = section.optional_mapping("positive_control")
    least = control.required("min", real(check_open_probability)) if control else Read((default.min_positive_control,))
    return section.build(
        lambda: WeightsSearch(
            candidates=candidates.value,
            starts=starts.value,
            iterations=iterations.value,
            min_positive_control=least.value,
        ),
        blame="candidates",
    )


def _rules(spec: Section) -> tuple[RuleRead, ...]:
    """Every rule, and what must hold of them together: unique names, and at least one rule of each kind."""
    rules = spec.required("rules", list_of(read_rule)).value_or(None)
    if rules is None:
        return ()
    if not any(rule.section.has("risk") for rule in rules):
        spec.report("rules", "a policy needs at least one risk rule; accuracy alone releases nothing")
    if not any(rule.section.has("metric") for rule in rules):
        spec.report("rules", "a policy needs at least one metric rule; noise alone is not a model")
    _check_unique(rules)
    return rules


def _check_unique(rules: tuple[RuleRead, ...]) -> None:
    """Refuse a second rule of the same name, and names that would be taken for another's."""
    seen: list[str] = []
    for rule in rules:
        for rule_id in rule.id.content:
            clash = name_clash((*seen, rule_id))
            if rule_id in seen:
                rule.section.report("id", f"another rule is named {shown(rule_id)} already; a name stands for one rule")
            elif clash is not None:
                rule.section.report("id", clash, hint="rename the rule")
            else:
                seen.append(rule_id)


def _check_sample(section: Section, rule: RiskRule, audit: _AuditRead, max_attempts: int | None) -> None:
    """Refuse what the audit's sample can't answer: the demand of `Policy`, with a place for each limit."""
    if rule.worst_max is not None and audit.worst_units.value_or(None) == 0:
        section.report(
            "worst",
            f"rule {rule.id}: worst needs a stratum, but audit.worst_units is 0, so nothing would be judged",
            hint="set audit.worst_units, or remove worst",
        )
    if "attack" in rule.evidence:
        for units in audit.units.content:
            confidence = confidence_of_attempt(rule.confidence, attempt=1, max_attempts=max_attempts)
            _check_reachable(section, rule, units, confidence)


def _check_reachable(section: Section, rule: RiskRule, units: int, confidence: float) -> None:
    """Refuse a limit that is below what `units` units without a success can show at a first attempt."""
    best = upper_limit(successes=0, trials=units, confidence=confidence)
    if best > rule.maximum:
        section.report(
            "max",
            f"rule {rule.id}: 0 of {units} units gives an upper limit of {best:.4f} at confidence "
            f"{in_full(round(confidence, 6))}, above max {rule.maximum!r}",
            hint=f"audit {_units_needed(rule, confidence)} (spec.audit.units), or raise max",
        )


def _units_needed(rule: RiskRule, confidence: float) -> str:
    # Below this the exact number is of no use to anyone, and soon beyond floating point.
    if rule.maximum < _SMALLEST_AUDITABLE:
        return "more than a billion units"
    return f"at least {trials_needed(maximum=rule.maximum, confidence=confidence)} units"
