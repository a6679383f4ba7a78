"""What `gatekeeper verify` prints without a release: the script that checks one without gatekeeper, and a schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def print_options(command: F) -> F:
    """`--script` and `--schema`: each prints one document and ends the command."""
    script = click.option(
        "--script",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print(_script),
        help="Print the script that checks a release with openssl and jq, and exit: your own copy of verify.sh.",
    )
    schema = click.option(
        "--schema",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print(_schema),
        help="Print the JSON Schema of a certificate, and exit.",
    )
    return script(schema(command))


def _print(text: Callable[[], str]) -> Callable[[click.Context, click.Parameter, bool], None]:
    def callback(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            click.echo(text(), nl=False)
            context.exit()

    return callback


def _script() -> str:
    from gatekeeper.pipeline.guide import verification_script

    return verification_script()


def _schema() -> str:
    from gatekeeper.report import certificate_schema

    return json.dumps(certificate_schema(), indent=2, ensure_ascii=False) + "\n"
