"""The model signature: every file by digest, nothing unsigned, no way out of the directory."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from gatekeeper.core import codec
from gatekeeper.errors import VerificationError
from gatekeeper.signing.model_signature import (
    Manifest,
    Resource,
    check_files,
    describe_model,
    encode_manifest,
    parse_manifest,
    read_manifest,
    sign_model,
)
from tests.oms_schema import BUNDLE, STATEMENT
from tests.signed_releases import KEY, OTHER_KEY, edit_statement, payload_of

FILES = {"b.onnx": b"second", "a.onnx": b"first", "sub/c.bin": b"third", "Z.txt": b"upper case comes first"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A signed model directory of four files, with attestations beside them."""
    directory = tmp_path / "model"
    (directory / "sub").mkdir(parents=True)
    (directory / "attestations").mkdir()
    (directory / "attestations" / "later.json").write_bytes(b"{}")
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    (directory / "model.sig").write_bytes(sign_model(directory, name="model", key=KEY))
    return directory


def verify(directory: Path) -> None:
    check_files(directory, manifest=read_manifest(directory, public_key=KEY.public))


def obvious_root_digest(files: dict[str, bytes]) -> str:
    """OMS 1.0, section 6.5.1, word by word."""
    concatenated = b""
    for name in sorted(files, key=lambda name: [ord(character) for character in name]):
        concatenated += hashlib.sha256(files[name]).digest()
    return hashlib.sha256(concatenated).hexdigest()


def test_a_signed_model_verifies(model: Path) -> None:
    verify(model)


def test_the_statement_is_that_of_the_specification(model: Path) -> None:
    plain = json.loads(payload_of(model / "model.sig"))
    assert plain["predicateType"] == "https://model_signing/signature/v1.0"
    assert plain["subject"] == [{"name": "model", "digest": {"sha256": obvious_root_digest(FILES)}}]
    assert plain["predicate"]["serialization"] == {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": ["attestations", "model.sig"],
    }
    names = ["Z.txt", "a.onnx", "b.onnx", "sub/c.bin"]
    assert plain["predicate"]["resources"] == [
        {"name": name, "algorithm": "sha256", "digest": hashlib.sha256(FILES[name]).hexdigest()} for name in names
    ]


def test_bundle_and_statement_fit_the_schemas_of_the_specification(model: Path) -> None:
    bundle, statement = json.loads((model / "model.sig").read_text()), json.loads(payload_of(model / "model.sig"))
    Draft202012Validator(BUNDLE).validate(bundle)
    Draft202012Validator(STATEMENT).validate(statement)
    for spoilt in ({**statement, "subject": statement["subject"] * 2}, {**statement, "predicateType": "x"}, bundle):
        assert not Draft202012Validator(STATEMENT).is_valid(spoilt)
    assert not Draft202012Validator(BUNDLE).is_valid({**bundle, "dsseEnvelope": {}})


def test_the_signature_does_not_depend_on_the_order_of_creation(model: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / "model"
    (again / "sub").mkdir(parents=True)
    for name in reversed(FILES):
        (again / name).write_bytes(FILES[name])
    assert sign_model(again, name="model", key=KEY) == (model / "model.sig").read_bytes()


def test_attestations_may_grow_after_signing(model: Path) -> None:
    (model / "attestations" / "another.json").write_bytes(b"{}")
    verify(model)


def test_a_moved_model_still_verifies(model: Path) -> None:
    verify(model.rename(model.with_name("elsewhere")))


def test_another_key_is_refused(model: Path) -> None:
    with pytest.raises(VerificationError, match=r"model\.sig: was signed with another key"):
        read_manifest(model, public_key=OTHER_KEY.public)


def test_a_changed_file_is_named_with_both_digests(model: Path) -> None:
    (model / "sub" / "c.bin").write_bytes(b"3rd")
    with pytest.raises(VerificationError, match=r"sub/c\.bin: has SHA-256") as caught:
        verify(model)
    for content in (b"3rd", b"third"):
        assert hashlib.sha256(content).hexdigest() in str(caught.value)


def test_a_missing_file_is_named(model: Path) -> None:
    (model / "a.onnx").unlink()
    with pytest.raises(VerificationError, match=r"a\.onnx: is missing"):
        verify(model)


@pytest.mark.parametrize("name", ["extra.bin", "sub/extra.bin", ".hidden", "model.sig.bak", "attestations.zip"])
def test_an_extra_file_is_named(model: Path, name: str) -> None:
    (model / name).write_bytes(b"")
    with pytest.raises(VerificationError, match="is not among the files") as caught:
        verify(model)
    assert caught.value.where == f"{model}/{name}"


def test_a_renamed_file_is_refused(model: Path) -> None:
    (model / "a.onnx").rename(model / "A.onnx")
    with pytest.raises(VerificationError, match=r"A\.onnx"):
        verify(model)


def test_two_files_exchanged_are_refused(model: Path) -> None:
    (model / "a.onnx").write_bytes(FILES["b.onnx"])
    (model / "b.onnx").write_bytes(FILES["a.onnx"])
    with pytest.raises(VerificationError, match=r"a\.onnx: has SHA-256"):
        verify(model)


@pytest.mark.parametrize("target", ["b.onnx", "/etc/hostname", "nowhere", "sub"])
def test_a_symbolic_link_is_refused_wherever_it_leads(model: Path, target: str) -> None:
    (model / "sub" / "link").symlink_to(target)
    with pytest.raises(VerificationError, match="sub/link: is a symbolic link"):
        verify(model)


def test_a_link_to_the_very_content_that_was_signed_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(FILES["a.onnx"])
    (model / "a.onnx").unlink()
    (model / "a.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(VerificationError, match="symbolic link"):
        verify(model)


def test_a_hard_link_is_refused(model: Path, tmp_path: Path) -> None:
    os.link(model / "a.onnx", tmp_path / "second-name")
    with pytest.raises(VerificationError, match=r"a\.onnx: is a hard link \(2 names"):
        verify(model)


def test_a_linked_directory_of_attestations_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "attestations").rename(tmp_path / "attestations")
    (model / "attestations").symlink_to(tmp_path / "attestations")
    with pytest.raises(VerificationError, match="attestations: is a symbolic link"):
        verify(model)


def test_a_pipe_is_refused_without_waiting_for_it(model: Path) -> None:
    (model / "model.sig").unlink()
    os.mkfifo(model / "model.sig")
    with pytest.raises(VerificationError, match="not a regular file"):
        read_manifest(model, public_key=KEY.public)


@pytest.mark.parametrize("name", [b"\xff.bin", b"line\nbreak", b"\x1b[31m"])
def test_a_name_that_can_not_be_printed_is_refused_and_not_printed(model: Path, name: bytes) -> None:
    (Path(os.fsdecode(bytes(model) + b"/" + name))).write_bytes(b"")
    with pytest.raises(VerificationError, match="can't be printed") as caught:
        verify(model)
    assert caught.value.where is not None
    assert caught.value.where.isprintable()


def test_an_empty_model_is_not_signed(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="holds no model file"):
        describe_model(tmp_path, name="empty")


@pytest.mark.parametrize(
    "name", ["../a.onnx", "/etc/passwd", "sub/../a.onnx", "./a.onnx", "sub//c.bin", "sub/", "..", "", "a\x00b", "a\nb"]
)
def test_a_signed_name_that_leaves_the_directory_or_is_not_plain_is_refused(model: Path, name: str) -> None:
    manifest = Manifest(name="model", resources=(Resource(name="a.onnx", sha256="0" * 64),))
    payload = json.loads(encode_manifest(manifest))
    payload["predicate"]["resources"][0]["name"] = name
    with pytest.raises(VerificationError) as caught:
        parse_manifest(codec.canonical(payload).encode(), where="model.sig")
    assert caught.value.where == "model.sig"


def test_a_root_digest_that_does_not_follow_from_the_files_is_refused(model: Path) -> None:
    edit_statement(model / "model.sig", lambda plain: plain["subject"][0]["digest"].update(sha256="0" * 64))
    with pytest.raises(VerificationError, match=f"root digest {'0' * 64}, but .* {obvious_root_digest(FILES)}"):
        verify(model)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("ignore_paths", ["attestations", "model.sig", "sub"]),
        ("ignore_paths", []),
        ("allow_symlinks", True),
        ("allow_symlinks", 0),
        ("hash_type", "blake2b"),
        ("method", "shards"),
        ("shard_size", 1),
    ],
)
def test_another_way_of_serialising_is_refused(model: Path, member: str, value: object) -> None:
    edit_statement(model / "model.sig", lambda plain: plain["predicate"]["serialization"].update({member: value}))
    with pytest.raises(VerificationError, match="is not signed by file with SHA-256"):
        verify(model)


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 0, 1, 2, 3], []])
def test_files_listed_out_of_order_twice_or_not_at_all_are_refused(model: Path, order: list[int]) -> None:
    def reorder(plain: dict[str, dict[str, list[object]]]) -> None:
        resources = plain["predicate"]["resources"]
        plain["predicate"]["resources"] = [resources[i] for i in order]

    edit_statement(model / "model.sig", reorder)
    with pytest.raises(VerificationError, match="lists no file, or files out of order or twice"):
        verify(model)


@pytest.mark.parametrize("subjects", [0, 2])
def test_any_number_of_subjects_but_one_is_refused(model: Path, subjects: int) -> None:
    edit_statement(model / "model.sig", lambda plain: plain.update(subject=plain["subject"] * subjects))
    with pytest.raises(VerificationError, match="subject"):
        verify(model)
