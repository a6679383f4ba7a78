"""Every bad release of the corpus is refused by `verify`, for the right cause, and the golden one is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gatekeeper.core import codec
from gatekeeper.errors import GatekeeperError, VerificationError
from gatekeeper.pipeline.inputs import read_policy
from gatekeeper.pipeline.verification import Verification, verify
from gatekeeper.report import certificate_schema
from gatekeeper.signing.release import read_release
from tests.bad_releases import CORPUS, Bad
from tests.golden.make_release import GOLDEN
from tests.signed_releases import KEY
from tests.spoiling import copy_good, reissue


def verified(release: Path) -> Verification:
    digest = codec.digest(read_policy(GOLDEN / "policy.yaml"))
    return verify(release, public_key=GOLDEN / "gate.pub", policy_digest=digest)


def test_the_golden_release_verifies() -> None:
    """Frozen: a format that a release has may never stop verifying."""
    titles = [step.title for step in verified(GOLDEN / "release").steps]
    assert {"timestamps", "signer"} <= set(titles)
    assert titles[-2:] == ["report", "approvals"]


def test_the_golden_certificate_fits_the_schema_of_its_time_and_of_today() -> None:
    certificate = codec.plain(read_release(GOLDEN / "release", public_key=KEY.public).certificate)
    frozen = codec.parse((GOLDEN / "certificate.schema.json").read_text(encoding="utf-8"))
    for schema in (frozen, certificate_schema()):
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(certificate)
    assert frozen["$id"] == certificate_schema()["$id"]
    certificate["approval"]["findings"][0]["comparator"] = "<"
    assert not Draft202012Validator(certificate_schema()).is_valid(certificate)


def test_the_corpus_is_large_and_every_case_has_a_name_of_its_own() -> None:
    assert len(CORPUS) >= 40
    assert len({bad.name for bad in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("bad", CORPUS, ids=lambda bad: bad.name)
def test_a_bad_release_is_refused_for_the_right_cause(bad: Bad, tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    bad.spoil(release)
    with pytest.raises(VerificationError) as caught:
        verified(release)
    assert caught.value.where in (f"{release}/{bad.file}", bad.file), caught.value
    assert re.search(bad.cause, caught.value.message), caught.value
    assert caught.value.exit_code == 4


def test_what_was_added_to_the_folders_that_may_grow_is_let_be_and_counts_for_nothing(tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    for folder, name in (("approvals", "officer.sigstore.json"), ("timestamps", "model.tsr")):
        (release / "attestations" / folder).mkdir()
        (release / "attestations" / folder / name).write_bytes(b"anything")
    steps = {step.title: step.detail for step in verified(release).steps}
    assert steps["approvals"] == "1 added after signing; no trust file says whose count"
    assert steps["timestamps"].startswith("1 there, none by a trusted authority and of these signatures")


def test_a_release_of_another_version_verifies_whatever_its_words(tmp_path: Path) -> None:
    """Sentences change from version to version; the golden release must outlive them."""

    def reword(plain: dict[str, Any]) -> None:
        plain["approval"]["findings"][0].update(detail="in other words", statement="as it was put then")

    release = copy_good(tmp_path)
    reissue(release, reword, version="0.0.1")
    steps = {step.title: step.detail for step in verified(release).steps}
    assert "0.0.1" in steps["report"]


@pytest.mark.parametrize("version", [None, "0.0.1"])
def test_a_finding_of_another_value_is_refused_in_every_version(tmp_path: Path, version: str | None) -> None:
    release = copy_good(tmp_path)
    reissue(release, lambda plain: plain["approval"]["findings"][0].update(measured=1.0), version=version)
    with pytest.raises(VerificationError, match=r"findings\[0\]\.measured"):
        verified(release)


def test_words_of_this_version_must_be_ours(tmp_path: Path) -> None:
    release = copy_good(tmp_path)
    reissue(release, lambda plain: plain["approval"]["findings"][0].update(detail="all is well"))
    with pytest.raises(VerificationError, match=r"findings\[0\]\.detail"):
        verified(release)


def replace_a_number(plain: Any, data: st.DataObject) -> None:
    """Put another number, of the same kind, in the place of one that the certificate states."""
    places = list(numbers(plain["facts"]))
    node, key = data.draw(st.sampled_from(places))
    whole = isinstance(node[key], int)
    node[key] = data.draw(st.integers(0, 10**6) if whole else st.floats(0, allow_nan=False) | st.floats(0, 1))


def numbers(node: Any) -> Iterator[tuple[Any, Any]]:
    for key in sorted(node) if isinstance(node, dict) else range(len(node)):
        value = node[key]
        if isinstance(value, dict | list):
            yield from numbers(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield node, key


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_fact_of_a_hostile_signer_makes_verification_crash(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any number replaced by another, everything signed again: it verifies, or the release is refused."""
    release = copy_good(tmp_path_factory.mktemp("fuzzed"))
    try:
        reissue(release, lambda plain: replace_a_number(plain, data))
    except GatekeeperError:
        return  # no noun has such a number, so that no release has
    try:
        verified(release)
    except VerificationError as error:
        assert error.where is not None  # noqa: PT017
        str(error).encode()
