"""The first two keys of each kind of file, which say what the rest means."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config.document import Document
from gatekeeper.config.nodes import Tree
from gatekeeper.config.readers import choice
from gatekeeper.config.yaml_tree import parse

API_VERSION = "gatekeeper/v1"
POLICY = "ReleasePolicy"
CANDIDATE = "ReleaseCandidate"
TRUST = "TrustFile"
WAIVERS = "Waivers"
LOCK = "PolicyLock"

KINDS = (POLICY, CANDIDATE, TRUST, WAIVERS, LOCK)

_TITLES = {
    POLICY: "a release policy",
    CANDIDATE: "a release candidate",
    TRUST: "a trust file",
    WAIVERS: "a file of waivers",
    LOCK: "a lock on a policy",
}


def open_document(path: Path, *, kind: str) -> Document:
    """A file whose `apiVersion` and `kind` have been read; mistakes in them are among the document's.

    Args:
        path: the file.
        kind: what it has to be, one of `KINDS`.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: there is no tree, or the file is of another kind, so that reading on would only make noise.
    """
    return document_of(parse(path), kind=kind)


def document_of(tree: Tree, *, kind: str) -> Document:
    """The same of a file that has been parsed.

    Raises:
        ConfigError: the file is of another kind.
    """
    document = Document(tree)
    root = document.root
    root.required("apiVersion", choice((API_VERSION,)))
    given = root.required("kind", choice(KINDS)).value_or(kind)
    if given != kind:
        root.report(
            "kind", f"this is {_TITLES[given]}, where {_TITLES[kind]} is needed", hint="is this the right file?"
        )
        document.require_no_problem()
    return document
