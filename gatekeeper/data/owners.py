"""A table of labels or owners beside scans: one row for each case, file, series or patient that it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gatekeeper.data.files import existing
from gatekeeper.data.tables import CsvTable, read_csv
from gatekeeper.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Owners:
    """A CSV file, looked up by one of its columns.

    Attributes:
        table: the file.
        key: the column that says what a row speaks of.
        rows: the row of each value of that column.
        secret: whether values of the table may not be shown.
    """

    table: CsvTable
    key: str
    rows: dict[str, int]
    secret: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns besides the key."""
        return tuple(name for name in self.table.columns if name != self.key)

    def row(self, value: str, *, where: str) -> int:
        """The row that speaks of `value`.

        Raises:
            DataError: there is none.
        """
        if value not in self.rows:
            raise DataError(
                f"{self.table.path} has no row for it (column {self.key})",
                where=where,
                hint="add the row, or take the file out of the data",
            )
        return self.rows[value]

    def values(self, column: str) -> tuple[str, ...]:
        """The values of a column, by row; errors as `CsvTable.column` raises them."""
        return self.table.column(column, shown=not self.secret)


def read_owners(path: str, *, keys: tuple[str, ...], secret: bool) -> Owners:
    """Read a table that has at least one of the columns `keys`; the first that it has is its key.

    Raises:
        DataError: the file is missing or malformed, has none of the columns, or two rows speak of the same.
    """
    table = read_csv(_file(path))
    key = next((name for name in keys if name in table.columns), None)
    if key is None:
        raise DataError(
            f"there is none of the columns {', '.join(keys)}, which say what a row speaks of",
            where=f"{table.path}:1",
            # Without a header the first line is somebody's.
            hint="the first line must name them" if secret else f"there is {', '.join(table.columns)}; rename one",
        )
    rows: dict[str, int] = {}
    for row, value in enumerate(table.column(key, shown=not secret)):
        if rows.setdefault(value, row) != row:
            shown = "" if secret else f" {value!r}"
            raise DataError(
                f"the {key}{shown} is already in line {table.lines[rows[value]]}",
                where=table.place(row),
                hint="keep one row for each",
            )
    return Owners(table=table, key=key, rows=rows, secret=secret)


def _file(path: str) -> Path:
    place = existing(path, key="data.scan.table")
    if not place.is_file():
        raise DataError("data.scan.table must be a CSV file", where=path, hint="give the file itself")
    return place
