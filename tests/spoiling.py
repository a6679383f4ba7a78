"""How a copy of the golden release is spoilt, by a stranger or with its signer's key."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate
from gatekeeper.core.policy import Policy
from gatekeeper.pipeline.reports import report_files
from gatekeeper.signing.attestations import ATTESTATION_FILES
from gatekeeper.signing.dsse import sign_statement
from gatekeeper.signing.keys import SigningKey
from gatekeeper.signing.layout import SideFile, digests_of
from gatekeeper.signing.release import read_release, standard_side_files, write_release
from tests.golden.make_release import GOLDEN
from tests.signed_releases import KEY, OTHER_KEY, accept, edit_bundle, edit_statement, payload_of, sign_again

Plain = dict[str, Any]
Break = Callable[[Path], None]

MODEL, SIGNATURE = "model.onnx", "model.sig"
CERTIFICATE, SVR, VSA, TESTED, PROVENANCE, MLBOM = (
    f"attestations/{name}.sigstore.json" for name in ("certificate", "svr", "vsa", "test-result", "provenance", "mlbom")
)
CLAIMS, SIGNER, POLICY, REPORT, BOM = (
    f"attestations/{name}" for name in ("claims.jsonl", "signer.pub", "policy.json", "report.json", "bom.cdx.json")
)
SHELL, GUIDE = "attestations/verify.sh", "attestations/VERIFY.md"


def copy_good(to: Path) -> Path:
    """A copy of the golden release at `to/release`."""
    return Path(shutil.copytree(GOLDEN / "release", to / "release"))


def flip(name: str, *, position: float = 0.5) -> Break:
    def spoil(release: Path) -> None:
        content = bytearray((release / name).read_bytes())
        content[int(position * len(content))] ^= 1
        (release / name).write_bytes(content)

    return spoil


def write(name: str, content: bytes) -> Break:
    def spoil(release: Path) -> None:
        (release / name).parent.mkdir(exist_ok=True)
        (release / name).write_bytes(content)

    return spoil


def remove(name: str) -> Break:
    return lambda release: (release / name).unlink()


def rename(name: str, to: str) -> Break:
    def spoil(release: Path) -> None:
        (release / name).rename(release / to)

    return spoil


def link(name: str, *, symbolic: bool) -> Break:
    def spoil(release: Path) -> None:
        outside = release.with_name("outside")
        if symbolic:
            (release / name).rename(outside)
            (release / name).symlink_to(outside)
        else:
            os.link(release / name, outside)

    return spoil


def pipe(release: Path) -> None:
    (release / REPORT).unlink()
    os.mkfifo(release / REPORT)


def rewrite(name: str, change: Callable[[bytes], bytes]) -> Break:
    return lambda release: write(name, change((release / name).read_bytes()))(release)


def statement(name: str, edit: Callable[[Plain], object]) -> Break:
    """Edit a signed statement and sign it again, as its signer could."""

    def spoil(release: Path) -> None:
        edit_statement(release / name, lambda plain: ignore(edit(plain)))
        settle(release, changed=name)

    return spoil


def settle(release: Path, *, changed: str) -> None:
    """What follows from a changed bundle is changed, too: the summary names the certificate, claims repeat them all."""
    if changed == CERTIFICATE:
        digest = hashlib.sha256((release / CERTIFICATE).read_bytes()).hexdigest()
        edit_statement(
            release / VSA,
            lambda plain: plain["predicate"]["inputAttestations"][0]["digest"].update(sha256=digest),
        )
    (release / CLAIMS).write_bytes(b"".join((release / file).read_bytes() for file in ATTESTATION_FILES))


def bundle(name: str, edit: Callable[[Plain], object]) -> Break:
    """Edit a bundle around its signature, as anybody could."""

    def spoil(release: Path) -> None:
        edit_bundle(release / name, lambda plain: ignore(edit(plain)))
        settle(release, changed="")

    return spoil


def ignore(_: object) -> None:
    return None


def predicate(name: str, *path: str | int, value: object) -> Break:
    """Put another value into a signed predicate."""

    def edit(plain: Plain) -> None:
        node: Any = plain["predicate"]
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return statement(name, edit)


def reissue(
    release: Path,
    edit: Callable[[Plain], object],
    *,
    key: SigningKey = KEY,
    version: str | None = None,
    also: tuple[SideFile, ...] = (),
) -> None:
    """Put a release of edited facts in the place of `release`: side files and signatures follow, nothing is judged."""
    certificate = read_release(release, public_key=KEY.public).certificate
    plain = codec.plain(certificate)
    edit(plain)
    plain["approval"]["policy_digest"] = codec.digest(codec.from_plain(plain["policy"], Policy))
    edited = codec.from_plain(plain, Certificate)
    if version is not None:
        edited = replace(edited, gatekeeper_version=version)
    side_files = (*standard_side_files(edited), *report_files(edited), *also)
    scratch = release.with_name("scratch")
    scratch.mkdir()
    write_release(
        out=scratch / "release",
        staging=scratch / "staging",
        model=release / MODEL,
        certificate=replace(edited, files=digests_of(side_files)),
        side_files=side_files,
        key=key,
        check=accept,
    )
    shutil.rmtree(release)
    (scratch / "release").rename(release)


def facts(*path: str | int, value: object) -> Break:
    """A release whose certificate says something else, and everything beside it follows."""

    def edit(plain: Plain) -> None:
        node: Any = plain
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return lambda release: reissue(release, edit)


def anew_with_another_key(release: Path) -> None:
    """The verification inside `write_release` is by the other key, so that it writes."""
    reissue(release, lambda plain: None, key=OTHER_KEY)


def other_release(name: str) -> Break:
    """A file of another release by the same signer, under the same policy."""

    def spoil(release: Path) -> None:
        other = copy_good(fresh(release.with_name("other")))
        reissue(other, lambda plain: plain.update(created="2020-01-01T00:00:00Z"))
        shutil.copyfile(other / name, release / name)
        settle(release, changed="")

    return spoil


def fresh(path: Path) -> Path:
    path.mkdir()
    return path


def signature_of_another_model(release: Path) -> None:
    """A model signature by the same key over other bytes."""
    edit_statement(release / SIGNATURE, lambda plain: plain["predicate"]["resources"][0].update(digest="0" * 64))


def exchange(one: str, other: str) -> Break:
    def spoil(release: Path) -> None:
        contents = (release / one).read_bytes(), (release / other).read_bytes()
        (release / one).write_bytes(contents[1])
        (release / other).write_bytes(contents[0])

    return spoil


def another_key(name: str) -> Break:
    return lambda release: ignore(
        (release / name).write_bytes(sign_statement(payload_of(release / name), key=OTHER_KEY))
    )


def claims(change: Callable[[list[bytes]], list[bytes]]) -> Break:
    return rewrite(CLAIMS, lambda content: b"".join(change(content.splitlines(keepends=True))))


def text_of_bundle(name: str, old: bytes, new: bytes) -> Break:
    return rewrite(name, lambda content: content.replace(old, new, 1))


def payload(name: str, change: Callable[[bytes], bytes]) -> Break:

    def spoil(release: Path) -> None:
        sign_again(release / name, change(payload_of(release / name)))
        settle(release, changed=name)

    return spoil


def linked_attestations(release: Path) -> None:
    (release / "attestations").rename(release.with_name("outside"))
    (release / "attestations").symlink_to(release.with_name("outside"))


def bound_instead(name: str, content: bytes) -> Break:
    """Another side file, which the certificate binds: its signer did it."""

    def spoil(release: Path) -> None:
        write(name, content)(release)
        new = {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        statement(
            CERTIFICATE,
            lambda plain: plain["predicate"].update(
                files=[new if file["name"] == name else file for file in plain["predicate"]["files"]]
            ),
        )(release)

    return spoil


def bound_besides() -> Break:
    """One more report, which the certificate binds, and all that follows: its signer did it."""
    more = SideFile(name="report.txt", content=b"approved\n")
    return lambda release: reissue(release, ignore, also=(more,))
