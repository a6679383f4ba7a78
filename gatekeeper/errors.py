"""Every error that gatekeeper raises on purpose, and the exit code that each one means.

```
GatekeeperError                    5  (a bug, unless a subclass says otherwise)
├── InvalidInputError              2  something that the user gave can't be used
│   ├── InvalidValueError          2  a value outside its range (also a ValueError)
│   ├── ConfigError                2  a policy or candidate file: all its mistakes at once
│   ├── DataError                  2  a data set, an image, an archive, a split
│   ├── UnsupportedModelError      2  a network that breaks differential privacy or can't be exported
│   ├── RunDirectoryError          2  a run directory that is missing, incomplete or in use
│   │   └── UnresumableError       2  a run that was interrupted and can never go on
│   ├── LedgerError                2  a ledger that is missing, locked or changed, or a key that isn't its own
│   └── TrackingError              2  a tracking server that is away, or says no
├── PrivacyError                   2  a mechanism that can't be accounted or calibrated
├── DivergedError                  3  training left the finite numbers: nothing can be judged
├── SigningError                   4  a key or a release that can't be signed
├── VerificationError              4  a release that is not what its signature says
├── PrivatePartError               *  the child process that trains and attacks reported an error of its own
├── AuditContradiction             5  an attack beat a proven bound: somebody's mathematics is wrong
└── InternalError                  5  an invariant of ours is broken
    └── ProcessLostError           5  one of several training processes ended or hangs
```

A refusal by the policy is a value (`core.verdict.Refusal`), never an exception. Each error says what
happened, where, and what a person can do about it; `cli.main` is the only place that turns one into an
exit code.
"""

from __future__ import annotations

from dataclasses import dataclass


class GatekeeperError(Exception):
    """Base of every deliberate error.

    Args:
        message: what happened, in one sentence, with the offending value.
        where: the file (and line), field or unit in question, if there is one.
        hint: what the user can do about it.
    """

    exit_code = 5
    code = "gatekeeper-error"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  hint: {self.hint}" if self.hint else ""
        return f"{place}{self.message}{remedy}"


class InvalidInputError(GatekeeperError):
    """Something that the user gave can't be used."""

    exit_code = 2
    code = "invalid-input"


class InvalidValueError(InvalidInputError, ValueError):
    """A value is outside its range; the message names the field and the value."""

    code = "invalid-value"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One mistake in a configuration file.

    Attributes:
        file: the path as the user gave it.
        line: line, from 1.
        column: column, from 1.
        message: what is wrong, with the value.
        hint: the remedy, or None.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        remedy = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{remedy}"


class ConfigError(InvalidInputError):
    """A policy or candidate file has mistakes: all of them, in the file's order."""

    code = "invalid-config"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        noun = "mistake" if len(problems) == 1 else "mistakes"
        super().__init__(f"{len(problems)} {noun}:\n" + "\n".join(f"  {p}" for p in problems))
        self.problems = problems


class DataError(InvalidInputError):
    """A data set, image, archive or split can't be used as it is."""

    code = "invalid-data"


class UnsupportedModelError(InvalidInputError):
    """The network mixes units, or has a layer whose per-unit gradient can't be had."""

    code = "unsupported-model"


class RunDirectoryError(InvalidInputError):
    """A run directory is missing, incomplete, changed or in use."""

    code = "run-directory"


class UnresumableError(RunDirectoryError):
    """A run was interrupted and can never go on; it stays counted in full."""

    code = "unresumable"


class LedgerError(InvalidInputError):
    """A ledger is missing, can't be read or written, or was changed; its key is another's; an entry can't follow."""

    code = "ledger"


class TrackingError(InvalidInputError):
    """A tracking server is away or says no, its address can't be used, or its client is not installed."""

    code = "tracking"


class PrivacyError(GatekeeperError):
    """A mechanism can't be accounted, or no noise meets the budget."""

    exit_code = 2
    code = "privacy"


class DivergedError(GatekeeperError):
    """Training left the finite numbers, so there is no model to judge."""

    exit_code = 3
    code = "diverged"


class SigningError(GatekeeperError):
    """A key can't be used, or a release can't be written."""

    exit_code = 4
    code = "signing"


class VerificationError(GatekeeperError):
    """A release is not what its signature says, or its facts don't support its verdict."""

    exit_code = 4
    code = "verification"


class AuditContradiction(GatekeeperError):
    """An attack's proven lower bound exceeds a proven upper bound on every attack."""

    exit_code = 5
    code = "audit-contradiction"


class InternalError(GatekeeperError):
    """An invariant of gatekeeper's own is broken."""

    exit_code = 5
    code = "internal"


class ProcessLostError(InternalError):
    """One of the processes that train together has ended, or doesn't answer in time."""

    code = "process-lost"


class PrivatePartError(GatekeeperError):
    """The child process that loads data, trains and attacks stopped with an error.

    Args:
        code: the error's own code.
        message: what happened there.
        where: the file, field or unit, or None.
        hint: the remedy, or None.
        exit_code: what the command exits with.
    """

    def __init__(self, *, code: str, message: str, where: str | None, hint: str | None, exit_code: int) -> None:
        super().__init__(message, where=where, hint=hint)
        self.code = code
        self.exit_code = exit_code
