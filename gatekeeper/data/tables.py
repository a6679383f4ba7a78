"""A CSV file as rows that remember their line, so that every complaint can name it (RFC 4180)."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from gatekeeper.data.files import canonical_name
from gatekeeper.data.records import closest
from gatekeeper.errors import DataError

MAX_CSV_BYTES = 256 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class CsvTable:
    """The text of a CSV file.

    Attributes:
        path: the file.
        columns: the header.
        lines: the line, from 1, where each row starts.
        rows: the fields of each row, as many as there are columns.
    """

    path: Path
    columns: tuple[str, ...]
    lines: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]

    def place(self, row: int) -> str:
        """`FILE:LINE` of a row."""
        return f"{self.path}:{self.lines[row]}"

    def column(self, name: str, *, shown: bool = True) -> tuple[str, ...]:
        """The values of a column that must be filled in every row.

        Args:
            name: the column.
            shown: whether a message may show a value.

        Raises:
            DataError: there is no such column, or a value is empty, framed by blanks or has a line break.
        """
        if name not in self.columns:
            raise DataError(f"there is no column {name!r}", where=f"{self.path}:1", hint=self._header_hint(name))
        index = self.columns.index(name)
        values = tuple(row[index] for row in self.rows)
        for row, value in enumerate(values):
            if not value or value != value.strip() or any(ord(character) < 32 for character in value):
                told = repr(value) if shown else "something"
                state = f"is {told}, with blanks around or a control character" if value else "is empty"
                raise DataError(f"the {name} {state}", where=self.place(row), hint="correct the row, or take it out")
        return values

    def _header_hint(self, name: str) -> str:
        if len(self.columns) == 1 and any(mark in self.columns[0] for mark in ";\t"):
            return "fields must be separated by commas, and this header has semicolons or tabs"
        return closest(name, self.columns)


def read_csv(path: Path) -> CsvTable:
    """Read a CSV file: UTF-8 with or without byte-order mark, any line ends, fields quoted or not.

    Raises:
        DataError: the file can't be read, is too large, isn't UTF-8 or isn't CSV, has no rows, names a column
            twice, or has a row whose number of fields is not the header's.
    """
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    lines, rows = [], []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"this is not CSV: {error}", where=f"{path}:{line}", hint="check the quotes") from error
        if row is None:
            break
        if row:
            lines.append(line)
            rows.append(tuple(canonical_name(field) for field in row))
    _check_rows(path, lines, rows)
    return CsvTable(path=path, columns=rows[0], lines=tuple(lines[1:]), rows=tuple(rows[1:]))


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_CSV_BYTES:
            raise DataError(f"the table has {size} bytes; the limit is {MAX_CSV_BYTES}", where=str(path))
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"the file can't be read: {error.strerror}", where=str(path)) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError("this is not UTF-8", where=f"{path}:{line}", hint="save the table as UTF-8") from error


def _check_rows(path: Path, lines: list[int], rows: list[tuple[str, ...]]) -> None:
    if len(rows) < 2:
        raise DataError("the table has no rows", where=str(path), hint="it needs a header and a row for each image")
    header = rows[0]
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"the column {name!r} is there twice", where=f"{path}:{lines[0]}", hint="rename one")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise DataError(
                f"the row has {len(row)} fields, the header {len(header)}",
                where=f"{path}:{line}",
                hint="a field that holds a comma must be quoted",
            )
