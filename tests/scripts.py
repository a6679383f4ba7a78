"""Runs the script that checks a release with openssl and jq."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from gatekeeper.core import codec
from gatekeeper.pipeline.inputs import read_policy
from tests.golden.make_release import GOLDEN

SCRIPT = Path(__file__).parents[1] / "gatekeeper/signing/guide/verify.sh"


def golden_policy() -> str:
    """The digest of the policy that the golden release passed."""
    return codec.digest(read_policy(GOLDEN / "policy.yaml"))


def run_script(
    release: Path,
    *,
    key: Path = GOLDEN / "gate.pub",
    policy: str | None = None,
    shell: tuple[str, ...] = ("sh",),
    cwd: Path | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `verify.sh` on a release, by default with the golden release's key and policy."""
    command = (*shell, str(SCRIPT), str(key), str(release), policy or golden_policy())
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
    )
