"""Evidence of an earlier run in place of a training: only where nothing that it depends on has changed.

What is reused is the earlier run itself, restored under its own name. The ledger counted it before its first step,
under this very policy and lock, and says so again before it is judged. So reuse takes no budget and no attempt, and no
run that was counted otherwise can be judged in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.codec import digest, encode
from gatekeeper.core.device import DeviceChoice
from gatekeeper.core.lock import PolicyLock
from gatekeeper.core.policy import Policy
from gatekeeper.core.reuse import KeptRun, Origin, differences
from gatekeeper.errors import InvalidInputError, RunDirectoryError
from gatekeeper.pipeline.counting import contradictions
from gatekeeper.pipeline.place import find_place
from gatekeeper.rundir import AUDIT_ONLY, REUSED, SEAL, RunDirectory, disk_errors, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gatekeeper.cache import CacheFolder, CacheKey, Parcel
    from gatekeeper.ledger import Ledger


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RunCache:
    """Where evidence is kept, and by which key.

    Attributes:
        folder: the cache; None seals run directories and keeps nothing.
        key: the runner's.
    """

    folder: CacheFolder | None
    key: CacheKey


def open_cache(folder: Path | None, *, key: Path) -> RunCache:
    """A cache, and its key, which is made where there is none.

    Raises:
        CacheError: the key can't be used or made.
        InvalidInputError: it lies in the cache, where whoever reads the cache would have it.
    """
    from gatekeeper.cache import CacheFolder, load_or_create_key

    if folder is not None and key.resolve().is_relative_to(folder.resolve()):
        raise InvalidInputError(
            f"lies inside the cache {folder}: whoever writes there could make entries",
            where=str(key),
            hint="keep the key on the runner, outside the cache",
        )
    loaded = load_or_create_key(key)
    return RunCache(folder=None if folder is None else CacheFolder(folder, key=loaded), key=loaded)


def origin_of(
    policy: Policy, candidate: Candidate, *, lock: PolicyLock | None, audit_only: bool, device: DeviceChoice
) -> Origin:
    """What a run here and now would be made of, but for its data."""
    from gatekeeper.cache import describe_surroundings

    return Origin(
        candidate_name=candidate.name,
        policy_name=policy.name,
        candidate=digest(candidate),
        policy=digest(policy),
        lock=None if lock is None else lock.note,
        audit_only=audit_only,
        surroundings=describe_surroundings(device, processes=find_place().count),
    )


def find_earlier(
    cache: RunCache,
    origin: Origin,
    *,
    policy: Policy,
    candidate: Candidate,
    ledger: Ledger,
    runs: Path,
    quiet: bool,
    tell: Callable[[str], None],
) -> RunDirectory | None:
    """The run whose evidence is that of this policy, candidate and data, restored below `runs`; None if there is none.

    Args:
        cache: where to look.
        origin: what a run would be made of.
        policy: as read by this process.
        candidate: likewise.
        ledger: must have counted the run.
        runs: where run directories lie.
        quiet: whether to draw no progress.
        tell: told in one line why nothing is reused, or what is.

    Raises:
        CacheError: an entry is there that the key's holder did not write so; nothing was trained or counted.
        GatekeeperError: what planning raises where the data can't be used.
    """
    parcel = None if cache.folder is None else cache.folder.find(origin)
    if cache.folder is None or parcel is None:
        if cache.folder is not None:
            tell("cache: nothing that this version reads is kept of this candidate and policy")
        return None
    reasons = differences(parcel.run.origin, origin) or _unconfirmed(parcel.run, policy, ledger)
    reasons = reasons or _other_data(parcel, policy, candidate, runs=runs, quiet=quiet)
    if reasons:
        tell(f"cache: not reused, trained anew: {'; '.join(reasons)}")
        return None
    if find_place().count > 1:
        raise InvalidInputError(
            f"the evidence of run {parcel.run.run} can be reused: there is nothing to share",
            hint="certify without torchrun",
        )
    tell(f"cache: reused run {parcel.run.run}: nothing is trained, and no new run is counted")
    return _restore(parcel, runs)


def _unconfirmed(kept: KeptRun, policy: Policy, ledger: Ledger) -> tuple[str, ...]:
    """What the ledger says otherwise of the run."""
    mechanism = kept.evidence.record.mechanism
    found = contradictions(kept.ledger, ledger, name=kept.run, policy=policy, mechanism=mechanism)
    return tuple(f"the ledger does not confirm the run: {problem}" for problem in found)


def _other_data(parcel: Parcel, policy: Policy, candidate: Candidate, *, runs: Path, quiet: bool) -> tuple[str, ...]:
    """What is planned otherwise now: the data, by their commitment under the same salt, the noise, weights and code."""
    from gatekeeper.pipeline.child import run_private_part

    with _scratch(runs, policy, candidate) as scratch:
        with disk_errors(scratch.path):
            write_atomically(scratch.path / "salt", parcel.salt)
        run_private_part(scratch, "plan", quiet=quiet)
        then, now = parcel.run.planned, scratch.read_planned()
    made_of = parcel.run.evidence.record.provenance
    return tuple(
        what
        for what, differ in (
            ("the data", then.dataset != now.dataset),
            ("the plan", (then.plan, then.non_private) != (now.plan, now.non_private)),
            (
                "the candidate's weights or code",
                then.provenance != now.provenance or now.provenance not in (None, made_of),
            ),
        )
        if differ
    )


@contextmanager
def _scratch(runs: Path, policy: Policy, candidate: Candidate) -> Iterator[RunDirectory]:
    """A run directory that is gone afterwards."""
    scratch = RunDirectory.create(runs, policy=policy, candidate=candidate)
    try:
        with scratch.lock():
            yield scratch
    finally:
        scratch.delete()


def _restore(parcel: Parcel, runs: Path) -> RunDirectory:
    """The run's directory, with every file that judging and signing read as the authenticated entry has it."""
    kept = parcel.run
    path = runs / kept.run
    with disk_errors(path):
        path.mkdir(mode=0o700, exist_ok=True)
    run = RunDirectory(path)
    files = {
        REUSED: b"the evidence was taken from a cache\n",
        "salt": parcel.salt,
        "policy.json": encode(kept.policy).encode(),
        "candidate.json": encode(kept.candidate).encode(),
        "planned.json": encode(kept.planned).encode(),
        "evidence.json": encode(kept.evidence).encode(),
        "ledger.json": encode(kept.ledger).encode(),
        "model.onnx": parcel.model,
    }
    with run.lock(), disk_errors(path):
        if kept.origin.audit_only:
            run.forbid_signing()  # before there is anything to sign
        elif run.audit_only:
            raise RunDirectoryError(f"holds the mark {AUDIT_ONLY}, and that in the cache does not", where=str(path))
        for name, content in files.items():
            write_atomically(path / name, content)
    return run


def keep_evidence(cache: RunCache, run: RunDirectory, origin: Origin) -> Path | None:
    """Seal a judged run, and keep what judging and signing it need.

    Args:
        cache: where to.
        run: the caller holds its lock.
        origin: what it was made of, as found before it began.

    Returns:
        The entry's file, or None where there is no cache.

    Raises:
        CacheError: the cache can't be written.
    """
    from gatekeeper.cache import Parcel

    seal(cache, run)
    if cache.folder is None:
        return None
    kept = KeptRun(
        origin=origin,
        policy=run.read_policy(),
        candidate=run.read_candidate(),
        planned=run.read_planned(),
        evidence=run.read_evidence(),
        ledger=run.read_ledger(),
    )
    return cache.folder.keep(Parcel(run=kept, salt=run.salt, model=run.read_model()))


def seal(cache: RunCache, run: RunDirectory) -> None:
    """Seal what is judged of a run with the runner's key."""
    from gatekeeper.cache import seal_of

    text = seal_of(
        policy=run.read_policy(),
        candidate=run.read_candidate(),
        evidence=run.read_evidence(),
        statement=run.read_ledger(),
        key=cache.key,
    )
    run.write_text(SEAL, text)
