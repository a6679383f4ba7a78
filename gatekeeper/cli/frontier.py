"""`gatekeeper frontier`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gatekeeper.cli.certify import runs_option
from gatekeeper.cli.completing import complete_yaml
from gatekeeper.cli.endorsing import EndorsingFiles, lock_options, read_endorsed
from gatekeeper.cli.ledger_options import ledger_key_option, ledger_option
from gatekeeper.cli.lists import Epsilons, Seeds
from gatekeeper.cli.policy_option import policy_option
from gatekeeper.cli.resuming import given_words
from gatekeeper.cli.streams import say
from gatekeeper.core.device import DEVICE_CHOICES, DeviceChoice
from gatekeeper.errors import InternalError, InvalidInputError

if TYPE_CHECKING:
    from gatekeeper.core.frontier import Frontier


def _print_schema(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from gatekeeper.report.frontier_json import frontier_schema

    click.echo(json.dumps(frontier_schema(), indent=2, ensure_ascii=False))
    context.exit()


@click.command()
@click.argument("candidate", type=click.Path(dir_okay=False, path_type=Path), shell_complete=complete_yaml)
@policy_option("What must hold.")
@click.option("--epsilons", required=True, type=Epsilons(), help="The budgets, such as 1,8,1e6,1e9,inf.")
@click.option("--seeds", type=Seeds(), help="Of each budget, such as 1,2,3; by default the candidate's own.")
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The directory for the results."
)
@click.option("--resume", is_flag=True, help="Go on with the frontier in --out: what is finished stays.")
@click.option("--no-plot", is_flag=True, help="No pictures (they need the extra [plot]).")
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
@click.option("-q", "--quiet", is_flag=True, help="No progress of each training on stderr.")
@runs_option
@ledger_option
@ledger_key_option
@lock_options
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="Print the JSON's schema."
)
def frontier(
    candidate: Path,
    policy: Path,
    epsilons: tuple[float, ...],
    seeds: tuple[int, ...] | None,
    out: Path,
    resume: bool,
    no_plot: bool,
    device: DeviceChoice,
    annex: Path | None,
    quiet: bool,
    runs: Path,
    ledger: str,
    ledger_key: Path,
    endorsing: EndorsingFiles,
) -> None:
    """Train, attack and judge CANDIDATE at several budgets: accuracy and every adversary's risk at each.

    Every budget and seed is a run that the ledger counts, as if by certify. Budgets above the policy's ceiling are
    looked at and refused. Nothing is signed and no model is released.
    """
    from gatekeeper.pipeline import inputs
    from gatekeeper.pipeline.annex import check_annex
    from gatekeeper.pipeline.frontier import FrontierWalk, order_of, walk
    from gatekeeper.pipeline.frontier_folder import open_folder
    from gatekeeper.pipeline.ledgers import find_ledger

    _require_one_process()
    if not no_plot:
        from gatekeeper.report.frontier_plot import require_matplotlib

        require_matplotlib()
    if annex is not None:
        check_annex(annex, apart_from=out)
    the_policy, the_candidate = inputs.read_policy(policy), inputs.read_candidate(candidate)
    endorsed = read_endorsed(endorsing, the_policy, model=the_candidate.name)
    counted_in = find_ledger(ledger, key=ledger_key)
    order = order_of(the_policy, the_candidate, epsilons=epsilons, seeds=seeds)
    with open_folder(out, order=order, resume=resume) as folder:
        try:
            found = walk(
                folder,
                FrontierWalk(
                    policy=the_policy,
                    candidate=the_candidate,
                    ledger=counted_in,
                    runs=runs,
                    quiet=quiet,
                    device=device,
                    annex=annex,
                    tell=say,
                    endorsed=endorsed,
                ),
            )
        except KeyboardInterrupt:
            say(f"interrupted; to go on: {_command_to_go_on()}")
            raise click.exceptions.Exit(130) from None
        except InternalError as error:
            error.hint = f"to go on: {_command_to_go_on()}"
            raise
        files = _rendered(found, plot=not no_plot)
        folder.write_results(files)
    click.echo(files["frontier.md"].decode(), nl=False)
    say(f"wrote {', '.join(str(out / name) for name in files)}")
    raise click.exceptions.Exit(_exit_code(found))


def _require_one_process() -> None:
    from gatekeeper.pipeline.place import find_place

    if find_place().count > 1:
        raise InvalidInputError(
            "a frontier is walked by one process", where="torchrun", hint="start gatekeeper without torchrun"
        )


def _rendered(found: Frontier, *, plot: bool) -> dict[str, bytes]:
    """Every file of the results, before any is written."""
    from gatekeeper.report.frontier_csv import render_frontier_csv
    from gatekeeper.report.frontier_json import render_frontier_json
    from gatekeeper.report.frontier_text import render_frontier_markdown

    files = {
        "frontier.json": render_frontier_json(found).encode(),
        "frontier.csv": render_frontier_csv(found).encode(),
        "frontier.md": render_frontier_markdown(found).encode(),
    }
    if plot:
        from gatekeeper.report.frontier_plot import render_frontier_plots

        files |= {f"frontier.{name}": content for name, content in render_frontier_plots(found).items()}
    return files


def _exit_code(found: Frontier) -> int:
    """0 where a budget passes; 3 where none does and one could not be judged; else 1."""
    if found.passing:
        return 0
    return 3 if any(point.outcome in ("inconclusive", "failed") for point in found.points) else 1


def _command_to_go_on() -> str:
    context = click.get_current_context()
    return shlex.join(["gatekeeper", "frontier", *given_words(context), "--resume"])
