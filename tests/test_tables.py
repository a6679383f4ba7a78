"""What a file may name is in every table: the schema's list, the code's, and what runs it."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from gatekeeper.config import candidate_schema, policy_schema
from gatekeeper.core.adversary import ATTACKS, PLAYS, PRESETS, SOURCE_OF, SOURCES, AttackName
from gatekeeper.core.candidate import LOSSES, OptimizerName, SamplingChoice, Schedule
from gatekeeper.core.data_spec import DATA_FORMATS
from gatekeeper.core.metric import METRICS
from gatekeeper.core.model_spec import Network
from gatekeeper.core.precision import PRECISIONS
from gatekeeper.data.formats import FORMATS
from gatekeeper.data.readers import READERS

SCHEMAS = {"candidate": json.loads(candidate_schema()), "policy": json.loads(policy_schema())}


def _named(kind: str, *path: str) -> set[str]:
    """The values that a schema lists at a path of keys."""
    node = SCHEMAS[kind]
    for key in path:
        node = node[key] if key in node else node["properties"][key]
    return set(node["enum"])


@pytest.mark.parametrize(
    ("kind", "path", "known"),
    [
        ("candidate", ("spec", "data", "format"), DATA_FORMATS),
        ("candidate", ("spec", "model", "network"), get_args(Network)),
        ("candidate", ("spec", "training", "optimizer", "name"), get_args(OptimizerName)),
        ("candidate", ("spec", "training", "sampling"), get_args(SamplingChoice)),
        ("candidate", ("spec", "training", "schedule"), get_args(Schedule)),
        ("candidate", ("spec", "training", "loss"), LOSSES),
        ("candidate", ("spec", "training", "precision"), PRECISIONS),
        ("policy", ("$defs", "metric_rule", "metric"), METRICS),
        ("policy", ("$defs", "risk_rule", "attacks", "items"), get_args(AttackName)),
        ("policy", ("$defs", "risk_rule", "source"), SOURCES),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value,
)
def test_the_schema_lists_what_the_code_knows(kind: str, path: tuple[str, ...], known: tuple[str, ...]) -> None:
    assert _named(kind, *path) == set(known)


def test_the_schema_lists_every_adversary_that_has_a_name() -> None:
    forms = SCHEMAS["policy"]["$defs"]["risk_rule"]["properties"]["adversary"]["oneOf"]
    assert set(forms[0]["enum"]) == set(PRESETS)


def test_every_attack_has_its_words_its_adversaries_and_its_source() -> None:
    assert set(ATTACKS) == set(PLAYS) == set(SOURCE_OF) == set(get_args(AttackName))


def test_every_format_has_its_words_and_its_reader() -> None:
    assert {entry.name for entry in FORMATS} == set(READERS) == set(DATA_FORMATS)


def test_every_network_that_can_be_named_can_be_built() -> None:
    from gatekeeper.training.networks.own import _NETWORKS

    assert set(_NETWORKS) == set(get_args(Network))
