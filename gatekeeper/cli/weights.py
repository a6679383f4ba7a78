"""`gatekeeper weights`."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("weights")
def weights_group() -> None:
    """Work on weights to start from."""


@weights_group.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("destination", type=click.Path(path_type=Path))
def convert(source: Path, destination: Path) -> None:
    """Write the state_dict in the torch file SOURCE as the safetensors file DESTINATION, for a candidate's `base`.

    SOURCE is read without running anything in it; a file that holds more than weights is refused.
    """
    from gatekeeper.pipeline.inputs import convert_weights

    if destination.suffix != ".safetensors":
        raise click.UsageError(f"DESTINATION must end in .safetensors, got {str(destination)!r}")
    written = convert_weights(source, destination)
    click.echo(f"{destination}: {written.tensors} tensors, {written.numbers:,} numbers, sha256 {written.sha256}")
