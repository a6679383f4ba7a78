"""`gatekeeper sign`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.completing import complete_runs
from gatekeeper.cli.endorsing import EndorsingFiles, endorsing_options, read_endorsed, warn_of_waivers
from gatekeeper.cli.key_options import certificate_option, key_option, public_key_option
from gatekeeper.cli.ledger_options import ledger_key_option
from gatekeeper.cli.passphrase import passphrase_option
from gatekeeper.cli.policy_option import policy_option
from gatekeeper.cli.preflight import check_beside, prepare_signing
from gatekeeper.cli.releasing import release_run
from gatekeeper.rundir import RunDirectory


@click.command()
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@policy_option("What must hold: your own copy, not the run's.")
@key_option(required=True)
@public_key_option
@certificate_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The release directory to create.")
@click.option("--ledger", metavar="PATH|URL", help="The ledger that counted the run, to check what the run says of it.")
@ledger_key_option
@endorsing_options
@passphrase_option
def sign(
    run: Path,
    policy: Path,
    key: str,
    public_key: Path | None,
    certificate: Path | None,
    out: Path,
    ledger: str | None,
    ledger_key: Path,
    passphrase_fd: int | None,
    endorsing: EndorsingFiles,
) -> None:
    """Sign a RUN directory that the policy approves: the last step of certify, where the key is.

    Without --ledger, what the data have spent is taken from the run directory as it stands.
    """
    from gatekeeper.pipeline.counting import check_no_audit, check_statement
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.pipeline.ledgers import find_ledger

    the_policy, directory = read_policy(policy), RunDirectory(run)
    check_beside(out, run=run)
    signing = prepare_signing(
        key=key, out=out, runs=run, passphrase_fd=passphrase_fd, public_key=public_key, certificate=certificate
    )
    with directory.lock():
        if ledger is not None:
            counted_in = find_ledger(ledger, key=ledger_key)
            check_statement(directory, counted_in, policy=the_policy)
            check_no_audit(directory, counted_in)
        the_candidate = directory.read_candidate()
        endorsed = read_endorsed(endorsing, the_policy, model=the_candidate.name)
        warn_of_waivers(release_run(directory, the_policy, the_candidate, signing, endorsed=endorsed))
