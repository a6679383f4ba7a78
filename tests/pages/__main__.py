"""Writes the pages of docs/reference: python -m tests.pages."""

from __future__ import annotations

from pathlib import Path

from tests.pages import PAGES

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    for name, render in PAGES.items():
        (REFERENCE / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
