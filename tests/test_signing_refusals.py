"""Signed refusals: of a policy and a run, never of a model, and of no use in a release."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gatekeeper.core import codec
from gatekeeper.core.verdict import Inconclusive, Refusal
from gatekeeper.errors import VerificationError
from gatekeeper.signing.attestations import ATTESTATION_FILES
from gatekeeper.signing.dsse import sign_statement
from gatekeeper.signing.refusals import REFUSAL_TYPE, commit_to_run, refusal_statement
from gatekeeper.signing.release import read_release
from gatekeeper.signing.statements import parse_statement
from tests.certificates import sample_certificate
from tests.signed_releases import KEY, MODEL, write_sample

CERTIFICATE = sample_certificate(MODEL)
SALT = bytes(32)


def refusal(*, status: str = "failed") -> bytes:
    approval = CERTIFICATE.approval
    broken = dataclasses.replace(approval.findings[0], status=status)
    kind = Refusal if status == "failed" else Inconclusive
    verdict = kind(policy_digest=approval.policy_digest, findings=(broken, approval.findings[1]))
    return refusal_statement(
        verdict,
        policy=CERTIFICATE.policy,
        commitment=commit_to_run("a-run", salt=SALT),
        created=CERTIFICATE.created,
        version="0.1.0",
    )


def test_a_refusal_is_about_the_policy_and_the_run() -> None:
    statement = parse_statement(refusal(), predicate_type=REFUSAL_TYPE, where="")
    assert [subject.sha256 for subject in statement.subjects] == [
        codec.digest(CERTIFICATE.policy),
        commit_to_run("a-run", salt=SALT),
    ]
    assert statement.predicate["verdict"] == "refused"
    assert statement.predicate["rules"][0] == {"rule": "mcc", "status": "failed"}
    inconclusive = json.loads(refusal(status="inconclusive"))
    assert inconclusive["predicate"]["verdict"] == "inconclusive"


def test_a_refusal_names_neither_the_model_nor_a_measured_value() -> None:
    payload = refusal()
    evidence = CERTIFICATE.facts.evidence
    for secret in (evidence.model.sha256, evidence.record.weights_digest, "a-run", "0.64", "measured"):
        assert secret.encode() not in payload


def test_the_commitment_hides_the_run_and_binds_it() -> None:
    assert commit_to_run("a-run", salt=SALT) != commit_to_run("b-run", salt=SALT)
    assert commit_to_run("a-run", salt=SALT) != commit_to_run("a-run", salt=bytes(31) + b"\1")


@pytest.mark.parametrize("name", ["model.sig", *ATTESTATION_FILES])
def test_a_refusal_in_the_place_of_any_bundle_is_refused(name: str, tmp_path: Path) -> None:
    release = write_sample(tmp_path)
    (release / name).write_bytes(sign_statement(refusal(), key=KEY))
    with pytest.raises(VerificationError, match="predicate type 'urn:gatekeeper:refusal:v1'") as caught:
        read_release(release, public_key=KEY.public)
    assert caught.value.where == f"{release}/{name}"
