"""`gatekeeper certify` and `gatekeeper sign`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gatekeeper.cli.output import Target, format_option, output_option, write_report
from gatekeeper.cli.passphrase import passphrase_option, read_passphrase
from gatekeeper.core.candidate import Candidate
from gatekeeper.core.policy import Policy
from gatekeeper.core.record import Forecast
from gatekeeper.core.verdict import Approval
from gatekeeper.errors import SigningError
from gatekeeper.rundir import RunDirectory

DEFAULT_RUNS = Path(".gatekeeper/runs")

runs_option = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_RUNS,
    show_default=True,
    help="Where run directories lie (private, mode 0700).",
)


@click.command()
@click.argument("candidate", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--policy", required=True, type=click.Path(dir_okay=False, path_type=Path), help="What must hold.")
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="The release key (encrypted PEM, P-256).")
@click.option("--out", type=click.Path(path_type=Path), help="The release directory to create; it must not exist.")
@click.option("--dry-run", is_flag=True, help="Plan and price the run; train nothing.")
@click.option("--no-sign", is_flag=True, help="Train and judge here; sign later, where the key is (`gatekeeper sign`).")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
@passphrase_option
@runs_option
@format_option
@output_option
def certify(
    candidate: Path,
    policy: Path,
    key: Path | None,
    out: Path | None,
    dry_run: bool,
    no_sign: bool,
    quiet: bool,
    passphrase_fd: int | None,
    runs: Path,
    stdout_format: str,
    targets: tuple[Target, ...],
) -> None:
    """Train CANDIDATE with differential privacy, judge it by a policy, and release it signed if it passes."""
    from gatekeeper.pipeline import inputs

    the_policy, the_candidate = inputs.read_policy(policy), inputs.read_candidate(candidate)
    if dry_run:
        _dry_run(the_policy, the_candidate, runs)
        return
    passphrase = None
    if not no_sign:
        key, out = _check_signing(key, out)
        passphrase = read_passphrase(passphrase_fd)
    run = RunDirectory.create(runs, policy=the_policy, candidate=the_candidate)
    click.echo(f"run directory: {run.path}", err=True)
    approved = _produce_and_judge(run, the_policy, the_candidate, stdout_format, targets, quiet=quiet)
    if not approved:
        return
    if key is None or out is None:
        click.echo(f"approved, not signed; to sign: gatekeeper sign {run.path} --key KEY --out DIR", err=True)
    else:
        _release(run, key=key, out=out, passphrase=passphrase)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The release key.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The release directory to create.")
@passphrase_option
def sign(run: Path, key: Path, out: Path, passphrase_fd: int | None) -> None:
    """Sign an approved RUN directory: the last step of certify, where the key is."""
    checked_key, checked_out = _check_signing(key, out)
    _release(RunDirectory(run), key=checked_key, out=checked_out, passphrase=read_passphrase(passphrase_fd))


def _produce_and_judge(
    run: RunDirectory,
    policy: Policy,
    candidate: Candidate,
    stdout_format: str,
    targets: tuple[Target, ...],
    *,
    quiet: bool,
) -> bool:
    """Whether the run is approved; a refusal or an open verdict ends the command with its exit code."""
    from gatekeeper.pipeline.child import run_private_part
    from gatekeeper.pipeline.judgement import judge, report_of
    from gatekeeper.report import exit_code

    run_private_part(run, "produce", quiet=quiet)
    judgement = judge(run, policy=policy, candidate=candidate)
    write_report(report_of(policy, judgement), stdout_format=stdout_format, targets=targets)
    if not isinstance(judgement.verdict, Approval):
        raise click.exceptions.Exit(exit_code(judgement.verdict))
    return True


def _check_signing(key: Path | None, out: Path | None) -> tuple[Path, Path]:
    """What would fail after an hour of training fails now; the key itself stays closed until an approval."""
    if key is None or out is None:
        raise click.UsageError("certify needs --key and --out, or --no-sign, or --dry-run")
    if not key.is_file():
        raise SigningError("there is no such key", where=str(key), hint="make one with `gatekeeper keys generate`")
    if os.path.lexists(out):
        raise SigningError(
            "exists already; a release is never overwritten", where=str(out), hint="choose another --out"
        )
    if not out.absolute().parent.is_dir():
        raise SigningError("its parent directory does not exist", where=str(out), hint=f"mkdir -p {out.parent}")
    return key, out


def _release(run: RunDirectory, *, key: Path, out: Path, passphrase: bytes | None) -> None:
    from gatekeeper.pipeline.inputs import read_key
    from gatekeeper.pipeline.judgement import release

    with run.lock():
        release(run, key=lambda: read_key(key, passphrase=passphrase), out=out)
    click.echo(f"released: {out}", err=True)


def _dry_run(policy: Policy, candidate: Candidate, runs: Path) -> None:
    from gatekeeper.pipeline.child import run_private_part

    run = RunDirectory.create(runs, policy=policy, candidate=candidate)
    try:
        run_private_part(run, "forecast")
        forecast = run.read_forecast()
    finally:
        run.delete()
    for line in _forecast_lines(forecast):
        click.echo(line)
    if forecast.problems:
        raise click.exceptions.Exit(2)


def _forecast_lines(forecast: Forecast) -> list[str]:
    card, mechanism = forecast.dataset, forecast.plan.mechanism
    minutes = forecast.training_seconds / 60
    lines = [
        f"data      {card.name}: {card.train_units} training units ({card.unit}), {card.test_units} test units, "
        f"{'×'.join(map(str, card.image_shape))}, {len(card.classes)} classes",
        f"mechanism {mechanism.sampling}, q = {mechanism.sampling_rate:.6g}, {mechanism.steps} steps, "
        f"σ = {mechanism.noise_multiplier:.6g}, C = {forecast.plan.clipping_norm:g}",
        f"privacy   ε ≤ {forecast.epsilon:.6g} at δ = {forecast.plan.budget.delta:g} ({forecast.accountant})",
        f"risk      median NCC of the closed form: one step {forecast.median_ncc_one_step:.3f}, "
        f"all steps {forecast.median_ncc_all_steps:.3f} (an estimate; the audit decides)",
        f"time      about {minutes:.1f} min of training, before the twin and the audit",
    ]
    return lines + [f"problem   {problem}" for problem in forecast.problems]
