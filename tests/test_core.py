from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core import checks, codec
from gatekeeper.core.adversary import ALL_STEPS, ONE_STEP, WORST_CASE, Adversary
from gatekeeper.core.binomial import lower_limit, regularised_beta, trials_needed, upper_limit
from gatekeeper.core.budget import Budget, Guarantee, Interval
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.mechanism import Mechanism
from gatekeeper.core.participation import Participations
from gatekeeper.core.policy import AuditTerms, Policy, PrivacyTerms
from gatekeeper.core.risk import Count, Similarity
from gatekeeper.core.verdict import Approval, Finding, Inconclusive, Refusal
from gatekeeper.errors import InvalidValueError
from tests.facts import sample_facts, sample_policy
from tests.tiny import tiny_candidate

CORE = Path(codec.__file__).parent


def test_every_noun_is_frozen_keyword_only_and_slotted() -> None:
    import importlib

    nouns = []
    for path in CORE.glob("*.py"):
        module = importlib.import_module(f"gatekeeper.core.{path.stem}")
        nouns += [value for value in vars(module).values() if dataclasses.is_dataclass(value)]
    assert len(nouns) > 25
    for noun in nouns:
        assert noun.__dataclass_params__.frozen
        assert hasattr(noun, "__slots__")
        assert all(field.kw_only for field in dataclasses.fields(noun))


@pytest.mark.parametrize(
    ("build", "fragment"),
    [
        (lambda: Budget(epsilon=0, delta=1e-5), "epsilon must be above 0, got 0"),
        (lambda: Budget(epsilon=math.nan, delta=1e-5), "epsilon must be finite"),
        (lambda: Budget(epsilon=1.0, delta=1.0), "delta must lie strictly between"),
        (lambda: Budget(epsilon=True, delta=0.1), "epsilon must be a number"),
        (lambda: Interval(low=2, estimate=1, high=3), "low ≤ estimate ≤ high"),
        (lambda: Count(successes=3, trials=2), "at most trials"),
        (lambda: Adversary(observes="one-step", knows="candidates"), "sees all steps"),
        (lambda: Similarity(above_null=None), "exactly one of"),
        (lambda: Similarity(above_null=None, at_least=0.5, at_most=0.5), "at_most caps"),
        (lambda: Participations(counts=(1, 0), probabilities=(0.5, 0.5), tail=0.0), "must increase"),
        (lambda: Participations(counts=(0,), probabilities=(0.5,), tail=0.0), "add up to 1"),
        (lambda: checks.check_text(name="a\nb"), "control characters"),
        (lambda: checks.check_text(name="a\x9b31m"), "control characters"),
        (lambda: checks.check_text(name="a\u202eb"), "invisible ones"),
        (lambda: checks.check_text(name="a\u200bb"), "invisible ones"),
        (lambda: checks.check_sha256(digest="A" * 64), "lower-case"),
        (lambda: checks.check_integer(at_least=1, steps=True), "whole number"),
    ],
)
def test_nonsense_is_refused_with_the_fields_name_and_value(build: object, fragment: str) -> None:
    with pytest.raises(InvalidValueError, match=fragment):
        build()  # type: ignore[operator]


def _mechanism(**changes: object) -> Mechanism:
    fields: dict[str, object] = {
        "sampling": "balls-and-bins",
        "sampling_rate": 1 / 7,
        "noise_multiplier": 1.0,
        "steps": 15,
        "adjacency": "zero-out",
        "unit": "patient",
    }
    return Mechanism(**{**fields, **changes})


def test_a_begun_epoch_counts_whole() -> None:
    assert _mechanism(steps=14).epochs_begun == 2
    assert _mechanism(steps=15).epochs_begun == 3


def test_balls_and_bins_need_whole_batches() -> None:
    with pytest.raises(InvalidValueError, match="1/batches"):
        _mechanism(sampling_rate=0.3)


def _policy(**changes: object) -> Policy:
    return dataclasses.replace(sample_policy(), **changes)


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"rules": ()}, "approves nothing"),
        ({"rules": sample_policy().utility_rules}, "at least one risk rule"),
        ({"rules": sample_policy().risk_rules}, "at least one metric rule"),
        ({"rules": sample_policy().rules + sample_policy().rules}, "must be unique"),
        ({"audit": dataclasses.replace(sample_policy().audit, units=20)}, "at least 149 units"),
    ],
)
def test_vacuous_and_unreachable_policies_are_refused(changes: dict[str, object], fragment: str) -> None:
    with pytest.raises(InvalidValueError, match=fragment):
        _policy(**changes)


def test_rules_that_make_no_sense_are_refused() -> None:
    (rule,) = sample_policy().risk_rules
    with pytest.raises(InvalidValueError, match="judged by its bound alone"):
        dataclasses.replace(rule, adversary=WORST_CASE)
    with pytest.raises(InvalidValueError, match="only ncc has a closed-form bound"):
        dataclasses.replace(rule, similarity=Similarity(measure="ssim"))
    with pytest.raises(InvalidValueError, match="maximum must lie strictly"):
        dataclasses.replace(rule, maximum=0.0)
    with pytest.raises(InvalidValueError, match="worst needs the attack"):
        dataclasses.replace(rule, evidence=("bound",))
    utility = sample_policy().utility_rules[0]
    with pytest.raises(InvalidValueError, match="exactly one of min and max_drop"):
        dataclasses.replace(utility, max_drop=0.1)
    with pytest.raises(InvalidValueError, match="statistic must be one of"):
        dataclasses.replace(utility, statistic="upper_confidence_bound")


# --- codec


@pytest.mark.parametrize(
    ("noun", "kind"),
    [
        (sample_policy(), Policy),
        (tiny_candidate(), Candidate),
        (_mechanism(), Mechanism),
        (sample_facts().guarantee, Guarantee),
        (sample_facts(), type(sample_facts())),
    ],
)
def test_decode_undoes_encode_and_encode_undoes_decode(noun: object, kind: type) -> None:
    text = codec.encode(noun)
    assert codec.decode(text, kind) == noun
    assert codec.encode(codec.decode(text, kind)) == text


@given(st.floats(allow_nan=False), st.floats(0, 1e6))
def test_intervals_survive_the_codec_whatever_their_ends(low: float, width: float) -> None:
    noun = Interval(low=low, estimate=low, high=max(low, low + width))
    assert codec.decode(codec.encode(noun), Interval) == noun


def _edited(text: str, edit: str) -> str:
    plain = json.loads(text)
    if edit == "unknown":
        plain["surprise"] = 1
    elif edit == "missing":
        del plain["owner"]
    elif edit == "type":
        plain["version"] = "1"
    elif edit == "bool":
        plain["version"] = True
    elif edit == "kind":
        plain["rules"][0]["kind"] = "Rule"
    elif edit == "literal":
        plain["privacy"]["adjacency"] = "none"
    return codec.canonical(plain)


@pytest.mark.parametrize("edit", ["unknown", "missing", "type", "bool", "kind", "literal"])
def test_what_encode_would_not_write_is_refused(edit: str) -> None:
    with pytest.raises(InvalidValueError):
        codec.decode(_edited(codec.encode(sample_policy()), edit), Policy)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a":1,"a":2}', '{"a":NaN}', "[" * 100_000, '{"low": 1}'])
def test_text_that_is_no_canonical_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        codec.decode(text, Interval)


def test_other_spacing_is_another_text_and_refused() -> None:
    text = codec.encode(sample_policy())
    with pytest.raises(InvalidValueError, match="canonical"):
        codec.decode(text.replace(",", ", ", 1), Policy)


# --- binomial


@given(st.integers(1, 400), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_limits_enclose_the_observed_rate_and_are_exact(trials: int, data: st.DataObject, confidence: float) -> None:
    special = pytest.importorskip("scipy.special")
    successes = data.draw(st.integers(0, trials))
    upper = upper_limit(successes=successes, trials=trials, confidence=confidence)
    lower = lower_limit(successes=successes, trials=trials, confidence=confidence)
    assert lower <= successes / trials <= upper
    if successes < trials:
        exact = float(special.betaincinv(successes + 1, trials - successes, confidence))
        assert exact * (1 - 1e-12) <= upper <= exact * (1 + 1e-8)


@given(st.floats(0, 1), st.floats(0.5, 1e4), st.floats(0.5, 1e4))
def test_regularised_beta_agrees_with_scipy(x: float, a: float, b: float) -> None:
    special = pytest.importorskip("scipy.special")
    assert regularised_beta(x, a, b) == pytest.approx(float(special.betainc(a, b, x)), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("n", "limit"), [(59, 0.0495), (100, 0.0295), (299, 0.0100), (1000, 0.0030), (2995, 0.0010)])
def test_no_success_among_n_units_shows_the_published_limits(n: int, limit: float) -> None:
    assert upper_limit(successes=0, trials=n, confidence=0.95) == pytest.approx(limit, abs=5e-5)


def test_trials_needed_is_the_fewest() -> None:
    n = trials_needed(maximum=0.02, confidence=0.95)
    assert n == 149
    assert upper_limit(successes=0, trials=n - 1, confidence=0.95) > 0.02


# --- verdicts


def _finding(status: str) -> Finding:
    return Finding(
        rule="r",
        statement="s",
        status=status,
        comparator="≤",
        measured=0.1,
        limit=0.2,
        margin=0.1,
        statistic="bound",
        confidence=None,
        sample_size=None,
        detail="d",
        remedy=None,
    )


def test_a_verdict_can_only_hold_findings_that_support_it() -> None:
    passed, failed, unsure = (_finding(status) for status in ("passed", "failed", "inconclusive"))
    digest = "0" * 64
    Approval(model_digest=digest, policy_digest=digest, findings=(passed,))
    for findings in ((), (passed, failed), (unsure,)):
        with pytest.raises(InvalidValueError):
            Approval(model_digest=digest, policy_digest=digest, findings=findings)
    for findings in ((), (passed,), (unsure,)):
        with pytest.raises(InvalidValueError):
            Refusal(policy_digest=digest, findings=findings)
    for findings in ((), (passed,), (unsure, failed)):
        with pytest.raises(InvalidValueError):
            Inconclusive(policy_digest=digest, findings=findings)


def test_adversaries_have_titles_and_descriptions_of_their_own() -> None:
    assert len({a.title for a in (ONE_STEP, ALL_STEPS, WORST_CASE)}) == 3
    assert len({a.description for a in (ONE_STEP, ALL_STEPS, WORST_CASE)}) == 3


def test_utility_and_risk_terms_are_validated() -> None:
    with pytest.raises(InvalidValueError, match="units must be a whole number"):
        AuditTerms(units=0, worst_units=0, noise_draws=1, min_positive_control=0.9, max_negative_control=0.1)
    with pytest.raises(InvalidValueError, match="max_epsilon must be finite"):
        PrivacyTerms(unit="u", adjacency="zero-out", max_epsilon=math.inf, max_delta=0.1)


def test_a_field_that_came_later_is_left_out_where_it_has_its_default_and_nowhere_else() -> None:
    """What was written before the field keeps its form and its digest, and each noun still has one form."""
    policy = sample_policy()
    text = codec.encode(policy)
    assert not any(f'"{name}"' in text for name in ("parents", "require_lock", "waivers", "waivable"))
    assert codec.decode(text, Policy) == policy
    locked = dataclasses.replace(policy, require_lock=True)
    assert '"require_lock":true' in codec.encode(locked)
    assert codec.decode(codec.encode(locked), Policy) == locked
    explicit = codec.canonical({**codec.plain(policy), "require_lock": False})
    with pytest.raises(InvalidValueError, match="not the canonical form"):
        codec.decode(explicit, Policy)
