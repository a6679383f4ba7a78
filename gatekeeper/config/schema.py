"""The JSON Schemas of the files, for editors and for CI jobs without Python.

A schema knows names, types and ranges. What it can't know stays with the loaders: duplicate keys, unique rule
names, whether a limit can be reached by the audited sample.
"""

from __future__ import annotations

from importlib import resources


def policy_schema() -> str:
    """The JSON Schema (draft 2020-12) of a policy file, as JSON text."""
    return _shipped("gatekeeper-policy-v1.schema.json")


def candidate_schema() -> str:
    """The JSON Schema (draft 2020-12) of a candidate file, as JSON text."""
    return _shipped("gatekeeper-candidate-v1.schema.json")


def trust_schema() -> str:
    """The JSON Schema (draft 2020-12) of a trust file, as JSON text."""
    return _shipped("gatekeeper-trust-v1.schema.json")


def waivers_schema() -> str:
    """The JSON Schema (draft 2020-12) of a file of waivers, as JSON text."""
    return _shipped("gatekeeper-waivers-v1.schema.json")


def _shipped(name: str) -> str:
    return resources.files("gatekeeper.config").joinpath("schemas", name).read_text(encoding="utf-8")
