"""The bill of materials: the model with its model card, as CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/).

It follows from the certificate's facts, so `verification` derives it again. Its file `bom.cdx.json` is bound by the
certificate; the attestation of type `https://cyclonedx.org/bom` holds the same document.
"""

from __future__ import annotations

import uuid
from typing import Any

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.utility import Measurement
from gatekeeper.core.verdict import Finding
from gatekeeper.signing.predicates import Basis
from gatekeeper.signing.provenance import package_url

BOM_TYPE = "https://cyclonedx.org/bom"

_ARCHITECTURES = {
    "resnet9": "residual convolutional network",
    "resnet18": "residual convolutional network",
    "lenet": "convolutional network",
    "mlp": "multilayer perceptron",
    "unet": "U-Net",
    "unet3d": "U-Net",
    "efficientnet-lite0": "EfficientNet",
}

LIMITATIONS = (
    "Reconstruction was judged, for the adversaries that the policy names; that says nothing of membership inference.",
    "The model is not anonymous in a legal sense because it passed.",
    "Metrics hold for units like the test units; nothing was measured on other sites, devices or populations.",
)


def bom_predicate(basis: Basis) -> dict[str, Any]:
    """The bill of materials, for the attestation that holds it."""
    return bill_of_materials(basis.certificate)


def encode_bom(certificate: Certificate) -> bytes:
    """The content of `bom.cdx.json`; the certificate's `files` are not read, so that they may name it."""
    return codec.canonical(bill_of_materials(certificate)).encode()


def bill_of_materials(certificate: Certificate) -> dict[str, Any]:
    """The model, what it was trained on and what trained it."""
    evidence = certificate.facts.evidence
    weights = evidence.record.provenance.base_weights
    identity = f"urn:gatekeeper:bom:{evidence.model.sha256}:{certificate.approval.policy_digest}:{certificate.created}"
    gatekeeper = {"type": "application", "name": "gatekeeper", "version": certificate.gatekeeper_version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, identity).urn,
        "version": 1,
        "metadata": {
            "timestamp": certificate.created,
            "tools": {"components": [gatekeeper]},
            "component": _model(certificate),
        },
        "components": [_data(certificate), *_base(weights), *_software(certificate)],
        "dependencies": [{"ref": "model", "dependsOn": ["data", *(["base-weights"] if weights else [])]}],
    }


def _model(certificate: Certificate) -> dict[str, Any]:
    evidence = certificate.facts.evidence
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": evidence.candidate.name,
        "hashes": [{"alg": "SHA-256", "content": evidence.model.sha256}],
        "modelCard": {
            "modelParameters": _parameters(certificate),
            "quantitativeAnalysis": {"performanceMetrics": _metrics(certificate)},
            "considerations": {
                "technicalLimitations": list(LIMITATIONS),
                "ethicalConsiderations": [
                    {"name": "reconstruction of training images", "mitigationStrategy": _mitigation(certificate)}
                ],
            },
        },
        "properties": _properties(certificate),
    }


def _parameters(certificate: Certificate) -> dict[str, Any]:
    evidence = certificate.facts.evidence
    spec, model, card = evidence.candidate.model, evidence.model, evidence.dataset
    family = {} if spec.network is None else {"architectureFamily": _ARCHITECTURES.get(spec.network, spec.network)}
    return {
        "approach": {"type": "supervised"},
        "task": card.task,
        **family,
        "modelArchitecture": spec.network or f"made by {spec.factory}",
        "datasets": [{"ref": "data"}],
        "inputs": [{"format": f"{model.input_name}: pixel values in [0, 1], {_takes(certificate)}"}],
        "outputs": [{"format": f"{model.output_name}: one logit for each of {len(card.classes)} classes"}],
    }


def _takes(certificate: Certificate) -> str:
    shape, multiple = certificate.facts.evidence.dataset.image_shape, certificate.facts.evidence.model.spatial_multiple
    if multiple is None:
        return "×".join(map(str, shape))
    return f"{shape[0]} channels, {len(shape) - 1} sides that are multiples of {multiple}"


def _metrics(certificate: Certificate) -> list[dict[str, Any]]:
    """Every metric that is defined, with its limits."""
    return [
        {
            "type": _metric_name(each),
            "value": repr(each.estimate),
            "slice": f"{each.units} independent test units, each limit at confidence {each.confidence!r}",
            "confidenceInterval": {"lowerBound": repr(each.low), "upperBound": repr(each.high)},
        }
        for each in certificate.facts.evidence.utility.measurements
        if each.estimate == each.estimate
    ]


def _metric_name(measurement: Measurement) -> str:
    return measurement.metric if measurement.class_name is None else f"{measurement.metric} of {measurement.class_name}"


def _mitigation(certificate: Certificate) -> str:
    """What was proven of the training, with no digit left out, so that nothing is rounded the wrong way."""
    facts = certificate.facts
    mechanism, guarantee = facts.evidence.record.mechanism, facts.guarantee
    return (
        f"trained with ({guarantee.epsilon.high!r}, {guarantee.delta!r})-differential privacy of each training "
        f"{mechanism.unit} ({mechanism.adjacency} adjacency), and judged by the policy {certificate.policy.name} "
        f"v{certificate.policy.version}"
    )


def _properties(certificate: Certificate) -> list[dict[str, str]]:
    guarantee, total = certificate.facts.guarantee, certificate.facts.total
    pairs = [
        ("gatekeeper:policy:sha256", certificate.approval.policy_digest),
        ("gatekeeper:epsilon", repr(guarantee.epsilon.high)),
        ("gatekeeper:delta", repr(guarantee.delta)),
        ("gatekeeper:accountant", guarantee.accountant),
        ("gatekeeper:unit", certificate.facts.evidence.record.mechanism.unit),
        ("gatekeeper:total-epsilon", repr(total.epsilon.high)),
        *((f"gatekeeper:rule:{finding.rule}", _outcome(finding)) for finding in certificate.approval.findings),
    ]
    return [{"name": name, "value": value} for name, value in pairs]


def _outcome(finding: Finding) -> str:
    if finding.measured != finding.measured:
        return finding.status
    return f"{finding.status}: {finding.statistic} {finding.measured!r} {finding.comparator} {finding.limit!r}"


def _data(certificate: Certificate) -> dict[str, Any]:
    card = certificate.facts.evidence.dataset
    counts = (
        ("format", card.format),
        ("synthetic", "true" if card.synthetic else "false"),
        ("unit", card.unit),
        ("train-units", str(card.train_units)),
        ("test-units", str(card.test_units)),
        ("classes", ", ".join(card.classes)),
        ("commitment", f"sha256:{card.commitment} (salted)"),
    )
    return {
        "type": "data",
        "bom-ref": "data",
        "name": card.name,
        "data": [{"type": "dataset", "name": card.name}],
        "properties": [{"name": f"gatekeeper:data:{name}", "value": value} for name, value in counts],
    }


def _base(weights: str | None) -> list[dict[str, Any]]:
    """The weights that training started from, where there were any."""
    if weights is None:
        return []
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": "base-weights",
            "name": "base weights",
            "hashes": [{"alg": "SHA-256", "content": weights}],
        }
    ]


def _software(certificate: Certificate) -> list[dict[str, Any]]:
    """What trained the model; none of it is in the file."""
    return [
        {
            "type": "library",
            "bom-ref": package_url(each),
            "name": each.name,
            "version": each.version,
            "purl": package_url(each),
            "scope": "excluded",
        }
        for each in certificate.facts.evidence.record.software
    ]
