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
    policy (with rules, lineage), candidate (with training), trust, waivers, lock    document → noun
    overlay    one tree over another, for policies that extend others
    lines      at which lines a policy file says what findings are about
    schema     the JSON Schemas
    starter (with yaml_text)    noun → commented YAML
"""

from gatekeeper.config.candidate import load_candidate
from gatekeeper.config.lines import locate_rules
from gatekeeper.config.lock import load_lock, render_lock
from gatekeeper.config.policy import load_policy
from gatekeeper.config.schema import candidate_schema, policy_schema, trust_schema, waivers_schema
from gatekeeper.config.starter import render_candidate, render_policy
from gatekeeper.config.trust import load_trust
from gatekeeper.config.waivers import load_waivers

__all__ = [
    "candidate_schema",
    "load_candidate",
    "load_lock",
    "load_policy",
    "load_trust",
    "load_waivers",
    "locate_rules",
    "policy_schema",
    "render_candidate",
    "render_lock",
    "render_policy",
    "trust_schema",
    "waivers_schema",
]
