"""One good policy and one good candidate, and a corpus of mistakes in them, each with the place it is reported at.

A case replaces a piece of the good file. The sign « in the new piece is not part of it: it marks the place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gatekeeper.errors import ConfigError, Problem

POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {name: dermatology, version: 1, owner: privacy-office}
spec:
  privacy:
    unit: lesion
    adjacency: zero-out
    epsilon: {max: 1.0e+9}
    delta: {max: 8.0e-7}
  rules:
    - id: mcc
      metric: mcc
      min: 0.60
      statistic: lower_confidence_bound
      confidence: 0.95
      min_units: 100
    - id: mcc-drop
      metric: mcc
      max_drop: 0.05
      baseline: non-private
    - id: reconstruction
      risk: reconstruction
      adversary: {observes: one-step, prior: none}
      similarity: {measure: ncc, above_null: 0.99}
      max: 0.02
      statistic: upper_confidence_bound
      worst: {max: 0.10}
      evidence: [bound, attack]
  audit: {units: 1000, worst_units: 50, positive_control: {min: 0.9}, negative_control: {max: 0.05}}
"""

CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {name: lesion-classifier}
spec:
  data:
    format: phantom-lesions
    unit: lesion
    image_size: 48
    split: {test: 0.2, seed: 1}
  model: {network: resnet9, width: 16}
  training:
    epochs: 30
    expected_batch: 256
    clipping_norm: 1.0
    optimizer: {name: nadam, lr: 2.0e-3}
    augmentation: {flips: true, shift: 2}
    epsilon: 1.0e+4
"""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A file with one mistake.

    Attributes:
        base: the good file.
        old: the piece that is replaced; it occurs once.
        new: what replaces it; « marks the place.
        says: a piece of the message or hint.
        schema: whether a JSON Schema can know.
    """

    base: str
    old: str
    new: str
    says: str
    schema: bool = True

    @property
    def marked(self) -> str:
        assert self.base.count(self.old) == 1, self.old
        return self.base.replace(self.old, self.new)

    @property
    def text(self) -> str:
        return self.marked.replace("«", "")

    @property
    def place(self) -> tuple[int, int]:
        before = self.marked[: self.marked.index("«")]
        return before.count("\n") + 1, len(before) - before.rfind("\n")


def in_policy(old: str, new: str, says: str, *, schema: bool = True, also: tuple[str, str] = ("", "")) -> Mistake:
    return Mistake(base=POLICY.replace(*also) if also[0] else POLICY, old=old, new=new, says=says, schema=schema)


def in_candidate(old: str, new: str, says: str, *, schema: bool = True, also: tuple[str, str] = ("", "")) -> Mistake:
    return Mistake(base=CANDIDATE.replace(*also) if also[0] else CANDIDATE, old=old, new=new, says=says, schema=schema)


def in_factory(arguments: str, says: str, *, schema: bool = True) -> Mistake:
    return in_candidate(
        "network: resnet9, width: 16", f"factory: nets:make, arguments: {arguments}", says, schema=schema
    )


def file_of(folder: Path, content: str | bytes) -> Path:
    path = folder / "file.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems_of(load: Callable[[Path], object], path: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as refused:
        load(path)
    return refused.value.problems


EVIDENCE_IS_BOUND = ("      worst: {max: 0.10}\n      evidence: [bound, attack]\n", "")
KNOWS_CANDIDATES = ("observes: one-step", "observes: all-steps, knows: candidates")

ABDOMEN = (
    "format: phantom-lesions\n    unit: lesion\n    image_size: 48",
    "format: phantom-abdomen\n    unit: patient",
)

MSD = (
    "format: phantom-lesions\n    unit: lesion\n    image_size: 48",
    "format: msd\n    path: liver\n    unit: case\n    scan: {}",
)
DICOM = (MSD[0], MSD[1].replace("msd", "dicom"))

SYNTAX = (
    in_policy("  privacy:\n", "«\tprivacy:\n", "indent with spaces", schema=False),
    in_policy("owner: privacy-office}", "owner: privacy-office\nspec«:", "not YAML", schema=False),
    in_policy("unit: lesion", "unit: a«: b", "colon and a space", schema=False),
    in_policy("unit: lesion", "unit: «@lesion", "special character", schema=False),
    in_policy("    unit: lesion\n", "    unit: lesion\n    «unit: image\n", "first given in line 6", schema=False),
    in_policy("unit: lesion", "unit: «&whose lesion", "anchors", schema=False),
    in_policy("unit: lesion", "unit: «*whose", "aliases", schema=False),
    in_policy("unit: lesion", "unit: «!!str lesion", "tags", schema=False),
    in_policy("unit: lesion", "unit: «!whose lesion", "tags", schema=False),
    in_policy("epsilon: {max: 1.0e+9}", "epsilon: «!budget {max: 1.0e+9}", "tags", schema=False),
    in_policy("    unit: lesion\n", "    unit: lesion\n    «<<: {delta: 1}\n", "merge keys", schema=False),
    in_policy("    unit: lesion\n", "    unit: lesion\n    ? «[a, b]\n    : c\n", "must be a word", schema=False),
    in_policy(
        "negative_control: {max: 0.05}}\n",
        "negative_control: {max: 0.05}}\n«---\na: b\n",
        "second document",
        schema=False,
    ),
    in_policy("unit: lesion", 'unit: «"half \\ud800"', "surrogate", schema=False),
)

METADATA_AND_PRIVACY = (
    in_policy("gatekeeper/v1", "«gatekeeper/v2", "one of gatekeeper/v1"),
    in_policy("ReleasePolicy", "«ReleasePolcy", "did you mean `ReleasePolicy`?"),
    in_policy("ReleasePolicy", "«ReleaseCandidate", "a release policy is needed"),
    in_policy("apiVersion: gatekeeper/v1\n", "«", "missing key `apiVersion`"),
    in_policy("{name: dermatology, version: 1,", "«{version: 1,", "missing key `name` in metadata"),
    in_policy("version: 1,", "version: «0,", "metadata.version must be a whole number of at least 1"),
    in_policy("version: 1,", "version: «1.5,", "whole number, got 1.5"),
    in_policy("version: 1,", "version: «1.0,", "write 1", schema=False),
    in_policy("version: 1,", 'version: «"1",', "remove the quotes"),
    in_policy("version: 1,", "version: «012,", "octal"),
    in_policy("version: 1,", "version: «0x1F,", "hexadecimal"),
    in_policy("version: 1,", "version: «1000000000000000000,", "at most 18 digits"),
    in_policy("owner: privacy-office", "owner: «true", "got the boolean true"),
    in_policy("owner: privacy-office", "owner: «12", "got the number 12"),
    in_policy("owner: privacy-office", "owner: «~", "metadata.owner is empty"),
    in_policy("owner: privacy-office", 'owner: «"a\\tb"', "control characters"),
    in_policy("owner: privacy-office", 'owner: «"  "', "non-empty"),
    in_policy("owner: privacy-office", "owner: «[a]", "must be text, got a list"),
    in_policy("owner: privacy-office", "owner: x, «onwer: y", "did you mean `owner`?"),
    in_policy("    unit: lesion\n    adjacency", "    «adjacency", "missing key `unit` in spec.privacy"),
    in_policy("adjacency: zero-out", "adjacency: «zero_out", "did you mean `zero-out`?"),
    in_policy("epsilon: {max: 1.0e+9}", "epsilon: «1.0e+9", "must be a mapping"),
    in_policy("epsilon: {max: 1.0e+9}", "epsilon: «{}", "missing key `max` in spec.privacy.epsilon"),
    in_policy("epsilon: {max: 1.0e+9}", "epsilon:«", "spec.privacy.epsilon is empty"),
    in_policy("max: 1.0e+9", "max: «-1", "spec.privacy.epsilon.max must be above 0"),
    in_policy("max: 1.0e+9", "max: «1_000", "without underscores"),
    in_policy("max: 1.0e+9", "max: «12:30", "base 60"),
    in_policy("max: 1.0e+9", "max: «.inf", "not finite"),
    in_policy("max: 1.0e+9", "max: «.NaN", "not finite"),
    in_policy("max: 1.0e+9", "max: «1e999", "too large", schema=False),
    in_policy("max: 1.0e+9", "max: «many", "must be a number, got 'many'"),
    in_policy("max: 8.0e-7", "max: «1", "strictly between 0 and 1"),
    in_policy("max: 8.0e-7}", "max: 8.0e-7}\n    total_epsilon: {max: «0}", "total_epsilon.max must be above 0"),
    in_policy(
        "max: 8.0e-7}", "max: 8.0e-7}\n    total_epsilon: «{max: 1.0e+8}", "below the ε of one run", schema=False
    ),
    in_policy("  rules:", "  max_attempts: «0\n  rules:", "max_attempts must be a whole number of at least 1"),
)

METRIC_RULES = (
    in_policy("- id: mcc-drop", "- id: «mcc", "another rule is named 'mcc'", schema=False),
    in_policy("- id: mcc-drop", "- id: «privacy-epsilon", "would be taken for 'privacy-epsilon'", schema=False),
    in_policy("- id: mcc-drop", "- id: «MCC", "would be taken for 'mcc'", schema=False),
    in_policy("metric: mcc\n      min", "metric: «f1\n      min", "metric must be one of accuracy"),
    in_policy(
        "metric: mcc\n      min", "metric: mcc\n      class: «nevus\n      min", "class goes with the metric dice"
    ),
    in_policy("metric: mcc\n      min", "metric: dice\n      class: «[liver]\n      min", "class must be text"),
    in_policy("- id: mcc\n      metric: mcc", "- «id: mcc", "missing key `metric` in spec.rules[0]"),
    in_policy("      risk: reconstruction", "      risk: «reconstruction\n      metric: mcc", "not both"),
    in_policy("min: 0.60", "min: «1.5", "min must lie in [-1, 1]"),
    in_policy("min: 0.60", "min: «60%", "0.05 for 5 %"),
    in_policy("min: 0.60", "min: «0,60", "decimal point"),
    in_policy("id: mcc\n      metric: mcc\n      min: 0.60\n", "«id: mcc\n      metric: mcc\n", "missing key `min`"),
    in_policy("min: 0.60\n", "min: 0.60\n      max_drop: «0.1\n", "not both", also=("lower_", "upper_")),
    in_policy("min: 0.60\n", "min: 0.60\n      baseline: «non-private\n", "goes with max_drop"),
    in_policy("id: mcc-drop", "«id: mcc-drop", "missing key `baseline`", also=("      baseline: non-private\n", "")),
    in_policy("max_drop: 0.05", "max_drop: «0", "max_drop must be above 0"),
    in_policy("statistic: lower_", "statistic: «upper_", "lower_confidence_bound, estimate"),
    in_policy("confidence: 0.95", "confidence: «95", "confidence must lie strictly between 0 and 1"),
)

RISK_RULES_AND_AUDIT = (
    in_policy("risk: reconstruction", "risk: «membership", "one of reconstruction"),
    in_policy("observes: one-step", "observes: «one step", "did you mean `one-step`?"),
    in_policy("observes: one-step", "observes: «everything", "one of one-step, all-steps, weights-only"),
    in_policy("observes: one-step, prior: none", "observes: «weights-only, prior: spectral", "of the weights alone"),
    in_policy("prior: none", "prior: «diffusion", "one of none, spectral"),
    in_policy("evidence: [", "attacks: [«guess]\n      evidence: [", "one of analytic, denoised"),
    in_policy("evidence: [", "source: «production\n      evidence: [", "did you mean `production-step`?"),
    in_policy(
        "evidence: [bound, attack]", "attacks: «[analytic, analytic]\n      evidence: [attack]", "name each attack once"
    ),
    in_policy("evidence: [bound, attack]", "attacks: «[analytic]\n      evidence: [bound]", "need the attack"),
    in_policy("observes: one-step", "observes: «one-step, knows: candidates", "sees all steps", also=EVIDENCE_IS_BOUND),
    in_policy("similarity: {", "similarity: «{", "judged by its bound alone", also=KNOWS_CANDIDATES),
    in_policy("above_null: 0.99}", "above_null: 0.99, at_least: «0.5}", "exactly one of above_null"),
    in_policy("above_null: 0.99", "at_least: «0.5, at_most: 0.6", "at_most caps"),
    in_policy("evidence: [", "evidence: «[", "use evidence: [attack]", also=("measure: ncc", "measure: ssim")),
    in_policy("max: 0.02", "max: «0", "0 of   59 units shows at most 4.96 %"),
    in_policy("max: 0.02", "max: «0.001", "audit at least 3688 units", schema=False),
    in_policy("max: 0.02", "max: «1e-300", "audit more than a billion units", schema=False),
    in_policy("max: 0.02", "max: «2", "must lie strictly between 0 and 1"),
    in_policy("      max: 0.02\n", "", "missing key `max`", also=("- id: reconstruction", "- «id: reconstruction")),
    in_policy("statistic: upper_confidence_bound", "statistic: «estimate", "one of upper_confidence_bound"),
    in_policy("evidence: [bound, attack]", "evidence: «[]", "needs evidence"),
    in_policy("evidence: [bound, attack]", "evidence: «[bound, attack, bound]", "needs evidence"),
    in_policy("evidence: [bound, attack]", "evidence: «[bound]", "worst needs the attack"),
    in_policy("evidence: [bound, attack]", "evidence: [bound, «atack]", "did you mean `attack`?"),
    in_policy("evidence: [bound, attack]", "evidence: «attack", "must be a list"),
    in_policy("worst: {", "worst: «{", "nothing would be judged", schema=False, also=("units: 50", "units: 0")),
    in_policy("units: 1000,", "units: «1e3,", "write 1000", schema=False),
    in_policy("positive_control: {min: 0.9}", "positive_control: {min: «1.0}", "strictly between 0 and 1"),
    in_policy("positive_control: {min: 0.9}", "positive_control: {«max: 0.9, min: 0.9}", "unknown key 'max'"),
    in_policy("units: 1000,", "units: 1000, candidates: «1,", "at least 2"),
)

CODE = (
    in_policy("  audit:", "  allow_code: [«nets.small]\n  audit:", "code is named with its digest"),
    in_policy("  audit:", "  allow_code: [«nets.small@sha256:12]\n  audit:", "sha256"),
    in_policy("  audit:", f"  allow_code: [«a/b.py@sha256:{'0' * 64}]\n  audit:", "named like package.module"),
    in_policy("  audit:", f"  allow_code: «nets.small@sha256:{'0' * 64}\n  audit:", "must be a list"),
)

POLICY_MISTAKES = METADATA_AND_PRIVACY + METRIC_RULES + RISK_RULES_AND_AUDIT + CODE

CANDIDATE_MISTAKES = (
    in_candidate("ReleaseCandidate", "«ReleasePolicy", "a release candidate is needed"),
    in_candidate("format: phantom-lesions", "format: «phantom", "did you mean `phantom-lesions`?"),
    in_candidate("format: phantom-lesions", "format: phantom-lesions\n    path: «data", "takes no path"),
    in_candidate("format: phantom-lesions", "«format: ham10000", "missing key `path` in spec.data"),
    in_candidate("image_size: 48", "image_size: «2", "at least 4"),
    in_candidate("image_size: 48", "image_size: «2048", "at most 1024"),
    in_candidate("image_size: 48", "image_size: «[48, 48, 48]", "got 3 numbers"),
    in_candidate("image_size: 48", "image_size: [48, «x]", "must be a whole number, got 'x'"),
    in_candidate("image_size: 48", "channels: «4", "channels must be 1 or 3, got 4"),
    in_candidate("format: phantom-lesions", "format: digits\n    phantom: «{seed: 1}", "goes with the format"),
    in_candidate("image_size: 48", "phantom: {dimensions: «3}", "goes with the format phantom-abdomen"),
    in_candidate("image_size: 48", "phantom: {size: «[48, 48]}", "goes with the format phantom-abdomen"),
    in_candidate("unit: patient", "unit: patient\n    image_size: «64", "takes no image_size", also=ABDOMEN),
    in_candidate("unit: patient", "unit: patient\n    channels: «3", "is grey", also=ABDOMEN),
    in_candidate("unit: patient", "unit: patient\n    path: «data", "takes no path", also=ABDOMEN),
    in_candidate(
        "unit: patient", "unit: patient\n    phantom: {dimensions: «4}", "dimensions must be 2 or 3", also=ABDOMEN
    ),
    in_candidate("unit: patient", "unit: patient\n    phantom: {size: [«4, 64]}", "at least 8", also=ABDOMEN),
    in_candidate("unit: patient", "unit: patient\n    phantom: {size: «[64, 2048]}", "at most 1024", also=ABDOMEN),
    in_candidate("unit: patient", "unit: patient\n    phantom: {size: «64}", "must be a list", also=ABDOMEN),
    in_candidate("unit: patient", "unit: patient\n    phantom: {size: «[8, 8, 8]}", "each of 2 dimen", also=ABDOMEN),
    in_candidate("format: phantom-lesions", "«format: factory", "missing key `factory`"),
    in_candidate("format: phantom-lesions", "format: digits\n    factory: «a.b:c", "goes with the format factory"),
    in_candidate("format: phantom-lesions", "format: factory\n    factory: «a.b", "package.module:function"),
    in_candidate(
        "format: phantom-lesions", "format: factory\n    factory: a:b\n    path: «data", "say where the data lie"
    ),
    in_candidate("format: phantom-lesions", "format: digits\n    arguments: «{a: 1}", "goes with the format factory"),
    in_candidate(
        "format: phantom-lesions", "format: digits\n    window: «[0, 1]", "goes with the formats numpy and factory"
    ),
    in_candidate(
        "format: phantom-lesions", "format: numpy\n    path: d\n    window: «[1, 0]", "low < high", schema=False
    ),
    in_candidate("format: phantom-lesions", "format: numpy\n    path: d\n    window: «[0, 1, 2]", "low < high"),
    in_candidate(
        "image_size: 48",
        "label: mask\n    image_size: «48",
        "no image_size with masks",
        also=("format: phantom-lesions", "format: numpy\n    path: d"),
    ),
    in_candidate("scan: {}", "scan: {dimensions: «4}", "dimensions must be 2 or 3", also=MSD),
    in_candidate("scan: {}", "scan: {window: «[100, -100]}", "with low below high", schema=False, also=MSD),
    in_candidate("scan: {}", "scan: {window: «[1, 2, 3]}", "must be [low, high], got 3 numbers", also=MSD),
    in_candidate("scan: {}", "scan: {window: «dataset}", "statistics over all units: they leak", also=MSD),
    in_candidate("scan: {}", "scan: {window: «per-imag}", "did you mean `per-image`?", also=MSD),
    in_candidate("scan: {}", "scan: {window: «40}", "must be [low, high], or file or per-image", also=MSD),
    in_candidate("scan: {}", "scan: {window: «file}", "window goes with the format dicom, not with msd", also=MSD),
    in_candidate("scan: {}", "scan: {annotations_known: «true}", "goes with the format dicom", also=MSD),
    in_candidate("scan: {}", "scan: {size: «[64, 64, 64]}", "for each of 2 dimensions", also=MSD),
    in_candidate("scan: {}", "scan: {dimensions: 3, size: «[64, 64]}", "for each of 3 dimensions", also=MSD),
    in_candidate("scan: {}", "scan: {size: [«2, 64]}", "at least 4", also=MSD),
    in_candidate("scan: {}", "scan: {size: «[64, 2048]}", "at most 1024", also=MSD),
    in_candidate("scan: {}", "scan: {spacing: [«0, 1]}", "must be above 0", also=MSD),
    in_candidate("scan: {}", "scan: {labels: «[liver]}", "a mapping of class names to values", also=MSD),
    in_candidate("scan: {}", "scan: {labels: {«background: 1}}", "no class may be called background", also=MSD),
    in_candidate("scan: {}", "scan: {labels: {liver: «0}}", "at least 1", also=MSD),
    in_candidate("scan: {}", "scan: {labels: «{a: 1, b: 1}}", "each value in one class", schema=False, also=MSD),
    in_candidate("scan: {}", "scan: {spacing: «[1, 1, 1]}", "for each of 2 dimensions", also=MSD),
    in_candidate("scan: {}", "scan: {labels: {«liver: []}}", "needs at least one value", also=MSD),
    in_candidate("scan: {}", "scan: {«labls: {liver: 1}}", "did you mean `labels`?", also=MSD),
    in_candidate("scan: {}", "scan: {every: «2, dimensions: 3}", "every goes with dimensions 2", also=MSD),
    in_candidate("scan: {}", "scan: {every: «2}", "goes with the format msd, not with dicom", also=DICOM),
    in_candidate("scan: {}", "scan: {channel: «T1}", "goes with the format msd, not with dicom", also=DICOM),
    in_candidate("scan: {}", "scan: {}\n    image_size: «64", "takes no image_size", also=DICOM),
    in_candidate("image_size: 48", "scan: «{dimensions: 2}", "scan goes with the formats msd and dicom only"),
    in_candidate("{test: 0.2, seed: 1}", "«{seed: 1}", "missing key `test` in spec.data.split"),
    in_candidate("    split: {test: 0.2, seed: 1}\n", "", "missing key `split`", also=("format: ph", "«format: ph")),
    in_candidate("test: 0.2", "test: «20", "spec.data.split.test must lie strictly between 0 and 1"),
    in_candidate("seed: 1}", "seed: «-1}", "at least 0"),
    in_candidate("network: resnet9", "network: «resnet8", "did you mean `resnet"),
    in_candidate("width: 16", "width: «wide", "must be a whole number, got 'wide'"),
    in_candidate("{network: resnet9, width: 16}", "«{width: 16}", "missing key `network` in spec.model"),
    in_candidate("{network: resnet9, width: 16}", "«{network: resnet9}", "missing key `width` in spec.model"),
    in_candidate("resnet9, width: 16", "efficientnet-lite0, width: «16", "efficientnet-lite0 takes no width"),
    in_candidate("width: 16", "width: 16, factory: «nets.small:make", "a network or a factory, not both"),
    in_candidate("width: 16", "width: 16, arguments: «{depth: 3}", "arguments without factory means nothing"),
    in_candidate("width: 16", "width: 16, base_skip: «[head.*]", "base_skip without base means nothing"),
    in_candidate("width: 16", "width: 16, base_skip: «[]", "base_skip without base means nothing"),
    in_candidate("width: 16", "width: 16, trainable: «[]", "trainable needs a pattern"),
    in_candidate("width: 16", "width: 16, trainable: «head.*", "must be a list"),
    in_candidate("network: resnet9, width: 16", "factory: nets:make, width: «16", "a factory takes no width"),
    in_candidate("network: resnet9, width: 16", "factory: «nets.make", "package.module:function or path/to/file.py"),
    in_candidate("network: resnet9, width: 16", "factory: «nets.make:a.b", "package.module:function or path/to/file"),
    in_candidate("network: resnet9, width: 16", "factory: «'nets.py :make'", "package.module:function or path/to/"),
    in_factory("{«image_shape: 3}", "gatekeeper passes it itself"),
    in_factory("{«two words: 3}", "must be one in Python"),
    in_factory("{«lambda: 3}", "must be one in Python", schema=False),
    in_factory("{depth: «[3]}", "spec.model.arguments.depth must be a number, a boolean or text"),
    in_factory("{depth: «0x10}", "put quotes around it if it is text", schema=False),
    in_factory("«[depth]", "must be a mapping of names to values"),
    in_factory("{depth: «null}", "spec.model.arguments.depth is empty"),
    in_candidate("    clipping_norm: 1.0\n", "    clipping_norm: 1.0\n    «cliping_norm: 1.0\n", "`clipping_norm`?"),
    in_candidate("clipping_norm: 1.0", "clipping_norm: «adaptiv", "did you mean `adaptive`?"),
    in_candidate("clipping_norm: 1.0", "clipping_norm: «flat", "a number or one of adaptive, automatic, got 'flat'"),
    in_candidate("clipping_norm: 1.0", "clipping_norm: «0", "clipping_norm must be above 0"),
    in_candidate("clipping_norm: 1.0", "clipping_norm: «inf", "a number or one of adaptive, automatic"),
    in_candidate("clipping_norm: 1.0", "clipping_norm: «null", "clipping_norm is empty"),
    in_candidate("clipping_norm: 1.0", "clipping_norm: «[1.0]", "must be a number"),
    in_candidate("epochs: 30", "epochs: «0", "spec.training.epochs must be a whole number of at least 1"),
    in_candidate("name: nadam,", "name: nadam, momentum: «0.9,", "momentum goes with sgd"),
    in_candidate("lr: 2.0e-3", "lr: «0", "lr must be above 0"),
    in_candidate("flips: true", "flips: «yes", "write true"),
    in_candidate("flips: true", 'flips: «"true"', "remove the quotes"),
    in_candidate("shift: 2", "shift: «2.5", "must be a whole number, got 2.5"),
    in_candidate("shift: 2", "rotation: «181", "in degrees, at most 180"),
    in_candidate("shift: 2", "rotation: «-1", "at least 0"),
    in_candidate("shift: 2", "scale: «1.0", "at least 0 and below 1"),
    in_candidate("shift: 2", "intensity: «-0.1", "at least 0 and below 1"),
    in_candidate("shift: 2", "«zoom: 0.1", "unknown key 'zoom'"),
    in_candidate("epsilon: 1.0e+4", "epsilon: «null", "spec.training.epsilon is empty"),
    in_candidate("epsilon: 1.0e+4", "loss: «focal", "training.loss must be one of cross-entropy"),
    in_candidate("epsilon: 1.0e+4", "loss: «dice", "loss dice doesn't fit classification", schema=False),
    in_candidate("epsilon: 1.0e+4", "warmup: «1", "warmup is a share of the steps"),
    in_candidate("epsilon: 1.0e+4", "sampling: «shuffle", "one of poisson"),
    in_candidate("epsilon: 1.0e+4", "precision: «float16", "one of float32, bfloat16"),
    in_candidate("epsilon: 1.0e+4", "resume_allowance: «-1", "at least 0"),
    in_candidate("epsilon: 1.0e+4", "resume_allowance: «0.1", "must be a whole number, got 0.1"),
)
