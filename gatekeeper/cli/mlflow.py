"""`gatekeeper mlflow`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.cli.demanded_policy import demanded_digest, demanded_policy_options
from gatekeeper.core.tracked import RegisteredVersion

if TYPE_CHECKING:
    from gatekeeper.pipeline.tracking import Demand

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("mlflow")
def mlflow_group() -> None:
    """Tell an MLflow tracking server of judged runs and releases (extra [mlflow])."""


@mlflow_group.command("log")
@click.argument("place", metavar="RUN|RELEASE", type=click.Path(path_type=Path))
@click.option(
    "--tracking-uri",
    required=True,
    envvar="MLFLOW_TRACKING_URI",
    metavar="URI",
    help="The server's address, such as https://mlflow.example.org; or set MLFLOW_TRACKING_URI.",
)
@click.option("--experiment", default="gatekeeper", show_default=True, metavar="NAME", help="Made where there is none.")
@click.option("--register", "model", metavar="NAME", help="Also make the release a version of this registered model.")
@click.option("--alias", metavar="NAME", help="With --register: let this alias name the version.")
@click.option(
    "--public-key", type=_FILE, help="Of a release: the signer's public key, from your own copy, never its own."
)
@click.option("--trust", type=_FILE, help="Instead of a key, a trust file: whose keys may sign releases.")
@demanded_policy_options
def log(
    place: Path,
    tracking_uri: str,
    experiment: str,
    model: str | None,
    alias: str | None,
    public_key: Path | None,
    trust: Path | None,
    policy: Path | None,
    policy_digest: str | None,
    any_policy: bool,
) -> None:
    """Log a judged RUN, or a signed RELEASE that verifies, to MLflow; once, however often it is called.

    Of a run the server gets figures and reports, never the model. Of a release it gets its files too, and --register
    makes it a model version after the server's own copy was verified. Exit code 0 says that the server has it: the
    verdict is a tag.
    """
    from gatekeeper.pipeline.tracking import connect, is_release, record, register_release, track_release, track_run
    from gatekeeper.rundir import RunDirectory

    if "" in (experiment, model, alias):
        raise click.UsageError("a name is not empty: --experiment, --register, --alias")
    if alias is not None and model is None:
        raise click.UsageError("--alias names a version of a registered model: add --register")
    demand = None
    if is_release(place):
        demand = _demand(public_key, trust, policy, policy_digest, any_policy=any_policy)
    elif any((model, public_key, trust, policy, policy_digest, any_policy)):
        raise click.UsageError(
            f"{place} is no release: only a signed release is verified and registered; `gatekeeper sign` makes one"
        )
    server = connect(tracking_uri)
    run = track_run(RunDirectory(place)) if demand is None else track_release(place, demand)
    logged = record(server, run, experiment=experiment)
    click.echo(f"{'was logged already' if logged.was_there else 'logged'}: run {logged.run_id} of {experiment}")
    if model is not None and demand is not None:
        click.echo(_registered(register_release(server, logged, run, model=model, alias=alias, demand=demand)))


def _demand(
    public_key: Path | None, trust: Path | None, policy: Path | None, policy_digest: str | None, *, any_policy: bool
) -> Demand:
    """What a release must prove."""
    from gatekeeper.pipeline.tracking import Demand

    if (public_key is None) == (trust is None):
        raise click.UsageError("a release is logged once it is verified: give one of --public-key, --trust")
    digest = demanded_digest(policy, policy_digest, any_policy=any_policy)
    return Demand(public_key=public_key, trust=trust, policy_digest=digest)


def _registered(version: RegisteredVersion) -> str:
    words = "was registered already" if version.was_there else "registered"
    line = f"{words}: {version.model} version {version.version}"
    if version.alias is None:
        return line
    before = "" if version.replaced is None else f" (before: version {version.replaced})"
    return f"{line}, alias {version.alias}{before}"
