"""Policies and candidates as commented YAML to start from; loading the text gives the same noun.

Every key is written, defaults too: the file then says all that will happen, and what could be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from gatekeeper.config.header import API_VERSION, CANDIDATE, POLICY
from gatekeeper.config.scan_text import render_scan
from gatekeeper.config.yaml_text import boolean, number, text
from gatekeeper.core.candidate import AugmentationSpec, Candidate, OptimizerSpec, TrainingSpec
from gatekeeper.core.data_spec import DataSpec, PhantomSpec, SplitSpec
from gatekeeper.core.model_spec import Argument, ModelSpec
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms, RiskRule, UtilityRule, WaiverTerms
from gatekeeper.core.risk import Similarity
from gatekeeper.core.weights_only import WeightsSearch

T = TypeVar("T")

_ADJACENCY_NOTES = {
    "zero-out": "  # how many units there are is public",
}
_STATISTIC_NOTES = {
    "lower_confidence_bound": "  # guards against a lucky test set",
    "upper_confidence_bound": "  # guards against a lucky test set",
    "estimate": "  # takes the test set at its word",
}
_IMAGE_NOTE = "; where a person has several images, name the column that says whose they are"


def render_policy(policy: Policy) -> str:
    """A policy as the text of a policy file.

    Args:
        policy: any policy; one whose `worst` rules have no stratum (`audit.worst_units` 0) can't be loaded back.

    Returns:
        YAML with comments, ending in a newline; `load_policy` gives the same policy, but for its parents: what they
        demand is written out, and that it came from them is not.
    """
    rules = (line for rule in policy.rules for line in _rule(rule))
    return _joined(
        "# What must hold before a model may be released. Written by those who answer for the data.",
        *_header(POLICY, name=policy.name),
        f"  version: {policy.version}  # raise it with every change",
        f"  owner: {text(policy.owner)}  # who answers for this policy",
        *_optional("  description: {}", policy.description, text),
        "spec:",
        *_indented(_privacy(policy.privacy)),
        "  rules:",
        *_indented(_indented(rules)),
        *_optional(
            "  max_attempts: {}  # on the same units; they share the rules' confidence", policy.max_attempts, str
        ),
        *_optional("  allow_code: [{}]", policy.allow_code or None, lambda code: _texts(tuple(map(str, code)))),
        *(
            ("  require_lock: true  # somebody else's key must have signed this policy before the run",)
            if policy.require_lock
            else ()
        ),
        *_optional("  waivers: {{{}}}  # on which terms a violation may be excused", policy.waivers, _waiver_terms),
        *_indented(_audit(policy.audit)),
    )


def render_candidate(candidate: Candidate) -> str:
    """A candidate as the text of a candidate file.

    Args:
        candidate: any candidate whose numbers are finite; one without a test share loads back only where the
            format brings its own split.

    Returns:
        YAML with comments, ending in a newline; `load_candidate` gives the same candidate.
    """
    return _joined(
        "# What is to be built. Written by the engineer; the policy alone decides whether it may leave.",
        *_header(CANDIDATE, name=candidate.name),
        *_optional("  description: {}", candidate.description, text),
        "spec:",
        *_indented(_data(candidate.data)),
        *_indented(_model(candidate.model)),
        *_indented(_training(candidate.training)),
    )


def _joined(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def _indented(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple("  " + line for line in lines)


def _optional(template: str, value: T | None, write: Callable[[T], str]) -> tuple[str, ...]:
    """The line for a value that may be None: a key that is left out."""
    return () if value is None else (template.format(write(value)),)


def _header(kind: str, *, name: str) -> tuple[str, ...]:
    return (f"apiVersion: {API_VERSION}", f"kind: {kind}", "metadata:", f"  name: {text(name)}")


def _privacy(privacy: PrivacyTerms) -> tuple[str, ...]:
    return (
        "privacy:",
        f"  unit: {text(privacy.unit)}  # whose privacy: a column of the data; `image` where each image stands alone",
        f"  adjacency: {privacy.adjacency}{_ADJACENCY_NOTES[privacy.adjacency]}",
        f"  epsilon: {{max: {number(privacy.max_epsilon)}}}  # the largest budget of one run",
        f"  delta: {{max: {number(privacy.max_delta)}}}  # must also be below 1 / number of units",
        *_optional("  total_epsilon: {{max: {}}}  # of all runs on the units", privacy.max_total_epsilon, number),
    )


def _rule(rule: UtilityRule | RiskRule) -> tuple[str, ...]:
    return _utility_rule(rule) if isinstance(rule, UtilityRule) else _risk_rule(rule)


def _utility_rule(rule: UtilityRule) -> tuple[str, ...]:
    return (
        f"- id: {text(rule.id)}",
        f"  metric: {rule.metric}",
        *_optional("  class: {}  # left out: over all classes", rule.class_name, text),
        *_optional("  min: {}  # the least value that passes", rule.minimum, number),
        *_optional("  max_drop: {}  # the largest loss against the baseline that passes", rule.max_drop, number),
        *(("  baseline: non-private  # the same training without clipping and noise",) if rule.needs_twin else ()),
        f"  statistic: {rule.statistic}{_STATISTIC_NOTES[rule.statistic]}",
        f"  confidence: {number(rule.confidence)}",
        f"  min_units: {rule.min_units}  # fewer test units than this decide nothing",
        *_waivable(rule),
    )


def _risk_rule(rule: RiskRule) -> tuple[str, ...]:
    adversary = rule.adversary
    return (
        f"- id: {text(rule.id)}",
        "  risk: reconstruction",
        f"  # {adversary.title}: {adversary.description}",
        f"  adversary: {{observes: {adversary.observes}, knows: {adversary.knows}, prior: {adversary.prior}}}",
        *_similarity(rule.similarity),
        f"  max: {number(rule.maximum)}  # the largest share of units that may be reconstructed",
        "  statistic: upper_confidence_bound",
        f"  confidence: {number(rule.confidence)}",
        *_optional("  worst: {{max: {}}}  # observed share among the most exposed units", rule.worst_max, number),
        f"  evidence: [{', '.join(rule.evidence)}]  # the larger of those named is judged",
        *_optional("  attacks: [{}]  # each has to pass", rule.attacks, ", ".join),
        *_optional("  source: {}  # attacks of this kind alone", rule.source, str),
        *_waivable(rule),
    )


def _waivable(rule: UtilityRule | RiskRule) -> tuple[str, ...]:
    return () if rule.waivable else ("  waivable: false",)


def _waiver_terms(terms: WaiverTerms) -> str:
    return f"max_days: {terms.max_days}, signed: {boolean(terms.signed)}"


def _similarity(similarity: Similarity | None) -> tuple[str, ...]:
    if similarity is None:
        return ()
    fields = (
        f"measure: {similarity.measure}",
        *_optional("above_null: {}", similarity.above_null, number),
        *_optional("at_least: {}", similarity.at_least, number),
        *_optional("at_most: {}", similarity.at_most, number),
    )
    if similarity.above_null is None:
        note = "  # a success: at least this similar to the original"
    else:
        note = "  # a success: closer to the original than this share of other units' images come by chance"
    return (
        note,
        f"  similarity: {{{', '.join(fields)}}}",
    )


def _audit(audit: AuditTerms) -> tuple[str, ...]:
    return (
        "audit:",
        f"  units: {audit.units}  # training units that are attacked; more of them can show a smaller risk",
        f"  worst_units: {audit.worst_units}  # the most exposed units, judged apart",
        f"  noise_draws: {audit.noise_draws}  # tries for each unit; success in any counts",
        f"  positive_control: {{min: {number(audit.min_positive_control)}}}  # without noise the attack must succeed",
        f"  negative_control: {{max: {number(audit.max_negative_control)}}}  # on units never trained on it must fail",
        f"  null_confidence: {number(audit.null_confidence)}  # of what strangers' images reach by chance",
        *_optional("  candidates: {}  # among which the worst-case attacker chooses", audit.candidates, str),
        *_weights_only(audit.weights_only),
    )


def _weights_only(search: WeightsSearch) -> tuple[str, ...]:
    if search == WeightsSearch():
        return ()
    return (
        "  weights_only:  # how hard attacks on the released model search",
        f"    candidates: {search.candidates}  # images that they hand in",
        f"    starts: {search.starts}  # searches, of which the best is kept",
        f"    iterations: {search.iterations}  # of each search",
        f"    positive_control: {{min: {number(search.min_positive_control)}}}  # of stationarity, without noise",
    )


def _data(data: DataSpec) -> tuple[str, ...]:
    return (
        "data:",
        f"  format: {data.format}",
        *_optional("  path: {}", data.path, text),
        *_optional("  factory: {}  # the policy must allow it", data.factory, text),
        *_optional("  arguments: {{{}}}", data.arguments or None, _arguments),
        f"  unit: {text(data.unit)}  # must be the policy's unit{_IMAGE_NOTE if data.unit == 'image' else ''}",
        *_optional("  label: {}  # the column that holds the class", data.label, text),
        *_optional("  image_size: {}  # height and width", data.image_size, _size),
        *_optional("  channels: {}  # 1 is grey, 3 is colour", data.channels, str),
        *_optional("  window: {}  # the values that become 0 and 255", data.window, _window),
        f"  split: {{{', '.join(_split(data.split))}}}  # by unit, so that nobody is on both sides",
        *_optional("  population: {}  # whose unit names these are, for the ledger", data.population, text),
        *_optional("  phantom: {}  # size and seed of the synthetic images", data.phantom, _phantom),
        *(() if data.scan is None else _indented(render_scan(data.scan))),
    )


def _size(size: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, size))}]"


def _window(window: tuple[float, float]) -> str:
    return f"[{', '.join(map(number, window))}]"


def _phantom(phantom: PhantomSpec) -> str:
    fields = (
        f"patients: {phantom.patients}",
        f"seed: {phantom.seed}",
        *([f"dimensions: {phantom.dimensions}"] if phantom.dimensions != PhantomSpec().dimensions else []),
        *_optional("size: {}", phantom.size, _size),
    )
    return f"{{{', '.join(fields)}}}"


def _split(split: SplitSpec) -> tuple[str, ...]:
    return (
        *_optional("test: {}", split.test, number),
        f"seed: {split.seed}",
        *_optional("by: {}", split.by, text),
    )


def _model(model: ModelSpec) -> tuple[str, ...]:
    return (
        "model:",
        *_optional("  network: {}", model.network, text),
        *_optional("  width: {}  # channels of the first block, or units of each hidden layer", model.width, str),
        *_optional("  factory: {}  # the policy must allow it", model.factory, text),
        *_optional("  arguments: {{{}}}", model.arguments or None, _arguments),
        *_optional("  base: {}  # the weights that training starts from", model.base, text),
        *_optional("  base_skip: [{}]  # parameters that keep their initial values", model.base_skip or None, _texts),
        *_optional("  trainable: [{}]  # the other parameters are frozen", model.trainable, _texts),
    )


def _arguments(arguments: tuple[Argument, ...]) -> str:
    return ", ".join(f"{text(argument.name)}: {_scalar(argument.value)}" for argument in arguments)


def _scalar(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return boolean(value)
    return text(value) if isinstance(value, str) else number(value)


def _texts(values: tuple[str, ...]) -> str:
    return ", ".join(map(text, values))


def _training(training: TrainingSpec) -> tuple[str, ...]:
    return (
        "training:",
        f"  epochs: {training.epochs}",
        f"  expected_batch: {training.expected_batch}  # units a step, on average",
        f"  clipping_norm: {_clipping_norm(training)}  # the longest gradient of one unit, or adaptive, or automatic",
        f"  optimizer: {{{', '.join(_optimizer(training.optimizer))}}}",
        f"  views: {training.views}  # augmented views of a unit a step, averaged before the clip",
        f"  augmentation: {{{', '.join(_augmentation(training.augmentation))}}}  # pixels, degrees, shares",
        f"  sampling: {training.sampling}  # best takes the sampling that needs less noise",
        f"  schedule: {training.schedule}",
        f"  warmup: {number(training.warmup)}  # share of the steps",
        *_optional("  ema: {}  # decay of the average of the weights that is released", training.ema, number),
        *_optional("  epsilon: {}  # left out: the policy's ceiling", training.epsilon, number),
        *_optional("  delta: {}  # left out: the policy's ceiling", training.delta, number),
        *_optional("  loss: {}  # left out: the task's own", training.loss, str),
        f"  seed: {training.seed}  # of initial weights and augmentations, never of the noise",
        f"  physical_batch: {training.physical_batch}  # views at once; bounds memory only",
        f"  precision: {training.precision}  # or bfloat16: faster on processors made for it; sums stay as they are",
        f"  resume_allowance: {training.resume_allowance}  # steps planned to be done again after a crash",
    )


def _clipping_norm(training: TrainingSpec) -> str:
    return number(training.clipping_norm) if training.clipping == "flat" else training.clipping


def _augmentation(augmentation: AugmentationSpec) -> tuple[str, ...]:
    return (
        f"flips: {boolean(augmentation.flips)}",
        f"shift: {augmentation.shift}",
        f"rotation: {number(augmentation.rotation)}",
        f"scale: {number(augmentation.scale)}",
        f"intensity: {number(augmentation.intensity)}",
    )


def _optimizer(optimizer: OptimizerSpec) -> tuple[str, ...]:
    return (
        f"name: {optimizer.name}",
        f"lr: {number(optimizer.lr)}",
        *_optional("momentum: {}", optimizer.momentum, number),
        f"weight_decay: {number(optimizer.weight_decay)}",
    )
