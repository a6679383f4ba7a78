"""NumPy arrays: an archive `NAME.npz`, or a folder of `.npy` files, which are mapped and never read whole.

| array | shape | holds |
| --- | --- | --- |
| `images` | (n, …) | pixels; see `pixels` |
| `labels` | (n,) | the class: whole numbers or text; `data.label` may name another array |
| `masks` | (n, *spatial) | instead: the class of each pixel, where `data.label` is `mask` |
| `classes` | (classes,) | optional: the classes' names, where labels or masks are their numbers |
| `names` | (n,) | optional: a name for each image |
| `split` | (n,) | optional: `train` or `test` |
| any other | (n,) | a column that `data.unit` and `split.by` may name, such as `patient` |

Only the arrays that the candidate names are read. Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.data_spec import MASK, DataSpec
from gatekeeper.data.archives import members, read_archive, read_file
from gatekeeper.data.columns import Columns, texts
from gatekeeper.data.files import children, existing
from gatekeeper.data.pixels import all_pixels
from gatekeeper.data.records import ImageTable, closest
from gatekeeper.errors import DataError

LABELS, OPTIONAL = "labels", ("classes", "names", "split")
_WHAT = "it must be an archive as numpy.savez or numpy.savez_compressed writes it"


def read(spec: DataSpec) -> ImageTable:
    """Read the arrays that the specification names.

    Raises:
        DataError: there are no such arrays, one is malformed or of another shape or type than above, a pixel can't be
            8-bit, or the archive promises too much.
    """
    assert spec.path is not None
    path = existing(spec.path)
    arrays = _arrays(path, spec)
    images = all_pixels(arrays["images"], spec, where=_place(path, "images"))
    classes = arrays.get("classes")
    others = {name: array for name, array in arrays.items() if name not in ("images", "masks", "classes")}
    columns = Columns(
        images=images,
        texts={name: texts(array, count=len(images), where=_place(path, name)) for name, array in others.items()},
        masks=arrays.get("masks"),
        classes=None if classes is None else _classes(classes, where=_place(path, "classes")),
        labels=LABELS,
        names="names",
        split="split",
        places=_place(path, ""),
    )
    name = path.resolve().name if path.is_dir() else path.stem
    return columns.table(spec, name=name, source=spec.path)


def offered(path: Path) -> tuple[str, ...]:
    """The names of the arrays at `path`.

    Raises:
        DataError: it is neither an archive nor a folder of `.npy` files.
    """
    if not path.is_dir():
        return members(path, what=_WHAT)
    found = tuple(child for child in children(path, root=path) if child.suffix == ".npy" and child.is_file())
    if not found:
        raise DataError("the folder holds no .npy files", where=str(path), hint="expected images.npy and its columns")
    return tuple(child.stem for child in found)


def _arrays(path: Path, spec: DataSpec) -> Mapping[str, NDArray[np.generic]]:
    there = offered(path)
    owners = {spec.unit, spec.split.by or spec.unit}
    # A column `image` may name the images; where it is missing they are named or numbered.
    asked = ("masks" if spec.label == MASK else spec.label or LABELS, *sorted(owners - {"image"}))
    for name in ("images", *asked):
        if name not in there:
            raise DataError(f"there is no array {name!r}", where=str(path), hint=closest(name, there))
    optional = (name for name in (*OPTIONAL, *sorted(owners & {"image"})) if name in there)
    wanted = tuple(dict.fromkeys(("images", *asked, *optional)))
    if path.is_dir():
        return {name: read_file(path / f"{name}.npy") for name in wanted}
    return read_archive(path, wanted, what=_WHAT)


def _place(path: Path, name: str) -> str:
    """Where an array is, for messages."""
    return f"{path}/{name}" if path.is_dir() else f"{path}:{name}"


def _classes(array: NDArray[np.generic], *, where: str) -> tuple[str, ...]:
    names = texts(array, count=array.size, where=where)
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(
            "classes must be two or more different names", where=where, hint="in the order of their numbers"
        )
    return names
