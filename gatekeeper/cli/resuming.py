"""Going on with a run that was interrupted: which one, with what, and by which command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from click.core import ParameterSource

from gatekeeper.cli.output import Target
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.codec import plain
from gatekeeper.core.policy import Policy
from gatekeeper.errors import InvalidInputError, RunDirectoryError
from gatekeeper.pipeline.place import find_place
from gatekeeper.rundir import RunDirectory, list_runs

LATEST = "the newest"
_NOT_REPEATED = {"resume", "passphrase_fd"}


def find_interrupted(
    resume: str, *, runs: Path, policy: Policy, candidate: Candidate, audit_only: bool = False
) -> RunDirectory:
    """The run to go on with.

    Args:
        resume: its directory, or `LATEST` for the newest unfinished one of this policy and candidate.
        runs: where run directories lie.
        policy: as it is now.
        candidate: likewise.
        audit_only: whether it must have begun as an audit; otherwise it must not.

    Raises:
        InvalidInputError: there is none, it has its verdict already, its policy or candidate has changed, or it is an
            audit and should not be, or the other way round.
    """
    if resume != LATEST:
        run = RunDirectory(Path(resume))
        _check(run, policy, candidate)
        if run.audit_only != audit_only:
            raise InvalidInputError(
                "the run began as an audit" if run.audit_only else "the run did not begin as an audit",
                where=str(run.path),
                hint=f"go on {'with' if run.audit_only else 'without'} --audit-only",
            )
        return run
    for path in reversed(list_runs(runs)):
        if _is_unfinished(path, policy, candidate) and RunDirectory(path).audit_only == audit_only:
            return RunDirectory(path)
    raise InvalidInputError(
        "no run of this candidate and policy was interrupted",
        where=str(runs),
        hint="see `gatekeeper runs list`, and name the run: --resume RUN; or certify without --resume",
    )


def _is_unfinished(path: Path, policy: Policy, candidate: Candidate) -> bool:
    """Whether a run is this one's, was allowed to begin, and has no verdict and no failure of its own.

    What can't be read is another's.
    """
    try:
        run = RunDirectory(path)
        same = run.read_policy() == policy and run.read_candidate() == candidate
    except RunDirectoryError:
        return False
    return same and run.has("permit.json") and not run.has("judgement.json") and not run.has("failure.json")


def _check(run: RunDirectory, policy: Policy, candidate: Candidate) -> None:
    if run.has("judgement.json"):
        raise InvalidInputError(
            f"the run has its verdict already: {run.state()}",
            where=str(run.path),
            hint="see `gatekeeper report`; `gatekeeper sign` releases an approved run",
        )
    for name, then, now in (("policy", run.read_policy(), policy), ("candidate", run.read_candidate(), candidate)):
        changes = [f"{path} was {old}, now {new}" for path, old, new in _changes(plain(then), plain(now), path=name)]
        if changes:
            raise InvalidInputError(
                f"the {name} has changed since the run began: " + "; ".join(changes),
                where=str(run.path),
                hint=f"restore the {name}, or certify anew; the run stays counted in full",
            )


def _changes(then: object, now: object, *, path: str) -> Iterator[tuple[str, object, object]]:
    """Where two nouns differ: the path of the field, as it was and as it is."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in sorted(then.keys() | now.keys()):
            yield from _changes(then.get(key), now.get(key), path=f"{path}.{key}")
    elif then != now:
        yield path, then, now


def prepare_to_go_on(run: RunDirectory) -> str:
    """Forget how the run was stopped, and say how far it had got.

    Args:
        run: the caller holds its lock.

    Raises:
        InvalidInputError: several processes were started, and one is enough.
    """
    run.forget_failure()
    if run.has("evidence.json"):
        if find_place().count > 1:
            raise InvalidInputError(
                "the run is trained and measured, and only to be judged: there is nothing to share",
                where=str(run.path),
                hint="go on without torchrun",
            )
        return "trained and measured, to be judged"
    if run.has("training"):
        return "goes on with the training, counted in the ledger already"
    return "its training had not begun"


def command_to_go_on(run: RunDirectory) -> str:
    """The command line that goes on with a run, from the one that is running."""
    context = click.get_current_context()
    words = ["gatekeeper", str(context.info_name), *given_words(context), "--resume", str(run.path)]
    return shlex.join(words)


def given_words(context: click.Context) -> Iterator[str]:
    """The arguments and options that were given on the command line."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _NOT_REPEATED or context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for each in value if isinstance(value, tuple) and parameter.multiple else (value,):
            if isinstance(parameter, click.Option):
                yield parameter.opts[-1]
            if not isinstance(each, bool):
                yield _word(each)


def _word(value: object) -> str:
    """A value as it is typed."""
    if isinstance(value, Target):
        return f"{value.format}:{value.path}"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
