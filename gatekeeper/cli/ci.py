"""What CI systems say of themselves in environment variables, and where they want results."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gatekeeper.core.policy import Policy
from gatekeeper.core.policy_file import PolicyFile

if TYPE_CHECKING:
    from gatekeeper.report import Report

STEP_SUMMARY, STEP_OUTPUT = "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"

# Of GitHub Actions and GitLab CI: where the repository lies, from which paths in annotations count.
_CHECKOUTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


def policy_file(path: Path, *, judged: Policy) -> PolicyFile:
    """Where a policy file says what, with its path as annotations want it: from the repository's root.

    Outside of CI systems paths count from the current directory; a file outside the root is named in full.

    Raises:
        ConfigError: the file has mistakes.
        InvalidInputError: it can't be read, or says another policy than the one that is judged by.
    """
    from gatekeeper.pipeline.inputs import locate_policy

    located = locate_policy(path, judged=judged)
    root = next((os.environ[name] for name in _CHECKOUTS if os.environ.get(name)), os.curdir)
    real, base = Path(os.path.realpath(path)), os.path.realpath(root)
    shown = real.relative_to(base) if real.is_relative_to(base) else real
    return dataclasses.replace(located, path=shown.as_posix())


def lines_of(path: Path, *, judged: Policy) -> PolicyFile | None:
    """The same of a policy that has just been read; None where it came through a pipe, which can be read once."""
    return policy_file(path, judged=judged) if path.is_file() else None


def step_files(report: Report, *, written: Path | None) -> Iterator[tuple[Path, str]]:
    """What is appended to which file for GitHub Actions: a job summary, and outputs of the step.

    Args:
        report: what they are made from.
        written: where the report can be found, or None.
    """
    from gatekeeper.report import github_outputs, render_markdown

    if os.environ.get(STEP_SUMMARY):
        yield Path(os.environ[STEP_SUMMARY]), f"\n{render_markdown(report)}"
    if os.environ.get(STEP_OUTPUT):
        path = None if written is None else str(written)
        yield Path(os.environ[STEP_OUTPUT]), github_outputs(report, path=path)
