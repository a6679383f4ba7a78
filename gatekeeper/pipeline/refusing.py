"""A refused run, signed as refused: on request, and never over the model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.candidate import Candidate
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import SigningError
from gatekeeper.pipeline.endorsing import NOTHING, Endorsed
from gatekeeper.pipeline.judgement import check_signable, judge
from gatekeeper.rundir import RunDirectory, write_atomically
from gatekeeper.version import __version__

if TYPE_CHECKING:
    from gatekeeper.signing.keys import SigningKey


def sign_refusal(
    run: RunDirectory,
    *,
    policy: Policy,
    candidate: Candidate,
    key: Callable[[], SigningKey],
    out: Path,
    endorsed: Endorsed = NOTHING,
) -> None:
    """Judge a run once more, and sign that it did not pass.

    Args:
        run: the run.
        policy: what it did not satisfy, as read by this process.
        candidate: what the run must be about.
        key: opens the key; called only where there is something to sign.
        out: the file to create.
        endorsed: the lock that the run was counted with, and the waivers that are presented.

    Raises:
        SigningError: the run is approved or for an audit only, or the file exists or can't be written.
    """
    from gatekeeper.signing.dsse import sign_statement
    from gatekeeper.signing.refusals import commit_to_run, refusal_statement

    if os.path.lexists(out):
        raise SigningError("exists already; it is never overwritten", where=str(out), hint="choose another file")
    check_signable(run)
    judgement = judge(run, policy=policy, candidate=candidate, endorsed=endorsed)
    if isinstance(judgement.verdict, Approval):
        raise SigningError(
            "the run is approved, so there is no refusal to sign", where=str(run.path), hint="see `gatekeeper sign`"
        )
    statement = refusal_statement(
        judgement.verdict,
        policy=policy,
        commitment=commit_to_run(judgement.facts.ledger.run, salt=run.salt),
        created=judgement.created,
        version=__version__,
    )
    try:
        write_atomically(out, sign_statement(statement, key=key()), mode=0o644)
    except OSError as error:
        raise SigningError(f"can't be written: {error.strerror}", where=str(out)) from error
