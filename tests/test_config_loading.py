"""Both files: what is left out, and that every mistake is reported, once, where it stands, with its remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.config import load_candidate, load_policy
from gatekeeper.core.adversary import ONE_STEP, PAPER_ATTACKS, PRESETS, RELAXED
from gatekeeper.core.candidate import AugmentationSpec
from gatekeeper.core.data_spec import PhantomSpec, SplitSpec
from gatekeeper.core.policy import AuditTerms, Policy, RiskRule, UtilityRule
from gatekeeper.core.risk import Similarity
from gatekeeper.errors import ConfigError, InvalidInputError
from tests.config_files import (
    ABDOMEN,
    CANDIDATE,
    CANDIDATE_MISTAKES,
    POLICY,
    POLICY_MISTAKES,
    SYNTAX,
    Mistake,
    file_of,
    problems_of,
)

LOADERS: tuple[Callable[[Path], object], ...] = (load_policy, load_candidate)


def check(mistake: Mistake, load: Callable[[Path], object], folder: Path) -> None:
    (problem,) = problems_of(load, file_of(folder, mistake.text))
    assert (problem.line, problem.column) == mistake.place, str(problem)
    assert mistake.says in str(problem)
    assert problem.file == str(folder / "file.yaml")


@pytest.mark.parametrize("mistake", SYNTAX + POLICY_MISTAKES, ids=lambda mistake: mistake.new)
def test_a_mistake_in_a_policy_is_reported_once_where_it_stands(mistake: Mistake, tmp_path: Path) -> None:
    check(mistake, load_policy, tmp_path)


@pytest.mark.parametrize("mistake", CANDIDATE_MISTAKES, ids=lambda mistake: mistake.new)
def test_a_mistake_in_a_candidate_is_reported_once_where_it_stands(mistake: Mistake, tmp_path: Path) -> None:
    check(mistake, load_candidate, tmp_path)


def test_a_policy_is_read_key_by_key(tmp_path: Path) -> None:
    policy = load_policy(file_of(tmp_path, POLICY))
    assert (policy.name, policy.version, policy.owner, policy.description) == ("dermatology", 1, "privacy-office", None)
    assert (policy.privacy.unit, policy.privacy.max_epsilon, policy.privacy.max_delta) == ("lesion", 1e9, 8e-7)
    assert policy.rules == (
        UtilityRule(
            id="mcc",
            metric="mcc",
            minimum=0.6,
            max_drop=None,
            statistic="lower_confidence_bound",
            confidence=0.95,
            min_units=100,
        ),
        UtilityRule(
            id="mcc-drop",
            metric="mcc",
            minimum=None,
            max_drop=0.05,
            statistic="upper_confidence_bound",
            confidence=0.95,
            min_units=30,
        ),
        RiskRule(
            id="reconstruction",
            adversary=ONE_STEP,
            similarity=Similarity(measure="ncc", above_null=0.99),
            maximum=0.02,
            confidence=0.95,
            worst_max=0.1,
            evidence=("bound", "attack"),
        ),
    )
    assert policy.audit == AuditTerms(
        units=1000, worst_units=50, noise_draws=3, min_positive_control=0.9, max_negative_control=0.05
    )


def test_a_candidate_is_read_key_by_key(tmp_path: Path) -> None:
    candidate = load_candidate(file_of(tmp_path, CANDIDATE))
    data, training = candidate.data, candidate.training
    assert (data.format, data.path, data.unit, data.image_size) == ("phantom-lesions", None, "lesion", (48, 48))
    assert data.split == SplitSpec(test=0.2, seed=1)
    assert data.phantom == PhantomSpec()
    assert (candidate.model.network, candidate.model.width) == ("resnet9", 16)
    assert (training.epochs, training.expected_batch, training.clipping_norm) == (30, 256, 1.0)
    assert (training.optimizer.name, training.optimizer.lr, training.optimizer.momentum) == ("nadam", 2e-3, None)
    assert training.augmentation == AugmentationSpec(flips=True, shift=2)
    assert (training.epsilon, training.delta, training.sampling, training.views) == (1e4, None, "best", 1)


@pytest.mark.parametrize(
    ("written", "rule", "norm"),
    [("0.25", "flat", 0.25), ("adaptive", "adaptive", 1.0), ("automatic", "automatic", 1.0)],
)
def test_the_clipping_norm_is_a_number_or_the_name_of_a_rule(
    written: str, rule: str, norm: float, tmp_path: Path
) -> None:
    text = CANDIDATE.replace("clipping_norm: 1.0", f"clipping_norm: {written}")
    training = load_candidate(file_of(tmp_path, text)).training
    assert (training.clipping, training.clipping_norm) == (rule, norm)


def test_abdomens_and_their_augmentations_are_read_key_by_key(tmp_path: Path) -> None:
    text = CANDIDATE.replace(*ABDOMEN).replace("flips: true, shift: 2", "rotation: 15, scale: 0.1, intensity: 0.2")
    data = "unit: patient\n    phantom: {patients: 60, dimensions: 3, size: [8, 16, 24]}"
    candidate = load_candidate(file_of(tmp_path, text.replace("unit: patient", data)))
    assert candidate.data.phantom == PhantomSpec(patients=60, dimensions=3, size=(8, 16, 24))
    assert (candidate.data.task, candidate.data.unit) == ("segmentation", "patient")
    assert candidate.training.augmentation == AugmentationSpec(rotation=15.0, scale=0.1, intensity=0.2)
    silent = load_candidate(file_of(tmp_path, CANDIDATE.replace(*ABDOMEN)))
    assert silent.data.phantom == PhantomSpec()


def test_steps_to_be_done_again_are_none_unless_the_file_says_so(tmp_path: Path) -> None:
    assert load_candidate(file_of(tmp_path, CANDIDATE)).training.resume_allowance == 0
    text = CANDIDATE.replace("epochs: 30", "epochs: 30\n    resume_allowance: 200")
    assert load_candidate(file_of(tmp_path, text)).training.resume_allowance == 200


def test_height_and_width_keep_their_order(tmp_path: Path) -> None:
    text = CANDIDATE.replace("image_size: 48", "image_size: [32, 64]")
    assert load_candidate(file_of(tmp_path, text)).data.image_size == (32, 64)


@pytest.mark.parametrize("data_format", ["medmnist", "image-folder"])
def test_data_that_may_bring_their_split_need_none(data_format: str, tmp_path: Path) -> None:
    text = CANDIDATE.replace("phantom-lesions", f"{data_format}\n    path: data").replace(
        "    split: {test: 0.2, seed: 1}\n", ""
    )
    assert load_candidate(file_of(tmp_path, text)).data.split == SplitSpec(test=None)


def test_an_adversary_who_knows_candidates_is_judged_by_the_bound_alone(tmp_path: Path) -> None:
    start = POLICY.index("      similarity")
    rule = POLICY[:start].replace("observes: one-step", "observes: all-steps, knows: candidates") + "      max: 0.5\n"
    policy = load_policy(file_of(tmp_path, rule + POLICY[POLICY.index("  audit:") :]))
    (read,) = policy.risk_rules
    assert (read.adversary, read.similarity, read.evidence) == (RELAXED, None, ("bound",))


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "12:30", "0x1F", "none", "1e9x"])
def test_words_that_older_yaml_converts_stay_text(word: str, tmp_path: Path) -> None:
    assert load_policy(file_of(tmp_path, POLICY.replace("privacy-office", word))).owner == word


@pytest.mark.parametrize("number", ["1e9", "1.0e+9", "1E9", "+1e9", "1000000000", "1000000000."])
def test_every_decimal_form_of_a_number_is_read(number: str, tmp_path: Path) -> None:
    policy = load_policy(file_of(tmp_path, POLICY.replace("1.0e+9", number)))
    assert policy.privacy.max_epsilon == 1e9
    assert isinstance(policy.privacy.max_epsilon, float)


def test_every_mistake_is_reported_at_once_and_in_order(tmp_path: Path) -> None:
    text = (
        POLICY.replace("version: 1,", "version: one,")
        .replace("    unit: lesion\n", "    unit: lesion\n    unit: image\n")
        .replace("adjacency: zero-out", "adjacncy: zero-out")
        .replace("max: 8.0e-7", "max: &d 0")
        .replace("min: 0.60", "min: 2")
        .replace("max: 0.02", "max: 1.0e-4")
        .replace("evidence: [bound, attack]", "evidence: [bound, attack]\n      severity: error")
        .replace("negative_control: {max: 0.05}", "negative: {max: 0.05}")
    )
    problems = problems_of(load_policy, file_of(tmp_path, text))
    lines = [text.split("\n")[problem.line - 1][problem.column - 1 :] for problem in problems]
    expected = ["one,", "unit: image", "adjacncy", "&d", "&d", "2", "1.0e-4", "severity", "{units", "negative:"]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


def test_every_limit_that_the_sample_cannot_reach_is_reported(tmp_path: Path) -> None:
    second = POLICY[POLICY.index("    - id: recon") : POLICY.index("  audit:")].replace("construction\n", "peat\n", 1)
    text = POLICY.replace("  audit:", second + "  audit:").replace("max: 0.02", "max: 0.002")
    problems = problems_of(load_policy, file_of(tmp_path, text))
    assert [problem.line for problem in problems] == [25, 33]
    assert all("audit at least 1843 units" in str(problem) for problem in problems)


@given(maximum=st.floats(min_value=1e-3, max_value=0.5), units=st.integers(min_value=1, max_value=3000))
def test_the_loader_and_the_noun_agree_on_what_can_be_reached(
    maximum: float, units: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = load_policy(file_of(tmp_path_factory.mktemp("good"), POLICY))
    text = POLICY.replace("max: 0.02", f"max: {maximum:.6f}").replace("units: 1000", f"units: {units}")
    rules = tuple(
        dataclasses.replace(rule, maximum=float(f"{maximum:.6f}")) if isinstance(rule, RiskRule) else rule
        for rule in policy.rules
    )
    path = file_of(tmp_path_factory.mktemp("edited"), text)
    assert raised(lambda: load_policy(path)) == raised(
        lambda: dataclasses.replace(policy, rules=rules, audit=dataclasses.replace(policy.audit, units=units))
    )


def raised(make: Callable[[], Policy]) -> bool:
    try:
        make()
    except InvalidInputError:
        return True
    return False


@pytest.mark.parametrize(
    ("start", "says"),
    [("    - id: mcc\n", "at least one metric rule"), ("    - id: reconstruction", "at least one risk rule")],
)
def test_a_policy_with_one_kind_of_rule_is_refused(start: str, says: str, tmp_path: Path) -> None:
    first, middle, end = (POLICY.index(piece) for piece in ("    - id: mcc\n", "    - id: recon", "  audit:"))
    kept = POLICY[middle:end] if "metric" in says else POLICY[first:middle]
    assert start not in kept
    (problem,) = problems_of(load_policy, file_of(tmp_path, POLICY[:first] + kept + POLICY[end:]))
    assert says in problem.message
    assert (problem.line, problem.column) == (11, 5)


def test_a_policy_without_rules_is_refused(tmp_path: Path) -> None:
    text = POLICY[: POLICY.index("  rules:")] + "  rules: []\n" + POLICY[POLICY.index("  audit:") :]
    assert len(problems_of(load_policy, file_of(tmp_path, text))) == 2


@pytest.mark.parametrize("load", LOADERS)
def test_a_document_that_is_no_mapping_is_refused_in_one_line(load: Callable[[Path], object], tmp_path: Path) -> None:
    (problem,) = problems_of(load, file_of(tmp_path, "- a\n- b\n"))
    assert problem.message == "the document must be a mapping of keys to values, got a list"


@pytest.mark.parametrize("load", LOADERS)
def test_windows_line_ends_and_a_byte_order_mark_change_nothing(load: Callable[[Path], object], tmp_path: Path) -> None:
    good = POLICY if load is load_policy else CANDIDATE
    expected = load(file_of(tmp_path, good))
    assert load(file_of(tmp_path, b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode())) == expected


def test_places_are_right_with_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = POLICY.replace("apiVersion", "apiversion").replace("unit: lesion", "unit: 7").replace("\n", "\r\n")
    problems = problems_of(load_policy, file_of(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert [(p.line, p.column) for p in problems] == [(1, 1), (1, 1), (6, 11)]


FRAGMENTS = st.sampled_from(POLICY.split("\n") + CANDIDATE.split("\n")) | st.text(max_size=20)


@pytest.mark.parametrize("load", LOADERS)
@given(content=st.text() | st.binary() | st.lists(FRAGMENTS).map("\n".join))
def test_nonsense_raises_nothing_but_input_errors(
    load: Callable[[Path], object], content: str | bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = content.encode("utf-8", errors="surrogatepass") if isinstance(content, str) else content
    path = file_of(tmp_path_factory.mktemp("nonsense"), content)
    with pytest.raises(ConfigError):
        load(path)


@given(
    start=st.integers(min_value=0, max_value=len(POLICY)),
    length=st.integers(min_value=0, max_value=40),
    new=st.text(st.sampled_from("{}[]:,-#&*!|>'\"%@\\ \t\n?<0aU") | st.characters(), max_size=12),
)
def test_a_damaged_policy_loads_or_raises_an_input_error(
    start: int, length: int, new: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = POLICY[:start] + new + POLICY[start + length :]
    path = file_of(tmp_path_factory.mktemp("damaged"), text.encode("utf-8", errors="surrogatepass"))
    raised(lambda: load_policy(path))  # whatever else is raised fails the test


@pytest.mark.parametrize("name", PRESETS)
def test_an_adversary_may_be_called_by_name(tmp_path: Path, name: str) -> None:
    needed = "      attacks: [stationarity]\n" if name == "weights-only" else ""
    text = POLICY.replace("{observes: one-step, prior: none}", name).replace(
        "      evidence: [bound, attack]\n", needed
    )
    (rule,) = load_policy(file_of(tmp_path, text)).risk_rules
    assert rule.adversary == PRESETS[name]
    if name == "paper-2024":
        assert (rule.evidence, rule.attacks) == (("attack",), PAPER_ATTACKS)
    elif name == "weights-only":
        assert (rule.evidence, rule.attacks) == (("attack",), ("stationarity",))
    else:
        assert (rule.evidence, rule.attacks) == (("bound", "attack"), None)


def test_an_unknown_name_of_an_adversary_lists_the_known_ones(tmp_path: Path) -> None:
    text = POLICY.replace("{observes: one-step, prior: none}", "paper-2023")
    with pytest.raises(ConfigError, match="did you mean `paper-2024`"):
        load_policy(file_of(tmp_path, text))
