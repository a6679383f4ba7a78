"""The page of exit codes, from the tree of errors."""

from __future__ import annotations

from collections.abc import Iterator

from gatekeeper import errors
from gatekeeper.errors import GatekeeperError
from tests.pages.markdown import code, generated, page, table

# What each code means to whoever runs a command, and what to do next. 4 and 5 end no run: nothing is released.
_MEANINGS = (
    (0, "certified, verified, or done", "go on"),
    (1, "refused by the policy; of `policy diff`: something was loosened", "read the report, `gatekeeper explain RUN`"),
    (2, "usage, a file or data can't be used as they are", "mend what the message names; nothing was released"),
    (3, "inconclusive: the question could not be judged, which is no pass", "read which finding is open, and why"),
    (4, "a key, a signature or a release does not hold", "don't use the release; find out which file or key differs"),
    (
        5,
        "a bug; an attack that beat a proven bound; or whoever read the output has gone",
        "read the message, and report a bug",
    ),
    (130, "interrupted", "`certify --resume` goes on, where the run allows it"),
)


def exit_codes_page() -> str:
    """Codes, then errors."""
    return page(
        (
            "# Exit codes and errors",
            generated("errors in `gatekeeper/errors.py`, or `tests/pages/exit_codes.py`"),
            "A command that refuses a model has answered: 1 is no error. Whatever goes wrong ends with another code, "
            "so a job may take 1 for a verdict. On anything but 0 no signed model is written.",
            "\n".join(table(("exit code", "means", "then"), ((str(c), m, t) for c, m, t in _MEANINGS))),
            "Under `torchrun` the launcher's own exit code is 0 or 1: [processes.md](../processes.md).",
            "## Errors",
            "An error is one message on stderr, `error [CODE] place: what happened`, and where there is one a hint.",
            "\n".join(table(("code", "exit code", "when"), _errors())),
        )
    )


def _errors() -> Iterator[tuple[str, str, str]]:
    for error in sorted(_raised(), key=lambda error: (error.exit_code, error.code)):
        yield code(error.code), str(error.exit_code), " ".join((error.__doc__ or "").split("\n\n")[0].split())


def _raised() -> Iterator[type[GatekeeperError]]:
    """Every error but the base and the messenger, which hands on the child process's code."""
    for value in vars(errors).values():
        is_error = isinstance(value, type) and issubclass(value, GatekeeperError)
        if is_error and value not in (GatekeeperError, errors.PrivatePartError):
            yield value
