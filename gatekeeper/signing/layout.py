"""Which file of a release is called what.

```
model.onnx                               the model
model.sig                                signs every model file (OpenSSF Model Signing)
attestations/certificate.sigstore.json   signs all the facts, and the side files by digest
attestations/NAME.sigstore.json          sign parts of it for others' tools: svr, vsa, test-result, provenance, mlbom
attestations/claims.jsonl                these bundles once more, one a line
attestations/signer.pub                  the key that signed: a convenience, never a reason to trust
attestations/policy.json, bom.cdx.json   side files: what must have held, and the bill of materials
attestations/VERIFY.md, verify.sh        side files: how to check a release without gatekeeper
attestations/report.…, policy.lock.yaml  side files: reports, and the lock where there is one
attestations/approvals/NAME.sigstore.json    what people signed afterwards
attestations/timestamps/NAME.tsr             when the release existed, by others' clocks, added afterwards
```
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from gatekeeper.core.certificate import FileDigest
from gatekeeper.errors import SigningError
from gatekeeper.signing.model_signature import SIGNATURE_FILE

MODEL_FILE = "model.onnx"
ATTESTATIONS = "attestations"
CERTIFICATE_FILE = f"{ATTESTATIONS}/certificate.sigstore.json"
CLAIMS_FILE = f"{ATTESTATIONS}/claims.jsonl"
SIGNER_FILE = f"{ATTESTATIONS}/signer.pub"
POLICY_FILE = f"{ATTESTATIONS}/policy.json"
BOM_FILE = f"{ATTESTATIONS}/bom.cdx.json"
LOCK_FILE = f"{ATTESTATIONS}/policy.lock.yaml"

MODEL_FILES = (MODEL_FILE, SIGNATURE_FILE)

_SIDE_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RESERVED_ENDINGS = (".sigstore.json", ".pub", ".onnx", ".jsonl", ".tsr")


@dataclass(frozen=True, kw_only=True, slots=True)
class SideFile:
    """A file that travels beside the model under `attestations/`: a report, the policy.

    Attributes:
        name: its plain name, such as `report.json`; no path.
        content: its bytes.
    """

    name: str
    content: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _SIDE_FILE_NAME.fullmatch(self.name) or self.name.lower().endswith(_RESERVED_ENDINGS):
            raise SigningError(
                f"{self.name!r} can't be the name of a side file",
                hint=f"use letters, digits, '.', '_' and '-', and another ending than {', '.join(_RESERVED_ENDINGS)}",
            )

    @property
    def path(self) -> str:
        """Where it lies, relative to the release directory."""
        return f"{ATTESTATIONS}/{self.name}"


def digests_of(side_files: tuple[SideFile, ...]) -> tuple[FileDigest, ...]:
    """The `files` of a certificate that binds these side files: sorted by name.

    Raises:
        SigningError: two of them have one name.
    """
    digests = sorted(
        (
            FileDigest(name=file.path, sha256=hashlib.sha256(file.content).hexdigest(), size=len(file.content))
            for file in side_files
        ),
        key=lambda digest: digest.name,
    )
    names = [digest.name for digest in digests]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SigningError(f"side files must have names of their own; repeated: {', '.join(repeated)}")
    return tuple(digests)
