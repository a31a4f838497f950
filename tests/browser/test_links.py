"""A link that was sent shows the same to somebody else, in a browser that was never here."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, Watched, sent

pytestmark = pytest.mark.browser

# What stands in the page's fields, and the texts of some parts, from top to bottom.
_VIEW = """(parts) => ({
  fields: Array.from(document.querySelectorAll('#page input:not([type=hidden])'), (field) =>
    field.type === 'radio' ? field.checked : field.value),
  chosen: Array.from(document.querySelectorAll('#page .mantine-Pill-label'), (pill) => pill.textContent),
  sorted: Array.from(document.querySelectorAll('#page [aria-sort]:not([aria-sort=none])'), (head) =>
    [head.getAttribute('col-id'), head.getAttribute('aria-sort')]),
  parts: Array.from(document.querySelectorAll(parts))
    .map((part) => [part.getBoundingClientRect(), part.textContent])
    .sort(([a], [b]) => a.top - b.top || a.left - b.left)
    .map(([_, text]) => text),
})"""


def _same(here: Page, there: Page, parts: str) -> None:
    """Both show the same, as soon as both have drawn it."""
    deadline = time.monotonic() + 60  # a busy machine is no failure
    while (wanted := here.evaluate(_VIEW, parts)) != there.evaluate(_VIEW, parts) and time.monotonic() < deadline:
        there.wait_for_timeout(200)
    assert wanted["parts"], f"there is nothing at {parts}"
    assert there.evaluate(_VIEW, parts) == wanted, "the link shows something else"


def test_a_market_that_was_searched_sorted_and_filtered(site: Site, watched: Watched, browser: Browser) -> None:
    page = watched.page
    page.goto(site.url)
    expect(page.locator(".market-event")).to_have_count(8)
    page.get_by_label("Search").fill("a")
    page.get_by_role("textbox", name="Sources").click()
    page.get_by_role("option", name="Ticketmaster").click()
    page.get_by_label("Get-in up to").fill("320")
    page.locator(".market-grid .ag-header-cell", has_text="Get-in").click()
    page.locator(".market-grid .ag-header-cell", has_text="Get-in").click()
    expect(page).to_have_url(re.compile(r"\?q=a&source=ticketmaster&most=320&sort=-price$"))
    expect(page.locator("#market-count")).not_to_have_text("8 events")
    expect(page.locator(".market-grid .ag-row[row-index='0'] .name")).to_have_text("Primavera Sound")
    with sent(browser, page) as other:
        _same(page, other, "#market-count, .market-grid .name, .market-grid .market-price strong")
    assert watched.problems == []


def test_listings_that_were_searched_sorted_and_filtered(site: Site, watched: Watched, browser: Browser) -> None:
    page = watched.page
    page.goto(f"{site.url}event?event=concert_123")
    expect(page.locator("#now-grid .ag-row .pill").first).to_be_visible()
    page.locator("#now-party").get_by_text("2", exact=True).click()
    page.get_by_label("Your price", exact=True).fill("450")
    page.get_by_label("Search", exact=True).fill("floor")
    page.locator("#now-grid .ag-header-cell[col-id='deal']").click()
    expect(page).to_have_url(re.compile(r"&party=2&target=450&q=floor&by=-deal$"))
    expect(page.locator("#now-count")).to_contain_text(" of ")
    expect(page.locator("#now-grid .ag-row[row-index='0'] [col-id='section']")).to_have_text("Floor A")
    expect(page.locator("#now-spread-note")).to_contain_text("$450.00")
    # The first rows: how many more the grid has drawn goes by how it was scrolled.
    cells = [f"#now-grid [row-index='{row}'] [col-id='{column}']" for row in range(8) for column in ("deal", "price")]
    with sent(browser, page) as other:
        _same(page, other, ", ".join(["#event-head h1, #now-count, #now-spread-note, #now-together .offer", *cells]))
    assert watched.problems == []


def test_alerts_that_were_searched_and_filtered(site: Site, watched: Watched, browser: Browser) -> None:
    page = watched.page
    rules = "VALUES ('near', 'concert_123', 100, true), ('far', 'concert_123', 90, false), ('far', 'concert_456', 80, false)"
    with site.having(f"INSERT INTO alerts (name, event_id, target_price, active) {rules}", "DELETE FROM alerts"):
        page.goto(f"{site.url}alerts")
        page.get_by_role("textbox", name="Search rules").fill("swift")
        page.get_by_role("textbox", name="State of the rules").click()
        page.get_by_role("option", name="Muted").click()
        page.get_by_role("textbox", name="State", exact=True).click()
        page.get_by_role("option", name="Not delivered").click()
        expect(page).to_have_url(re.compile(r"\?q=swift&state=muted&delivery=failed$"))
        expect(page.locator(".rule-card h3")).to_have_text(["far"])
        expect(page.locator("#alerts-log .state.sent")).to_have_count(0)
        expect(page.locator("#alerts-log .state.failed").first).to_be_visible()
        with sent(browser, page) as other:
            _same(page, other, ".rule-card h3, .rule-card .says, #alerts-log tbody tr")
    assert watched.problems == []
