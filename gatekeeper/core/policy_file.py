"""Where a policy file demands what, so that a finding can be shown at the line that it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import check_integer, check_text, check_tuple
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleLine:
    """The line of a policy file that a finding comes from.

    Attributes:
        rule: the finding's rule.
        line: from 1.
    """

    rule: str
    line: int

    def __post_init__(self) -> None:
        check_text(rule=self.rule)
        check_integer(line=self.line, at_least=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyFile:
    """The file that a policy was read from.

    Attributes:
        path: with `/`, relative to where annotations count from, or absolute.
        lines: one for each finding that the policy can lead to.
    """

    path: str
    lines: tuple[RuleLine, ...]

    def __post_init__(self) -> None:
        if not self.path:
            raise InvalidValueError("a policy file needs a path")
        check_tuple(lines=self.lines, of=RuleLine)

    def line_of(self, rule: str) -> int | None:
        """The line that a finding comes from, or None."""
        return next((each.line for each in self.lines if each.rule == rule), None)
