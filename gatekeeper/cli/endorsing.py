"""The options for what others vouch for: a lock on the policy, waivers, and the trust file that says whose they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatekeeper.cli.streams import say
from gatekeeper.core.policy import Policy
from gatekeeper.errors import InvalidInputError

if TYPE_CHECKING:
    from gatekeeper.core.verdict import Verdict
    from gatekeeper.pipeline.endorsing import Endorsed

_FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True, kw_only=True, slots=True)
class EndorsingFiles:
    """The files that were given.

    Attributes:
        lock: a lock on the policy, or None.
        waivers: a file of waivers, or None.
        trust: whose keys may sign either, or None.
    """

    lock: Path | None
    waivers: Path | None
    trust: Path | None

    @property
    def words(self) -> tuple[str, ...]:
        """The options that give the same files again."""
        given = (("--lock", self.lock), ("--waivers", self.waivers), ("--trust", self.trust))
        return tuple(word for option, path in given if path is not None for word in (option, str(path)))


def lock_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --lock and --trust, and hands them over as one argument `endorsing`."""

    @click.option("--lock", type=_FILE, help="A lock on the policy (`gatekeeper policy lock`); needs --trust.")
    @click.option("--trust", type=_FILE, help="A trust file: whose keys may lock policies and sign waivers.")
    @functools.wraps(command)
    def with_files(
        *args: Any, lock: Path | None, trust: Path | None, waivers: Path | None = None, **kwargs: Any
    ) -> Any:
        return command(*args, endorsing=EndorsingFiles(lock=lock, waivers=waivers, trust=trust), **kwargs)

    return with_files


def endorsing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with --waivers."""
    waivers = click.option("--waivers", type=_FILE, help="A file of waivers, as far as the policy accepts any.")
    return waivers(lock_options(command))


def read_endorsed(files: EndorsingFiles, policy: Policy, *, model: str, wants_lock: bool = True) -> Endorsed:
    """What was given, as far as it can be believed: before anything is trained or signed.

    Args:
        files: what was given.
        policy: what judges.
        model: the candidate's name.
        wants_lock: whether a lock must be given where the policy wants one; without it the rule on it fails.

    Raises:
        ConfigError: a file has mistakes, or a waiver can't be believed.
        InvalidInputError: the lock is on another policy or can't be believed, or the policy wants a lock.
    """
    from gatekeeper.pipeline.endorsing import Endorsed
    from gatekeeper.pipeline.locking import read_lock
    from gatekeeper.pipeline.trust import read_trust
    from gatekeeper.pipeline.waiving import read_waivers

    trust = None if files.trust is None else read_trust(files.trust)
    if files.lock is not None and trust is None:
        raise click.UsageError("--lock needs --trust: a lock is worth what its key is")
    if wants_lock and policy.require_lock and files.lock is None:
        raise InvalidInputError(
            f"policy {policy.name} wants a lock before the run, and none was given",
            hint="somebody else locks it (`gatekeeper policy lock`); then give --lock and --trust",
        )
    lock = None if files.lock is None or trust is None else read_lock(files.lock, policy, trust=trust)
    waivers = () if files.waivers is None else read_waivers(files.waivers, policy, model=model, trust=trust)
    return Endorsed(lock=lock, waivers=waivers)


def warn_of_waivers(verdict: Verdict, *, word: str = "approved") -> None:
    """Say which waivers an approval rests on, and which of them end soon; `word` is what it is called."""
    from gatekeeper.core.verdict import Approval
    from gatekeeper.pipeline.trust import utc_now
    from gatekeeper.pipeline.waiving import expiry_warnings

    if isinstance(verdict, Approval) and verdict.waivers:
        say(f"{word} with waivers: {', '.join(f'{use.id} ({use.rule})' for use in verdict.waivers)}")
        for warning in expiry_warnings(verdict.waivers, now=utc_now()):
            say(f"warning: {warning}")
