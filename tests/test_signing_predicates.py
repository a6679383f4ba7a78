"""What the attestations say: the fields of their specifications, from the certificate and nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import Provenance, Software
from gatekeeper.errors import SigningError
from gatekeeper.signing.attestations import ATTESTATION_FILES, DERIVED
from gatekeeper.signing.bom import bill_of_materials, encode_bom
from gatekeeper.signing.comparison import first_difference
from gatekeeper.signing.predicates import (
    POLICY_PASSED,
    Basis,
    passed_properties,
    policy_descriptor,
    results_predicate,
    svr_predicate,
    vsa_predicate,
)
from gatekeeper.signing.provenance import package_url, provenance_predicate
from gatekeeper.signing.statements import Subject
from tests.certificates import sample_certificate
from tests.test_signing_mutations import json_values

CERTIFICATE = sample_certificate(b"model")
BASIS = Basis(certificate=CERTIFICATE, bundle_digest="a" * 64)
POLICY = codec.digest(CERTIFICATE.policy)


def with_record(**changes: object) -> Certificate:
    evidence = CERTIFICATE.facts.evidence
    record = dataclasses.replace(evidence.record, **changes)  # type: ignore[arg-type]
    facts = dataclasses.replace(CERTIFICATE.facts, evidence=dataclasses.replace(evidence, record=record))
    return dataclasses.replace(CERTIFICATE, facts=facts)


def test_the_verification_result_has_the_fields_of_svr() -> None:
    assert svr_predicate(BASIS) == {
        "verifier": {
            "id": "urn:gatekeeper:gate:v1",
            "policies": [{"name": "dermatology", "digest": {"sha256": POLICY}}],
        },
        "timeCreated": "2025-06-01T12:00:00Z",
        "properties": ["GATEKEEPER_POLICY_PASSED", "GATEKEEPER_MCC", "GATEKEEPER_RECONSTRUCTION_REALISTIC"],
    }


def test_the_summary_has_the_fields_of_vsa_and_rests_on_the_certificate() -> None:
    model = CERTIFICATE.approval.model_digest
    assert vsa_predicate(BASIS) == {
        "verifier": {"id": "urn:gatekeeper:gate:v1"},
        "timeVerified": "2025-06-01T12:00:00Z",
        "resourceUri": f"urn:gatekeeper:model:sha256:{model}",
        "policy": {"uri": f"urn:gatekeeper:policy:sha256:{POLICY}", "digest": {"sha256": POLICY}},
        "inputAttestations": [{"uri": "attestations/certificate.sigstore.json", "digest": {"sha256": "a" * 64}}],
        "verificationResult": "PASSED",
        "verifiedLevels": list(passed_properties(CERTIFICATE)),
    }


def test_the_test_result_names_every_rule_once() -> None:
    predicate = results_predicate(BASIS)
    assert (predicate["result"], predicate["warnedTests"], predicate["failedTests"]) == ("PASSED", [], [])
    assert predicate["passedTests"] == ["mcc", "reconstruction-realistic"]
    assert predicate["configuration"][0] == policy_descriptor(CERTIFICATE)
    assert predicate["configuration"][1]["digest"]["sha256"] == CERTIFICATE.facts.evidence.dataset.commitment


def test_provenance_says_what_ran_and_on_what() -> None:
    predicate = provenance_predicate(BASIS)
    definition, details = predicate["buildDefinition"], predicate["runDetails"]
    assert definition["buildType"] == "urn:gatekeeper:build:dp-sgd:v1"
    assert definition["externalParameters"] == {
        "policy": policy_descriptor(CERTIFICATE),
        "candidate": {
            "name": "lesion-classifier",
            "digest": {"sha256": codec.digest(CERTIFICATE.facts.evidence.candidate)},
        },
    }
    ran = definition["internalParameters"]
    assert (ran["mechanism"]["noise_multiplier"], ran["mechanism"]["sampling_rate"]) == (0.25, 0.2)
    assert (ran["mechanism"]["steps"], ran["clippingNorm"]) == (150, 1.0)
    assert [each["name"] for each in definition["resolvedDependencies"]] == [
        "phantom lesions, salted commitment",
        "torch 2.9.0",
    ]
    assert details["metadata"] == {"invocationId": "this-run"}


def test_provenance_names_weights_and_code() -> None:
    made_of = Provenance(base_weights="b" * 64, code=(CodeFile(name="nets.small", sha256="c" * 64),))
    basis = Basis(certificate=with_record(provenance=made_of), bundle_digest="a" * 64)
    digests = [each.get("digest") for each in provenance_predicate(basis)["buildDefinition"]["resolvedDependencies"]]
    assert {"sha256": "b" * 64} in digests
    assert {"sha256": "c" * 64} in digests


@pytest.mark.parametrize("attestation", DERIVED, ids=lambda attestation: attestation.name)
def test_no_attestation_but_the_certificate_holds_a_seed(attestation: Any) -> None:
    assert "seed" not in json.dumps(attestation.predicate(BASIS)).lower()


def test_a_package_url_names_python_apart_from_its_packages() -> None:
    assert package_url(Software(name="python", version="3.11.7")) == "pkg:generic/python@3.11.7"


def test_the_bill_of_materials_has_the_models_card() -> None:
    bom = bill_of_materials(CERTIFICATE)
    component = bom["metadata"]["component"]
    assert (bom["bomFormat"], bom["specVersion"], component["type"]) == ("CycloneDX", "1.6", "machine-learning-model")
    assert component["hashes"] == [{"alg": "SHA-256", "content": CERTIFICATE.facts.evidence.model.sha256}]
    (metric,) = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert (metric["type"], metric["value"]) == ("mcc", "0.71")
    assert metric["confidenceInterval"] == {"lowerBound": "0.64", "upperBound": "0.77"}
    properties = {each["name"]: each["value"] for each in component["properties"]}
    assert float(properties["gatekeeper:epsilon"]) == CERTIFICATE.facts.guarantee.epsilon.high
    assert properties["gatekeeper:rule:mcc"] == "passed: lower confidence bound 0.64 ≥ 0.6"
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bom["serialNumber"])
    references = {each["bom-ref"] for each in (*bom["components"], component)}
    assert {ref for each in bom["dependencies"] for ref in (each["ref"], *each["dependsOn"])} <= references


def test_the_bill_of_materials_leaves_undefined_metrics_out_and_knows_base_weights() -> None:
    evidence = CERTIFICATE.facts.evidence
    undefined = dataclasses.replace(
        evidence.utility.measurements[0], metric="auroc", estimate=float("nan"), low=float("nan"), high=float("nan")
    )
    utility = dataclasses.replace(evidence.utility, measurements=(undefined,))
    certificate = with_record(provenance=Provenance(base_weights="b" * 64))
    evidence = dataclasses.replace(certificate.facts.evidence, utility=utility)
    certificate = dataclasses.replace(certificate, facts=dataclasses.replace(certificate.facts, evidence=evidence))
    bom = bill_of_materials(certificate)
    assert bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"] == []
    assert "base-weights" in bom["dependencies"][0]["dependsOn"]


def test_the_bill_of_materials_does_not_depend_on_the_files_that_name_it() -> None:
    bound = sample_certificate(b"model", files=())
    assert encode_bom(bound) == encode_bom(CERTIFICATE)


def test_a_rule_that_did_not_pass_is_a_warning_and_no_property() -> None:
    """An approval holds passed findings only; if it ever holds others, nothing may call them passed."""
    findings = CERTIFICATE.approval.findings
    waived = dataclasses.replace(findings[0])
    object.__setattr__(waived, "status", "waived")
    approval = dataclasses.replace(CERTIFICATE.approval)
    object.__setattr__(approval, "findings", (waived, findings[1]))
    certificate = dataclasses.replace(CERTIFICATE, approval=approval)
    predicate = results_predicate(Basis(certificate=certificate, bundle_digest="a" * 64))
    assert (predicate["result"], predicate["warnedTests"]) == ("WARNED", ["mcc"])
    assert passed_properties(certificate) == (POLICY_PASSED, "GATEKEEPER_RECONSTRUCTION_REALISTIC")


def test_attestations_have_names_and_types_of_their_own() -> None:
    assert len({attestation.predicate_type for attestation in DERIVED}) == len(DERIVED)
    assert len(set(ATTESTATION_FILES)) == len(DERIVED) + 1


def test_rules_that_would_share_a_property_can_not_be_said() -> None:
    certificate = sample_certificate(b"model")
    first, *others = certificate.approval.findings
    findings = (dataclasses.replace(first, rule="policy passed"), *others)
    certificate = dataclasses.replace(
        certificate, approval=dataclasses.replace(certificate.approval, findings=findings)
    )
    with pytest.raises(SigningError, match="would both be called"):
        DERIVED[0].encode(
            Basis(certificate=certificate, bundle_digest="a" * 64), subjects=(Subject(name="x", sha256="0" * 64),)
        )


@given(one=json_values, other=json_values)
def test_a_difference_is_found_exactly_where_the_canonical_forms_differ(one: object, other: object) -> None:
    assert first_difference(one, one) is None
    assert (first_difference(one, other) is None) == (codec.canonical(one) == codec.canonical(other))


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (0.0, -0.0), ([], {}), (None, False), ({"a": None}, {})])
def test_values_that_python_calls_equal_differ(pair: tuple[object, object]) -> None:
    assert first_difference(*pair) is not None
