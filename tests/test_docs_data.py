"""The page on data: its candidates load, and its tables are complete."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from gatekeeper.config import load_candidate
from gatekeeper.core.data_spec import DATA_FORMATS
from gatekeeper.core.scan_spec import ScanSpec

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "data.md").read_text(encoding="utf-8")
CANDIDATES = re.findall(r"```yaml\n(apiVersion.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("text", CANDIDATES, ids=lambda text: re.search(r"name: ([\w-]+)", text).group(1))  # type: ignore[union-attr]
def test_every_candidate_on_the_page_loads(text: str, tmp_path: Path) -> None:
    path = tmp_path / "candidate.yaml"
    path.write_text(text)
    assert load_candidate(path).data.scan


def test_the_page_has_candidates_of_both_formats() -> None:
    assert {re.search(r"format: (\w+)", text).group(1) for text in CANDIDATES} == {"msd", "dicom"}  # type: ignore[union-attr]


def test_the_page_names_every_format_and_every_key_of_a_scan() -> None:
    first_columns = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, flags=re.MULTILINE))
    keys = {field.name for field in dataclasses.fields(ScanSpec)} - {"window_of"}
    assert first_columns == set(DATA_FORMATS) | keys
