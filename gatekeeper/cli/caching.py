"""`certify --cache DIR --cache-key FILE`: evidence of an earlier run in place of a training."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gatekeeper.cli.streams import say
from gatekeeper.errors import GatekeeperError

if TYPE_CHECKING:
    from gatekeeper.core.candidate import Candidate
    from gatekeeper.core.device import DeviceChoice
    from gatekeeper.core.lock import PolicyLock
    from gatekeeper.core.policy import Policy
    from gatekeeper.core.reuse import Origin
    from gatekeeper.pipeline.ledgers import Ledger
    from gatekeeper.pipeline.reusing import RunCache
    from gatekeeper.rundir import RunDirectory

cache_key_option = click.option(
    "--cache-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The runner's own key (mode 0600, outside the cache); made where there is none.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheFiles:
    """What was given.

    Attributes:
        folder: the cache, or None.
        key: the runner's key, or None.
    """

    folder: Path | None
    key: Path | None

    def open(
        self,
        policy: Policy,
        candidate: Candidate,
        *,
        lock: PolicyLock | None,
        audit_only: bool,
        device: DeviceChoice,
    ) -> Reuse | None:
        """The cache, and what a run would be made of here and now; None where no key was given."""
        if self.folder is not None and self.key is None:
            raise click.UsageError(
                "--cache needs --cache-key: without a key anybody who writes there could pass a model"
            )
        if self.key is None:
            return None
        from gatekeeper.pipeline.reusing import open_cache, origin_of

        return Reuse(
            cache=open_cache(self.folder, key=self.key),
            origin=origin_of(policy, candidate, lock=lock, audit_only=audit_only, device=device),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reuse:
    """An open cache.

    Attributes:
        cache: where evidence is kept.
        origin: what a run is made of here and now.
    """

    cache: RunCache
    origin: Origin

    def find(
        self, policy: Policy, candidate: Candidate, ledger: Ledger, *, runs: Path, quiet: bool
    ) -> RunDirectory | None:
        """The run whose evidence can be reused, or None; a line on stderr says which, or why none."""
        from gatekeeper.pipeline.reusing import find_earlier

        return find_earlier(
            self.cache,
            self.origin,
            policy=policy,
            candidate=candidate,
            ledger=ledger,
            runs=runs,
            quiet=quiet,
            tell=say,
        )

    def keep(self, run: RunDirectory, *, in_one_go: bool) -> None:
        """Seal a judged run and keep its evidence; the verdict stands where that fails.

        Args:
            run: the caller holds its lock.
            in_one_go: whether it began in this process. What began in another may have begun with other code: it is
                sealed and not kept.
        """
        from gatekeeper.pipeline.reusing import keep_evidence, seal

        try:
            if run.reused or not in_one_go:
                seal(self.cache, run)
            else:
                kept = keep_evidence(self.cache, run, self.origin)
                if kept is not None:
                    say(f"cache: kept {kept}")
        except GatekeeperError as error:
            say(f"warning: the evidence was not kept: {error}")


def cache_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --cache and --cache-key, and hands them over as one argument `cache`."""

    @click.option(
        "--cache",
        type=click.Path(file_okay=False, path_type=Path),
        help="Reuse the evidence of an earlier run from this folder where nothing changed; needs --cache-key.",
    )
    @cache_key_option
    @functools.wraps(command)
    def with_cache(*args: Any, cache: Path | None, cache_key: Path | None, **kwargs: Any) -> Any:
        return command(*args, cache=CacheFiles(folder=cache, key=cache_key), **kwargs)

    return with_cache
