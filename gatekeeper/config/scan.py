"""The `scan` of a candidate's data: what is made of tomographic scans and other medical images."""

from __future__ import annotations

from gatekeeper.config.document import Document, Read, Section, nearest
from gatekeeper.config.nodes import Mapping, Node, Scalar, Sequence, shown
from gatekeeper.config.readers import BOOLEAN, TEXT, list_of, one_of_numbers, real, whole
from gatekeeper.core.checks import check_finite, check_positive
from gatekeeper.core.data_spec import SCAN_FORMATS
from gatekeeper.core.scan_spec import WINDOW_SOURCES, MergedClass, ScanSpec, WindowSource
from gatekeeper.errors import InvalidValueError

Window = tuple[float, float] | WindowSource

_OVER_THE_SET = ("dataset", "data-set", "data set", "global", "per-dataset", "z-score", "zscore")


def read_scan(data: Section, data_format: Read[str]) -> Read[ScanSpec] | Read[ScanSpec | None]:
    """What is made of scans; other data have none."""
    name = data_format.value_or(SCAN_FORMATS[0])
    section = data.optional_mapping("scan")
    if section is None:
        return Read((ScanSpec() if name in SCAN_FORMATS else None,))
    if name not in SCAN_FORMATS:
        data.report("scan", f"scan goes with the formats {' and '.join(SCAN_FORMATS)} only", hint="remove the key")
    silent = ScanSpec()
    dimensions = section.optional("dimensions", one_of_numbers(2, 3), default=silent.dimensions)
    every = section.optional("every", whole(at_least=1), default=silent.every)
    window = section.optional("window", _window, default=None)
    spacing = section.optional("spacing", list_of(real(check_positive)), default=silent.spacing)
    size = section.optional("size", list_of(whole(at_least=4)), default=silent.size)
    channel = section.optional("channel", TEXT, default=silent.channel)
    labels = section.optional("labels", _labels, default=silent.labels)
    table = section.optional("table", TEXT, default=silent.table)
    known = section.optional("annotations_known", BOOLEAN, default=silent.annotations_known)

    def build() -> ScanSpec:
        pair, source = _halves(window.value)
        return ScanSpec(
            dimensions=dimensions.value,
            every=every.value,
            window=pair,
            window_of=source,
            spacing=spacing.value,
            size=size.value,
            channel=channel.value,
            labels=labels.value,
            table=table.value,
            annotations_known=known.value,
        )

    scan = section.build(build, blame=_blamed(section, dimensions.value_or(2)))
    for spec in scan.content:
        for key, home in spec.homes.items():
            if name in SCAN_FORMATS and home != name:
                section.report(key, f"{key} goes with the format {home}, not with {name}", hint="remove the key")
    return scan


def _blamed(section: Section, dimensions: int) -> str:
    """The key at which a refusal of the whole is reported: the first that can be its reason."""
    if dimensions == 3 and section.has("every"):
        return "every"
    return next((key for key in ("size", "spacing", "labels") if section.has(key)), "labels")


def _halves(window: Window | None) -> tuple[tuple[float, float] | None, WindowSource | None]:
    return (None, window) if isinstance(window, str) else (window, None)


def _window(document: Document, name: str, node: Node) -> Read[Window]:
    """Reads [low, high], or the word that says where the window comes from."""
    if isinstance(node, Sequence):
        pair = list_of(real(check_finite))(document, name, node)
        if pair.content and len(pair.value) != 2:
            return document.refuse(node, f"{name} must be [low, high], got {len(pair.value)} numbers")
        if pair.content and not pair.value[0] < pair.value[1]:
            return document.refuse(node, f"{name} must be [low, high] with low below high")
        return Read(tuple((low, high) for low, high in pair.content))
    wanted = f"must be [low, high], or {' or '.join(WINDOW_SOURCES)}"
    if not isinstance(node, Scalar) or node.is_empty:
        return document.mismatch(name, node, wanted)
    for source in WINDOW_SOURCES:
        if node.text == source:
            return Read((source,))  # type: ignore[arg-type]  # one of the words of its Literal
    if node.text.lower() in _OVER_THE_SET:
        return document.refuse(
            node,
            f"{name} {shown(node.text)} would take statistics over all units: they leak, and no noise covers them",
            hint="write per-image, or give the numbers",
        )
    return document.refuse(node, f"{name} {wanted}, got {shown(node.text)}", hint=nearest(node.text, [*WINDOW_SOURCES]))


def _labels(document: Document, name: str, node: Node) -> Read[tuple[MergedClass, ...]]:
    """Reads a mapping of class names to the values of masks that mean them."""
    if not isinstance(node, Mapping):
        return document.mismatch(name, node, "must be a mapping of class names to values")
    read = [_label(document, f"{name}.{entry.key.text}", entry.key, entry.value) for entry in node.entries]
    if not all(label.content for label in read):
        return document.nothing()
    return Read((tuple(label.value for label in read),))


def _label(document: Document, name: str, key: Scalar, node: Node) -> Read[MergedClass]:
    value = whole(at_least=1)
    values: Read[tuple[int, ...]]
    if isinstance(node, Sequence):
        values = list_of(value)(document, name, node)
    else:
        values = Read(tuple((single,) for single in value(document, name, node).content))
    if not values.content:
        return document.nothing()
    try:
        return Read((MergedClass(name=key.text, values=values.value),))
    except InvalidValueError as error:
        return document.refuse(key, f"{name}: {error.message}", hint=error.hint)
