"""The report in a real browser: it loads nothing, runs nothing of the pool's, and can be used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from ds2fast import Selection
from ds2fast.report import report_html
from ds2fast.report.samples import rarest_selected
from report_selection import hostile_selection

pytestmark = pytest.mark.browser

NARROW, WIDE = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA, for text of normal size


@pytest.fixture(scope="module")
def selection() -> Selection:
    return hostile_selection()


@pytest.fixture(scope="module")
def address(selection: Selection, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_bytes(report_html(selection, title="Six hundred rows"))
    return file.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium as the system has it; missing, the tests fail."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("DS2FAST_CHROMIUM") or next(filter(None, map(shutil.which, names)), "")
    if not program and "CI" not in os.environ:
        pytest.skip("Chromium was not found: install it, or name it by DS2FAST_CHROMIUM")
    if program is None or not Path(program).is_file():
        pytest.fail("Chromium was not found: apt-get install chromium, or set DS2FAST_CHROMIUM")
    with sync_playwright() as driver:
        # Inside a container there is often no sandbox to be had; the page is our own.
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


class Opened:
    """A page, with all that it said, asked for, and did wrong since it was opened."""

    def __init__(self, browser: Browser, address: str, **settings: Any) -> None:
        self.said: list[str] = []
        self.requests: list[str] = []
        settings = {"viewport": WIDE, **settings}
        self.page: Page = browser.new_context(**settings).new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def style(self, element: str, name: str) -> str:
        """A computed property of the first element that fits."""
        words = f"e => getComputedStyle(e).getPropertyValue('{name}')"
        found: str = self.page.eval_on_selector(element, words)
        return found


def test_nothing_leaves_and_nothing_planted_runs(browser: Browser, address: str) -> None:
    opened = Opened(browser, address)
    opened.page.wait_for_load_state("networkidle")
    assert opened.said == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [address]
    assert opened.page.evaluate("window.ran === undefined")
    assert "<script>window.ran = 1</script>" in opened.page.inner_text(".sample .text >> nth=0")


def test_policy_stops_what_would_get_in(browser: Browser, address: str) -> None:
    opened = Opened(browser, address)
    with opened.page.expect_event("requestfailed") as failed:
        opened.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = 1";
                document.body.append(script);
                const image = document.createElement("img");
                image.src = "http://example.invalid/a.png";
                document.body.append(image);
            }"""
        )
    assert (failed.value.url, failed.value.failure) == ("http://example.invalid/a.png", "csp")
    assert opened.page.evaluate("window.ran === undefined")
    assert len([words for words in opened.said if "Content Security Policy" in words]) == 2


def test_filter_shows_what_is_asked_for(
    browser: Browser, address: str, selection: Selection
) -> None:
    shown = rarest_selected(selection)
    words = f"word{shown[1].row}"  # of a row's text, or of a neighbour's
    has_it = [
        f"row {item.row}"
        for item in shown
        if any(words in f"word{row}" for row in (item.row, *(n.row for n in item.neighbours)))
    ]
    page = Opened(browser, address).page
    box = page.get_by_label("Show only rows with")
    box.fill(f"OnLoad {words.upper()}")
    assert page.locator("#rares > li:visible .row-id").all_inner_texts() == has_it
    said = page.locator("output[for=rare-words]").inner_text()
    assert said == f"{len(has_it)} of {len(shown)} shown"
    box.fill("no such word anywhere")
    assert page.locator("#rares > li:visible").count() == 0
    box.fill("")
    assert page.locator("#rares > li:visible").count() == len(shown)
    assert page.locator("#corrections > li:visible").count() > 0  # the other list has its own


def test_all_but_the_filter_works_without_script(browser: Browser, address: str) -> None:
    opened = Opened(browser, address, java_script_enabled=False)
    page = opened.page
    assert not page.locator(".filter").first.is_visible()
    assert page.locator("#rares > li").last.is_visible()
    details = page.locator("details").first
    assert not details.locator("table").first.is_visible()
    details.locator("summary").click()
    assert details.locator("table").first.is_visible()
    assert page.locator("path.pool").is_visible()
    page.locator("#show-pool").uncheck()
    assert not page.locator("path.pool").is_visible()


def test_keys_go_through_the_page_in_its_order(browser: Browser, address: str) -> None:
    page = Opened(browser, address).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.evaluate("window.passed = [document.activeElement]")
    for _ in range(40):
        page.keyboard.press("Tab")
        page.evaluate("window.passed.push(document.activeElement)")
    backwards = page.evaluate(
        """window.passed.slice(1).filter((e, i) => !(window.passed[i].compareDocumentPosition(e)
            & Node.DOCUMENT_POSITION_FOLLOWING)).length"""
    )
    assert backwards == 0
    passed = page.evaluate("window.passed.map((e) => e.tagName)")
    assert {"A", "SUMMARY", "INPUT", "DIV"} <= set(passed)
    page.focus("a.skip")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "top"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(browser: Browser, address: str, scheme: str) -> None:
    opened = Opened(browser, address, color_scheme=scheme)
    card = _luminance(opened.style("#decided", "background-color"))
    assert (card < 0.1) == (scheme == "dark")
    for element in ("h2", "p", "figcaption", "thead th", ".tag", "summary", ".tag.in"):
        words = _luminance(opened.style(f"main section {element}", "color"))
        assert _contrast(words, card) >= LEAST_CONTRAST, element
    drawn = _luminance(opened.style(".picture svg text", "fill"))
    assert _contrast(drawn, card) >= LEAST_CONTRAST
    for part in (".stack .score", ".stack .rarity", ".stack .corrected", ".move .new"):
        if opened.page.locator(part).count():
            pair = (opened.style(part, name) for name in ("color", "background-color"))
            assert _contrast(*map(_luminance, pair)) >= LEAST_CONTRAST, part


def test_narrow_screens_need_no_sideways_scrolling(browser: Browser, address: str) -> None:
    page = Opened(browser, address, viewport=NARROW).page
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


def test_prints_without_what_only_a_screen_can_use(browser: Browser, address: str) -> None:
    opened = Opened(browser, address, color_scheme="dark")
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("nav").is_visible()
    assert not opened.page.locator(".filter").first.is_visible()
    assert opened.style("body", "color") == "rgb(0, 0, 0)"
    assert opened.style("#decided", "background-color") == "rgb(255, 255, 255)"
    assert opened.page.pdf().startswith(b"%PDF")


def _luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG 2.1 defines it."""
    shares = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


@pytest.mark.parametrize("size", [NARROW, WIDE])
def test_labels_of_the_bar_are_whole_or_out_of_sight(
    browser: Browser, address: str, size: dict[str, int]
) -> None:
    page = Opened(browser, address, viewport=size).page
    for share in (0.02, 0.06, 0.12, 0.3, 0.9):
        page.eval_on_selector(
            ".stack",
            """(stack, share) => {
                const [first, second] = stack.children;
                first.style.setProperty("--w", 1 - share);
                second.style.setProperty("--w", share);
                [...stack.children].slice(2).forEach(part => part.remove());
            }""",
            share,
        )
        seen = page.eval_on_selector_all(
            ".stack b",
            """labels => labels.map(label => {
                const own = label.getBoundingClientRect();
                const part = label.parentElement.getBoundingClientRect();
                return {
                    words: label.innerText,
                    hidden: own.top >= part.bottom,
                    whole: own.right <= part.right && own.bottom <= part.bottom + 1,
                };
            })""",
        )
        assert [label["words"] for label in seen if label["hidden"] == label["whole"]] == []
        if share == 0.3 and size == WIDE:
            assert not any(label["hidden"] for label in seen)
        if share == 0.02:
            assert seen[-1]["hidden"]
