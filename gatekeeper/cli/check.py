"""`gatekeeper check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.cli.ci import lines_of
from gatekeeper.cli.completing import complete_runs
from gatekeeper.cli.endorsing import EndorsingFiles, endorsing_options, read_endorsed
from gatekeeper.cli.garbage import without_collection
from gatekeeper.cli.ledger_options import ledger_key_option
from gatekeeper.cli.output import Target, check_targets, format_option, output_option, render_outputs, write_outputs
from gatekeeper.cli.policy_option import policy_option

if TYPE_CHECKING:
    from gatekeeper.core.policy import Policy
    from gatekeeper.pipeline.recorded import Recorded


@click.command()
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@policy_option("What is to judge.")
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of a release: its signer's public key, from outside the release; or --trust.",
)
@click.option(
    "--cache-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of a run directory: the runner's key, whose seal must hold (`certify --cache-key`).",
)
@click.option(
    "--ledger",
    metavar="PATH|URL",
    help="Of a run directory: the ledger that counted it, to confirm it and to say how often this policy was tried.",
)
@ledger_key_option
@endorsing_options
@format_option
@output_option
@without_collection()
def check(
    run: Path,
    policy: Path,
    public_key: Path | None,
    cache_key: Path | None,
    ledger: str | None,
    ledger_key: Path,
    endorsing: EndorsingFiles,
    stdout_format: str,
    targets: tuple[Target, ...],
) -> None:
    """Judge the recorded evidence of a RUN directory or release by another policy, without training.

    A re-judgement, for changes of a policy: nothing is signed or released, whatever it says, and nothing is written but
    the reports. A release takes a run that was counted under its policy, which is locked before the run where it wants
    that. What the policy asks for and the evidence doesn't hold is inconclusive: certify again.

    Exit codes: 0 every rule holds, 1 refused, 3 inconclusive; 2 and 4 as for every command.
    """
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.pipeline.judgement import report_of
    from gatekeeper.pipeline.rejudging import notices_of_rejudgement, rejudge
    from gatekeeper.report import exit_code

    the_policy = read_policy(policy)
    located = lines_of(policy, judged=the_policy)
    check_targets(targets)
    recorded = _read(
        run,
        the_policy,
        public_key=public_key,
        cache_key=cache_key,
        ledger=ledger,
        ledger_key=ledger_key,
        trust=endorsing.trust,
    )
    endorsed = read_endorsed(endorsing, the_policy, model=recorded.evidence.candidate.name, wants_lock=False)
    judgement = rejudge(recorded, the_policy, endorsed=endorsed)
    report = report_of(the_policy, judgement, policy_file=located, notices=notices_of_rejudgement(recorded, the_policy))
    write_outputs(render_outputs(report, stdout_format=stdout_format, targets=targets))
    raise click.exceptions.Exit(exit_code(judgement.verdict))


def _read(
    run: Path,
    policy: Policy,
    *,
    public_key: Path | None,
    cache_key: Path | None,
    ledger: str | None,
    ledger_key: Path,
    trust: Path | None,
) -> Recorded:
    """What a run directory or a release holds."""
    from gatekeeper.pipeline.ledgers import find_ledger
    from gatekeeper.pipeline.recorded import is_release, read_recorded_release, read_recorded_run

    if not is_release(run):
        if public_key is not None:
            raise click.UsageError(f"--public-key is for releases, and {run} is none")
        counted_in = None if ledger is None else find_ledger(ledger, key=ledger_key)
        return read_recorded_run(run, policy=policy, cache_key=cache_key, ledger=counted_in)
    if cache_key is not None or ledger is not None:
        raise click.UsageError(f"--cache-key and --ledger are for run directories, and {run} is a release")
    if public_key is None and trust is None:
        raise click.UsageError(f"{run} is a release: say who may have signed it, by --public-key or --trust")
    return read_recorded_release(run, public_key=public_key, trust=None if public_key is not None else trust)
