"""Verification: signatures and digests first, then the argument once more, without trusting it. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatekeeper.core.certificate import Certificate
from gatekeeper.core.codec import digest, plain
from gatekeeper.core.coherence import check_bounds
from gatekeeper.core.countersignature import Requirement
from gatekeeper.core.ledger import LedgerHead
from gatekeeper.core.rounding import round_up
from gatekeeper.core.verdict import Approval, Verdict
from gatekeeper.errors import GatekeeperError, VerificationError
from gatekeeper.gate import decide
from gatekeeper.pipeline.additions import check_approvals
from gatekeeper.pipeline.age import check_age
from gatekeeper.pipeline.endorsing import Endorsed
from gatekeeper.pipeline.exceptions import check_lock, check_lock_file, check_waivers
from gatekeeper.pipeline.judgement import establish
from gatekeeper.pipeline.reports import by_this_version, check_report, without
from gatekeeper.pipeline.steps import VerifiedStep
from gatekeeper.pipeline.trust import utc_now

if TYPE_CHECKING:
    from gatekeeper.signing.verification import VerifiedRelease

# Other versions of numpy and scipy differ in the last digits; an edit that small changes no verdict.
_RELATIVE_TOLERANCE = 1e-6
_ABSOLUTE_TOLERANCE = 1e-12

# The words of a finding may change from one version of gatekeeper to the next; an older release still verifies.
_PROSE_OF_FINDINGS = ("statement", "detail", "remedy")


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """A release that holds.

    Attributes:
        certificate: its facts and approval.
        release: what was read of it.
        steps: what was checked, in order.
    """

    certificate: Certificate
    release: VerifiedRelease
    steps: tuple[VerifiedStep, ...]


def verify(
    directory: Path,
    *,
    public_key: Path | None = None,
    trust: Path | None = None,
    policy_digest: str | None,
    ledger_head: LedgerHead | None = None,
    max_age_days: float | None = None,
    required: tuple[Requirement, ...] = (),
) -> Verification:
    """Check a release against a public key or a trust file and, where given, a policy.

    Args:
        directory: the release.
        public_key: a PEM file from outside the release, or None.
        trust: a trust file from outside the release, or None; exactly one of the two is given.
        policy_digest: SHA-256 of the canonical form of the policy that must have passed, or None for any policy.
        ledger_head: how far the ledger had got when somebody last looked, or None; the release must have been
            counted in that very ledger, and not before.
        max_age_days: how many days ago it may have been judged at most, or None.
        required: who must have approved it.

    Raises:
        ConfigError: the trust file has mistakes.
        VerificationError: naming the file, number or digest that disagrees, or the key and why it is not trusted.
    """
    from gatekeeper.pipeline.signer import find_signer
    from gatekeeper.pipeline.timestamps import prove_time
    from gatekeeper.signing.verification import read_release

    signer = find_signer(directory, public_key=public_key, trust=trust)
    release = read_release(directory, public_key=signer.key)
    steps = [VerifiedStep(title=step.title, detail=step.detail) for step in release.steps]
    certificate = release.certificate
    time = prove_time(directory, trust=signer.trust, message=release.signed)
    steps.append(VerifiedStep(title="timestamps", detail=time.detail))
    trusted = signer.check(claimed=certificate.created, proven=time.proven)
    steps.append(VerifiedStep(title="signer", detail=trusted))
    steps.append(_check_policy(certificate, policy_digest))
    steps.append(_check_ledger(certificate.facts.ledger.head, ledger_head))
    now = utc_now()
    check_lock_file(directory, certificate)
    steps.append(check_age(certificate, max_days=max_age_days, proven=time.proven, now=now))
    lock = check_lock(certificate, signer=signer.key.fingerprint, trust=signer.trust, now=now, proven=time.proven)
    steps.append(VerifiedStep(title="policy lock", detail=lock))
    waivers = check_waivers(certificate, signer=signer.key.fingerprint, trust=signer.trust, now=now, proven=time.proven)
    steps.append(VerifiedStep(title="waivers", detail=waivers))
    steps += recompute(certificate)
    steps.append(check_report(directory, certificate))
    steps.append(
        check_approvals(release, signer=signer.key.fingerprint, trust=signer.trust, required=required, now=now)
    )
    return Verification(certificate=certificate, release=release, steps=tuple(steps))


def _check_policy(certificate: Certificate, demanded: str | None) -> VerifiedStep:
    found = digest(certificate.policy)
    if demanded is not None and demanded != found:
        raise VerificationError(
            f"the release passed policy {certificate.policy.name} v{certificate.policy.version} with digest {found}, "
            f"not the policy with digest {demanded}",
            where="attestations/certificate.sigstore.json",
            hint="verify with the policy that you demand, or ask for a release under it",
        )
    pinned = "as demanded" if demanded is not None else "accepted because any policy was allowed"
    return VerifiedStep(title="policy", detail=f"{certificate.policy.name} {found[:16]}…, {pinned}")


def _check_ledger(found: LedgerHead, remembered: LedgerHead | None) -> VerifiedStep:
    """A fresh, replaced or truncated ledger has forgotten what a remembered head proves."""
    if remembered is None:
        return VerifiedStep(title="ledger", detail=f"{found}, not compared with any remembered head")
    problem = None
    if found.ledger != remembered.ledger:
        problem = f"the release was counted in ledger {found.ledger}, not in {remembered.ledger}"
    elif found.length < remembered.length:
        problem = (
            f"the release was counted at entry {found.length}, before the remembered {remembered.length}: it is "
            "older, or the ledger had been cut"
        )
    elif found.length == remembered.length and found.digest != remembered.digest:
        problem = f"entry {found.length} of the ledger is another one than the remembered: it was rewritten"
    if problem is not None:
        raise VerificationError(
            problem,
            where="attestations/certificate.sigstore.json",
            hint="compare with `gatekeeper ledger check --head`",
        )
    return VerifiedStep(title="ledger", detail=f"{found}, not behind the remembered {remembered}")


def recompute(certificate: Certificate) -> tuple[VerifiedStep, ...]:
    """Account, bound and decide again from the signed facts.

    Raises:
        VerificationError: with every number that disagrees.
    """
    claimed = certificate.facts
    try:
        endorsed = Endorsed(lock=claimed.lock, waivers=claimed.waivers)
        facts = establish(claimed.evidence, certificate.policy, claimed.ledger, endorsed=endorsed)
        check_bounds(facts)
        verdict = decide(certificate.policy, facts)
    except (GatekeeperError, ArithmeticError, ValueError, RuntimeError, MemoryError) as error:
        # Numbers that a hostile signer chose may break any formula; that is the release's fault, not a bug.
        raise VerificationError(
            f"the signed facts can't be judged: {error}", where="attestations/certificate.sigstore.json"
        ) from error
    differences = [
        *_differences(plain(claimed.guarantee), plain(facts.guarantee), path="guarantee"),
        *_differences(plain(claimed.total), plain(facts.total), path="total"),
        *_differences([plain(b) for b in claimed.bounds], [plain(b) for b in facts.bounds], path="bounds"),
        *_differences(_found(certificate.approval, certificate), _found(verdict, certificate), path="findings"),
    ]
    if isinstance(verdict, Approval):
        uses = [[plain(use) for use in approval.waivers] for approval in (certificate.approval, verdict)]
        differences += _differences(*uses, path="waivers")
    else:
        failing = ", ".join(f.rule for f in verdict.findings if f.status not in ("passed", "waived"))
        differences.append(f"verdict: certificate says Approval, recomputed {type(verdict).__name__} ({failing})")
    if differences:
        raise VerificationError(
            "the signed facts don't support what the certificate says:\n  " + "\n  ".join(differences),
            where="attestations/certificate.sigstore.json",
        )
    epsilon = facts.guarantee.epsilon.high
    return (
        VerifiedStep(
            title="accounting", detail=f"ε ≤ {round_up(epsilon, digits=6)} at δ = {facts.guarantee.delta!r} recomputed"
        ),
        VerifiedStep(title="bounds", detail=f"{len(facts.bounds)} risk bounds recomputed"),
        VerifiedStep(title="verdict", detail=f"{len(verdict.findings)} findings recomputed, {_statuses(verdict)}"),
    )


def _statuses(verdict: Verdict) -> str:
    waived = sum(finding.status == "waived" for finding in verdict.findings)
    return f"{len(verdict.findings) - waived} passed, {waived} WAIVED" if waived else "all passed"


def _found(verdict: Verdict, certificate: Certificate) -> list[dict[str, Any]]:
    """The findings as they are compared: with their words where the certificate is by this version of gatekeeper."""
    words = () if by_this_version(certificate) else _PROSE_OF_FINDINGS
    return [without(plain(finding), words) for finding in verdict.findings]


def _differences(claimed: object, found: object, *, path: str) -> Iterator[str]:
    """Every place where two trees of JSON's own types differ by more than rounding."""
    if isinstance(claimed, dict) and isinstance(found, dict):
        for key in found:
            yield from _differences(claimed.get(key), found[key], path=f"{path}.{key}")
    elif isinstance(claimed, list) and isinstance(found, list):
        if len(claimed) != len(found):
            yield f"{path}: certificate has {len(claimed)} entries, recomputed {len(found)}"
        for index, (one, other) in enumerate(zip(claimed, found, strict=False)):
            yield from _differences(one, other, path=f"{path}[{index}]")
    elif not _alike(claimed, found):
        yield f"{path}: certificate says {claimed!r}, recomputed {found!r}"


def _alike(claimed: object, found: object) -> bool:
    if isinstance(claimed, float | int) and isinstance(found, float | int):
        return math.isclose(claimed, found, rel_tol=_RELATIVE_TOLERANCE, abs_tol=_ABSOLUTE_TOLERANCE)
    return claimed == found
