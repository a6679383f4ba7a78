"""The page in a real browser: it loads nothing, shows what it says, fits a phone, and prints on A4."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gatekeeper.core.rounding import in_full, round_down, round_up
from gatekeeper.report import Report
from gatekeeper.report.tables import adversary_table, margin, measured, utility_table
from tests.hostile import hostile_report
from tests.test_report_formats import APPROVED, OPEN, REFUSED
from tests.test_report_html import text_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

REPORTS = {"approved": APPROVED, "refused": REFUSED, "inconclusive": OPEN}
A4 = (595, 842)  # in points


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed here")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed here")
    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@dataclass
class Opened:
    """A page, and what it said and asked for while it was read."""

    page: Page
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    contexts = []

    def open_report(report: Report, *, width: int = 1280) -> Opened:
        path = tmp_path / "report.html"
        path.write_text(text_of(report), encoding="utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        found = Opened(page=contexts[-1].new_page())
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(path.as_uri())
        assert found.requests == [path.as_uri()]
        return found

    yield open_report
    for context in contexts:
        context.close()


def seen(page: Page) -> str:
    return " ".join(page.inner_text("body").split())


@pytest.mark.parametrize("word", REPORTS)
def test_a_browser_shows_verdict_tables_and_pictures_and_loads_nothing(opened: Any, word: str) -> None:
    report = REPORTS[word]
    found = opened(report)
    page = found.page
    heading = page.locator("h1")
    assert heading.inner_text().split("\n")[0].strip() == word.capitalize()
    box = heading.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 300, "above the fold"
    for table in page.locator("table").all():
        assert table.is_visible()
    pictures = page.locator("svg[role=img]").all()
    assert len(pictures) == (2 if report is OPEN else 3)
    for picture in pictures:
        size = picture.bounding_box()
        assert size is not None
        assert min(size["width"], size["height"]) > 100
    assert (found.said, len(found.requests)) == ([], 1)


@pytest.mark.parametrize("word", REPORTS)
def test_what_a_reader_sees_has_the_numbers_of_the_facts(opened: Any, word: str) -> None:
    report = REPORTS[word]
    text, facts = seen(opened(report).page), report.facts
    for finding in report.verdict.findings:
        shown = f"{measured(finding)} {finding.comparator} {in_full(finding.limit)} {margin(finding)}"
        assert shown in text, finding.rule
    for drawn in (adversary_table(report), utility_table(report)):
        for row in drawn.rows:
            assert " ".join(" ".join(cell for cell in row if cell).split()) in text
    assert f"ε ≤ {round_up(facts.guarantee.epsilon.high)}" in text
    assert f"noise multiplier {round_down(facts.evidence.record.mechanism.noise_multiplier)}" in text
    assert facts.evidence.model.sha256 in text


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_width_makes_the_page_scroll_sideways(opened: Any, width: int) -> None:
    names = hostile_report(model="m" * 300, policy_name="p" * 300, rule="r" * 300)
    for report in (REFUSED, names):
        page = opened(report, width=width).page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").is_visible()


def test_a_script_in_a_name_does_not_run(opened: Any) -> None:
    hostile = "</title></style></svg><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    found = opened(hostile_report(model=hostile, policy_name=hostile, rule=hostile))
    assert found.page.title() == f"Refused: {hostile} – release report"
    assert found.said == []
    assert found.page.locator("script, img").count() == 0


def test_the_policy_of_the_page_forbids_scripts(opened: Any) -> None:
    page = opened(APPROVED).page
    script = "const added = document.createElement('script'); added.text = 'window.ran = 1'"
    page.evaluate(f"() => {{ {script}; document.body.append(added) }}")
    assert page.evaluate("() => window.ran") is None


def test_it_prints_on_a4_without_cut_rows(opened: Any, tmp_path: Path) -> None:
    page = opened(REFUSED).page
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    content = (tmp_path / "report.pdf").read_bytes()
    boxes = re.findall(rb"/MediaBox ?\[ ?([\d.]+) ([\d.]+) ([\d.]+) ([\d.]+) ?\]", content)
    assert len(boxes) >= 3
    for left, bottom, right, top in boxes:
        assert (float(left), float(bottom)) == (0, 0)
        assert (float(right), float(top)) == pytest.approx(A4, abs=1)
    page.emulate_media(media="print")
    rows = "[...document.querySelectorAll('tbody tr')]"
    assert page.evaluate(f"{rows}.every(row => getComputedStyle(row).breakInside == 'avoid')")
    assert page.evaluate("getComputedStyle(document.querySelector('.rules thead')).display") == "table-header-group"
    assert not page.locator("nav").is_visible()


def test_it_can_be_read_by_keyboard(opened: Any) -> None:
    page = opened(APPROVED).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    wide = page.locator(".scroll, .plot")
    assert wide.count() >= 5
    assert all(each.get_attribute("tabindex") == "0" for each in wide.all())
