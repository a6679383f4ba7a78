"""The page on tables, arrays and code as data: its candidates load, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatekeeper.config import load_candidate
from gatekeeper.data import images, numpy_arrays, store

PAGE = (Path(__file__).parent.parent / "docs" / "data-formats.md").read_text(encoding="utf-8")
CANDIDATES = re.findall(r"```yaml\n(apiVersion.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("text", CANDIDATES, ids=lambda text: re.findall(r"format: (\w+)", text)[0])
def test_a_worked_candidate_loads(tmp_path: Path, text: str) -> None:
    path = tmp_path / "candidate.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_candidate(path).data.task == "classification"


def test_there_is_a_candidate_of_each_format() -> None:
    formats = {re.findall(r"format: (\w+)", text)[0] for text in CANDIDATES}
    assert formats == {"radimagenet", "numpy", "factory"}


def test_the_page_names_the_arrays_and_the_limits() -> None:
    for name in ("images", numpy_arrays.LABELS, "masks", *numpy_arrays.OPTIONAL):
        assert f"| `{name}` |" in PAGE
    assert f"{store.LARGE_BYTES // 2**20} MiB" in PAGE
    assert f"{images.MAX_TOTAL_BYTES // 2**30} GiB" in PAGE
