"""Releases: whole or absent, the same bytes for the same facts, verified before they appear."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gatekeeper.core import codec
from gatekeeper.core.certificate import Certificate, FileDigest
from gatekeeper.errors import SigningError, VerificationError
from gatekeeper.signing.release import (
    SideFile,
    check_trust_root,
    digests_of,
    read_release,
    standard_side_files,
    write_release,
)
from tests.certificates import sample_certificate, sample_policy
from tests.signed_releases import KEY, MODEL, SIDE_FILES, accept, bound_certificate, write_sample

LAYOUT = [
    "attestations",
    "attestations/VERIFY.md",
    "attestations/bom.cdx.json",
    "attestations/certificate.sigstore.json",
    "attestations/claims.jsonl",
    "attestations/mlbom.sigstore.json",
    "attestations/policy.json",
    "attestations/provenance.sigstore.json",
    "attestations/report.json",
    "attestations/report.txt",
    "attestations/signer.pub",
    "attestations/svr.sigstore.json",
    "attestations/test-result.sigstore.json",
    "attestations/verify.sh",
    "attestations/vsa.sigstore.json",
    "model.onnx",
    "model.sig",
]


def listing(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def models_outside(root: Path, run: Path) -> list[Path]:
    return [path for path in root.rglob("*.onnx") if run not in path.parents]


def with_approval(**changes: str) -> Certificate:
    certificate = bound_certificate()
    return dataclasses.replace(certificate, approval=dataclasses.replace(certificate.approval, **changes))


def test_a_release_verifies_and_gives_its_certificate_back(tmp_path: Path) -> None:
    verified = read_release(write_sample(tmp_path), public_key=KEY.public)
    assert verified.certificate == bound_certificate()
    assert [step.number for step in verified.steps] == list(range(1, 10))
    assert all(step.title and step.detail for step in verified.steps)


def test_a_release_has_the_layout_that_is_documented(tmp_path: Path) -> None:
    release = write_sample(tmp_path)
    assert listing(release) == LAYOUT
    assert (release / "model.onnx").read_bytes() == MODEL
    assert (release / "attestations" / "signer.pub").read_bytes() == KEY.public.pem


def test_the_digest_of_the_policy_file_is_the_policy_digest(tmp_path: Path) -> None:
    release = write_sample(tmp_path)
    digest = hashlib.sha256((release / "attestations" / "policy.json").read_bytes()).hexdigest()
    assert digest == codec.digest(sample_policy())


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_are_public_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        release = write_sample(tmp_path)
    finally:
        os.umask(before)
    for path in (release, *release.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_the_same_facts_give_the_same_files_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first = write_sample(tmp_path)
    second = write_sample(tmp_path / "again", side_files=SIDE_FILES[::-1])
    for name in listing(first):
        if (first / name).is_file():
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_release_without_reports_verifies(tmp_path: Path) -> None:
    side_files = standard_side_files(sample_certificate(MODEL))
    release = write_sample(
        tmp_path, certificate=sample_certificate(MODEL, files=digests_of(side_files)), side_files=side_files
    )
    assert read_release(release, public_key=KEY.public).certificate.files == digests_of(side_files)


def test_a_moved_or_copied_release_still_verifies(tmp_path: Path) -> None:
    moved = write_sample(tmp_path).rename(tmp_path / "moved")
    read_release(moved, public_key=KEY.public)


def test_the_model_is_copied_and_never_linked(tmp_path: Path) -> None:
    release = write_sample(tmp_path)
    assert (release / "model.onnx").stat().st_nlink == 1
    assert (release / "model.onnx").stat().st_ino != (tmp_path / "run" / "model.onnx").stat().st_ino


def test_the_check_sees_a_finished_private_release_and_no_model_elsewhere(tmp_path: Path) -> None:
    seen: list[Path] = []

    def check(directory: Path) -> None:
        seen.append(directory)
        assert listing(directory) == LAYOUT
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert models_outside(tmp_path, tmp_path / "run") == []
        read_release(directory, public_key=KEY.public)

    release = write_sample(tmp_path, check=check)
    assert seen == [tmp_path / "run" / "staging"]
    assert models_outside(tmp_path, tmp_path / "run") == [release / "model.onnx"]


@pytest.mark.parametrize("error", [VerificationError("the verdict differs"), KeyboardInterrupt(), OSError("no more")])
def test_a_check_that_raises_leaves_nothing_behind(tmp_path: Path, error: BaseException) -> None:
    def check(directory: Path) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        write_sample(tmp_path, check=check)
    assert caught.value is error
    assert listing(tmp_path) == ["run", "run/model.onnx"]


def test_a_killed_process_leaves_no_model_outside_the_run_directory(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tests.signed_releases import write_sample\n"
        "write_sample(Path(sys.argv[1]), check=lambda directory: os.kill(os.getpid(), signal.SIGKILL))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / "staging" / "model.onnx").exists()
    assert models_outside(tmp_path, tmp_path / "run") == []
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("certificate", "message"),
    [
        (with_approval(model_digest="0" * 64), "approval is of the model"),
        (with_approval(policy_digest="0" * 64), "approval is under the policy"),
        (sample_certificate(MODEL), "the certificate binds"),
        (
            sample_certificate(MODEL, files=digests_of(SIDE_FILES), policy=sample_policy(name="laxer")),
            r"policy\.json: is missing, or not what follows",
        ),
    ],
    ids=["model digest", "policy digest", "side files", "policy file"],
)
def test_facts_that_do_not_belong_together_are_refused_and_leave_nothing(
    tmp_path: Path, certificate: Certificate, message: str
) -> None:
    with pytest.raises(SigningError, match=message):
        write_sample(tmp_path, certificate=certificate)
    assert listing(tmp_path) == ["run", "run/model.onnx"]


def test_a_model_that_changed_after_it_was_judged_is_refused(tmp_path: Path) -> None:
    certificate = sample_certificate(b"another model")
    side_files = standard_side_files(certificate)
    certificate = dataclasses.replace(certificate, files=digests_of(side_files))
    with pytest.raises(SigningError, match=r"model\.onnx: has SHA-256"):
        write_sample(tmp_path, certificate=certificate, side_files=side_files)
    assert listing(tmp_path) == ["run", "run/model.onnx"]


@pytest.mark.parametrize("name", ["policy.json", "bom.cdx.json", "VERIFY.md", "verify.sh"])
def test_a_release_has_every_standard_side_file(tmp_path: Path, name: str) -> None:
    side_files = tuple(file for file in SIDE_FILES if file.name != name)
    certificate = sample_certificate(MODEL, files=digests_of(side_files))
    with pytest.raises(SigningError, match="is missing, or not what follows"):
        write_sample(tmp_path, certificate=certificate, side_files=side_files)


def test_a_size_that_differs_from_what_was_measured_is_found_by_the_release_itself(tmp_path: Path) -> None:
    certificate = bound_certificate()
    evidence = certificate.facts.evidence
    model = dataclasses.replace(evidence.model, size=evidence.model.size + 1)
    facts = dataclasses.replace(certificate.facts, evidence=dataclasses.replace(evidence, model=model))
    with pytest.raises(VerificationError, match=rf"model\.onnx: .* {len(MODEL)} bytes; .* {len(MODEL) + 1} bytes"):
        write_sample(tmp_path, certificate=dataclasses.replace(certificate, facts=facts))
    assert listing(tmp_path) == ["run", "run/model.onnx"]


@pytest.mark.parametrize("kind", ["empty directory", "file", "dangling link"])
def test_what_exists_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "release"
    match kind:
        case "empty directory":
            out.mkdir()
        case "file":
            out.write_bytes(b"precious")
        case _:
            out.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SigningError, match="exists already"):
        write_sample(tmp_path)
    assert listing(tmp_path) == ["release", "run", "run/model.onnx"]


def test_a_release_in_a_missing_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="mkdir -p"):
        write_sample(tmp_path, name="missing/release")
    assert listing(tmp_path) == ["run", "run/model.onnx"]


def test_a_staging_directory_in_use_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "run" / "staging").mkdir(parents=True)
    with pytest.raises(SigningError, match="a release is built in a directory of its own"):
        write_sample(tmp_path)
    assert listing(tmp_path) == ["run", "run/model.onnx", "run/staging"]


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match=r"none\.onnx"):
        write_release(
            out=tmp_path / "release",
            staging=tmp_path / "staging",
            model=tmp_path / "none.onnx",
            certificate=bound_certificate(),
            side_files=SIDE_FILES,
            key=KEY,
            check=accept,
        )
    assert listing(tmp_path) == []


def test_a_directory_that_appears_while_the_release_is_built_is_kept(tmp_path: Path) -> None:
    def check(directory: Path) -> None:
        (tmp_path / "release").mkdir()
        (tmp_path / "release" / "precious").write_bytes(b"")

    with pytest.raises(SigningError, match="can't be written"):
        write_sample(tmp_path, check=check)
    assert listing(tmp_path) == ["release", "release/precious", "run", "run/model.onnx"]


def test_a_release_that_can_not_be_made_durable_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def failing(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), tmp_path.stat()):
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(SigningError, match="Input/output error"):
        write_sample(tmp_path)
    assert listing(tmp_path) == ["run", "run/model.onnx"]


def test_a_rename_across_mounts_is_refused_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def across(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", across)
    with pytest.raises(SigningError, match=r"another file system .*\n.*hint: put the run directory"):
        write_sample(tmp_path)
    assert listing(tmp_path) == ["run", "run/model.onnx"]


def test_another_file_system_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        with pytest.raises(SigningError, match="another file system"):
            write_sample(tmp_path, name=f"{other}/release")
        assert listing(Path(other)) == []
    assert listing(tmp_path) == ["run", "run/model.onnx"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/x",
        ".hidden",
        "model.onnx",
        "x.ONNX",
        "svr.sigstore.json",
        "signer.pub",
        "claims.jsonl",
        "a b",
        "ä",
    ],
)
def test_a_side_file_can_not_take_any_name(name: str) -> None:
    with pytest.raises(SigningError, match="can't be the name of a side file"):
        SideFile(name=name, content=b"")


def test_two_side_files_of_one_name_are_refused() -> None:
    with pytest.raises(SigningError, match=r"repeated: attestations/report\.txt"):
        digests_of(SIDE_FILES + SIDE_FILES[1:2])


def test_digests_of_side_files_are_sorted_by_name() -> None:
    assert digests_of(SIDE_FILES[1:2]) == (
        FileDigest(name="attestations/report.txt", sha256=hashlib.sha256(b"approved\n").hexdigest(), size=9),
    )
    assert digests_of(SIDE_FILES) == digests_of(SIDE_FILES[::-1])


def test_a_public_key_outside_the_release_may_be_trusted(tmp_path: Path) -> None:
    release = write_sample(tmp_path)
    (tmp_path / "gate.pub").write_bytes(KEY.public.pem)
    check_trust_root(tmp_path / "gate.pub", directory=release)


def test_a_public_key_inside_the_release_is_no_trust_root_by_any_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = write_sample(tmp_path)
    key = release / "attestations" / "signer.pub"
    (tmp_path / "innocent.pub").symlink_to(key)
    (tmp_path / "alias").symlink_to(release)
    monkeypatch.chdir(release)
    for path in (key, tmp_path / "innocent.pub", tmp_path / "alias" / "attestations" / "signer.pub"):
        for directory in (release, tmp_path / "alias", Path(), release / ".." / "release"):
            with pytest.raises(VerificationError, match="proves nothing"):
                check_trust_root(path, directory=directory)


def test_a_trust_root_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("none.pub", "loop"):
        with pytest.raises(VerificationError, match=f"{name}: can't be found"):
            check_trust_root(tmp_path / name, directory=tmp_path)


def test_a_release_that_does_not_exist_is_named_and_not_its_key(tmp_path: Path) -> None:
    (tmp_path / "gate.pub").write_bytes(KEY.public.pem)
    with pytest.raises(VerificationError, match="nowhere: can't be found"):
        check_trust_root(tmp_path / "gate.pub", directory=tmp_path / "nowhere")
