"""What a rule of a policy says, before any run: for whoever writes or signs off the policy."""

from __future__ import annotations

from dataclasses import dataclass

from gatekeeper.core.checks import check_text, check_tuple
from gatekeeper.errors import InvalidValueError


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleMeaning:
    """A rule in plain words.

    Attributes:
        rule: its id, or the name of a condition that every policy implies.
        policy: the policy's name.
        demand: what it demands.
        measures: what is measured.
        adversary: against whom, or None where there is no adversary.
        evidence: what is read, each with how it is computed.
        passes: which outcomes pass, in numbers where the policy gives them.
        inconclusive: what leaves it open, which is never a pass.
        means: what a pass means.
        not_said: what a pass does not mean.
        waivers: whether a violation may be excused.
    """

    rule: str
    policy: str
    demand: str
    measures: str
    adversary: str | None
    evidence: tuple[str, ...]
    passes: str
    inconclusive: tuple[str, ...]
    means: str
    not_said: tuple[str, ...]
    waivers: str

    def __post_init__(self) -> None:
        for name in ("rule", "policy", "demand", "measures", "passes", "means", "waivers"):
            check_text(**{name: getattr(self, name)})
        for name in ("evidence", "inconclusive", "not_said"):
            check_tuple(of=str, **{name: getattr(self, name)})
        if not self.evidence or not self.not_said:
            raise InvalidValueError(f"rule {self.rule}: a meaning says what is read, and what a pass does not say")
