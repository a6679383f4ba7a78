"""Keys of those who lock policies and sign waivers, the trust file that says so, and files of waivers."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from gatekeeper.core.codec import digest
from gatekeeper.core.policy import Policy
from gatekeeper.signing.keys import LocalKey, signing_key
from tests.trust_files import indented

APPROVER = "Dr. Weiß"
MODEL = "tiny"


def key_of(number: int) -> LocalKey:
    """The key pair of the private key `number`."""
    return signing_key(ec.derive_private_key(number, ec.SECP256R1()))


RELEASE_KEY, LOCK_KEY, APPROVER_KEY, STRANGER = (key_of(20_250_700 + number) for number in range(4))

# Who holds which key, and what it may sign.
HOLDERS = {
    RELEASE_KEY: ("the gate", "[release]"),
    LOCK_KEY: ("compliance", "[policy]"),
    APPROVER_KEY: (APPROVER, "[approver]"),
}


def trust_file(folder: Path, **more: str) -> Path:
    """A trust file of all holders; keyword arguments add lines to the entry of a role, or replace its roles."""
    entries = []
    for key, (owner, roles) in HOLDERS.items():
        role = roles.strip("[]")
        extra = more.get(role, "")
        entries.append(
            f"    - fingerprint: {key.public.fingerprint}\n"
            f"      owner: {owner}\n"
            f"      roles: {more.get(f'{role}_roles', roles)}\n"
            + (f"      {extra}\n" if extra else "")
            + f"      public_key: |\n        {indented(key.public.pem.decode(), by=8)}\n"
        )
    path = folder / "trust.yaml"
    head = "apiVersion: gatekeeper/v1\nkind: TrustFile\nmetadata: {name: hospital}\nspec:\n  keys:\n"
    path.write_text(head + "".join(entries), encoding="utf-8")
    return path


def waiver_lines(policy: Policy, /, **changes: str) -> str:
    """One waiver of a file, for the drop that a policy limits."""
    fields = {
        "id": "W-1",
        "rule": "drop",
        "model": MODEL,
        "policy": f'"{digest(policy)}"',
        "ceiling": "0.2",
        "owner": "team lesions",
        "approver": APPROVER,
        "reason": "the twin is retrained in March",
        "expires": "2030-02-01",
    }
    lines = [f"    {key}: {value}\n" for key, value in {**fields, **changes}.items()]
    return "  -" + "".join(lines)[3:]


def waivers_file(folder: Path, *waivers: str) -> Path:
    """A file of waivers."""
    path = folder / "waivers.yaml"
    path.write_text("apiVersion: gatekeeper/v1\nkind: Waivers\nwaivers:\n" + "".join(waivers), encoding="utf-8")
    return path
