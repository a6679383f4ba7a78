"""What OpenSSF Model Signing 1.0 demands of a bundle in key mode, as JSON Schemas.

Written from the specification (sections 4 to 6), and narrower than it where gatekeeper makes a choice: whole files,
SHA-256, no links.
"""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_SHA256: dict[str, Any] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def _just_one(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1, "maxItems": 1}


BUNDLE = _object(
    {
        "mediaType": {"type": "string", "pattern": r"^application/vnd\.dev\.sigstore\.bundle"},
        # Section 4.1: in key mode the key is named by a hint, and there is no log to have an entry in.
        "verificationMaterial": _object(
            {"publicKey": _object({"hint": _SHA256}), "tlogEntries": {"type": "array", "maxItems": 0}},
            optional=("tlogEntries",),
        ),
        "dsseEnvelope": _object(
            {
                "payload": _TEXT,
                "payloadType": {"const": "application/vnd.in-toto+json"},
                "signatures": _just_one(_object({"sig": _TEXT, "keyid": {"type": "string"}}, optional=("keyid",))),
            }
        ),
    }
)

STATEMENT = _object(
    {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": _just_one(_object({"name": _TEXT, "digest": _object({"sha256": _SHA256})})),
        "predicateType": {"const": "https://model_signing/signature/v1.0"},
        "predicate": _object(
            {
                "resources": {
                    "type": "array",
                    "minItems": 1,
                    "items": _object({"name": _TEXT, "digest": _SHA256, "algorithm": {"const": "sha256"}}),
                },
                "serialization": _object(
                    {
                        "method": {"const": "files"},
                        "hash_type": {"const": "sha256"},
                        "allow_symlinks": {"const": False},
                        "ignore_paths": {"type": "array", "items": _TEXT},
                    }
                ),
            }
        ),
    }
)
