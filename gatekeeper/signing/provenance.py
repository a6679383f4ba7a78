"""How the model was made, as SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance).

The build type `urn:gatekeeper:build:dp-sgd:v1`: policy and candidate go in, by digest; the noisy sums that were formed
are the internal parameters; data, weights, code and software are what it depended on. No seed is in it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate, Evidence
from gatekeeper.core.code import CodeFile
from gatekeeper.core.record import Software
from gatekeeper.signing.predicates import Basis, policy_descriptor

PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:gatekeeper:build:dp-sgd:v1"
BUILDER_ID = "urn:gatekeeper:builder:v1"


def provenance_predicate(basis: Basis) -> dict[str, Any]:
    """What was run, on what, with what."""
    certificate = basis.certificate
    candidate = certificate.facts.evidence.candidate
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "policy": policy_descriptor(certificate),
                "candidate": {"name": candidate.name, "digest": {"sha256": codec.digest(candidate)}},
            },
            "internalParameters": _what_ran(certificate),
            "resolvedDependencies": _dependencies(certificate),
        },
        "runDetails": {
            "builder": {"id": BUILDER_ID, "version": {"gatekeeper": certificate.gatekeeper_version}},
            "metadata": {"invocationId": certificate.facts.ledger.run},
            "byproducts": [{"name": file.name, "digest": {"sha256": file.sha256}} for file in certificate.files],
        },
    }


def _what_ran(certificate: Certificate) -> dict[str, Any]:
    """The mechanism as the loop counted it, and how gradients were clipped."""
    record = certificate.facts.evidence.record
    return {
        "mechanism": codec.plain(record.mechanism),
        "clipping": record.clipping,
        "clippingNorm": record.clipping_norm,
        "divisor": record.divisor,
        "starts": record.starts,
        "redoneSteps": record.redone_steps,
    }


def _dependencies(certificate: Certificate) -> list[dict[str, Any]]:
    evidence = certificate.facts.evidence
    data, provenance = evidence.dataset, evidence.record.provenance
    found: list[dict[str, Any]] = [
        {"name": f"{data.name}, salted commitment", "digest": {"sha256": data.commitment}},
    ]
    if provenance.base_weights is not None:
        found.append({"name": "base weights", "digest": {"sha256": provenance.base_weights}})
    found += [{"name": file.name, "digest": {"sha256": file.sha256}} for file in _code(evidence)]
    found += [{"name": f"{each.name} {each.version}", "uri": package_url(each)} for each in evidence.record.software]
    return found


def _code(evidence: Evidence) -> list[CodeFile]:
    """The user's code that read the data and that made the network, each file once."""
    return list(dict.fromkeys((*evidence.dataset.code, *evidence.record.provenance.code)))


def package_url(software: Software) -> str:
    """The package URL (https://github.com/package-url/purl-spec) of what training ran on.

    >>> package_url(Software(name="torch", version="2.13.0+cpu"))
    'pkg:pypi/torch@2.13.0%2Bcpu'
    """
    kind = "generic" if software.name == "python" else "pypi"
    return f"pkg:{kind}/{quote(software.name, safe='')}@{quote(software.version, safe='')}"
