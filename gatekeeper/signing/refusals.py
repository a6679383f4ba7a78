"""A signed refusal: that a run did not pass a policy, said without naming the model.

Nothing about a failure is ever signed over the digest of a model: such a statement is an attestation of the model for
whoever reads signatures and subjects only. So the subjects are the policy, and a commitment to the run that only who
holds the run directory can open. The type is one that no release has.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from gatekeeper.core import codec
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Inconclusive, Refusal
from gatekeeper.signing.predicates import VERIFIER_ID
from gatekeeper.signing.statements import Statement, Subject, encode_statement

REFUSAL_TYPE = "urn:gatekeeper:refusal:v1"


def commit_to_run(run: str, *, salt: bytes) -> str:
    """A run's id, hidden until somebody shows the salt: HMAC-SHA256 in lower-case hexadecimal.

    Args:
        run: as the ledger knows it.
        salt: the run directory's 32 secret bytes.
    """
    return hmac.new(salt, f"{REFUSAL_TYPE}\0run\0{run}".encode(), hashlib.sha256).hexdigest()


def refusal_statement(
    verdict: Refusal | Inconclusive, *, policy: Policy, commitment: str, created: str, version: str
) -> bytes:
    """That a run did not pass, and which rules did not hold or could not be judged; no measured value, and no model.

    Args:
        verdict: what the gate decided.
        policy: under which policy.
        commitment: to the run, from `commit_to_run`.
        created: UTC time of the verdict, RFC 3339.
        version: gatekeeper's.
    """
    subjects = (
        Subject(name=f"policy {policy.name}", sha256=codec.digest(policy)),
        Subject(name="run", sha256=commitment),
    )
    predicate: dict[str, Any] = {
        "verifier": {"id": VERIFIER_ID, "version": {"gatekeeper": version}},
        "timeCreated": created,
        "verdict": "refused" if isinstance(verdict, Refusal) else "inconclusive",
        "policy": {"name": policy.name, "version": policy.version, "digest": {"sha256": verdict.policy_digest}},
        "rules": [{"rule": finding.rule, "status": finding.status} for finding in verdict.findings],
    }
    return encode_statement(Statement(predicate_type=REFUSAL_TYPE, subjects=subjects, predicate=predicate))
