"""YAML files to nouns and back: a policy to a `Policy`, a candidate to a `Candidate`, trusted keys to a `TrustFile`.

Strict: unknown, duplicate and missing keys are mistakes, and one pass reports every mistake of a file with its line,
column and remedy. The layers, from the bytes up:

    source     a file's bytes → text: bounded, UTF-8
    nodes      what a parsed file is made of
    yaml_tree  text → nodes with places; anchors, tags, duplicate keys refused
    scalars    text → numbers and booleans, by one unambiguous grammar
    document   reading key by key while collecting mistakes
    readers    node → value, in the range that the nouns' own validators give
    header     apiVersion and kind
    policy (with rules), candidate (with training), trust    document → noun
    schema     the JSON Schemas
    starter (with yaml_text)    noun → commented YAML
"""

from gatekeeper.config.candidate import load_candidate
from gatekeeper.config.policy import load_policy
from gatekeeper.config.schema import candidate_schema, policy_schema, trust_schema
from gatekeeper.config.starter import render_candidate, render_policy
from gatekeeper.config.trust import load_trust

__all__ = [
    "candidate_schema",
    "load_candidate",
    "load_policy",
    "load_trust",
    "policy_schema",
    "render_candidate",
    "render_policy",
    "trust_schema",
]
