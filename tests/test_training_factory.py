from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from gatekeeper.core.allowed_code import import_module
from gatekeeper.core.code import CodeFile
from gatekeeper.core.model_spec import Argument, ModelSpec
from gatekeeper.errors import UnsupportedModelError
from gatekeeper.training.networks import NormalisedInput, build

SHAPE = (1, 8, 8)

GOOD = """\
from torch import nn

def make(*, image_shape, classes, hidden=4, bias=True, scale=1.0, name="x"):
    assert isinstance(hidden, int) and isinstance(bias, bool) and isinstance(scale, float) and isinstance(name, str)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden, bias=bias), nn.ReLU(), nn.Linear(hidden, classes))
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    finders, modules = list(sys.meta_path), set(sys.modules)
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in {"nets", "mine", "alone"}:
            del sys.modules[name]


def _write(path: Path, text: str, *, name: str) -> CodeFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return CodeFile(name=name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def _build(
    factory: str, *allow: CodeFile, arguments: tuple[Argument, ...] = (), task: str = "classification", seed: int = 0
) -> NormalisedInput:
    spec = ModelSpec(factory=factory, arguments=arguments)
    return build(spec, image_shape=SHAPE, classes=3, seed=seed, task=task, allow_code=allow)  # type: ignore[arg-type]


def test_an_allowed_module_makes_the_network(packages: Path) -> None:
    code = _write(packages / "nets" / "small.py", GOOD, name="nets.small")
    arguments = tuple(
        Argument(name=name, value=value)
        for name, value in {"hidden": 6, "bias": False, "scale": 2.0, "name": "y"}.items()
    )
    network = _build("nets.small:make", code, arguments=arguments)
    assert network(torch.rand(2, *SHAPE)).shape == (2, 3)
    assert network.provenance.code == (code,)
    assert network.network[1].weight.shape == (6, 64)
    assert network.network[1].bias is None
    assert torch.equal(
        network.network[1].weight, _build("nets.small:make", code, arguments=arguments).network[1].weight
    )
    assert not torch.equal(
        network.network[1].weight, _build("nets.small:make", code, arguments=arguments, seed=1).network[1].weight
    )


def test_a_factorys_network_sees_pixel_values_as_they_are(packages: Path) -> None:
    code = _write(packages / "alone.py", GOOD, name="alone")
    network = _build("alone:make", code)
    images = torch.rand(2, *SHAPE)
    assert torch.equal(network(images), network.network(images))


def test_an_allowed_file_makes_the_network(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = _write(packages / "folder" / "mine.py", GOOD, name="mine.py")
    monkeypatch.chdir(packages)
    assert _build("folder/mine.py:make", code).provenance.code == (code,)


def test_code_that_is_not_allowed_does_not_run_and_the_line_to_add_is_said(packages: Path) -> None:
    code = _write(packages / "alone.py", GOOD + "raise SystemExit('ran')\n", name="alone")
    other = CodeFile(name="alone", sha256="0" * 64)
    with pytest.raises(UnsupportedModelError, match="doesn't allow the code of alone") as caught:
        _build("alone:make", other)
    assert f'"{code}"' in (caught.value.hint or "")
    assert caught.value.where == str(packages / "alone.py")
    assert "alone" not in sys.modules


def test_a_digest_allows_a_name_and_not_another(packages: Path) -> None:
    _write(packages / "alone.py", GOOD, name="alone")
    code = _write(packages / "mine.py", GOOD, name="mine")
    with pytest.raises(UnsupportedModelError, match="doesn't allow the code of alone"):
        _build("alone:make", code)


def test_a_packages_init_runs_only_if_it_is_allowed(packages: Path) -> None:
    init = _write(packages / "nets" / "__init__.py", "RAN = True\n", name="nets")
    code = _write(packages / "nets" / "small.py", GOOD, name="nets.small")
    with pytest.raises(UnsupportedModelError, match=r"doesn't allow the code of nets\n"):
        _build("nets.small:make", code)
    assert _build("nets.small:make", code, init).provenance.code == (init, code)


def test_an_empty_init_needs_no_permission(packages: Path) -> None:
    _write(packages / "nets" / "__init__.py", "\n", name="nets")
    code = _write(packages / "nets" / "small.py", GOOD, name="nets.small")
    assert _build("nets.small:make", code).provenance.code == (code,)


@pytest.mark.parametrize("imports", ["from nets.helper import make", "from .helper import make"])
def test_what_the_module_imports_of_its_package_must_be_allowed_too(imports: str, packages: Path) -> None:
    helper = _write(packages / "nets" / "helper.py", GOOD, name="nets.helper")
    code = _write(packages / "nets" / "small.py", imports + "\n", name="nets.small")
    with pytest.raises(UnsupportedModelError, match=r"doesn't allow the code of nets\.helper"):
        _build("nets.small:make", code)
    assert set(_build("nets.small:make", code, helper).provenance.code) == {code, helper}


def test_what_is_imported_later_must_be_allowed_too(packages: Path) -> None:
    _write(packages / "nets" / "helper.py", "RAN = True\n", name="nets.helper")
    late = "    if x.sum() < 0:\n        import nets.helper\n"
    text = (
        "import torch\nfrom torch import nn\nclass Late(nn.Flatten):\n"
        f"  def forward(self, x):\n{late}    return x.flatten(1)[:, :3]\n"
        "def make(*, image_shape, classes):\n    return Late()\n"
    )
    network = _build("nets.small:make", _write(packages / "nets" / "small.py", text, name="nets.small"))
    with pytest.raises(UnsupportedModelError, match=r"doesn't allow the code of nets\.helper"):
        network(-torch.ones(1, *SHAPE))


def test_the_bytes_that_were_digested_are_the_bytes_that_run(packages: Path) -> None:
    """A module that replaces its own file while it runs changes nothing: there is no second read."""
    text = f"import pathlib\npathlib.Path(__file__).write_text('raise SystemExit')\n{GOOD}"
    code = _write(packages / "alone.py", text, name="alone")
    assert import_module("alone", allow=(code,)).files == (code,)
    assert (packages / "alone.py").read_text() == "raise SystemExit"
    with pytest.raises(UnsupportedModelError, match="doesn't allow"):
        import_module("alone", allow=(code,))


@pytest.mark.parametrize("factory", ["torch.nn:Linear", "gatekeeper.errors:DataError", "json:loads", "ctypes:CDLL"])
def test_gatekeepers_own_packages_are_no_factories(factory: str) -> None:
    with pytest.raises(UnsupportedModelError, match="gatekeeper itself uses"):
        _build(factory)


@pytest.mark.parametrize("factory", ["nets.none:make", "nowhere:make", "none.py:make", "alone.part:make"])
def test_a_factory_that_is_not_there_is_named(factory: str, packages: Path) -> None:
    _write(packages / "alone.py", "", name="alone")
    with pytest.raises(UnsupportedModelError) as caught:
        _build(factory, CodeFile(name="alone", sha256=hashlib.sha256(b"").hexdigest()))
    assert factory in str(caught.value)


BODY = "from torch import nn\nimport torch\ndef make(*, image_shape, classes):\n    "


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", "no function make"),
        ("make = 1\n", "no function make"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("def make():\n    return 1\n", "TypeError"),
        ("import numpyy\n", "No module named 'numpyy'"),
        ("def make(:\n", "SyntaxError"),
        (BODY + "return classes\n", "returned a int, not a torch.nn.Module"),
        (BODY + "return nn.Sequential(nn.Flatten(), nn.Linear(64, classes)).double()\n", "must be float32"),
        (BODY + "return nn.Flatten()\n", "must make float32 logits of (2, 3), it made torch.float32 of (2, 64)"),
        (BODY + "return nn.Linear(3, classes)\n", "RuntimeError"),
        (BODY + "return nn.LSTM(8, 3)\n", "failed: "),
    ],
)
def test_a_factory_that_fails_is_the_candidates_fault(text: str, says: str, packages: Path) -> None:
    code = _write(packages / "alone.py", text, name="alone")
    with pytest.raises(UnsupportedModelError) as caught:
        _build("alone:make", code)
    assert says in str(caught.value)


def test_a_network_of_masks_is_tried_as_one(packages: Path) -> None:
    text = BODY + "return nn.Conv2d(image_shape[0], classes, 1)\n"
    code = _write(packages / "alone.py", text, name="alone")
    assert _build("alone:make", code, task="segmentation")(torch.rand(1, *SHAPE)).shape == (1, 3, 8, 8)
    with pytest.raises(UnsupportedModelError, match="must make float32 logits"):
        _build("alone:make", code)
