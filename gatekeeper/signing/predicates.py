"""What the verdict is called in the predicates of others: SVR, VSA and test result.

Simple Verification Result v0.2: https://github.com/in-toto/attestation/blob/main/spec/predicates/svr.md
SLSA Verification Summary v1: https://slsa.dev/spec/v1.0/verification_summary
Test result v0.1: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md

Each predicate follows from the certificate alone, so that `verification` derives it again and compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.checks import check_sha256
from gatekeeper.core.rule_names import property_name
from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.statements import Statement

SVR_TYPE = "https://in-toto.io/attestation/svr/v0.2"
VSA_TYPE = "https://slsa.dev/verification_summary/v1"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
VERIFIER_ID = "urn:gatekeeper:gate:v1"
POLICY_PASSED = "GATEKEEPER_POLICY_PASSED"
WAIVERS_USED = "GATEKEEPER_WAIVERS_USED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """What predicates follow from.

    Attributes:
        certificate: the facts and the approval.
        bundle_digest: SHA-256 of the certificate's bundle, as it lies in the release.
    """

    certificate: Certificate
    bundle_digest: str

    def __post_init__(self) -> None:
        check_sha256(bundle_digest=self.bundle_digest)


def certificate_of(statement: Statement, *, where: str) -> Certificate:
    """The certificate in a statement of its type.

    Raises:
        VerificationError: a field is missing, unknown, of another type or outside its range, or a number is
            not written as gatekeeper writes it.
    """
    try:
        return codec.decode(codec.canonical(statement.predicate), Certificate)
    except (ValueError, OverflowError, RecursionError) as error:  # numbers too large for a float, nesting too deep
        raise VerificationError(f"is no certificate: {error}", where=where) from error


def passed_properties(certificate: Certificate) -> tuple[str, ...]:
    """What the gate verified: that the policy passed, and each rule that did, in the policy's order.

    A waived rule is no property; that waivers were used is one.

    Raises:
        SigningError: two rules have the same property name, so the result would not say which one passed.
    """
    rule_of = {POLICY_PASSED: "", **({WAIVERS_USED: ""} if certificate.approval.waivers else {})}
    for finding in certificate.approval.findings:
        name = property_name(finding.rule)
        if rule_of.setdefault(name, finding.rule) != finding.rule:
            other = rule_of[name] or "the whole policy"
            raise SigningError(
                f"rule {finding.rule!r} and {other!r} would both be called {name}",
                hint="rename the rule in the policy",
            )
    passed = set(_rules(certificate, passed=True))
    return tuple(name for name, rule in rule_of.items() if not rule or rule in passed)


def _rules(certificate: Certificate, *, passed: bool) -> tuple[str, ...]:
    """The rules of which every finding passed, or the others; each once, in the policy's order."""
    findings = certificate.approval.findings
    short = {finding.rule for finding in findings if finding.status != "passed"}
    return tuple(dict.fromkeys(finding.rule for finding in findings if (finding.rule not in short) == passed))


def policy_descriptor(certificate: Certificate) -> dict[str, Any]:
    """The policy as an in-toto resource: its name, and the digest of its canonical form."""
    return {"name": certificate.policy.name, "digest": {"sha256": certificate.approval.policy_digest}}


def svr_predicate(basis: Basis) -> dict[str, Any]:
    """The pass, for any in-toto consumer: the verifier, its policy, and what was verified.

    Raises:
        SigningError: two rules have the same property name.
    """
    certificate = basis.certificate
    return {
        "verifier": {"id": VERIFIER_ID, "policies": [policy_descriptor(certificate)]},
        "timeCreated": certificate.created,
        "properties": list(passed_properties(certificate)),
    }


def vsa_predicate(basis: Basis) -> dict[str, Any]:
    """The pass, for consumers of SLSA: the summary rests on the certificate's bundle, named by its digest.

    Raises:
        SigningError: two rules have the same property name.
    """
    certificate = basis.certificate
    digest = certificate.approval.policy_digest
    return {
        "verifier": {"id": VERIFIER_ID},
        "timeVerified": certificate.created,
        "resourceUri": f"urn:gatekeeper:model:sha256:{certificate.approval.model_digest}",
        "policy": {"uri": f"urn:gatekeeper:policy:sha256:{digest}", "digest": {"sha256": digest}},
        "inputAttestations": [
            {"uri": "attestations/certificate.sigstore.json", "digest": {"sha256": basis.bundle_digest}}
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": list(passed_properties(certificate)),
    }


def results_predicate(basis: Basis) -> dict[str, Any]:
    """Rule by rule: those that passed, and those that hold only by an exception, as warnings."""
    certificate = basis.certificate
    data = certificate.facts.evidence.dataset
    warned = _rules(certificate, passed=False)
    return {
        "result": "WARNED" if warned else "PASSED",
        "configuration": [
            policy_descriptor(certificate),
            {"name": f"{data.name}, salted commitment", "digest": {"sha256": data.commitment}},
        ],
        "passedTests": list(_rules(certificate, passed=True)),
        "warnedTests": list(warned),
        "failedTests": [],
    }
