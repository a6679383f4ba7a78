"""A judged run or a verified release, told to a tracking server. Nothing private leaves: see `core.tracked`.

Of a run directory no file is copied: what is told is made from its judgement and policy. Of a release every file is
copied, after `verify` has accepted it, and the files of a release are public by design.
"""

from __future__ import annotations

import datetime
import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.codec import digest
from gatekeeper.core.policy import RiskRule
from gatekeeper.core.tracked import Entry, LoggedRun, RegisteredVersion, ReleaseFiles, TrackedRun
from gatekeeper.errors import VerificationError
from gatekeeper.pipeline.frontier_points import risks_of, setting_of
from gatekeeper.pipeline.judgement import report_of
from gatekeeper.rundir import RunDirectory

if TYPE_CHECKING:
    from gatekeeper.report import Report
    from gatekeeper.tracking.recording import Server


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """Whose signature a release must carry, and what it must have passed: the arguments of `verify`.

    Attributes:
        public_key: a PEM file from outside the release, or None.
        trust: a trust file from outside the release, or None; exactly one of the two is given.
        policy_digest: the policy that must have passed, or None for any.
    """

    public_key: Path | None
    trust: Path | None
    policy_digest: str | None


def is_release(place: Path) -> bool:
    """Whether a directory looks like a release; whether it is one, only `verify` says."""
    from gatekeeper.signing.layout import ATTESTATIONS

    return (place / ATTESTATIONS).is_dir()


def track_run(run: RunDirectory) -> TrackedRun:
    """A judged run, as its run directory has it: nobody's signature stands for it, and its model stays there.

    Raises:
        RunDirectoryError: the run was not judged.
    """
    report = report_of(run.read_policy(), run.read_judgement())
    tags = (Entry(name="gatekeeper.signed", value="false"),)
    return _tracked(report, tags=tags, release=None, of=f"run\n{report.created}\n{digest(report.facts)}")


def track_release(directory: Path, demand: Demand) -> TrackedRun:
    """A release that `verify` accepts.

    Raises:
        ConfigError: the trust file has mistakes.
        VerificationError: it does not.
    """
    from gatekeeper.pipeline.verification import verify
    from gatekeeper.report.content import verified_report
    from gatekeeper.signing.files import digest_file, list_tree
    from gatekeeper.signing.keys import load_public
    from gatekeeper.signing.layout import SIGNER_FILE

    files = tuple(digest_file(directory, name) for name in list_tree(directory).files)
    found = verify(directory, public_key=demand.public_key, trust=demand.trust, policy_digest=demand.policy_digest)
    listed = "".join(f"{file.sha256}  {file.name}\n" for file in files)
    tags = (
        Entry(name="gatekeeper.signed", value="true"),
        Entry(name="gatekeeper.signer", value=load_public(directory / SIGNER_FILE).fingerprint),
        Entry(name="gatekeeper.certificate_sha256", value=found.release.certificate_digest),
    )
    release = ReleaseFiles(directory=directory, names=tuple(file.name for file in files))
    return _tracked(verified_report(found.certificate), tags=tags, release=release, of=f"release\n{listed}")


def _tracked(report: Report, *, tags: tuple[Entry, ...], release: ReleaseFiles | None, of: str) -> TrackedRun:
    from gatekeeper.report import tracked

    facts = report.facts
    rules = report.policy.rules_at(facts.ledger.attempts)
    confidence = max(rule.confidence for rule in rules if isinstance(rule, RiskRule))
    judged = datetime.datetime.fromisoformat(report.created)
    return TrackedRun(
        identity=hashlib.sha256(of.encode()).hexdigest(),
        name=facts.ledger.run,
        milliseconds=round(judged.timestamp() * 1000),
        parameters=tracked.parameters(report),
        figures=tracked.figures(report, setting=setting_of(facts), risks=risks_of(facts, confidence=confidence)),
        tags=(*tracked.tags(report), *tags),
        documents=tracked.documents(report),
        release=release,
    )


def record(server: Server, run: TrackedRun, *, experiment: str) -> LoggedRun:
    """Log a run, or find it; see `tracking.recording.record`."""
    from gatekeeper.tracking import recording

    return recording.record(server, run, experiment=experiment)


def register_release(
    server: Server, logged: LoggedRun, run: TrackedRun, *, model: str, alias: str | None, demand: Demand
) -> RegisteredVersion:
    """Register a logged release; what the server has is fetched and verified first, and nothing else is believed.

    Raises:
        TrackingError: the server says no, or this is no release.
        VerificationError: what the server has is not the release.
    """
    from gatekeeper.tracking.recording import register

    def check(copy: Path) -> None:
        try:
            found = track_release(copy, demand)
        except VerificationError as error:
            raise VerificationError(
                f"the server's copy of the release does not verify: {error.message}",
                where=error.where,
                hint="nothing was registered and no alias moved; find out who changed it there",
            ) from error
        if found.identity != run.identity:
            raise VerificationError(
                "the server's copy is another release than the one that was logged", where=str(copy)
            )

    with tempfile.TemporaryDirectory(prefix="gatekeeper-mlflow-") as folder:
        return register(server, logged, run, model=model, alias=alias, to=Path(folder), verify=check)


def connect(uri: str) -> Server:
    """The MLflow server at an address.

    Raises:
        TrackingError: it is no address of one, or MLflow's client is not installed.
    """
    from gatekeeper.tracking.server import MlflowServer

    return MlflowServer(uri)
