"""Where the ledger and its key lie: the same options for every command."""

from __future__ import annotations

from pathlib import Path

import click

ledger_option = click.option(
    "--ledger",
    metavar="PATH|URL",
    default=".gatekeeper/ledger.sqlite",
    envvar="GATEKEEPER_LEDGER",
    show_default=True,
    show_envvar=True,
    help="The ledger: a file, or postgresql+psycopg://…",
)

ledger_key_option = click.option(
    "--ledger-key",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(".gatekeeper/ledger.key"),
    envvar="GATEKEEPER_LEDGER_KEY",
    show_default=True,
    show_envvar=True,
    help="The organisation's key of unit names, as `gatekeeper ledger init` made it.",
)
