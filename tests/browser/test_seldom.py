"""Events that are seldom: with a name from the right, and with a single price."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import ITS_HALL, RIGHT_TO_LEFT, Site, Watched, watch

pytestmark = pytest.mark.browser

_HOUR_OF_AXIS = "plot => { const [a, b] = plot._fullLayout.xaxis.range.map(t => new Date(t)); return (b - a) / 3.6e6; }"
# Where each of these words stands in a text, whatever its parts are: their middles, from the left.
_ORDER = """(node, words) => words.map((word) => {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const at = walker.currentNode.data.indexOf(word);
    if (at < 0) continue;
    const range = document.createRange();
    range.setStart(walker.currentNode, at);
    range.setEnd(walker.currentNode, at + word.length);
    const box = range.getBoundingClientRect();
    return box.left + box.width / 2;
  }
  throw new Error(word + " is not in " + node.textContent);
})"""
_OFF = """(node) => {
  const range = document.createRange();
  range.selectNodeContents(node);
  const inset = parseFloat(getComputedStyle(node).paddingLeft);
  return range.getBoundingClientRect().left - node.getBoundingClientRect().left - inset;
}"""


def _in_order(text: Locator, *words: str) -> None:
    """These words of a text stand from left to right."""
    found: list[float] = text.evaluate(_ORDER, list(words))
    assert found == sorted(found), f"{words} are turned round in {text.inner_text()!r}: {found}"


def _at_the_left(text: Locator) -> None:
    """A text begins where its box does, as all others do."""
    off = text.evaluate(_OFF)
    assert abs(off) < 2, f"{text.inner_text()!r} stands {off} px from the left"


def _not_sideways(page: Page) -> None:
    expect(page.locator("html")).to_have_css("direction", "ltr")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0, f"the page scrolls sideways, by {wide} px"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)], ids=["wide", "phone"])
def test_a_name_from_the_right_turns_nothing_round(site: Site, browser: Browser, width: int, height: int) -> None:
    with watch(browser, viewport={"width": width, "height": height}) as watched:
        page = watched.page
        page.goto(site.url)
        cell = page.locator(".market-event").filter(has_text=RIGHT_TO_LEFT)
        expect(cell.locator(".name")).to_have_css("direction", "rtl")
        _at_the_left(cell.locator(".name"))
        _in_order(cell.locator(".place"), "7", ITS_HALL[:3], "·", ",")
        drop = page.locator("#market-drops li").filter(has_text=RIGHT_TO_LEFT)
        expect(drop.locator("bdi")).to_have_css("direction", "rtl")
        _not_sideways(page)

        cell.locator(".name").click()
        page.get_by_text("All events", exact=True).click()
        expect(page.locator("#price-chart-note")).to_contain_text("New York time")  # and not UTC, which comes first
        heading = page.get_by_role("heading", level=1)
        expect(heading).to_have_text(RIGHT_TO_LEFT)
        expect(heading).to_have_css("direction", "rtl")
        _at_the_left(heading)
        _in_order(page.locator("#event-head p"), "7", ITS_HALL[:3], "·", "your time")
        change = page.locator("#changes .event").filter(has_text=RIGHT_TO_LEFT).first
        expect(change).to_be_visible()
        _at_the_left(change)
        page.get_by_role("textbox", name="Event").click()
        choice = page.get_by_role("option").filter(has_text=RIGHT_TO_LEFT)
        expect(choice).to_be_visible()
        _in_order(choice, "2", RIGHT_TO_LEFT[:4], "7", ITS_HALL[:3], ", 20")
        _not_sideways(page)
        assert watched.problems == []


def test_an_event_that_was_seen_once_is_a_point_with_room_around_it(site: Site, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{site.url}event?event=once")
    expect(page.locator("#key-figures .lead .value")).to_have_text("$130.00")
    plot = page.locator("#price-chart .js-plotly-plot")
    expect(plot.locator(".scatterlayer .points path").first).to_be_attached()
    expect(page.locator("#price-chart-note")).to_contain_text("New York time")  # not UTC, where it is drawn first
    assert 0.1 < plot.evaluate(_HOUR_OF_AXIS) < 1, "the time axis is not one of some minutes"
    page.locator("#now-grid .ag-row[row-index='0'] [col-id='section']").click()
    path = page.get_by_role("dialog").locator(".js-plotly-plot")
    expect(path.locator(".scatterlayer .points path")).to_have_count(1)
    assert 0.1 < path.evaluate(_HOUR_OF_AXIS) < 1, "the listing's time axis is not one of some minutes"
    assert watched.problems == []
