"""From an approved run to a release, or to the words that lead there later."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.cli.endorsing import EndorsingFiles
from gatekeeper.cli.interrupts import ignore_interrupts
from gatekeeper.cli.preflight import Signing, open_key
from gatekeeper.cli.streams import say
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import GatekeeperError, SigningError
from gatekeeper.rundir import RunDirectory

if TYPE_CHECKING:
    from gatekeeper.pipeline.endorsing import Endorsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """What signing later needs: the files that were given, and what was believed of them."""

    policy: Path
    endorsing: EndorsingFiles
    endorsed: Endorsed


def sign_or_say_how(
    run: RunDirectory, policy: Policy, candidate: Candidate, signing: Signing | None, *, again: Again
) -> None:
    """Release an approved run; without a key, or where that fails, say how to do it later."""
    if signing is None:
        say(f"approved, not signed; to sign: {_sign_command(run, again, key='KEY', out='DIR')}")
        return
    try:
        release_run(run, policy, candidate, signing, endorsed=again.endorsed)
    except GatekeeperError as error:
        files = (("--public-key", signing.public_key), ("--certificate", signing.certificate))
        more = tuple(word for option, path in files if path is not None for word in (option, str(path)))
        command = _sign_command(run, again, key=signing.key, out=str(signing.out), more=more)
        kept = f"the run is approved and kept: {command}"
        error.hint = f"{error.hint}; {kept}" if error.hint else kept
        raise


def _sign_command(run: RunDirectory, again: Again, *, key: str, out: str, more: tuple[str, ...] = ()) -> str:
    words = ("gatekeeper", "sign", str(run.path), "--policy", str(again.policy), "--key", key, "--out", out, *more)
    return shlex.join((*words, *again.endorsing.words))


def release_run(
    run: RunDirectory, policy: Policy, candidate: Candidate, signing: Signing, *, endorsed: Endorsed
) -> Approval:
    """Judge once more, sign and let go; from here on nothing interrupts, so that the exit code tells the truth."""
    from gatekeeper.pipeline.judgement import release

    ignore_interrupts()
    try:
        approval = release(
            run,
            policy=policy,
            candidate=candidate,
            key=lambda: open_key(signing),
            out=signing.out,
            endorsed=endorsed,
        )
    except OSError as error:
        place = error.filename if isinstance(error.filename, str) else str(signing.out)
        raise SigningError(f"can't be written or read: {error.strerror}", where=place) from error
    say(f"released: {signing.out}")
    return approval
