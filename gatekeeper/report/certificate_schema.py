"""The certificate for other programs: a versioned JSON Schema of what is signed."""

from __future__ import annotations

from typing import Any

from gatekeeper.core.certificate import CERTIFICATE_TYPE, Certificate
from gatekeeper.report.schema import schema_of


def certificate_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the predicate of type `urn:gatekeeper:certificate:v1`.

    A finding is one claim: what was measured is `statement` and, by the policy's rule of that id, its metric;
    `comparator`, `limit` (the threshold), `measured`, `status` (passed) and `sample_size` say the rest.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{CERTIFICATE_TYPE}:schema",
        "title": "gatekeeper certificate, the predicate of an in-toto statement",
        **schema_of(Certificate),
    }
