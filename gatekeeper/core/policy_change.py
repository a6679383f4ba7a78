"""What sets two policies apart: one demand at a time, and whether it became stricter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gatekeeper.core.checks import check_choice, check_integer, check_sha256, check_text, check_tuple
from gatekeeper.errors import InvalidValueError

ChangeKind = Literal["tightened", "loosened", "added", "removed", "changed", "described"]

CHANGE_KINDS: tuple[str, ...] = get_args(ChangeKind)

# A rule that is gone demands nothing any more; of what only changed nobody can say that it is as strict as before.
_ADMITS_MORE: tuple[ChangeKind, ...] = ("loosened", "removed", "changed")


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyChange:
    """One demand in which two policies differ.

    Attributes:
        place: the keys of a policy file that lead to it, below `spec` or `metadata`; a rule is named by its id.
        kind: `tightened`, `loosened`; `added` and `removed` of whole rules; `changed` where neither is stricter
            in every case; `described` where nothing is demanded (names, owners, order).
        before: the value in the first policy, as a file would say it; None where there is none.
        after: the value in the second, likewise.
        reason: why, where the values don't speak for themselves, or None.
    """

    place: tuple[str, ...]
    kind: ChangeKind
    before: str | None
    after: str | None
    reason: str | None = None

    def __post_init__(self) -> None:
        check_tuple(place=self.place, of=str)
        check_choice(kind=self.kind, choices=CHANGE_KINDS)
        if not self.place:
            raise InvalidValueError("a change needs a place")

    @property
    def where(self) -> str:
        """The place as people write it: `rules.mcc.min`."""
        return ".".join(self.place)

    @property
    def admits_more(self) -> bool:
        """Whether a model that the first policy refuses may pass the second because of it."""
        return self.kind in _ADMITS_MORE


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyVersion:
    """Which policy.

    Attributes:
        name: its name.
        version: its version.
        sha256: digest of its canonical form.
    """

    name: str
    version: int
    sha256: str

    def __post_init__(self) -> None:
        check_text(name=self.name)
        check_integer(version=self.version, at_least=1)
        check_sha256(sha256=self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyComparison:
    """Every difference between two policies.

    Attributes:
        before: the first.
        after: the second.
        changes: in the order of a policy file; empty where they demand the same under the same names.
    """

    before: PolicyVersion
    after: PolicyVersion
    changes: tuple[PolicyChange, ...]

    def __post_init__(self) -> None:
        check_tuple(changes=self.changes, of=PolicyChange)

    @property
    def conclusion(self) -> Literal["equal", "tightened", "loosened"]:
        """`loosened` if any change may admit more; else `tightened` if any demand changed; else `equal`."""
        if any(change.admits_more for change in self.changes):
            return "loosened"
        return "tightened" if any(change.kind != "described" for change in self.changes) else "equal"
