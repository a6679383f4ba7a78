"""Everything that can be done to a release, by a stranger or with the signer's key, is found and named."""

from __future__ import annotations

import dataclasses
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatekeeper.core import codec
from gatekeeper.core.certificate import FileDigest
from gatekeeper.errors import VerificationError
from gatekeeper.signing.attestations import ATTESTATION_FILES, certificate_statement
from gatekeeper.signing.dsse import sign_statement
from gatekeeper.signing.layout import digests_of
from gatekeeper.signing.predicates import certificate_of
from gatekeeper.signing.release import SideFile, read_release
from gatekeeper.signing.statements import Subject, parse_statement
from tests.certificates import sample_certificate, sample_policy
from tests.signed_releases import (
    KEY,
    MODEL,
    OTHER_KEY,
    SIDE_FILES,
    bound_certificate,
    edit_bundle,
    edit_statement,
    payload_of,
    sign_again,
    write_sample,
)

CERTIFICATE = "attestations/certificate.sigstore.json"
SVR = "attestations/svr.sigstore.json"
FILES = (
    "model.onnx",
    "model.sig",
    *ATTESTATION_FILES,
    "attestations/claims.jsonl",
    "attestations/signer.pub",
    *(file.path for file in SIDE_FILES),
)
BUNDLES = ("model.sig", *ATTESTATION_FILES)
ONE_OF_A_KIND = ("model.onnx", "model.sig", CERTIFICATE, "attestations/claims.jsonl", "attestations/report.txt")
Statement = dict[str, Any]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that verifies."""
    release = write_sample(tmp_path_factory.mktemp("original"))
    read_release(release, public_key=KEY.public)
    return release


@pytest.fixture
def release(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be broken."""
    return Path(shutil.copytree(original, tmp_path / "release"))


def refused(release: Path, name: str, message: str = ".") -> None:
    """The release does not verify, and the error names this file of it."""
    with pytest.raises(VerificationError, match=message) as caught:
        read_release(release, public_key=KEY.public)
    assert caught.value.where == f"{release}/{name}"
    assert caught.value.exit_code == 4


def test_a_copy_of_a_release_verifies(release: Path) -> None:
    """The ground of every test below: untouched, nothing is found."""
    read_release(release, public_key=KEY.public)


# What a stranger can do.


REGIONS = 16


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_found_in_every_region_of_every_file(original: Path, name: str) -> None:
    """One byte drawn from each sixteenth of the file, and its first and last."""
    content = (original / name).read_bytes()
    draw = random.Random(name)
    places = {
        0,
        len(content) - 1,
        *(draw.randrange(r * len(content), (r + 1) * len(content)) // REGIONS for r in range(REGIONS)),
    }
    try:
        for place in sorted(places):
            damaged = bytearray(content)
            damaged[place] ^= 1 << draw.randrange(8)
            (original / name).write_bytes(damaged)
            refused(original, name)
    finally:
        (original / name).write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_found(release: Path, name: str) -> None:
    content = (release / name).read_bytes()
    for length in (0, len(content) // 2, len(content) - 1):
        (release / name).write_bytes(content[:length])
        refused(release, name)


@pytest.mark.parametrize("name", FILES)
def test_a_lengthened_file_is_found(release: Path, name: str) -> None:
    with (release / name).open("ab") as file:
        file.write(b"\n")
    refused(release, name)


@pytest.mark.parametrize("name", FILES)
def test_a_removed_file_is_found(release: Path, name: str) -> None:
    (release / name).unlink()
    refused(release, name, "is missing")


@pytest.mark.parametrize("name", ["extra.onnx", ".hidden", "model.onnx.data"])
def test_a_file_added_to_the_model_is_found(release: Path, name: str) -> None:
    (release / name).write_bytes(b"")
    refused(release, name, "does not belong to a release")


@pytest.mark.parametrize("name", ["attestations/extra.json", "attestations/model.onnx"])
def test_a_file_added_to_the_attestations_is_found(release: Path, name: str) -> None:
    (release / name).write_bytes(b"")
    refused(release, name, "was added")


@pytest.mark.parametrize("name", ["empty", "attestations/empty", "model.onnx.d"])
def test_an_added_directory_is_found(release: Path, name: str) -> None:
    (release / name).mkdir()
    refused(release, name, "does not belong to a release")


def test_a_renamed_file_is_found(release: Path) -> None:
    (release / "model.onnx").rename(release / "Model.onnx")
    refused(release, "model.onnx", "is missing")


def test_a_renamed_side_file_is_found(release: Path) -> None:
    (release / "attestations/report.txt").rename(release / "attestations/report.md")
    refused(release, "attestations/report.md", "was added")


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_a_symbolic_link_to_the_right_content_is_found(release: Path, name: str, tmp_path: Path) -> None:
    (release / name).rename(tmp_path / "outside")
    (release / name).symlink_to(tmp_path / "outside")
    refused(release, name, "symbolic link")


@pytest.mark.parametrize("name", ONE_OF_A_KIND)
def test_a_hard_link_is_found(release: Path, name: str, tmp_path: Path) -> None:
    os.link(release / name, tmp_path / "outside")
    refused(release, name, "hard link")


def test_a_pipe_is_found(release: Path) -> None:
    (release / "attestations/report.txt").unlink()
    os.mkfifo(release / "attestations/report.txt")
    refused(release, "attestations/report.txt", "not a regular file")


def test_a_directory_in_the_place_of_a_file_is_found(release: Path) -> None:
    (release / SVR).unlink()
    (release / SVR).mkdir()
    refused(release, SVR, "is missing")


def test_attestations_exchanged_for_each_other_are_found(release: Path) -> None:
    (release / SVR).write_bytes((release / CERTIFICATE).read_bytes())
    refused(release, SVR, "predicate type")


def test_another_key_is_told_apart(release: Path) -> None:
    with pytest.raises(VerificationError, match=r"model\.sig: was signed with another key"):
        read_release(release, public_key=OTHER_KEY.public)


def test_a_release_signed_anew_with_another_key_is_refused(tmp_path: Path) -> None:
    refused(write_sample(tmp_path, key=OTHER_KEY), "model.sig", "another key")


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_signed_with_another_key_is_found(release: Path, name: str) -> None:
    (release / name).write_bytes(sign_statement(payload_of(release / name), key=OTHER_KEY))
    refused(release, name, "another key")


@pytest.mark.parametrize("name", BUNDLES)
def test_two_signatures_are_refused(release: Path, name: str) -> None:
    def twice(plain: Statement) -> None:
        plain["dsseEnvelope"]["signatures"] *= 2

    edit_bundle(release / name, twice)
    refused(release, name, "2 signatures")


def test_a_signer_file_with_another_key_is_found(release: Path) -> None:
    (release / "attestations/signer.pub").write_bytes(OTHER_KEY.public.pem)
    refused(release, "attestations/signer.pub", "is not the key that signed")


@pytest.mark.parametrize("name", ATTESTATION_FILES)
def test_an_attestation_of_another_release_by_the_same_signer_is_found(
    release: Path, name: str, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = write_sample(tmp_path / "other", name="other-name")
    shutil.copyfile(other / name, release / name)
    refused(release, name, "is about")


def test_side_files_exchanged_for_each_other_are_found(release: Path) -> None:
    first, second = (release / "attestations" / name for name in ("report.json", "report.txt"))
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    refused(release, "attestations/report.json", "the certificate binds")


@settings(max_examples=40)
@given(name=st.sampled_from(FILES), place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_any_byte_changed_anywhere_is_found(original: Path, name: str, place: int, flip: int) -> None:
    content = (original / name).read_bytes()
    damaged = bytearray(content)
    damaged[place % len(damaged)] ^= flip
    try:
        (original / name).write_bytes(damaged)
        refused(original, name)
    finally:
        (original / name).write_bytes(content)


@settings(max_examples=40)
@given(name=st.sampled_from(FILES), replacement=st.binary(max_size=100))
def test_no_content_makes_verification_crash(original: Path, name: str, replacement: bytes) -> None:
    content = (original / name).read_bytes()
    try:
        (original / name).write_bytes(replacement)
        refused(original, name)
    finally:
        (original / name).write_bytes(content)


# What the signer could do, by mistake or on purpose: everything below is signed with the right key.


@pytest.mark.parametrize("name", BUNDLES)
def test_a_signed_predicate_of_another_type_is_refused(release: Path, name: str) -> None:
    edit_statement(release / name, lambda plain: plain.update(predicateType="https://example.org/else/v1"))
    refused(release, name, "predicate type")


@pytest.mark.parametrize("name", BUNDLES)
def test_a_signed_statement_about_nothing_is_refused(release: Path, name: str) -> None:
    edit_statement(release / name, lambda plain: plain.update(subject=[]))
    refused(release, name, "names no subject")


@pytest.mark.parametrize("name", ATTESTATION_FILES)
@pytest.mark.parametrize("subject", [0, 1])
def test_a_signed_statement_about_another_model_is_refused(release: Path, name: str, subject: int) -> None:
    edit_statement(release / name, lambda plain: plain["subject"][subject]["digest"].update(sha256="0" * 64))
    refused(release, name, "is about")


@pytest.mark.parametrize("name", ATTESTATION_FILES)
def test_a_signed_statement_about_more_than_the_model_is_refused(release: Path, name: str) -> None:
    more = {"name": "another.onnx", "digest": {"sha256": "0" * 64}}
    edit_statement(release / name, lambda plain: plain["subject"].append(more))
    refused(release, name, "is about")


def test_a_signed_manifest_that_leaves_the_directory_is_refused(release: Path) -> None:
    edit_statement(
        release / "model.sig", lambda plain: plain["predicate"]["resources"][0].update(name="../run/model.onnx")
    )
    refused(release, "model.sig", "no plain path")


def test_a_signed_manifest_of_another_file_is_refused(release: Path) -> None:
    edit_statement(release / "model.sig", lambda plain: plain["predicate"]["resources"][0].update(name="other.onnx"))
    refused(release, "model.onnx", "is not among the files")


def other_policy(plain: Statement) -> None:
    policies = plain["predicate"]["verifier"]["policies"]
    policies[0]["digest"]["sha256"] = codec.digest(sample_policy(name="laxer"))


def no_policy(plain: Statement) -> None:
    plain["predicate"]["verifier"]["policies"] = []


def fewer_properties(plain: Statement) -> None:
    plain["predicate"]["properties"].pop()


def more_properties(plain: Statement) -> None:
    plain["predicate"]["properties"].append("GATEKEEPER_WORST_CASE")


def other_time(plain: Statement) -> None:
    plain["predicate"]["timeCreated"] = "2035-06-01T12:00:00Z"


def more_members(plain: Statement) -> None:
    plain["predicate"]["note"] = "and everything else is fine, too"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (other_policy, r"policies\[0\]\.digest\.sha256 is '[0-9a-f]{64}', where the certificate gives"),
        (no_policy, r"policies\[0\] is nothing"),
        (fewer_properties, r"properties\[2\] is nothing, where the certificate gives 'GATEKEEPER_RECON"),
        (more_properties, r"properties\[3\] is 'GATEKEEPER_WORST_CASE', where the certificate gives nothing"),
        (other_time, "timeCreated is '2035-06-01T12:00:00Z', where the certificate gives '2025"),
        (more_members, "note is .*, where the certificate gives nothing"),
        (lambda plain: plain.update(predicate={}), "properties is nothing"),
    ],
)
def test_a_signed_verification_result_that_differs_from_the_certificate_is_refused(
    release: Path, edit: Callable[[Statement], None], message: str
) -> None:
    edit_statement(release / SVR, edit)
    refused(release, SVR, message)


def approves_other_model(plain: Statement) -> None:
    plain["predicate"]["approval"]["model_digest"] = "0" * 64


def approves_under_other_policy(plain: Statement) -> None:
    plain["predicate"]["approval"]["policy_digest"] = "0" * 64


def laxer_policy(plain: Statement) -> None:
    plain["predicate"]["policy"]["rules"][1]["maximum"] = 0.5


def failed_finding(plain: Statement) -> None:
    plain["predicate"]["approval"]["findings"][0]["status"] = "failed"


def refusal(plain: Statement) -> None:
    plain["predicate"]["approval"]["kind"] = "Refusal"


def missing_fact(plain: Statement) -> None:
    del plain["predicate"]["facts"]["guarantee"]


def unknown_fact(plain: Statement) -> None:
    plain["predicate"]["facts"]["seed"] = 1


def files_twice(plain: Statement) -> None:
    plain["predicate"]["files"] *= 2


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (approves_other_model, "approves the model"),
        (approves_under_other_policy, "approves under the policy"),
        (laxer_policy, "approves under the policy"),
        (failed_finding, "did not pass"),
        (refusal, "is no certificate"),
        (missing_fact, "missing fields"),
        (unknown_fact, "unknown fields"),
        (files_twice, "out of order or twice"),
    ],
)
def test_a_signed_certificate_that_contradicts_itself_is_refused(
    release: Path, edit: Callable[[Statement], None], message: str
) -> None:
    edit_statement(release / CERTIFICATE, edit)
    refused(release, CERTIFICATE, message)


@pytest.mark.parametrize(("field", "value"), [("size", 1), ("sha256", "0" * 64)])
def test_a_certificate_of_measurements_on_another_file_is_refused(release: Path, field: str, value: object) -> None:
    edit_statement(
        release / CERTIFICATE, lambda plain: plain["predicate"]["facts"]["evidence"]["model"].update({field: value})
    )
    refused(release, "model.onnx", "measured was")


@pytest.mark.parametrize("name", ["../run/secret", "/etc/passwd", "attestations/../../run/secret", "attestations/no"])
def test_a_certificate_that_binds_a_file_elsewhere_is_refused(release: Path, name: str) -> None:
    files = tuple(
        sorted((*digests_of(SIDE_FILES), FileDigest(name=name, sha256="0" * 64, size=0)), key=lambda f: f.name)
    )
    certificate = dataclasses.replace(bound_certificate(), files=files)
    subjects = parse_statement(
        payload_of(release / CERTIFICATE), predicate_type="urn:gatekeeper:certificate:v1", where=""
    ).subjects
    sign_again(release / CERTIFICATE, certificate_statement(certificate, subjects=subjects))
    refused(release, name, "is missing, but the certificate binds")


def test_a_bound_policy_file_that_is_another_policy_is_refused(release: Path) -> None:
    laxer = codec.encode(sample_policy(name="laxer")).encode()
    others = (file for file in SIDE_FILES if file.name != "policy.json")
    side_files = (*others, SideFile(name="policy.json", content=laxer))
    (release / "attestations/policy.json").write_bytes(laxer)
    plain = codec.plain(sample_certificate(MODEL, files=digests_of(side_files)))
    edit_statement(release / CERTIFICATE, lambda statement: statement.update(predicate=plain))
    refused(release, "attestations/policy.json", "is not the policy")


def test_a_certificate_whose_rules_share_a_property_is_refused(release: Path) -> None:
    def same_property(plain: Statement) -> None:
        plain["predicate"]["approval"]["findings"][0]["rule"] = "reconstruction.realistic"

    edit_statement(release / CERTIFICATE, same_property)
    refused(release, CERTIFICATE, "would both be called")


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def replace_somewhere(plain: Any, data: st.DataObject) -> None:
    """Replace one member, at any depth, by any JSON value."""
    node = plain
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 9)) == 0:
            node[key] = data.draw(json_values)
            return
        node = node[key]


@given(name=st.sampled_from(BUNDLES), data=st.data())
def test_no_signed_statement_makes_verification_crash(original: Path, name: str, data: st.DataObject) -> None:
    """A signer may change a fact that contradicts nothing; what must not happen is any other error than ours."""
    before = (original / name).read_bytes()
    try:
        edit_statement(original / name, lambda plain: replace_somewhere(plain, data))
        try:
            read_release(original, public_key=KEY.public)
        except VerificationError as error:
            assert error.where is not None  # noqa: PT017
            str(error).encode()
    finally:
        (original / name).write_bytes(before)


@given(name=st.sampled_from(BUNDLES), payload=st.binary(max_size=100))
def test_no_signed_bytes_make_verification_crash(original: Path, name: str, payload: bytes) -> None:
    before = (original / name).read_bytes()
    try:
        sign_again(original / name, payload)
        refused(original, name)
    finally:
        (original / name).write_bytes(before)


def test_the_certificate_is_the_one_that_was_signed(original: Path) -> None:
    statement = parse_statement(
        payload_of(original / CERTIFICATE), predicate_type="urn:gatekeeper:certificate:v1", where=""
    )
    assert statement.subjects[0] == Subject(name="model.onnx", sha256=bound_certificate().approval.model_digest)
    assert certificate_of(statement, where="") == bound_certificate()
