"""Which class each DICOM file has, and whose it is: by a table, or by the folder that it lies in."""

from __future__ import annotations

from collections.abc import Callable

from gatekeeper.core.data_spec import DataSpec
from gatekeeper.data.dicom_header import Instance
from gatekeeper.data.dicom_tree import Tree, check_patients
from gatekeeper.data.files import relative_name
from gatekeeper.data.masking import masked
from gatekeeper.data.owners import Owners, read_owners
from gatekeeper.data.records import check_column
from gatekeeper.errors import DataError

COLUMNS: dict[str, Callable[[Instance], str]] = {
    "patient": lambda instance: instance.patient,
    "study": lambda instance: instance.study,
    "series": lambda instance: instance.series,
}
# The finest first: a row that speaks of a file says more than one that speaks of its patient.
KEYS: dict[str, Callable[[Instance], str]] = {
    "SOPInstanceUID": lambda instance: instance.uid,
    "SeriesInstanceUID": lambda instance: instance.series,
    "PatientID": lambda instance: instance.patient,
}
_FOLDER = "folder"


def columns(tree: Tree, spec: DataSpec) -> tuple[dict[Instance, str], ...]:
    """Label, unit and group of each instance.

    With `data.scan.table` the label is its column `label`, or the one that `data.label` names; without, the folder
    directly beneath the data folder. Units are `patient`, `study`, `series`, or a column of the table.

    Raises:
        DataError: the table can't be used, a file has no row in it or a row no file; a file lies in no class folder;
            there is no such column; PatientID doesn't tell people apart; or classes are patients.
    """
    assert spec.scan is not None
    by = spec.split.by or spec.unit
    table = None if spec.scan.table is None else read_owners(spec.scan.table, keys=tuple(KEYS), secret=True)
    where = str(tree.root) if table is None else f"{table.table.path}:1"
    own = () if table is None else table.columns
    for name in COLUMNS:
        if name in own:
            raise DataError(f"the column {name!r} would hide DICOM's own", where=where, hint="rename it")
    if "image" in (spec.unit, by) and "image" not in own:
        raise DataError(
            "unit 'image' would protect a single image of a person",
            where=where,
            hint=f"there is {', '.join((*COLUMNS, *own))}",
        )
    for field, name in (("unit", spec.unit), ("split.by", by)):
        check_column(name, field=field, offered=(*COLUMNS, *own), where=where)
    if "patient" in (spec.unit, by):
        check_patients(tree)
    if table is None:
        check_column(spec.label or _FOLDER, field="label", offered=(_FOLDER,), where=where)
        labels = {instance: _folder(instance, tree) for instance in tree.instances}
    else:
        labels = _looked_up(tree, table, spec.label or "label")
    _check_classes_name_nobody(labels, folders=table is None, where=where)
    return (labels, *(_owner(tree, table, name) for name in (spec.unit, by)))


def _check_classes_name_nobody(labels: dict[Instance, str], *, folders: bool, where: str) -> None:
    """Refuse folders PATIENT/…/FILE taken for CLASS/…/FILE: names of classes are printed, and stand in certificates."""
    patients: dict[str, set[str]] = {}
    for instance, label in labels.items():
        patients.setdefault(label, set()).add(instance.patient)
    single = {label: min(own) for label, own in patients.items() if len(own) == 1}
    named = any(_is_named_after(label, patient) for label, patient in single.items())
    if named or (folders and len(set(single.values())) == len(patients) > 2):
        raise DataError(
            "a class is named after its only patient" if named else "each class is of one patient alone",
            where=where,
            hint="names of classes are public: use the layout CLASS/…/FILE, or set data.scan.table and a column of "
            "diagnoses as data.label",
        )


def _is_named_after(label: str, patient: str) -> bool:
    """Whether a class's name holds an identifier. Short ones stand in honest names too, such as `grade 1`."""
    return label.casefold() == patient.casefold() or (len(patient) > 4 and masked(label, secret=patient) != label)


def _owner(tree: Tree, table: Owners | None, name: str) -> dict[Instance, str]:
    if name in COLUMNS:
        return {instance: COLUMNS[name](instance) for instance in tree.instances}
    assert table is not None
    return _looked_up(tree, table, name)


def _looked_up(tree: Tree, table: Owners, column: str) -> dict[Instance, str]:
    key, values = KEYS[table.key], table.values(column)
    row_of = {instance: table.row(key(instance), where=instance.where) for instance in tree.instances}
    unused = sorted(set(table.rows.values()) - set(row_of.values()))
    if unused:
        raise DataError(
            f"no file has the {table.key} of this row ({len(unused)} of {len(table.rows)} rows)",
            where=table.table.place(unused[0]),
            hint="get the missing files, or take the rows out",
        )
    return {instance: values[row] for instance, row in row_of.items()}


def _folder(instance: Instance, tree: Tree) -> str:
    beneath = relative_name(instance.path, tree.root)
    if "/" not in beneath:
        raise DataError(
            "the file lies in no class folder, and there is no table of labels",
            where=instance.where,
            hint="set data.scan.table, or use the layout CLASS/…/FILE",
        )
    return beneath.partition("/")[0]
