"""Run by a Python that has securesystemslib, in-toto-attestation and cyclonedx-python-lib, and no gatekeeper.

    python witness.py PUBLIC_KEY BUNDLE…

prints one JSON object: for each program and each bundle null where it accepts, or why it doesn't. Nothing is imported
before it is needed, so that a Python without these packages can read this file.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _payload(bundle: Path) -> dict[str, Any]:
    statement = json.loads(base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"]))
    assert isinstance(statement, dict)
    return statement


def securesystemslib(bundle: Path, key: Path) -> None:
    """The signature of the envelope, by the key that its `keyid` names."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    pem = key.read_bytes()
    public = SSlibKey.from_crypto(load_pem_public_key(pem), keyid=hashlib.sha256(pem).hexdigest())
    Envelope.from_dict(json.loads(bundle.read_text())["dsseEnvelope"]).verify([public], 1)


def in_toto(bundle: Path, key: Path) -> None:
    """The statement, and the predicate where there is a parser for its type: unknown members are errors."""
    import in_toto_attestation.v1.statement_pb2 as statement_pb
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import TestResult
    from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary
    from in_toto_attestation.v1.statement import Statement

    parsers = {
        "https://slsa.dev/verification_summary/v1": VerificationSummary,
        "https://slsa.dev/provenance/v1": Provenance,
        "https://in-toto.io/attestation/test-result/v0.1": TestResult,
    }
    plain = _payload(bundle)
    statement = json_format.ParseDict(plain, statement_pb.Statement())
    Statement.copy_from_pb(statement).validate()
    message = parsers.get(plain["predicateType"])
    if message is not None:
        for predicate in _single_levels(plain["predicate"]):
            json_format.ParseDict(predicate, message())


def _single_levels(predicate: dict[str, Any]) -> list[dict[str, Any]]:
    """The predicate once for each verified level: in-toto-attestation 0.9.3 reads one, the specification has a list."""
    levels = predicate.get("verifiedLevels")
    return [{**predicate, "verifiedLevels": level} for level in levels] if levels else [predicate]


def cyclonedx(bundle: Path, key: Path) -> None:
    """The bill of materials, strictly by the schema of CycloneDX 1.6."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    plain = _payload(bundle)
    if plain["predicateType"] == "https://cyclonedx.org/bom":
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(plain["predicate"]))
        if error is not None:
            raise ValueError(str(error.data))


def _why_not(check: Callable[[Path, Path], None], bundle: Path, key: Path) -> str | None:
    try:
        check(bundle, key)
    except Exception as error:  # whatever another program raises is its way to refuse
        return f"{type(error).__name__}: {error}"
    return None


def main() -> None:
    """Ask every program about every bundle."""
    key, *bundles = map(Path, sys.argv[1:])
    checks = {"securesystemslib": securesystemslib, "in-toto": in_toto, "cyclonedx": cyclonedx}
    answers = {
        program: {bundle.name: _why_not(check, bundle, key) for bundle in bundles} for program, check in checks.items()
    }
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
