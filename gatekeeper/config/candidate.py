"""A candidate file as a `Candidate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatekeeper.config.document import Document, Read, Section
from gatekeeper.config.header import CANDIDATE, open_document
from gatekeeper.config.model import read_arguments, read_model
from gatekeeper.config.nodes import Node, Sequence
from gatekeeper.config.readers import TEXT, choice, list_of, one_of_numbers, real, whole
from gatekeeper.config.scan import read_scan
from gatekeeper.config.training import read_training
from gatekeeper.core.candidate import Candidate, TrainingSpec, loss_for
from gatekeeper.core.checks import check_finite, check_open_probability
from gatekeeper.core.data_spec import (
    DATA_FORMATS,
    LABEL_OR_MASK_FORMATS,
    MASK,
    PATHLESS_FORMATS,
    PHANTOM_FORMATS,
    SCAN_FORMATS,
    SEGMENTATION_FORMATS,
    DataSpec,
    PhantomSpec,
    SplitSpec,
    check_window,
    why_pathless,
)
from gatekeeper.errors import InvalidValueError

# A MedMNIST archive always brings its split; the others may, which their readers see.
_FORMATS_WITH_A_SPLIT = ("medmnist", "image-folder", "radimagenet", "numpy", "factory")


def load_candidate(path: Path) -> Candidate:
    """Read a release candidate.

    Args:
        path: a YAML file with `kind: ReleaseCandidate`.

    Raises:
        InvalidInputError: the file is missing or can't be read.
        ConfigError: the file has mistakes: every one, in the file's order.
    """
    document = open_document(path, kind=CANDIDATE)
    metadata = document.root.mapping("metadata")
    name = metadata.required("name", TEXT)
    description = metadata.optional("description", TEXT, default=None)
    spec = document.root.mapping("spec")
    data = _data(spec.mapping("data"))
    model = read_model(spec.mapping("model"))
    training_section = spec.mapping("training")
    training = read_training(training_section)
    _check_loss(training_section, data, training)
    candidate = document.root.build(
        lambda: Candidate(
            name=name.value,
            description=description.value,
            data=data.value,
            model=model.value,
            training=training.value,
        ),
        blame="spec",
    )
    return document.finish(candidate)


def _check_loss(section: Section, data: Read[DataSpec], training: Read[TrainingSpec]) -> None:
    """Refuse a loss that is no use for what the data's format has to learn: the demand of `Candidate`, with a place."""
    for spec, recipe in zip(data.content, training.content, strict=False):
        try:
            loss_for(recipe.loss, spec.task)
        except InvalidValueError as error:
            section.report("loss", error.message, hint=f"format {spec.format} is for {spec.task}")


def _data(section: Section) -> Read[DataSpec]:
    data_format: Read[Any] = section.required("format", choice(DATA_FORMATS))
    path = section.optional("path", TEXT, default=None)
    _check_path(section, data_format)
    unit = section.required("unit", TEXT)
    label = section.optional("label", TEXT, default=None)
    image_size = section.optional("image_size", _image_size, default=None)
    channels = section.optional("channels", one_of_numbers(1, 3), default=None)
    _check_masks(section, data_format, channels=channels, label=label)
    split = _split(section, data_format)
    phantom = _phantom(section, data_format)
    population = section.optional("population", TEXT, default=None)
    window = section.optional("window", _window, default=None)
    factory = section.optional("factory", TEXT, default=None)
    arguments = section.optional("arguments", read_arguments, default=())
    _check_companions(section, data_format)
    scan = read_scan(section, data_format)
    return section.build(
        lambda: DataSpec(
            format=data_format.value,
            path=path.value,
            unit=unit.value,
            label=label.value,
            image_size=image_size.value,
            channels=channels.value,
            split=split.value,
            phantom=phantom.value,
            population=population.value,
            window=window.value,
            factory=factory.value,
            arguments=arguments.value,
            scan=scan.value,
        ),
        blame="factory" if section.has("factory") else "image_size",
    )


def _check_path(section: Section, data_format: Read[str]) -> None:
    """Real data lie somewhere; embedded data don't, and a factory knows by itself."""
    for name in data_format.content:
        if name in PATHLESS_FORMATS and section.has("path"):
            section.report("path", f"format {name} takes no path: {why_pathless(name)}", hint="remove the key")
        if name not in PATHLESS_FORMATS and not section.has("path"):
            section.report_missing("path", hint=f"format {name} needs the file or folder that holds the images")


def _check_companions(section: Section, data_format: Read[str]) -> None:
    """Keys that go with one format."""
    for name in data_format.content:
        for key, own in (("window", LABEL_OR_MASK_FORMATS), ("factory", ("factory",)), ("arguments", ("factory",))):
            if section.has(key) and name not in own:
                formats = f"format{'s' * (len(own) > 1)} {' and '.join(own)}"
                section.report(key, f"{key} goes with the {formats}, not with {name}", hint="remove the key")
        if name == "factory" and not section.has("factory"):
            section.report_missing("factory", hint="the function that yields the images: package.module:function")


def _check_masks(
    section: Section, data_format: Read[str], *, channels: Read[int | None], label: Read[str | None]
) -> None:
    """Images with masks keep their size; those of phantoms are grey; what is made of scans says its size."""
    name = data_format.value_or("")
    if name in LABEL_OR_MASK_FORMATS and label.value_or(None) == MASK and section.has("image_size"):
        section.report(
            "image_size", f"format {name} takes no image_size with masks", hint="resize images and masks before"
        )
    if name in (*SEGMENTATION_FORMATS, *SCAN_FORMATS) and section.has("image_size"):
        key = "data.scan.size" if name in SCAN_FORMATS else "data.phantom.size"
        section.report("image_size", f"format {name} takes no image_size", hint=f"set {key}")
    if name in SEGMENTATION_FORMATS and channels.value_or(None) == 3:
        section.report("channels", f"format {name} is grey: channels must be 1", hint="remove the key")


def _image_size(document: Document, name: str, node: Node) -> Read[tuple[int, int]]:
    """Reads one side of square images, or height and width."""
    side = whole(at_least=4)
    if not isinstance(node, Sequence):
        square = side(document, name, node)
        return Read(tuple((length, length) for length in square.content))
    sides = list_of(side)(document, name, node)
    if sides.content and len(sides.value) != 2:
        return document.refuse(node, f"{name} must be one number, or [height, width]; got {len(sides.value)} numbers")
    return Read(tuple((height, width) for height, width in sides.content))


def _window(document: Document, name: str, node: Node) -> Read[tuple[float, float]]:
    """Reads the values that become 0 and 255."""
    ends = list_of(real(check_finite))(document, name, node)
    for found in ends.content:
        try:
            check_window(found)
        except InvalidValueError as error:
            return document.refuse(node, error.message, hint=error.hint)
    return Read(tuple((low, high) for low, high in ends.content))


def _split(data: Section, data_format: Read[str]) -> Read[SplitSpec]:
    """The division; only a data set that may bring its own can leave it out."""
    may_bring_its_own = data_format.value_or("medmnist") in _FORMATS_WITH_A_SPLIT
    section = data.optional_mapping("split") if may_bring_its_own else data.mapping("split")
    if section is None:
        return Read((SplitSpec(test=None),))
    share = real(check_open_probability)
    test = section.optional("test", share, default=None) if may_bring_its_own else section.required("test", share)
    seed = section.optional("seed", whole(at_least=0), default=0)
    by = section.optional("by", TEXT, default=None)
    return section.build(lambda: SplitSpec(test=test.value, seed=seed.value, by=by.value), blame="test")


def _phantom(data: Section, data_format: Read[str]) -> Read[PhantomSpec] | Read[PhantomSpec | None]:
    """Size and seed of synthetic data; real data have none."""
    name = data_format.value_or(PHANTOM_FORMATS[0])
    synthetic = name in PHANTOM_FORMATS
    section = data.optional_mapping("phantom")
    if section is None:
        return Read((PhantomSpec() if synthetic else None,))
    if not synthetic:
        formats = " and ".join(PHANTOM_FORMATS)
        data.report("phantom", f"phantom goes with the formats {formats} only", hint="remove the key")
    silent = PhantomSpec()
    patients = section.optional("patients", whole(at_least=10), default=silent.patients)
    seed = section.optional("seed", whole(at_least=0), default=silent.seed)
    dimensions = section.optional("dimensions", one_of_numbers(2, 3), default=silent.dimensions)
    size = section.optional("size", list_of(whole(at_least=8)), default=silent.size)
    for key in ("dimensions", "size"):
        if synthetic and name not in SEGMENTATION_FORMATS and section.has(key):
            section.report(key, f"{key} goes with the format phantom-abdomen", hint="set data.image_size instead")
    return section.build(
        lambda: PhantomSpec(patients=patients.value, seed=seed.value, dimensions=dimensions.value, size=size.value),
        blame="size",
    )
