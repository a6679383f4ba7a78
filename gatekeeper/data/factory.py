"""Images from a function of the user's, which runs only where the policy allows its code.

Called with `data.arguments`, the function returns or yields items, or returns a data set with a length and items by
number. An item is a mapping:

| key | holds |
| --- | --- |
| `image` | an array of one image; see `pixels` |
| `label` | the class: a whole number or text; `data.label` may name another key |
| `mask` | instead: an array of class indices, where `data.label` is `mask` |
| `name` | optional: the image's name |
| `split` | optional: `train` or `test` |
| any other | a column that `data.unit` and `split.by` may name, such as `patient` |

All items have the same keys. The function may have an attribute `classes`: the classes' names, where labels or masks
are their numbers. It is called in the process that trains, which has no key, and each time that the data are read it
must yield the same: what it yields is digested as any other data are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gatekeeper.core.allowed_code import guarded, import_function
from gatekeeper.core.code import CodeFile
from gatekeeper.core.data_spec import MASK, DataSpec
from gatekeeper.data.columns import Columns, checked_text
from gatekeeper.data.images import check_total_bytes
from gatekeeper.data.pixels import image_pixels
from gatekeeper.data.records import ImageTable, closest
from gatekeeper.data.store import collected
from gatekeeper.errors import DataError


def read(spec: DataSpec, *, allow_code: tuple[CodeFile, ...] = ()) -> ImageTable:
    """Call the function and take in what it yields.

    Args:
        spec: names the function and its arguments.
        allow_code: what the policy allows.

    Raises:
        DataError: the code isn't allowed or fails, or an item is none; the message names its number.
    """
    assert spec.factory is not None
    imported = import_function(spec.factory, allow=allow_code, refusal=DataError)
    given = {argument.name: argument.value for argument in spec.arguments}
    made = guarded(spec.factory, lambda: imported.function(**given), refusal=DataError)
    taken = _Taken(spec=spec, factory=spec.factory)
    items = _items(spec.factory, made)
    first = next(items, None)
    if first is None:
        raise DataError("the factory yielded nothing", where=spec.factory, hint="it must yield an item an image")
    images = collected(taken.image(item) for item in itertools.chain((first,), items))
    columns = Columns(
        images=images,
        texts={name: tuple(column) for name, column in taken.texts.items()},
        masks=np.stack(taken.masks) if taken.masks else None,
        classes=_classes(spec.factory, getattr(imported.function, "classes", None)),
        labels="label",
        names="name",
        split="split",
        places=f"{spec.factory}: ",
    )
    return columns.table(spec, name=spec.factory, source=spec.factory, code=imported.code.files)


@dataclass(kw_only=True, slots=True)
class _Taken:
    """What was taken of the items so far, but for the pixels of their images.

    Attributes:
        spec: which keys are wanted.
        factory: for messages.
        count: how many items.
        shape: of their images.
        masks: one an item, where they are wanted.
        texts: columns by their key.
    """

    spec: DataSpec
    factory: str
    count: int = 0
    shape: tuple[int, ...] | None = None
    masks: list[NDArray[np.generic]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def image(self, given: object) -> NDArray[np.uint8]:
        """Take an item in, and give its pixels."""
        where = f"{self.factory}, item {self.count}"
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise DataError(
                f"an item is a {type(given).__name__}, not a mapping of names to values",
                where=where,
                hint='yield {"image": …, "label": …, …}',
            )
        item: dict[str, object] = guarded(self.factory, lambda: dict(given), refusal=DataError)
        self._check_keys(item, where)
        pixels = image_pixels(self._array(item["image"], where=f"{where}: image"), self.spec, where=f"{where}: image")
        if self.shape not in (None, pixels.shape):
            raise DataError(
                f"the image has (channels, …) = {pixels.shape}, the first one {self.shape}",
                where=where,
                hint="all images must be alike: resize them, or set data.image_size and data.channels",
            )
        self.count, self.shape = self.count + 1, pixels.shape
        check_total_bytes(self.count * pixels.nbytes, source=self.factory)
        if self.spec.label == MASK:
            self.masks.append(self._mask(item["mask"], pixels, where=f"{where}: mask"))
        for key in item.keys() - {"image", "mask"}:
            self.texts.setdefault(key, []).append(checked_text(item[key], where=f"{where}: {key}"))
        return pixels.copy()  # a factory may use its array again

    def _check_keys(self, item: Mapping[str, object], where: str) -> None:
        needed = {"image", MASK if self.spec.label == MASK else self.spec.label or "label"}
        missing = (needed | self.texts.keys()) - item.keys()
        more = item.keys() - self.texts.keys() - {"image", "mask"} if self.count else set()
        if missing or more:
            which = f"has no {min(missing)!r}" if missing else f"has {min(more)!r}, which those before it don't have"
            raise DataError(f"the item {which}", where=where, hint=closest(min(missing or more), tuple(sorted(item))))

    def _mask(self, given: object, pixels: NDArray[np.uint8], *, where: str) -> NDArray[np.generic]:
        mask = self._array(given, where=where)
        if mask.shape != pixels.shape[1:] or mask.dtype.kind not in "iu":
            raise DataError(
                f"a mask must be whole numbers of shape {pixels.shape[1:]}, got {mask.dtype} of {mask.shape}",
                where=where,
                hint="a class index for each pixel",
            )
        return mask.copy()

    def _array(self, value: object, *, where: str) -> NDArray[np.generic]:
        if isinstance(value, np.ma.MaskedArray):
            raise DataError(
                "the array has masked values, and nothing says what stands for them", where=where, hint="fill it"
            )
        readable = hasattr(value, "__array__")
        array = guarded(self.factory, lambda: np.asarray(value), refusal=DataError) if readable else None
        if array is None or array.dtype.hasobject:
            raise DataError(f"must be an array, got {type(value).__name__}", where=where, hint="convert it with numpy")
        return array


def _items(factory: str, made: object) -> Iterator[object]:
    """What the factory returned, item by item; what it raises on the way is its own fault."""
    if hasattr(made, "__len__") and hasattr(made, "__getitem__") and not isinstance(made, Mapping):
        numbered = made
        count = guarded(factory, lambda: len(numbered), refusal=DataError)
        for index in range(count):
            yield guarded(factory, lambda index=index: numbered[index], refusal=DataError)  # type: ignore[misc]
        return
    if not isinstance(made, Iterable) or isinstance(made, Mapping | str | bytes):
        raise DataError(
            f"the factory returned a {type(made).__name__}, not items", where=factory, hint="yield a mapping an image"
        )
    iterator = guarded(factory, lambda: iter(made), refusal=DataError)
    end = object()
    while (item := guarded(factory, lambda: next(iterator, end), refusal=DataError)) is not end:
        yield item


def _classes(factory: str, given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    where = f"{factory}: classes"
    if not isinstance(given, tuple | list):
        raise DataError(
            f"must be a tuple of names, got {type(given).__name__}", where=where, hint='("benign", "malignant")'
        )
    names = tuple(checked_text(name, where=where) for name in given)
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(
            "classes must be two or more different names", where=where, hint="in the order of their numbers"
        )
    return names
