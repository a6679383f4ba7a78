"""Statements: canonical, strict, and each property a rule that passed."""

from __future__ import annotations

import dataclasses
import json

import pytest

from gatekeeper.core import codec
from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate
from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.attestations import certificate_statement
from gatekeeper.signing.predicates import POLICY_PASSED, SVR_TYPE, certificate_of, passed_properties
from gatekeeper.signing.statements import Statement, Subject, encode_statement, parse_statement
from tests.certificates import sample_certificate, sample_policy

SUBJECTS = (Subject(name="model.onnx", sha256="1" * 64), Subject(name="release", sha256="2" * 64))
CERTIFICATE = sample_certificate(b"model")
PAYLOAD = certificate_statement(CERTIFICATE, subjects=SUBJECTS)


def parse(payload: bytes, predicate_type: str = CERTIFICATE_TYPE) -> Statement:
    return parse_statement(payload, predicate_type=predicate_type, where="a file")


def parse_certificate(payload: bytes) -> Certificate:
    return certificate_of(parse(payload), where="a file")


def test_a_certificate_comes_back_as_it_was_signed() -> None:
    assert parse(PAYLOAD).subjects == SUBJECTS
    assert parse_certificate(PAYLOAD) == CERTIFICATE


def test_the_predicate_is_the_certificate_exactly() -> None:
    plain = json.loads(PAYLOAD)
    assert plain["_type"] == "https://in-toto.io/Statement/v1"
    assert plain["predicateType"] == "urn:gatekeeper:certificate:v1"
    assert codec.canonical(plain["predicate"]) == codec.encode(CERTIFICATE)


def test_a_statement_is_canonical_json() -> None:
    assert codec.canonical(json.loads(PAYLOAD)).encode() == PAYLOAD


def test_properties_are_the_policy_and_each_rule() -> None:
    certificate = sample_certificate(b"model", policy=sample_policy(rule="größe.1 b"))
    assert passed_properties(certificate)[:2] == (POLICY_PASSED, "GATEKEEPER_GR_SSE_1_B")


@pytest.mark.parametrize("rule", ["Reconstruction.realistic", "policy passed"])
def test_rules_that_would_share_a_property_are_refused(rule: str) -> None:
    first, *others = CERTIFICATE.approval.findings
    findings = (dataclasses.replace(first, rule=rule), *others)
    certificate = dataclasses.replace(
        CERTIFICATE, approval=dataclasses.replace(CERTIFICATE.approval, findings=findings)
    )
    with pytest.raises(SigningError, match="would both be called GATEKEEPER_"):
        passed_properties(certificate)


def test_two_findings_of_one_rule_are_one_property() -> None:
    approval = CERTIFICATE.approval
    doubled = dataclasses.replace(approval, findings=approval.findings + approval.findings[:1])
    certificate = dataclasses.replace(CERTIFICATE, approval=doubled)
    assert passed_properties(certificate) == passed_properties(CERTIFICATE)


def test_another_predicate_type_is_refused() -> None:
    with pytest.raises(VerificationError, match="has predicate type"):
        parse(PAYLOAD, predicate_type=SVR_TYPE)


def test_a_statement_about_nothing_is_refused() -> None:
    empty = encode_statement(Statement(predicate_type=CERTIFICATE_TYPE, subjects=(), predicate={}))
    with pytest.raises(VerificationError, match="names no subject"):
        parse(empty)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"Statement/v1", b"Statement/v0.1", "not an in-toto statement"),
        (b"}\n", b"}", "canonical form"),
        (b'"subject":[', b'"subject": [', "canonical form"),
        (b'{"_type"', b'{"A":1,"_type"', "canonical form"),
        (b'"sha256":"1', b'"md5":"0","sha256":"1', "canonical form"),
        (b'"sha256":"1', b'"sha256":"X', "SHA-256"),
        (b'"name":"model.onnx"', b'"name":""', "name must be"),
        (b'"name":"model.onnx"', b'"name":1', "needs a member name"),
        (b'"predicateType":', b'"predicateType":"x","predicateType":', "duplicate keys"),
    ],
)
def test_a_statement_in_any_other_form_is_refused(old: bytes, new: bytes, message: str) -> None:
    assert old in PAYLOAD
    with pytest.raises(VerificationError, match=message):
        parse(PAYLOAD.replace(old, new, 1))


@pytest.mark.parametrize(
    "number", [b"1e999", b"8.15e1", b"81.50", b"NaN", b"true", b'"81.5"', b"9" * 400, b"9" * 5000, b"-1", b"[]", b"{}"]
)
def test_a_fact_written_in_any_other_way_is_refused(number: bytes) -> None:
    assert PAYLOAD.count(b'"seconds":81.5') == 1
    with pytest.raises(VerificationError):
        parse_certificate(PAYLOAD.replace(b'"seconds":81.5', b'"seconds":' + number))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"parity":', b'"purity":'),
        (b'"name":"lesion-classifier"', b'"name":"\\ud800"'),
        (b'"name":"lesion-classifier"', b'"name":' + b"[" * 900 + b"]" * 900),
        (b'"sampling_rate":0.2', b'"sampling_rate":5e-324'),
        (b'"sampling":"balls-and-bins"', b'"sampling":[[]]'),
        (b'"status":"passed"', b'"status":"failed"'),
        (b'"kind":"UtilityRule"', b'"kind":{}'),
        (b'"created":"2025-06-01T12:00:00Z",', b""),
    ],
)
def test_a_certificate_that_is_none_is_refused(old: bytes, new: bytes) -> None:
    # With balls and bins the reciprocal of the sampling rate is taken, so that its range is looked at, too.
    payload = PAYLOAD.replace(b'"sampling":"poisson"', b'"sampling":"balls-and-bins"')
    assert old in payload
    assert parse_certificate(payload).approval == CERTIFICATE.approval
    with pytest.raises(VerificationError):
        parse_certificate(payload.replace(old, new))
