"""Hypothesis strategies for the nouns that people write: policies and candidates."""

from __future__ import annotations

import dataclasses
import keyword
from typing import Any, get_args

from hypothesis import strategies as st

from gatekeeper.core.adversary import (
    ALL_STEPS,
    ONE_STEP,
    RELAXED,
    WEIGHTS_ATTACKS,
    WEIGHTS_ONLY,
    WORST_CASE,
    Adversary,
)
from gatekeeper.core.attempts import confidence_of_attempt
from gatekeeper.core.binomial import trials_needed
from gatekeeper.core.candidate import (
    AugmentationSpec,
    Candidate,
    OptimizerSpec,
    SamplingChoice,
    Schedule,
    TrainingSpec,
)
from gatekeeper.core.clipping import CLIPPINGS, INITIAL_NORM
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import (
    DATA_FORMATS,
    LABEL_OR_MASK_FORMATS,
    MASK,
    PATHLESS_FORMATS,
    PHANTOM_FORMATS,
    SCAN_FORMATS,
    SEGMENTATION_FORMATS,
    DataSpec,
    PhantomSpec,
    SplitSpec,
)
from gatekeeper.core.mechanism import Adjacency
from gatekeeper.core.metric import CLASS_METRICS, METRICS
from gatekeeper.core.model_spec import GIVEN_ARGUMENTS, PRETRAINED_NETWORKS, Argument, ModelSpec, Network
from gatekeeper.core.policy import (
    AuditTerms,
    Policy,
    PrivacyTerms,
    RiskRule,
    UtilityRule,
    WaiverTerms,
)
from gatekeeper.core.precision import PRECISIONS
from gatekeeper.core.risk import EVIDENCE, MEASURES, Similarity
from gatekeeper.core.rule_names import name_clash
from gatekeeper.core.scan_spec import BACKGROUND, MergedClass, ScanSpec
from gatekeeper.core.weights_only import WeightsSearch

texts = st.text(st.characters(blacklist_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=30).filter(
    lambda text: text.strip() != ""
)
shares = st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True)
positive = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
naturals = st.integers(min_value=0, max_value=10**18 - 1)
counts = st.integers(min_value=1, max_value=10**18 - 1)

names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
code_files = st.builds(
    CodeFile,
    name=st.lists(names, min_size=1, max_size=3).map(".".join),
    sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """None, or a value."""
    return st.none() | strategy


privacy_terms = st.builds(
    PrivacyTerms,
    unit=texts,
    adjacency=st.sampled_from(get_args(Adjacency)),
    max_epsilon=positive,
    max_delta=shares,
).flatmap(
    lambda terms: maybe(st.floats(min_value=terms.max_epsilon, allow_infinity=False)).map(
        lambda total: dataclasses.replace(terms, max_total_epsilon=total)
    )
)


@st.composite
def utility_rules(draw: st.DrawFn, *, rule_id: str) -> UtilityRule:
    drops = draw(st.booleans())
    guarding = "upper_confidence_bound" if drops else "lower_confidence_bound"
    return UtilityRule(
        id=rule_id,
        metric=(metric := draw(st.sampled_from(METRICS))),
        class_name=draw(maybe(texts)) if metric in CLASS_METRICS else None,
        minimum=None if drops else draw(st.floats(min_value=-1, max_value=1)),
        max_drop=draw(positive) if drops else None,
        statistic=draw(st.sampled_from((guarding, "estimate"))),
        confidence=draw(st.floats(min_value=0.5, max_value=1, exclude_max=True)),
        min_units=draw(counts),
        waivable=draw(st.booleans()),
    )


@st.composite
def similarities(draw: st.DrawFn, *, measures: tuple[str, ...] = MEASURES) -> Similarity:
    measure = draw(st.sampled_from(measures))
    if draw(st.booleans()):
        return Similarity(measure=measure, above_null=None, at_least=draw(shares))
    return Similarity(measure=measure, above_null=draw(shares), at_most=draw(maybe(shares)))


@st.composite
def risk_rules(draw: st.DrawFn, *, rule_id: str, worst: bool) -> RiskRule:
    adversary: Adversary = draw(st.sampled_from((ONE_STEP, ALL_STEPS, RELAXED, WORST_CASE, WEIGHTS_ONLY)))
    limits: dict[str, Any] = {
        "id": rule_id,
        "adversary": adversary,
        "maximum": draw(st.floats(min_value=1e-3, max_value=0.999)),
        "confidence": draw(st.floats(min_value=0.5, max_value=0.999)),
        "waivable": draw(st.booleans()),
    }
    if adversary.knows != "nothing":
        return RiskRule(**limits, similarity=None, worst_max=None, evidence=("bound",))
    evidence = tuple(draw(st.lists(st.sampled_from(EVIDENCE), min_size=1, unique=True)))
    if adversary == WEIGHTS_ONLY:
        evidence = ("attack",)
        named = st.lists(st.sampled_from(WEIGHTS_ATTACKS), min_size=1, unique=True)
        limits["attacks"] = tuple(draw(named.filter(lambda attacks: "stationarity" in attacks)))
    measures = ("ncc",) if "bound" in evidence else MEASURES
    worst_max = draw(maybe(st.floats(min_value=0, max_value=1))) if worst and "attack" in evidence else None
    return RiskRule(**limits, similarity=draw(similarities(measures=measures)), worst_max=worst_max, evidence=evidence)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies whose limits the audited sample can reach."""
    ids = draw(st.lists(texts, min_size=2, max_size=5, unique=True).filter(lambda ids: name_clash(ids) is None))
    worst_units = draw(st.integers(min_value=0, max_value=100))
    rules: list[Any] = [
        draw(utility_rules(rule_id=ids[0])),
        draw(risk_rules(rule_id=ids[1], worst=worst_units > 0)),
    ]
    for rule_id in ids[2:]:
        rules.append(draw(utility_rules(rule_id=rule_id) | risk_rules(rule_id=rule_id, worst=worst_units > 0)))
    max_attempts = draw(maybe(st.integers(min_value=1, max_value=1000)))
    needed = [
        trials_needed(
            maximum=rule.maximum,
            confidence=confidence_of_attempt(rule.confidence, attempt=1, max_attempts=max_attempts),
        )
        for rule in rules
        if isinstance(rule, RiskRule)
    ]
    return Policy(
        name=draw(texts),
        version=draw(counts),
        owner=draw(texts),
        description=draw(maybe(texts)),
        privacy=draw(privacy_terms),
        rules=tuple(draw(st.permutations(rules))),
        audit=AuditTerms(
            units=max(needed) + draw(st.integers(min_value=0, max_value=1000)),
            worst_units=worst_units,
            noise_draws=draw(counts),
            min_positive_control=draw(shares),
            max_negative_control=draw(shares),
            null_confidence=draw(st.floats(min_value=0.5, max_value=1, exclude_max=True)),
            candidates=draw(maybe(st.integers(min_value=2, max_value=10**18 - 1))),
            weights_only=WeightsSearch(
                candidates=draw(st.integers(min_value=2, max_value=1000)),
                starts=draw(counts),
                iterations=draw(counts),
                min_positive_control=draw(shares),
            ),
        ),
        max_attempts=max_attempts,
        allow_code=tuple(draw(st.lists(code_files, max_size=2))),
        require_lock=draw(st.booleans()),
        waivers=draw(maybe(st.builds(WaiverTerms, max_days=counts, signed=st.booleans()))),
    )


@st.composite
def phantoms(draw: st.DrawFn, *, sized: bool) -> PhantomSpec:
    dimensions = draw(st.sampled_from((2, 3))) if sized else 2
    sides = st.integers(min_value=8, max_value=1024)
    return PhantomSpec(
        patients=draw(st.integers(min_value=10, max_value=10**6)),
        seed=draw(naturals),
        dimensions=dimensions,
        size=draw(maybe(st.tuples(*[sides] * dimensions))) if sized else None,
    )


arguments = st.builds(
    Argument,
    name=names.filter(lambda name: not keyword.iskeyword(name) and name not in GIVEN_ARGUMENTS),
    value=texts | st.integers(-(10**17), 10**17) | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
)
argument_lists = st.lists(arguments, max_size=3, unique_by=lambda argument: argument.name).map(tuple)
windows = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).filter(lambda ends: ends[0] < ends[1])


@st.composite
def merged_classes(draw: st.DrawFn) -> tuple[MergedClass, ...]:
    names = draw(st.lists(texts.filter(lambda name: name != BACKGROUND), min_size=1, max_size=4, unique=True))
    values = draw(st.lists(st.integers(1, 10**9), min_size=len(names), max_size=8, unique=True))
    return tuple(MergedClass(name=name, values=tuple(values[place :: len(names)])) for place, name in enumerate(names))


@st.composite
def scan_specs(draw: st.DrawFn, data_format: str) -> ScanSpec:
    decathlon = data_format == "msd"
    dimensions = draw(st.sampled_from((2, 3)))
    finite = st.floats(min_value=-1e9, max_value=1e9)
    pairs = st.tuples(finite, finite).filter(lambda pair: pair[0] < pair[1])
    window = draw(maybe(pairs))
    sources: Any = ("per-image",) if decathlon else ("per-image", "file")
    return ScanSpec(
        dimensions=dimensions,
        every=draw(st.integers(1, 10**6)) if decathlon and dimensions == 2 else 1,
        window=window,
        window_of=draw(maybe(st.sampled_from(sources))) if window is None else None,
        spacing=draw(maybe(st.tuples(*[positive] * dimensions))),
        size=draw(maybe(st.tuples(*[st.integers(4, 1024)] * dimensions))),
        channel=draw(maybe(texts)) if decathlon else None,
        labels=draw(maybe(merged_classes())) if decathlon else None,
        table=draw(maybe(texts)),
        annotations_known=False if decathlon else draw(st.booleans()),
    )


@st.composite
def data_specs(draw: st.DrawFn) -> DataSpec:
    data_format: Any = draw(st.sampled_from(DATA_FORMATS))
    may_have_masks = data_format in LABEL_OR_MASK_FORMATS
    label = draw(st.one_of(maybe(texts), st.just(MASK)) if may_have_masks else maybe(texts))
    has_masks = data_format in SEGMENTATION_FORMATS or (may_have_masks and label == MASK)
    brings_split = data_format in ("medmnist", "image-folder", "radimagenet", "numpy", "factory")
    scans = data_format in SCAN_FORMATS
    sides = st.integers(min_value=4, max_value=1024)
    return DataSpec(
        format=data_format,
        path=None if data_format in PATHLESS_FORMATS else draw(texts),
        unit=draw(texts),
        label=label,
        image_size=None if has_masks or scans else draw(maybe(st.tuples(sides, sides))),
        channels=draw(st.sampled_from((None, 1) if has_masks else (None, 1, 3))),
        population=draw(maybe(texts)),
        split=SplitSpec(
            test=draw(maybe(shares)) if brings_split else draw(shares), seed=draw(naturals), by=draw(maybe(texts))
        ),
        phantom=draw(phantoms(sized=has_masks)) if data_format in PHANTOM_FORMATS else None,
        window=draw(maybe(windows)) if may_have_masks else None,
        factory="package.module:function" if data_format == "factory" else None,
        arguments=draw(argument_lists) if data_format == "factory" else (),
        scan=draw(scan_specs(data_format)) if scans else None,
    )


@st.composite
def optimizers(draw: st.DrawFn) -> OptimizerSpec:
    name: Any = draw(st.sampled_from(("sgd", "adam", "nadam")))
    return OptimizerSpec(
        name=name,
        lr=draw(positive),
        momentum=draw(maybe(st.floats(min_value=0, max_value=1, exclude_max=True))) if name == "sgd" else None,
        weight_decay=draw(st.floats(min_value=0, allow_infinity=False)),
    )


@st.composite
def training_specs(draw: st.DrawFn, **fields: st.SearchStrategy[object]) -> TrainingSpec:
    """A recipe; only flat clipping takes a norm."""
    clipping = draw(st.sampled_from(CLIPPINGS))
    norm = draw(positive) if clipping == "flat" else INITIAL_NORM
    drawn = {name: draw(field) for name, field in fields.items()}
    return TrainingSpec(clipping=clipping, clipping_norm=norm, **drawn)


trainings = training_specs(
    epochs=counts,
    expected_batch=counts,
    optimizer=optimizers(),
    views=counts,
    augmentation=st.builds(
        AugmentationSpec,
        flips=st.booleans(),
        shift=naturals,
        rotation=st.floats(min_value=0, max_value=180),
        scale=st.floats(min_value=0, max_value=1, exclude_max=True),
        intensity=st.floats(min_value=0, max_value=1, exclude_max=True),
    ),
    sampling=st.sampled_from(get_args(SamplingChoice)),
    schedule=st.sampled_from(get_args(Schedule)),
    warmup=st.floats(min_value=0, max_value=1, exclude_max=True),
    ema=maybe(shares),
    epsilon=maybe(positive),
    delta=maybe(shares),
    loss=maybe(st.just("cross-entropy")),  # of every task
    seed=naturals,
    physical_batch=counts,
    resume_allowance=naturals,
    precision=st.sampled_from(PRECISIONS),
)


@st.composite
def model_specs(draw: st.DrawFn) -> ModelSpec:
    """A network of gatekeeper's own, or a factory; weights of any kind."""
    network = draw(maybe(st.sampled_from(get_args(Network))))
    with_width = network is not None and network not in PRETRAINED_NETWORKS
    base = draw(maybe(texts))
    return ModelSpec(
        network=network,
        width=draw(st.integers(min_value=4, max_value=10**18 - 1)) if with_width else None,
        factory=None if network else f"{'.'.join(draw(st.lists(names, min_size=1)))}:{draw(names)}",
        arguments=() if network else draw(argument_lists),
        base=base,
        base_skip=() if base is None else tuple(draw(st.lists(texts, max_size=2))),
        trainable=draw(maybe(st.lists(texts, min_size=1, max_size=2).map(tuple))),
    )


candidates = st.builds(
    Candidate,
    name=texts,
    description=maybe(texts),
    data=data_specs(),
    model=model_specs(),
    training=trainings,
)
