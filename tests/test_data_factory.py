"""A user's own data set: only allowed code runs, and what it yields is checked item by item."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gatekeeper
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import DataSpec, SplitSpec
from gatekeeper.core.model_spec import Argument
from gatekeeper.data import load
from gatekeeper.data.dataset import Dataset
from gatekeeper.errors import DataError
from tests.data_layouts import SALT

GOOD = """\
import numpy as np

def items(patients=4, images=2):
    generator = np.random.default_rng(0)
    buffer = np.empty((8, 8, 3), dtype=np.uint8)
    for patient in range(patients):
        for image in range(images):
            buffer[:] = generator.integers(0, 256, buffer.shape)
            yield {"image": buffer, "label": patient % 2, "patient": f"p{patient}", "clinic": patient // 2}
"""
DATASET = """\
import numpy as np

class Scans:
    def __len__(self):
        return 6
    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (4, 8, 8), dtype=np.uint8)
        mask = np.zeros((4, 8, 8), dtype=int)
        mask[1, 2:4, 2:4] = 1
        return {"image": image, "mask": mask, "patient": index, "split": "train" if index < 4 else "test"}

def scans():
    return Scans()

scans.classes = ("background", "liver")
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    finders, modules = list(sys.meta_path), set(sys.modules)
    yield tmp_path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] == "mydata":
            del sys.modules[name]


def write(folder: Path, text: str, *, name: str = "mydata") -> CodeFile:
    path = folder / f"{name.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return CodeFile(name=name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def asked(factory: str = "mydata:items", *, test: float | None = 0.25, **options: Any) -> DataSpec:
    return DataSpec(
        format="factory",
        path=None,
        factory=factory,
        split=SplitSpec(test=test, by=options.pop("by", None)),
        **{"unit": "patient", **options},
    )


def read(folder: Path, text: str, **options: Any) -> Dataset:
    return load(asked(**options), allow_code=(write(folder, text),))


def refusal(folder: Path, text: str, **options: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read(folder, text, **options)
    return caught.value


def test_an_allowed_function_yields_the_data(package: Path) -> None:
    code = write(package, GOOD)
    data = load(asked(by="clinic", test=0.5), allow_code=(code,))
    assert data.code == data.card(salt=SALT).code == (code,)
    assert data.train.units == data.test.units == 2
    assert data.train.images.shape == (4, 3, 8, 8)
    assert len({image.tobytes() for image in data.train.images}) == 4  # each its own, though the factory has one buffer
    assert not set(data.train.groups) & set(data.test.groups)


def test_arguments_are_handed_over(package: Path) -> None:
    data = read(package, GOOD, arguments=(Argument(name="patients", value=8), Argument(name="images", value=1)))
    assert (data.train.units, len(data.train.images)) == (6, 6)


def test_a_data_set_with_a_length_is_read_by_number(package: Path) -> None:
    data = read(package, DATASET, factory="mydata:scans", label="mask", test=None)
    assert data.task == "segmentation"
    assert data.classes == ("background", "liver")
    assert (data.train.units, data.test.units) == (4, 2)
    assert data.train.images.shape[1:] == (1, 4, 8, 8)


def test_images_are_converted_as_the_specification_says(package: Path) -> None:
    assert read(package, GOOD, image_size=(6, 5), channels=1).train.images.shape[1:] == (1, 6, 5)


def test_without_permission_nothing_runs(package: Path) -> None:
    write(package, f"open({str(package / 'ran')!r}, 'w')\n{GOOD}")
    with pytest.raises(DataError) as caught:
        load(asked())
    assert "the policy doesn't allow the code of mydata" in caught.value.message
    assert "add to spec.allow_code" in str(caught.value.hint)
    assert not (package / "ran").exists()


def test_a_changed_file_does_not_run(package: Path) -> None:
    code = write(package, GOOD)
    write(package, GOOD + "\n")
    with pytest.raises(DataError, match="doesn't allow"):
        load(asked(), allow_code=(code,))


def test_a_module_that_is_imported_late_is_checked_and_named(package: Path) -> None:
    (package / "mydata").mkdir()
    late = write(package, "SIDE = 8\n", name="mydata.late")
    main = write(package, GOOD.replace("    generator", "    import mydata.late\n    generator"), name="mydata.main")
    with pytest.raises(DataError, match=r"doesn't allow the code of mydata\.late"):
        load(asked("mydata.main:items"), allow_code=(main,))
    assert load(asked("mydata.main:items"), allow_code=(main, late)).code == (main, late)


def test_a_module_that_is_not_there_is_said_with_its_remedy(package: Path) -> None:
    with pytest.raises(DataError, match="no source file of a module named 'mydata'") as caught:
        load(asked("mydata.scans:items"))
    assert caught.value.where == "mydata.scans:items"
    assert "or name a file" in str(caught.value.hint)


def test_a_file_outside_packages_is_allowed_by_its_name(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package)
    code = CodeFile(name="mydata.py", sha256=write(package, GOOD).sha256)
    assert load(asked("mydata.py:items"), allow_code=(code,)).train.units == 3


ITEM = '{"image": np.zeros((8, 8), np.uint8) + n, "label": n % 2, "patient": n}'


def yielding(item: str, *, then: str = ITEM) -> str:
    """A factory whose third item is another."""
    return f"import numpy as np\ndef items():\n    for n in range(6):\n        yield {item} if n == 2 else {then}\n"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("(1, 2)", "an item is a tuple"),
        ("{1: 2}", "an item is a dict"),
        ('{"label": 1, "patient": n}', "has no 'image'"),
        ('{"image": np.zeros((8, 8), np.uint8), "patient": n}', "has no 'label'"),
        (ITEM.replace("}", ', "site": 1}'), "has 'site', which those before it don't have"),
        (ITEM.replace("np.zeros((8, 8), np.uint8) + n", "[[1, 2], [3, 4]]"), "must be an array, got list"),
        (ITEM.replace("np.zeros((8, 8), np.uint8) + n", "np.array([[None]])"), "must be an array"),
        (ITEM.replace("np.zeros((8, 8), np.uint8)", "np.zeros((8, 9), np.uint8)"), "the first one (1, 8, 8)"),
        (ITEM.replace("np.zeros((8, 8), np.uint8) + n", "np.full((8, 8), np.nan)"), "is nan"),
        (ITEM.replace("np.zeros((8, 8), np.uint8) + n", "np.full((8, 8), 7)"), "no window says"),
        (ITEM.replace("n % 2", "0.5"), "whole number or text, got float"),
        (ITEM.replace("n % 2", "True"), "whole number or text, got bool"),
        (ITEM.replace("n % 2", "None"), "whole number or text, got NoneType"),
        (ITEM.replace('"patient": n', '"patient": ""'), "is empty"),
        (ITEM.replace('"patient": n', '"patient": "a\\nb"'), "control character"),
        (ITEM.replace('"patient": n', '"patient": 10**5000'), "more than 20 digits"),
        (ITEM.replace("+ n", "+ np.ma.masked_equal(np.arange(8), 3)"), "masked values"),
        ("1 / 0", "failed: ZeroDivisionError"),
        ("__import__('sys').exit(0)", "failed: SystemExit"),
        ("open('absent')", "failed: FileNotFoundError"),
    ],
)
def test_an_item_that_is_none_is_refused_by_its_number(package: Path, item: str, message: str) -> None:
    error = refusal(package, yielding(item))
    assert message in error.message
    assert "item 2" in str(error.where) or "mydata.py:4" in str(error.where)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def items(): return None", "returned a NoneType"),
        ("def items(): return {}", "returned a dict"),
        ("def items(): return 'abc'", "not a mapping"),
        ("def items(): return []", "yielded nothing"),
        ("def items(n): return []", "failed: TypeError"),
        ("items = 3", "has no function items"),
        ("def other(): pass", "has no function items"),
        ("def items(:", "failed: SyntaxError"),
        (yielding(ITEM) + "items.classes = 'ab'\n", "must be a tuple of names"),
        (yielding(ITEM) + "items.classes = ('a', 'a')\n", "two or more different names"),
    ],
)
def test_a_factory_that_yields_no_items_is_refused(package: Path, text: str, message: str) -> None:
    assert message in refusal(package, text).message


def test_what_an_item_raises_when_it_is_looked_at_is_its_own_fault(package: Path) -> None:
    late = "class Late:\n    def __array__(self, *given, **options):\n        raise OSError('gone')\n"
    error = refusal(package, late + yielding(ITEM.replace("np.zeros((8, 8), np.uint8) + n", "Late()")))
    assert "failed: OSError: gone" in error.message


def test_masks_must_fit_their_images(package: Path) -> None:
    text = DATASET.replace("mask = np.zeros((4, 8, 8), dtype=int)", "mask = np.zeros((4, 8, 9), dtype=int)")
    error = refusal(package, text, factory="mydata:scans", label="mask", test=None)
    assert "of shape (4, 8, 8)" in error.message
    assert "item 0: mask" in str(error.where)


def test_columns_that_are_not_there_are_refused(package: Path) -> None:
    assert "unit 'patiend' is not a column" in refusal(package, GOOD, unit="patiend").message
    assert "did you mean 'patient'?" in str(refusal(package, GOOD, unit="patiend").hint)
    assert "has no 'grade'" in refusal(package, GOOD, label="grade").message


def test_data_are_read_in_the_child_alone() -> None:
    """What reads them is reached through the worker, which has no key; and nobody else hands over what is allowed."""
    package = Path(gatekeeper.__file__).parent
    reading = re.compile(r"\bdata\.(load|read)\(|from gatekeeper\.data import .*\b(load|read)\b")
    loading = {path.name for path in package.rglob("*.py") if reading.search(path.read_text(encoding="utf-8"))}
    assert loading == {"production.py", "forecasting.py", "describing.py"}
    reaching = {"plan", "produce", "unchanged", "forecast", "produce_alone", "draw_annex", "assist", "describe"}
    for path in (package / "cli").glob("*.py"):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gatekeeper.pipeline")
            for alias in node.names
        }
        assert path.name == "worker.py" or not imported & reaching, path


def test_a_package_of_gatekeepers_own_is_no_data(package: Path) -> None:
    for factory in ("gatekeeper.data:load", "os.path:join", "numpy:zeros"):
        with pytest.raises(DataError):
            load(asked(factory))
