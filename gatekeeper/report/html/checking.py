"""How to check what the page says, in commands."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.codec import digest
from gatekeeper.report.content import Report, is_rejudged, may_release


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command, and what it is good for; words in capitals are to be replaced."""

    purpose: str
    line: str


def check_commands(report: Report) -> tuple[Command, ...]:
    """Where a release may follow, how it is verified; otherwise how the run is looked at again."""
    if is_rejudged(report):
        return (
            Command(
                purpose="The same facts for programs",
                line="gatekeeper check RUN --policy POLICY.yaml --format json",
            ),
            Command(
                purpose="Certify under this policy (every attempt is counted)",
                line="gatekeeper certify CANDIDATE.yaml --policy POLICY.yaml --no-sign",
            ),
        )
    if not may_release(report):
        return (
            Command(purpose="What would have to change", line="gatekeeper explain RUN"),
            Command(purpose="The same facts for programs", line="gatekeeper report RUN --format json"),
            Command(
                purpose="Run it again (every attempt is counted)",
                line="gatekeeper certify CANDIDATE.yaml --policy POLICY.yaml --no-sign",
            ),
        )
    policy = digest(report.policy)
    return (
        Command(
            purpose="Signatures, digests, then ε, bounds, findings and verdict once more",
            line=f"gatekeeper verify RELEASE --public-key YOUR-COPY.pub --policy-digest {policy}",
        ),
        Command(
            purpose="Signatures, digests and subjects, with openssl and jq alone",
            line=f"gatekeeper verify --script > verify.sh\nsh verify.sh YOUR-COPY.pub RELEASE {policy}",
        ),
        Command(
            purpose="The model's files, with the tool of OpenSSF Model Signing",
            line="model_signing verify key --public_key YOUR-COPY.pub --signature RELEASE/model.sig RELEASE",
        ),
        Command(
            purpose="Countersign the release as a person",
            line=f"gatekeeper approve RELEASE --trust TRUST.yaml --policy-digest {policy} --role ROLE "
            "--decision approved --key YOUR.key",
        ),
    )
