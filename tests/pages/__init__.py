"""The pages of docs/reference, made from the schemas, the commands and the errors; `make docs` writes them."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.config import candidate_schema, policy_schema, trust_schema
from gatekeeper.config.schema import waivers_schema
from tests.pages.commands import commands_page
from tests.pages.exit_codes import exit_codes_page
from tests.pages.schemas import FileKind, schema_page

_POLICY = FileKind(
    title="The policy file",
    schema=policy_schema,
    command="gatekeeper policy",
    about="What must hold before a model may be released. [policy.md](../policy.md) explains how rules work.",
)
_CANDIDATE = FileKind(
    title="The candidate file",
    schema=candidate_schema,
    command="gatekeeper candidate",
    about="What is to be built: data, network, training. It can't change how the result is judged.",
)
_TRUST = FileKind(
    title="The trust file",
    schema=trust_schema,
    command="gatekeeper trust",
    about="Whose keys may sign what, and until when. [keys.md](../keys.md) explains how keys are judged.",
)
_WAIVERS = FileKind(
    title="The file of waivers",
    schema=waivers_schema,
    command="gatekeeper waiver",
    about="Violations that somebody answers for. [policy.md](../policy.md) says what a waiver can't excuse.",
)

# Each page by its name in docs/reference.
PAGES: dict[str, Callable[[], str]] = {
    "policy.md": lambda: schema_page(_POLICY),
    "candidate.md": lambda: schema_page(_CANDIDATE),
    "trust.md": lambda: schema_page(_TRUST),
    "waivers.md": lambda: schema_page(_WAIVERS),
    "cli.md": commands_page,
    "exit-codes.md": exit_codes_page,
}
