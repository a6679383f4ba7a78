"""What is written to start from loads back to the same noun, and suits the schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from gatekeeper.config import (
    candidate_schema,
    load_candidate,
    load_policy,
    policy_schema,
    render_candidate,
    render_policy,
)
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.policy import Policy
from tests.config_files import CANDIDATE, POLICY, file_of
from tests.strategies import candidates, policies

POLICY_SCHEMA = jsonschema.Draft202012Validator(json.loads(policy_schema()))
CANDIDATE_SCHEMA = jsonschema.Draft202012Validator(json.loads(candidate_schema()))
slow_to_draw = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@slow_to_draw
@given(policy=policies())
def test_a_policy_survives_being_written_and_read(policy: Policy, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert load_policy(file_of(tmp_path_factory.mktemp("policy"), render_policy(policy))) == policy


@slow_to_draw
@given(candidate=candidates)
def test_a_candidate_survives_being_written_and_read(
    candidate: Candidate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert load_candidate(file_of(tmp_path_factory.mktemp("candidate"), render_candidate(candidate))) == candidate


@slow_to_draw
@given(policy=policies())
def test_a_written_policy_suits_the_schema_in_the_eyes_of_another_reader(policy: Policy) -> None:
    assert list(POLICY_SCHEMA.iter_errors(yaml.safe_load(render_policy(policy)))) == []


@slow_to_draw
@given(candidate=candidates)
def test_a_written_candidate_suits_the_schema_in_the_eyes_of_another_reader(candidate: Candidate) -> None:
    assert list(CANDIDATE_SCHEMA.iter_errors(yaml.safe_load(render_candidate(candidate)))) == []


def test_what_is_written_explains_itself(tmp_path: Path) -> None:
    policy = render_policy(load_policy(file_of(tmp_path, POLICY)))
    candidate = render_candidate(load_candidate(file_of(tmp_path, CANDIDATE)))
    for text in (policy, candidate):
        assert text.startswith("# ")
        assert text.endswith("\n")
        assert text.count("  # ") > 10
        assert max(map(len, text.split("\n"))) <= 130
