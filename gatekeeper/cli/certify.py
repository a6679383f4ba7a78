"""`gatekeeper certify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.cli.auditing import Audit, audit_options, say_passed
from gatekeeper.cli.caching import CacheFiles, Reuse, cache_options
from gatekeeper.cli.ci import lines_of
from gatekeeper.cli.completing import DEFAULT_RUNS, complete_runs, complete_yaml
from gatekeeper.cli.dry_run import dry_run_of, dry_run_schema_option
from gatekeeper.cli.endorsing import EndorsingFiles, endorsing_options, read_endorsed, warn_of_waivers
from gatekeeper.cli.key_options import certificate_option, key_option, public_key_option
from gatekeeper.cli.ledger_options import ledger_key_option, ledger_option
from gatekeeper.cli.output import (
    Target,
    check_formats,
    check_targets,
    deliver,
    format_option,
    output_option,
    render_outputs,
)
from gatekeeper.cli.passphrase import passphrase_option
from gatekeeper.cli.policy_option import policy_option
from gatekeeper.cli.preflight import prepare_signing
from gatekeeper.cli.releasing import Again, sign_or_say_how
from gatekeeper.cli.resuming import LATEST, command_to_go_on, find_interrupted, prepare_to_go_on
from gatekeeper.cli.streams import say
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.device import DEVICE_CHOICES, DeviceChoice
from gatekeeper.core.policy import Policy
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import GatekeeperError, InternalError
from gatekeeper.rundir import Judgement, RunDirectory

if TYPE_CHECKING:
    from gatekeeper.pipeline.endorsing import Endorsed
    from gatekeeper.pipeline.ledgers import Ledger

runs_option = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Where run directories lie (private, mode 0700).",
)


@click.command()
@click.argument("candidate", type=click.Path(dir_okay=False, path_type=Path), shell_complete=complete_yaml)
@policy_option("What must hold.")
@key_option(required=False)
@public_key_option
@certificate_option
@click.option("--out", type=click.Path(path_type=Path), help="The release directory to create; it must not exist.")
@click.option("--dry-run", is_flag=True, help="Plan and price the run; train nothing.")
@click.option("--no-sign", is_flag=True, help="Train and judge here; sign later, where the key is (`gatekeeper sign`).")
@click.option(
    "--resume",
    is_flag=False,
    flag_value=LATEST,
    metavar="[RUN]",
    shell_complete=complete_runs,
    help="Go on with an interrupted run; without RUN the newest of this candidate and policy. Give it last.",
)
@click.option(
    "--device",
    type=click.Choice(DEVICE_CHOICES),
    default="auto",
    show_default=True,
    help="Where to train: auto takes a GPU where there is one.",
)
@click.option(
    "--annex",
    type=click.Path(file_okay=False, path_type=Path),
    help="For a reviewer's eyes: a folder to write the best reconstructions to, beside the training images.",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
@passphrase_option
@runs_option
@ledger_option
@ledger_key_option
@endorsing_options
@audit_options
@cache_options
@format_option
@output_option
@dry_run_schema_option
def certify(
    candidate: Path,
    policy: Path,
    key: str | None,
    public_key: Path | None,
    certificate: Path | None,
    out: Path | None,
    dry_run: bool,
    no_sign: bool,
    resume: str | None,
    device: DeviceChoice,
    annex: Path | None,
    quiet: bool,
    passphrase_fd: int | None,
    runs: Path,
    ledger: str,
    ledger_key: Path,
    stdout_format: str,
    targets: tuple[Target, ...],
    endorsing: EndorsingFiles,
    audit: Audit,
    cache: CacheFiles,
) -> None:
    """Train CANDIDATE with differential privacy, judge it by a policy, and release it signed if it passes.

    With --audit-only it is judged and reported, and never signed: for forks, which have no key. With --cache and
    --cache-key the evidence of an earlier run is taken instead of training, as long as nothing has changed.

    Under `torchrun --nproc-per-node N -m gatekeeper certify …` N processes share training and attacks.
    """
    from gatekeeper.pipeline import inputs
    from gatekeeper.pipeline.annex import check_annex
    from gatekeeper.pipeline.child import run_assistant
    from gatekeeper.pipeline.judgement import report_of
    from gatekeeper.pipeline.ledgers import find_ledger
    from gatekeeper.pipeline.place import find_place
    from gatekeeper.report import exit_code

    if not find_place().is_first:
        # The first process reads, counts, judges, signs and reports.
        raise click.exceptions.Exit(0 if dry_run else run_assistant(device=device))
    signs = any(given is not None for given in (key, public_key, certificate, out))
    _check_together(audit, signs=signs, no_sign=no_sign, dry_run=dry_run, resumes=resume is not None)
    the_policy, the_candidate = inputs.read_policy(policy), inputs.read_candidate(candidate)
    endorsed = read_endorsed(endorsing, the_policy, model=the_candidate.name, wants_lock=not dry_run)
    if dry_run:
        dry_run_of(the_policy, the_candidate, given=click.get_current_context())
        return
    located = lines_of(policy, judged=the_policy)
    check_targets(targets, out=out)
    check_formats(stdout_format, targets)
    if annex is not None:
        check_annex(annex, apart_from=out)
    signing = None
    if not (no_sign or audit.only):
        if key is None or out is None:
            raise click.UsageError("certify needs --key and --out, or --no-sign, --audit-only or --dry-run")
        signing = prepare_signing(
            key=key, out=out, runs=runs, passphrase_fd=passphrase_fd, public_key=public_key, certificate=certificate
        )
    counted_in = find_ledger(ledger, key=ledger_key)
    reuse = cache.open(the_policy, the_candidate, lock=endorsed.lock, audit_only=audit.only, device=device)
    run = _begin(resume, the_policy, the_candidate, counted_in, runs=runs, reuse=reuse, audit=audit, quiet=quiet)
    with run.lock():
        if resume is None:
            say(f"run directory: {run.path}")
        else:
            say(f"resuming {run.path}: {prepare_to_go_on(run)}")
        judgement = _produce_and_judge(
            run, the_policy, the_candidate, counted_in, quiet=quiet, device=device, endorsed=endorsed
        )
        if judgement is None:
            raise click.exceptions.Exit(audit.exit_code(1))
        if reuse is not None:
            reuse.keep(run, in_one_go=resume is None)
        report = report_of(the_policy, judgement, policy_file=located)
        outputs = render_outputs(report, stdout_format=stdout_format, targets=targets)
        if isinstance(judgement.verdict, Approval):
            warn_of_waivers(judgement.verdict, word="AUDIT: passed" if audit.only else "approved")
            again = Again(policy=policy, endorsing=endorsing, endorsed=endorsed)
            if audit.only:
                say_passed()
            else:
                sign_or_say_how(run, the_policy, the_candidate, signing, again=again)
        deliver(outputs)
        if annex is not None:
            _write_annex(run, annex, quiet=quiet, device=device)
    raise click.exceptions.Exit(audit.exit_code(exit_code(judgement.verdict)))


def _check_together(audit: Audit, *, signs: bool, no_sign: bool, dry_run: bool, resumes: bool) -> None:
    """Refuse options that don't go together."""
    audit.check(signs=signs, no_sign=no_sign, dry_run=dry_run)
    if no_sign and signs:
        raise click.UsageError("--no-sign signs nothing: leave out --key, --public-key, --certificate and --out")
    if dry_run and resumes:
        raise click.UsageError("--dry-run trains nothing, so there is nothing to --resume")


def _begin(
    resume: str | None,
    policy: Policy,
    candidate: Candidate,
    ledger: Ledger,
    *,
    runs: Path,
    reuse: Reuse | None,
    audit: Audit,
    quiet: bool,
) -> RunDirectory:
    """The run to go on with, one whose evidence can be reused, or a fresh one."""
    if resume is not None:
        return find_interrupted(resume, runs=runs, policy=policy, candidate=candidate, audit_only=audit.only)
    earlier = None if reuse is None else reuse.find(policy, candidate, ledger, runs=runs, quiet=quiet)
    if earlier is not None:
        return earlier
    run = RunDirectory.create(runs, policy=policy, candidate=candidate)
    if audit.only:
        run.forbid_signing()
    return run


def _produce_and_judge(
    run: RunDirectory,
    policy: Policy,
    candidate: Candidate,
    ledger: Ledger,
    *,
    quiet: bool,
    device: DeviceChoice,
    endorsed: Endorsed,
) -> Judgement | None:
    """The run, counted and judged; None for one that must not begin, which is a refusal."""
    from gatekeeper.pipeline.certifying import DeclinedRun, produce_and_judge
    from gatekeeper.pipeline.counting import check_statement
    from gatekeeper.pipeline.judgement import judge

    if run.reused:
        check_statement(run, ledger, policy=policy)
        return judge(run, policy=policy, candidate=candidate, endorsed=endorsed)
    try:
        judgement = produce_and_judge(
            run, policy, candidate, ledger, quiet=quiet, device=device, warn=say, endorsed=endorsed
        )
    except KeyboardInterrupt:
        say(f"interrupted; to go on: {command_to_go_on(run)}")
        raise click.exceptions.Exit(130) from None
    except InternalError as error:
        error.hint = f"to go on from the last checkpoint: {command_to_go_on(run)}"
        raise
    if isinstance(judgement, DeclinedRun):
        say(f"{'AUDIT: ' if run.audit_only else ''}REFUSED before its first step: {judgement.objection}")
        return None
    return judgement


def _write_annex(run: RunDirectory, folder: Path, *, quiet: bool, device: DeviceChoice) -> None:
    """The annex comes last, and costs neither release nor report where it can't be written."""
    from gatekeeper.pipeline.annex import deliver_annex

    try:
        say(f"annex, confidential: {deliver_annex(run, folder, quiet=quiet, device=device)}")
    except GatekeeperError as error:
        say(f"warning: the annex was not written: {error}")
