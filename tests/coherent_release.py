"""A run directory of coherent evidence, full of secrets, and the release that is signed from it; nothing is trained."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

from gatekeeper.pipeline import judgement
from gatekeeper.rundir import RunDirectory
from tests.coherent import coherent_evidence, coherent_policy
from tests.endorsements import RELEASE_KEY
from tests.facts import statement

SECRET = "only the run directory knows this"
MODEL = b"these bytes stand for an ONNX model" * 20


def coherent_run(root: Path) -> RunDirectory:
    """An approved run below `root/runs`; every private file of it holds `SECRET` or its salt."""
    evidence = coherent_evidence()
    evidence = dataclasses.replace(
        evidence,
        model=dataclasses.replace(evidence.model, sha256=hashlib.sha256(MODEL).hexdigest(), size=len(MODEL)),
    )
    run = RunDirectory.create(root / "runs", policy=coherent_policy(), candidate=evidence.candidate)
    said, name = statement(evidence), run.path.name
    spends = tuple(dataclasses.replace(each, run=name) if each.run == said.run else each for each in said.spends)
    run.model.write_bytes(MODEL)
    run.write_evidence(evidence)
    run.write_ledger(dataclasses.replace(said, run=name, spends=spends))
    for private in ("identities.json", "annex.png", "training/weights", "training/who-was-in-which-batch"):
        path = run.path / private
        path.parent.mkdir(exist_ok=True)
        path.write_text(SECRET)
    judgement.judge(run, policy=coherent_policy(), candidate=evidence.candidate)
    return run


def coherent_release(root: Path) -> tuple[RunDirectory, Path]:
    """Such a run, and its release in `root/out`; the public key lies in `root/release.pub`."""
    run = coherent_run(root)
    judgement.release(
        run,
        policy=run.read_policy(),
        candidate=run.read_candidate(),
        key=lambda: RELEASE_KEY,
        out=root / "out",
    )
    (root / "release.pub").write_bytes(RELEASE_KEY.public.pem)
    return run, root / "out"
