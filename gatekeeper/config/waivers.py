"""A file of waivers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatekeeper.config.document import Document, Read
from gatekeeper.config.header import WAIVERS, open_document
from gatekeeper.config.nodes import Node, shown
from gatekeeper.config.readers import TEXT, list_of, real, text
from gatekeeper.core.checks import check_finite, check_sha256
from gatekeeper.core.waiver import Waiver, check_date, check_waiver_id


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenWaiver:
    """A waiver in its file.

    Attributes:
        waiver: what it says.
        file: the file, as the user gave it.
        line: where it stands, from 1.
        column: likewise.
    """

    waiver: Waiver
    file: str
    line: int
    column: int

    @property
    def signature(self) -> Path:
        """Where its signature lies: beside the file, named after both."""
        file = Path(self.file)
        return file.with_name(f"{file.stem}.{self.waiver.id}.sigstore.json")


def load_waivers(path: Path) -> tuple[WrittenWaiver, ...]:
    """Read a file of waivers; whether they are signed is not looked at.

    Args:
        path: a YAML file with `kind: Waivers`.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: the file has mistakes: every one, in the file's order. A waiver that can't be read excuses nothing,
            and neither do the others beside it.
    """
    document = open_document(path, kind=WAIVERS)

    def read(document: Document, name: str, node: Node) -> Read[WrittenWaiver]:
        waiver = _waiver(document, name, node)
        places = (
            WrittenWaiver(waiver=each, file=str(path), line=node.line, column=node.column) for each in waiver.content
        )
        return Read(tuple(places))

    written = document.root.required("waivers", list_of(read))
    seen: set[str] = set()
    for each in written.value_or(()):
        if each.waiver.id in seen:
            document.root.report("waivers", f"two waivers are named {shown(each.waiver.id)}; a name stands for one")
        seen.add(each.waiver.id)
    return document.finish(written)


def _waiver(document: Document, name: str, node: Node) -> Read[Waiver]:
    section = document.section(name, node)
    waiver_id = section.required("id", text(check_waiver_id))
    rule = section.required("rule", TEXT)
    model = section.required("model", TEXT)
    policy = section.required("policy", text(check_sha256))
    ceiling = section.required("ceiling", real(check_finite))
    owner = section.required("owner", TEXT)
    approver = section.required("approver", TEXT)
    reason = section.required("reason", TEXT)
    expires = section.required("expires", text(check_date))
    return section.build(
        lambda: Waiver(
            id=waiver_id.value,
            rule=rule.value,
            model=model.value,
            policy_digest=policy.value,
            ceiling=ceiling.value,
            owner=owner.value,
            approver=approver.value,
            reason=reason.value,
            expires=expires.value,
        ),
        blame="id",
    )
