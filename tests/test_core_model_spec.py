from __future__ import annotations

import pytest
from hypothesis import given

from gatekeeper.core.code import CodeFile
from gatekeeper.core.codec import decode, encode
from gatekeeper.core.model_spec import Argument, ModelSpec
from gatekeeper.errors import InvalidValueError
from tests.strategies import code_files, model_specs


@given(spec=model_specs())
def test_a_model_survives_being_encoded_and_decoded(spec: ModelSpec) -> None:
    again = decode(encode(spec), ModelSpec)
    assert again == spec
    assert [type(argument.value) for argument in again.arguments] == [type(a.value) for a in spec.arguments]


@pytest.mark.parametrize("value", ["null", "[1]", '{"a":1}'])
def test_an_argument_is_a_scalar(value: str) -> None:
    with pytest.raises(InvalidValueError):
        decode(f'{{"name":"depth","value":{value}}}\n', Argument)


@given(code=code_files)
def test_code_is_written_and_read(code: CodeFile) -> None:
    assert CodeFile.parse(str(code)) == code


@pytest.mark.parametrize("text", ["", "nets", "nets@sha256:", "nets@sha256:12", "a b@sha256:" + "0" * 64, "@sha256:"])
def test_code_without_name_or_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError):
        CodeFile.parse(text)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"network": "resnet9"},
        {"network": "resnet9", "width": 3},
        {"network": "resnet9", "width": 8, "factory": "nets:make"},
        {"network": "efficientnet-lite0", "width": 32},
        {"factory": "nets:make", "width": 8},
        {"factory": "../nets make.py:make"},
        {"factory": "nets:make", "arguments": (Argument(name="a", value=1), Argument(name="a", value=2))},
        {"network": "mlp", "width": 8, "arguments": (Argument(name="a", value=1),)},
        {"network": "mlp", "width": 8, "base_skip": ("head.*",)},
        {"network": "mlp", "width": 8, "trainable": ()},
        {"network": "mlp", "width": 8, "base": ""},
    ],
)
def test_a_model_that_contradicts_itself_is_refused_at_birth(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidValueError):
        ModelSpec(**fields)  # type: ignore[arg-type]
