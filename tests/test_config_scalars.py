"""Scalars: one grammar, and a name for each form that is refused."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.config.nodes import Scalar
from gatekeeper.config.scalars import EMPTY, Mismatch, to_boolean, to_real, to_text, to_whole
from gatekeeper.config.yaml_text import number, text


def scalar(value: str, *, plain: bool = True) -> Scalar:
    return Scalar(text=value, plain=plain, line=1, column=1)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_written_so_that_every_reader_reads_it(value: float) -> None:
    written = number(value)
    assert to_real(scalar(written)) == value
    assert yaml.safe_load(written) == value
    assert isinstance(yaml.safe_load(written), float)


@given(value=st.integers(min_value=-(10**18) + 1, max_value=10**18 - 1))
def test_every_whole_number_is_read(value: int) -> None:
    assert to_whole(scalar(number(value))) == value
    assert to_real(scalar(str(value))) == float(value)


@given(value=st.text(st.characters(blacklist_categories=["Cs"]), min_size=1))
def test_every_text_is_written_so_that_every_reader_reads_it(value: str) -> None:
    assert yaml.safe_load(text(value)) == value


@pytest.mark.parametrize(
    "word", ["true", "no", "Null", "~", "12", "1e9", "0x1F", "12:30", ".inf", "a: b", "a #b", "- a"]
)
def test_a_text_that_could_be_taken_for_something_else_is_quoted(word: str) -> None:
    assert text(word) == f'"{word}"'


@pytest.mark.parametrize("value", ["", "~", "null", "NULL"])
def test_null_is_never_a_value(value: str) -> None:
    assert [convert(scalar(value)) for convert in (to_text, to_real, to_whole, to_boolean)] == [EMPTY] * 4
    assert to_text(scalar(value, plain=False)) == value


@pytest.mark.parametrize("value", ["True", "yes", "on", "1", ""])
def test_only_true_and_false_are_booleans(value: str) -> None:
    assert isinstance(to_boolean(scalar(value)), Mismatch)


@given(value=st.text("0123456789+-.eExXob_:%, infa", max_size=12))
def test_a_number_is_finite_or_refused(value: str) -> None:
    read = to_real(scalar(value))
    assert isinstance(read, Mismatch) or math.isfinite(read)
    whole = to_whole(scalar(value))
    assert isinstance(whole, Mismatch) or float(whole) == read


@given(value=st.text("0123456789+-.eE", min_size=1, max_size=8))
def test_what_is_read_as_a_number_is_the_number_that_python_reads(value: str) -> None:
    read = to_real(scalar(value))
    if not isinstance(read, Mismatch):
        assert read == float(value)


def test_a_long_text_is_refused_quickly_and_cut_in_the_message() -> None:
    refused = to_real(scalar("1" * 1_000_000 + "x"))
    assert isinstance(refused, Mismatch)
    assert len(refused.message) < 120
