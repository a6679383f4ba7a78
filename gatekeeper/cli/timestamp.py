"""`gatekeeper timestamp`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from gatekeeper.cli.output import create_bytes, lies_inside

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group("timestamp")
def timestamp_group() -> None:
    """Let somebody else's clock say when a release was signed (RFC 3161; extra [timestamp])."""


@timestamp_group.command("request")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=_FILE, help="The query's file; left out: DIRECTORY.tsq, beside the release.")
def request(directory: Path, out: Path | None) -> None:
    """Write a query for a timestamp of every signature in the release DIRECTORY."""
    from gatekeeper.pipeline.timestamps import write_query

    query = _query_file(directory) if out is None else out
    if lies_inside(query, directory):
        raise click.UsageError(f"--out {query} lies inside the release: nothing may be added to it there")
    create_bytes(query, write_query(directory))
    click.echo(f"wrote {query}; send it to a timestamp authority as application/timestamp-query, then:")
    click.echo(f"gatekeeper timestamp accept {directory} --response FILE.tsr --tsa-certificate FILE.pem")


@timestamp_group.command("accept")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--response", required=True, type=_FILE, help="What the authority answered.")
@click.option(
    "--tsa-certificate",
    required=True,
    type=_FILE,
    help="The very certificate that the authority signs with, then its issuers', in PEM, from your own copy.",
)
@click.option("--query", type=_FILE, help="What was sent; left out: DIRECTORY.tsq, beside the release.")
def accept(directory: Path, response: Path, tsa_certificate: Path, query: Path | None) -> None:
    """Check an authority's response and put it into the release DIRECTORY."""
    from gatekeeper.pipeline.timestamps import accept_response

    sent = _query_file(directory) if query is None else query
    found = accept_response(directory, query=sent, response=response, certificate=tsa_certificate)
    click.echo(f"all signatures existed by {found.time}: {directory / found.file}")


def _query_file(directory: Path) -> Path:
    """Where the query of a release lies unless somebody says otherwise."""
    if directory.name in ("", ".."):
        directory = Path(os.path.abspath(directory))
    return Path(f"{directory}.tsq")
