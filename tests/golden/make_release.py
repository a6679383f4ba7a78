"""Makes the golden release: `python -m tests.golden.make_release`, once for each version of the format.

What it wrote into `tests/golden/v1` is frozen: every later version of gatekeeper must still verify it. Run it again
only for a format that no release has yet, never to make a failing test pass.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gatekeeper.report import certificate_schema
from tests.signed_releases import KEY

GOLDEN = Path(__file__).parent / "v1"
CANDIDATE = """\
apiVersion: gatekeeper/v1
kind: ReleaseCandidate
metadata: {name: golden}
spec:
  data:
    format: phantom-lesions
    unit: lesion
    image_size: 16
    split: {test: 0.3, seed: 1, by: patient}
    phantom: {patients: 110, seed: 3}
  model: {network: mlp, width: 4}
  training:
    epochs: 6
    expected_batch: 24
    clipping_norm: 1.0
    optimizer: {name: nadam, lr: 5.0e-3}
    epsilon: 1.0e+3
    delta: 1.0e-4
"""
POLICY = """\
apiVersion: gatekeeper/v1
kind: ReleasePolicy
metadata: {name: golden, version: 1, owner: tests}
spec:
  max_attempts: 1
  privacy: {unit: lesion, epsilon: {max: 1.0e+4}, delta: {max: 1.0e-4}}
  rules:
    - {id: accuracy, metric: accuracy, min: 0.1, min_units: 20}
    - id: reconstruction
      risk: reconstruction
      adversary: {observes: one-step}
      similarity: {measure: ncc, above_null: 0.99}
      max: 0.05
      worst: {max: 0.1}
  audit: {units: 80, worst_units: 10, noise_draws: 2, positive_control: {min: 0.9}, negative_control: {max: 0.1}}
"""


def main() -> None:
    """Certify a tiny candidate with the tests' key, and keep release, policy and public key."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "candidate.yaml").write_text(CANDIDATE, encoding="utf-8")
        (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
        pem = KEY.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with open(folder / "gate.key", "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(pem)
        for words in (
            ("ledger", "init"),
            ("certify", "candidate.yaml", "--policy", "policy.yaml", "--key", "gate.key", "--out", "release"),
        ):
            subprocess.run([sys.executable, "-m", "gatekeeper", *words], cwd=folder, check=True)
        shutil.rmtree(GOLDEN, ignore_errors=True)
        GOLDEN.mkdir()
        shutil.copytree(folder / "release", GOLDEN / "release")
        shutil.copy(folder / "policy.yaml", GOLDEN / "policy.yaml")
    (GOLDEN / "gate.pub").write_bytes(KEY.public.pem)
    schema = json.dumps(certificate_schema(), indent=1, ensure_ascii=False, sort_keys=True)
    (GOLDEN / "certificate.schema.json").write_text(schema + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
