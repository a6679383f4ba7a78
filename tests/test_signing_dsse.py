"""Bundles: deterministic, strict, and verified before anything in them is read."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.core import codec
from gatekeeper.errors import VerificationError
from gatekeeper.signing.dsse import (
    BUNDLE_TYPE,
    PAYLOAD_TYPE,
    pre_authentication_encoding,
    sign_statement,
    verify_bundle,
)
from tests.signed_releases import KEY, OTHER_KEY

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}\n'


def verify(bundle: bytes) -> bytes:
    return verify_bundle(bundle, public_key=KEY.public, where="some.json")


def edited(edit: Callable[[dict[str, Any]], None]) -> bytes:
    plain = json.loads(sign_statement(PAYLOAD, key=KEY))
    edit(plain)
    return codec.canonical(plain).encode()


def obvious_pae(payload: bytes, payload_type: str) -> bytes:
    """DSSE protocol: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body."""
    parts = [b"DSSEv1"]
    for item in (payload_type.encode("utf-8"), payload):
        parts += [str(len(item)).encode("ascii"), item]
    return b" ".join(parts)


@given(payload=st.binary(max_size=200), payload_type=st.text(max_size=40))
def test_the_encoding_is_that_of_the_protocol(payload: bytes, payload_type: str) -> None:
    if payload_type.isprintable():
        found = pre_authentication_encoding(payload, payload_type=payload_type)
        assert found == obvious_pae(payload, payload_type)


@given(st.binary(max_size=500))
def test_what_is_signed_verifies_whatever_it_is(payload: bytes) -> None:
    assert verify(sign_statement(payload, key=KEY)) == payload


def test_the_same_statement_gives_the_same_bundle() -> None:
    assert sign_statement(PAYLOAD, key=KEY) == sign_statement(PAYLOAD, key=KEY)


def test_a_bundle_has_the_fields_of_the_specification() -> None:
    plain = json.loads(sign_statement(PAYLOAD, key=KEY))
    assert plain["mediaType"] == BUNDLE_TYPE
    assert plain["verificationMaterial"] == {"publicKey": {"hint": KEY.public.fingerprint}, "tlogEntries": []}
    assert plain["dsseEnvelope"]["payloadType"] == PAYLOAD_TYPE
    assert base64.b64decode(plain["dsseEnvelope"]["payload"]) == PAYLOAD
    assert [sorted(signature) for signature in plain["dsseEnvelope"]["signatures"]] == [["keyid", "sig"]]


def test_another_key_is_told_from_tampering() -> None:
    with pytest.raises(VerificationError, match="another key") as caught:
        verify(sign_statement(PAYLOAD, key=OTHER_KEY))
    assert KEY.public.fingerprint in str(caught.value)
    assert OTHER_KEY.public.fingerprint in str(caught.value)
    tampered = edited(lambda plain: plain["dsseEnvelope"].update(payload=base64.b64encode(b"other").decode()))
    with pytest.raises(VerificationError, match="changed after signing"):
        verify(tampered)


def test_another_key_under_our_name_is_tampering() -> None:
    plain = json.loads(sign_statement(PAYLOAD, key=OTHER_KEY))
    plain["verificationMaterial"]["publicKey"]["hint"] = KEY.public.fingerprint
    plain["dsseEnvelope"]["signatures"][0]["keyid"] = KEY.public.fingerprint
    with pytest.raises(VerificationError, match="changed after signing"):
        verify(codec.canonical(plain).encode())


def second_signature(plain: dict[str, Any]) -> None:
    plain["dsseEnvelope"]["signatures"] *= 2


def no_signature(plain: dict[str, Any]) -> None:
    plain["dsseEnvelope"]["signatures"] = []


def extra_member(plain: dict[str, Any]) -> None:
    plain["verificationMaterial"]["certificate"] = {"rawBytes": ""}


def other_key_id(plain: dict[str, Any]) -> None:
    plain["dsseEnvelope"]["signatures"][0]["keyid"] = ""


def other_payload_type(plain: dict[str, Any]) -> None:
    plain["dsseEnvelope"]["payloadType"] = "application/json"


def other_media_type(plain: dict[str, Any]) -> None:
    plain["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"


def split_base64(plain: dict[str, Any]) -> None:
    envelope = plain["dsseEnvelope"]
    envelope["payload"] = envelope["payload"][:8] + "\n" + envelope["payload"][8:]


def unpadded_base64(plain: dict[str, Any]) -> None:
    plain["dsseEnvelope"]["payload"] = plain["dsseEnvelope"]["payload"].rstrip("=")


def loose_last_bits(plain: dict[str, Any]) -> None:
    payload = plain["dsseEnvelope"]["payload"]
    assert payload.endswith("fQo=")
    plain["dsseEnvelope"]["payload"] = payload[:-4] + "fQp="


def half_a_surrogate_pair(plain: dict[str, Any]) -> None:
    plain["verificationMaterial"]["publicKey"]["hint"] = "?"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (second_signature, "2 signatures"),
        (no_signature, "0 signatures"),
        (extra_member, "not in the form"),
        (other_key_id, "not in the form"),
        (other_payload_type, "payload type"),
        (other_media_type, "media type"),
        (split_base64, "broken base64"),
        (unpadded_base64, "broken base64"),
        (loose_last_bits, "not in the form"),
        (half_a_surrogate_pair, "another key"),
    ],
)
def test_a_bundle_in_any_other_form_is_refused(edit: Callable[[dict[str, Any]], None], message: str) -> None:
    with pytest.raises(VerificationError, match=message) as caught:
        verify(edited(edit))
    assert caught.value.where == "some.json"


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"mediaType":NaN}',
        b"[" * 200_000,
        b'{"mediaType":' + b"9" * 5000 + b"}",
        sign_statement(PAYLOAD, key=KEY).replace(b'"mediaType"', b'"mediaType":"x","mediaType"'),
        sign_statement(PAYLOAD, key=KEY).replace(KEY.public.fingerprint.encode(), b"\\ud800"),
        sign_statement(PAYLOAD, key=KEY)[:-40],
        sign_statement(PAYLOAD, key=KEY) + b" ",
        b"\xef\xbb\xbf" + sign_statement(PAYLOAD, key=KEY),
    ],
    ids=range(13),
)
def test_nonsense_is_a_verification_error_and_not_a_crash(bundle: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        verify(bundle)
    str(caught.value).encode()


def test_the_signature_is_verified_before_the_payload_is_parsed() -> None:
    """A payload that no parser accepts gives the signature's error, not the parser's."""
    broken = sign_statement(b"{", key=KEY).replace(b'"payload":"ew=="', b'"payload":"W3s="')
    with pytest.raises(VerificationError, match="changed after signing"):
        verify(broken)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(data=st.data(), value=json_values)
def test_any_member_replaced_by_anything_else_is_refused(data: st.DataObject, value: object) -> None:
    plain = json.loads(sign_statement(PAYLOAD, key=KEY))
    node: Any = plain
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    if codec.canonical(node[key]) == codec.canonical(value):
        return
    node[key] = value
    with pytest.raises(VerificationError):
        verify(json.dumps(plain).encode())


@given(st.binary(max_size=200))
def test_no_bytes_make_verification_crash(bundle: bytes) -> None:
    with pytest.raises(VerificationError):
        verify(bundle)
