"""A lock on a policy as a file, and back."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.config.header import API_VERSION, LOCK, open_document
from gatekeeper.config.readers import TEXT, text, whole
from gatekeeper.config.yaml_text import text as quoted
from gatekeeper.core.checks import check_sha256
from gatekeeper.core.lock import LockFile


def load_lock(path: Path) -> LockFile:
    """Read a lock; whether its signature holds is not looked at.

    Args:
        path: a YAML file with `kind: PolicyLock`.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: the file has mistakes, or its canonical form is not what its digest says.
    """
    document = open_document(path, kind=LOCK)
    metadata, spec = document.root.mapping("metadata"), document.root.mapping("spec")
    name = metadata.required("name", TEXT)
    version = metadata.required("version", whole(at_least=1))
    digest = spec.required("digest", text(check_sha256))
    canonical = spec.required("canonical", TEXT)
    bundle = spec.required("bundle", TEXT)
    lock = spec.build(
        lambda: LockFile(
            name=name.value,
            version=version.value,
            policy_digest=digest.value,
            canonical=canonical.value + "\n",
            bundle=bundle.value + "\n",
        ),
        blame="canonical",
    )
    return document.finish(lock)


def render_lock(lock: LockFile) -> str:
    """A lock as the text of a file; `load_lock` gives the same lock."""
    lines = (
        "# A lock on a release policy: its canonical form, and a signature over the digest of that form.",
        "# The time in the signature is the locker's clock and proves nothing: the ledger's entry dates the lock.",
        f"apiVersion: {API_VERSION}",
        f"kind: {LOCK}",
        f"metadata: {{name: {quoted(lock.name)}, version: {lock.version}}}",
        "spec:",
        f'  digest: "{lock.policy_digest}"',
        f"  canonical: {quoted(lock.canonical.removesuffix(chr(10)))}",
        f"  bundle: {quoted(lock.bundle.removesuffix(chr(10)))}",
    )
    return "\n".join(lines) + "\n"
