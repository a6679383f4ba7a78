"""`gatekeeper refuse`."""

from __future__ import annotations

from pathlib import Path

import click

from gatekeeper.cli.completing import complete_runs
from gatekeeper.cli.endorsing import EndorsingFiles, endorsing_options, read_endorsed
from gatekeeper.cli.key_options import certificate_option, key_option, public_key_option
from gatekeeper.cli.passphrase import passphrase_option
from gatekeeper.cli.policy_option import policy_option
from gatekeeper.cli.preflight import check_beside, open_key, prepare_signing
from gatekeeper.cli.streams import say
from gatekeeper.rundir import RunDirectory


@click.command()
@click.argument("run", type=click.Path(path_type=Path), shell_complete=complete_runs)
@policy_option("What did not hold: your own copy, not the run's.")
@key_option(required=True)
@public_key_option
@certificate_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The file to create; it must not exist.")
@endorsing_options
@passphrase_option
def refuse(
    run: Path,
    policy: Path,
    key: str,
    public_key: Path | None,
    certificate: Path | None,
    out: Path,
    passphrase_fd: int | None,
    endorsing: EndorsingFiles,
) -> None:
    """Sign that a RUN did not pass the policy, for those who keep records.

    The statement names the policy and the rules, never the model: nothing about a failure is signed over a model's
    digest.
    """
    from gatekeeper.pipeline.inputs import read_policy
    from gatekeeper.pipeline.refusing import sign_refusal

    the_policy, directory = read_policy(policy), RunDirectory(run)
    check_beside(out, run=run)
    signing = prepare_signing(
        key=key,
        out=out,
        runs=out.absolute().parent,
        passphrase_fd=passphrase_fd,
        public_key=public_key,
        certificate=certificate,
    )
    with directory.lock():
        candidate = directory.read_candidate()
        sign_refusal(
            directory,
            policy=the_policy,
            candidate=candidate,
            endorsed=read_endorsed(endorsing, the_policy, model=candidate.name, wants_lock=False),
            key=lambda: open_key(signing),
            out=out,
        )
    say(f"signed: {out}")
