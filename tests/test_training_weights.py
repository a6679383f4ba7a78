from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from torch import nn

from gatekeeper.cli.main import app
from gatekeeper.core.model_spec import ModelSpec
from gatekeeper.errors import InvalidInputError
from gatekeeper.training.networks import NormalisedInput, build
from gatekeeper.training.networks.convert import convert
from gatekeeper.training.networks.trainable import freeze_all_but
from gatekeeper.training.networks.weights import load_base

SHAPE = (1, 8, 8)


def _network(*, seed: int = 0, classes: int = 2, **fields: object) -> NormalisedInput:
    spec = ModelSpec(network="lenet", width=4, **fields)  # type: ignore[arg-type]
    return build(spec, image_shape=SHAPE, classes=classes, seed=seed)


def _state(network: NormalisedInput) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.network.state_dict().items()}


def _saved(folder: Path, state: dict[str, torch.Tensor]) -> str:
    path = folder / "base.safetensors"
    path.write_bytes(safetensors.torch.save(state))
    return str(path)


def test_training_starts_from_the_base_and_its_digest_is_kept(tmp_path: Path) -> None:
    trained = _state(_network(seed=1))
    path = _saved(tmp_path, trained)
    network = _network(seed=2, base=path)
    for name, tensor in _state(network).items():
        assert torch.equal(tensor, trained[name]), name
    assert network.provenance.base_weights == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert _network().provenance.base_weights is None


def test_half_precision_weights_are_taken(tmp_path: Path) -> None:
    trained = _state(_network(seed=1))
    path = _saved(tmp_path, {name: tensor.half() for name, tensor in trained.items()})
    for name, tensor in _state(_network(base=path)).items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, trained[name].half().float()), name


def test_a_head_of_another_size_keeps_its_initial_values_where_it_is_named(tmp_path: Path) -> None:
    trained = _state(_network(seed=1, classes=10))
    network = _network(seed=2, base=_saved(tmp_path, trained), base_skip=("head.*",))
    assert torch.equal(network.network.head.weight, _network(seed=2).network.head.weight)
    assert torch.equal(network.network.features[0].weight, trained["features.0.weight"])


def test_every_difference_is_listed(tmp_path: Path) -> None:
    state = _state(_network(classes=10))
    state["extra"] = torch.zeros(1)
    state["features.0.bias"] = torch.zeros(4, dtype=torch.int64)
    state["features.3.bias"][0] = torch.nan
    del state["features.0.weight"]
    with pytest.raises(InvalidInputError, match="don't fit") as caught:
        _network(base=_saved(tmp_path, state))
    for line in (
        "extra: the network has none",
        "features.0.weight: the file lacks it",
        "features.0.bias: torch.int64 in the file, torch.float32 in the network",
        "features.3.bias: holds values that are not finite",
        "head.weight: shape 10×56 in the file, 2×56 in the network",
    ):
        assert line in caught.value.message
    assert "base_skip" in (caught.value.hint or "")


def test_a_network_is_left_alone_where_the_weights_do_not_fit(tmp_path: Path) -> None:
    network = _network()
    before = _state(network)
    state = _state(_network(seed=1))
    del state["head.bias"]
    with pytest.raises(InvalidInputError):
        load_base(network.network, path=_saved(tmp_path, state), skip=())
    assert all(torch.equal(tensor, before[name]) for name, tensor in _state(network).items())


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"{}", b"\xff" * 100])
def test_what_is_no_safetensors_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "base.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="not a file of safetensors") as caught:
        _network(base=str(path))
    assert caught.value.where == str(path)


def test_a_missing_base_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="can't be read: No such file") as caught:
        _network(base=str(tmp_path / "none"))
    assert caught.value.where == str(tmp_path / "none")


def test_patterns_choose_what_is_trained() -> None:
    network = _network(trainable=("head.*", "features.7.weight"))
    trained = {name for name, parameter in network.network.named_parameters() if parameter.requires_grad}
    assert trained == {"head.weight", "head.bias", "features.7.weight"}
    everything = sum(parameter.numel() for parameter in network.parameters())
    assert network.provenance.frozen_parameters == everything - sum(
        parameter.numel() for parameter in network.parameters() if parameter.requires_grad
    )


@pytest.mark.parametrize(("pattern", "near"), [("head.wieght", "near it are head.weight"), ("zzz*", "there are")])
def test_a_pattern_that_names_nothing_is_refused_with_names_near_it(pattern: str, near: str) -> None:
    with pytest.raises(InvalidInputError, match="names no parameter") as caught:
        freeze_all_but(_network().network, ("head.*", pattern))
    assert near in (caught.value.hint or "")


def test_a_skip_that_names_nothing_is_refused(tmp_path: Path) -> None:
    path = _saved(tmp_path, _state(_network()))
    with pytest.raises(InvalidInputError, match=r"'fc\.\*' names no parameter"):
        _network(base=path, base_skip=("fc.*",))


@pytest.mark.parametrize("wrap", [None, "state_dict", "model"])
def test_a_torch_file_is_converted_and_training_starts_from_it(wrap: str | None, tmp_path: Path) -> None:
    source, destination = tmp_path / "in.pth", tmp_path / "out.safetensors"
    state = _state(_network(seed=1))
    torch.save({wrap: state, "epoch": 3} if wrap else state, source)
    result = CliRunner().invoke(app, ["weights", "convert", str(source), str(destination)])
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256(destination.read_bytes()).hexdigest()
    assert f"{len(state)} tensors" in result.output
    assert digest in result.output
    network = _network(base=str(destination))
    assert network.provenance.base_weights == digest
    assert all(torch.equal(tensor, state[name]) for name, tensor in _state(network).items())


def test_tensors_that_share_memory_are_converted(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    torch.save({"a": shared, "b": shared[2:], "c": shared.view(2, 3).T}, tmp_path / "in.pth")
    convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    found = safetensors.torch.load_file(tmp_path / "out.safetensors")
    assert torch.equal(found["b"], shared[2:])
    assert torch.equal(found["c"], shared.view(2, 3).T)


class _RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('the pickle ran')",))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"weight": _RunsCode()}, "loading it would run code"),
        (nn.Linear(2, 2), "loading it would run code"),
        ({"weight": torch.zeros(2), "epoch": 3}, "no dense real tensors: epoch (int)"),
        ({1: torch.zeros(2)}, "no dense real tensors: 1 (Tensor)"),
        ({"w": torch.zeros(2, dtype=torch.complex64)}, "no dense real tensors: w"),
        ({"w": torch.zeros(2).to_sparse()}, "no dense real tensors: w"),
        ([torch.zeros(2)], "holds no state_dict but a list"),
        ({}, "holds nothing"),
        ({"state_dict": {}}, "holds nothing"),
    ],
)
def test_a_file_of_more_than_weights_is_refused(content: object, says: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "in.pth")
    with pytest.raises(InvalidInputError) as caught:
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert says in caught.value.message
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"no torch file", b"PK\x03\x04" + b"\0" * 40, b"\x80\x02}q\x00."])
def test_a_file_that_is_not_torchs_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.pth").write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert caught.value.where == str(tmp_path / "in.pth")


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "in.pth")
    (tmp_path / "out.safetensors").write_bytes(b"precious")
    with pytest.raises(InvalidInputError, match="exists already"):
        convert(tmp_path / "in.pth", tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == b"precious"


def test_the_new_files_name_must_say_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"must end in \.safetensors"):
        CliRunner().invoke(
            app, ["weights", "convert", "in.pth", "out.pth"], catch_exceptions=False, standalone_mode=False
        )
