"""`gatekeeper budget`: the calculator."""

from __future__ import annotations

from typing import Any, cast

import click

from gatekeeper.cli.number_types import Number, Pixels, Rate, Whole
from gatekeeper.core.calculation import Question, SamplingChoice, steps_of_an_epoch
from gatekeeper.version import __version__

_POSITIVE = Number("a number above 0", low=0.0, high=1e300, ends=False, example="1e6")
_NOISE = Number("a number from 1e-12 to 1e12", low=1e-12, high=1e12, ends=True, example="0.5")
_MOST = 10**9


def _open_probability(example: str) -> Number:
    return Number("a number strictly between 0 and 1", low=0.0, high=1.0, ends=False, example=example)


def _print_schema(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    from gatekeeper.report.budget_json import budget_schema

    click.echo(budget_schema(), nl=False)
    context.exit()


@click.command()
@click.option("--sampling-rate", type=Rate(), help="q: the chance that a step takes a unit, such as 0.01 or 1/100.")
@click.option("--units", type=Whole(low=1, high=10**12), help="Training units; with --expected-batch they give q.")
@click.option(
    "--expected-batch", type=Whole(low=1, high=10**12), help="Units a step takes on average: q = 1/round(N/B)."
)
@click.option("--steps", type=Whole(low=1, high=_MOST), help="T: noisy gradients in all.")
@click.option("--epochs", type=Whole(low=1, high=_MOST), help="Instead of --steps: so many times round(1/q) steps.")
@click.option("--delta", type=_open_probability("1e-6"), help="δ, well below 1/units.")
@click.option("--noise-multiplier", type=_NOISE, help="σ: noise in multiples of the clipping norm; what is its ε?")
@click.option("--epsilon", type=_POSITIVE, help="The largest ε; how much noise, or with σ: how many steps?")
@click.option("--ncc", type=_open_probability("0.2"), help="The largest median NCC from all steps; how much noise?")
@click.option(
    "--sampling",
    type=click.Choice(["poisson", "balls-and-bins", "best"]),
    help="How units are sampled; best takes the smaller σ. By default best where σ is sought, else poisson.",
)
@click.option("--pixels", type=Pixels(), help="An image's values, such as 3x64x64; for the realistic adversaries.")
@click.option("--threshold", type=_open_probability("0.2"), help="τ: the NCC at which an image counts as read out.")
@click.option("--candidates", type=Whole(low=2, high=10**12), help="Whom the target is picked among; default: --units.")
@click.option("--opacus", is_flag=True, help="Add what Opacus' RDP accountant says of the same run (loads torch).")
@click.option("--format", "output_format", type=click.Choice(["text", "json"]), default="text", help="Of the answer.")
@click.option(
    "--schema", is_flag=True, is_eager=True, expose_value=False, callback=_print_schema, help="Print the JSON's schema."
)
def budget(output_format: str, opacus: bool, **given: Any) -> None:
    """Noise, ε, steps and risk from one another, without training.

    Give the sampling rate, the length and δ, and one of --noise-multiplier, --epsilon and --ncc; or --epsilon
    with --noise-multiplier and no length, for the most steps.
    """
    from gatekeeper.pipeline.budgeting import answer
    from gatekeeper.report.budget_json import render_budget_json
    from gatekeeper.report.budget_text import render_budget_text

    calculation = answer(_question(given), opacus=opacus)
    if output_format == "json":
        click.echo(render_budget_json(calculation, gatekeeper_version=__version__), nl=False)
    else:
        click.echo(render_budget_text(calculation), nl=False)


def _question(given: dict[str, Any]) -> Question:
    _check_sampling_rate(given)
    if given["delta"] is None:
        raise click.UsageError("Missing option '--delta': give δ, well below 1/units, such as --delta 1e-6.")
    _check_target(given)
    _check_risk(given)
    batch, rate = given.pop("expected_batch"), given.pop("sampling_rate")
    if rate is None:
        rate = 1 / steps_of_an_epoch(units=given["units"], expected_batch=batch)
    return Question(sampling=_sampling(given), sampling_rate=rate, **given)


def _check_sampling_rate(given: dict[str, Any]) -> None:
    rate, units, batch = given["sampling_rate"], given["units"], given["expected_batch"]
    if rate is not None and batch is not None:
        raise click.UsageError(
            f"--sampling-rate {rate:g} and --expected-batch {batch} both give q: leave one of them out."
        )
    if rate is None and (units is None or batch is None):
        only = " (only one of the two was given)" if units is not None or batch is not None else ""
        raise click.UsageError(f"Missing q: give --sampling-rate, or --units with --expected-batch{only}.")
    if batch is not None and batch > units:
        raise click.UsageError(
            f"--expected-batch {batch} is more than --units {units}: a step takes at most all units."
        )


def _check_target(given: dict[str, Any]) -> None:
    lengths = [name for name in ("steps", "epochs") if given[name] is not None]
    targets = [name for name in ("noise_multiplier", "epsilon", "ncc") if given[name] is not None]
    if len(lengths) == 2:
        raise click.UsageError("--steps and --epochs both give the length: leave one of them out.")
    if not targets:
        raise click.UsageError("Missing what is known: give one of --noise-multiplier, --epsilon and --ncc.")
    if not lengths and targets != ["noise_multiplier", "epsilon"]:
        raise click.UsageError(
            "Missing the length: give --steps or --epochs (without either, --epsilon with --noise-multiplier asks for "
            "the most steps)."
        )
    if lengths and len(targets) > 1:
        both = " and ".join(f"--{name.replace('_', '-')}" for name in targets)
        more = f", or --{lengths[0]} to ask for the most steps" if "ncc" not in targets else ""
        raise click.UsageError(f"{both} both set the noise: keep one{more}.")


def _check_risk(given: dict[str, Any]) -> None:
    for name in ("ncc", "threshold"):
        if given[name] is not None and given["pixels"] is None:
            raise click.UsageError(f"--{name} {given[name]:g} needs the image size: add --pixels, such as 3x64x64.")


def _sampling(given: dict[str, Any]) -> SamplingChoice:
    choice, noise = given.pop("sampling"), given["noise_multiplier"]
    if choice == "best" and noise is not None:
        raise click.UsageError(
            f"--sampling best takes whichever sampling needs less noise, but --noise-multiplier {noise:g} is given: "
            "name poisson or balls-and-bins."
        )
    return cast("SamplingChoice", choice or ("best" if noise is None else "poisson"))
