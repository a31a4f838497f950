"""What an event offers now, as a person uses it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, Watched, leave

pytestmark = pytest.mark.browser

# The cheapest ticket of its section, and the same seats at another source.
_NEW_LISTINGS = """
WITH newest AS (SELECT max("timestamp") + interval '1 second' AS at, max(id) AS id FROM price_history)
INSERT INTO price_history (id, event_id, source, section, "row", seat, price, fees, total_price, currency, quantity,
                           "timestamp", listing_id, listing_url, level, late)
SELECT id + n, 'concert_123', source, '101', 'C', '12-13', price, 2, price + 2, 'USD', 2, at, 'new-' || n,
       'https://example.com/new/' || n, 'listing', false
FROM newest, (VALUES (1, 'mock', 40.0), (2, 'seatgeek', 45.0)) AS listing (n, source, price)
"""


def _open(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#now-together .offer").first).to_be_visible(timeout=60_000)  # the first of all questions
    expect(page.locator("#now-grid .ag-row .pill").first).to_be_visible(timeout=60_000)


def test_a_listing_is_found_explained_and_shared(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{site.url}event?event=concert_123&target=400")
    expect(page.locator("#now-head")).to_contain_text("listings at Mock market, SeatGeek and Ticketmaster")
    expect(page.locator("#now-spread-note")).to_contain_text("at $400.00 or less")
    expect(page.locator("#now-heat .ytick text")).to_have_text(["GA", "Floor A", "214", "101"])
    page.get_by_label("Search", exact=True).fill("floor")
    expect(page.locator("#now-count")).to_contain_text(" of ")
    expect(page.locator("#now-grid .ag-row[row-index='0'] [col-id='section']")).to_have_text("Floor A")
    page.locator("#now-grid .ag-header-cell[col-id='deal']").click()
    expect(page).to_have_url(re.compile("by=-deal"))
    expect(page.locator("#now-grid .ag-row[row-index='0'] .pill")).to_contain_text(re.compile("Great|Good"))
    page.locator("#now-grid .ag-row[row-index='0'] [col-id='section']").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.locator(".why")).to_contain_text("listings in section Floor A")
    expect(drawer.locator(".js-plotly-plot .scatterlayer .trace")).to_be_attached()
    expect(page).to_have_url(re.compile("listing="))
    shown, link = drawer.locator(".amount").inner_text(), page.url
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page).not_to_have_url(re.compile("listing="))
    leave(watched)
    page.goto(link)
    expect(page.get_by_role("dialog").locator(".amount")).to_have_text(shown)
    expect(page.get_by_label("Search", exact=True)).to_have_value("floor")
    assert watched.problems == []


def test_a_party_and_a_price_are_asked_for(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{site.url}event?event=concert_123")
    page.locator("#now-party").get_by_text("2", exact=True).click()
    expect(page.locator("#now-together .each").first).to_contain_text("each")
    page.locator("#now-party").get_by_text("3", exact=True).click()
    expect(page.locator("#now-together")).to_contain_text("No listing has 3 tickets together.")
    expect(page.locator("#now-grid")).to_contain_text("No listing matches")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator("#now-grid .ag-row .pill").first).to_be_visible(timeout=60_000)
    page.get_by_label("Your price", exact=True).fill("1")
    expect(page.locator("#now-spread-note")).to_contain_text("Nothing at $1.00 or less")
    assert watched.problems == []


def test_new_listings_come_and_the_table_stays_where_it_was(own_site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{own_site.url}event?event=concert_123&by=-price")
    expect(page.locator("#now-same")).to_contain_text("No seats are on sale at more than one source")
    own_site.execute(_NEW_LISTINGS)
    expect(page.locator("#now-together .offer").first).to_contain_text("$42.00")
    expect(page.locator("#now-same .head")).to_contain_text("save $5.00 a ticket")
    expect(page.locator("#now-grid .ag-header-cell[col-id='price']")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Search", exact=True).fill("12-13")
    expect(page.locator("#now-count")).to_contain_text("2 of ")
    expect(page.locator("#now-grid .ag-row [col-id='price'] strong")).to_have_text(["$47.00", "$42.00"])
    page.locator("#now-same .seller").first.click()
    go = page.get_by_role("link", name="Open this listing at Mock market, in a new tab")
    expect(go).to_have_attribute("href", "https://example.com/new/1")
    expect(go).to_have_attribute("rel", "noopener noreferrer")
    expect(page.get_by_role("dialog")).to_contain_text("The same seats elsewhere")
    assert watched.problems == []


def test_markup_is_text_and_a_phone_sees_it_all(site: Site, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    try:
        page = context.new_page()
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        _open(page, f"{site.url}event?event=xss")
        expect(page.locator("#now-grid .ag-row .now-deal").first).to_contain_text("<i>A</i>")
        expect(page.locator("#now-heat")).to_contain_text("<i>A</i>")
        assert page.locator("#now-grid i, #now-heat i, #now-together i").count() == 0
        assert page.locator("#now-grid a[href^='javascript' i]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    finally:
        context.close()


def test_a_grid_that_never_says_its_widths_are_there_is_shown(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{site.url}event?event=concert_123")
    # What AG Grid is left with when its parts become ready in the wrong order.
    page.locator("#now-grid .ag-body").evaluate("body => body.parentElement.classList.add('ag-delay-render')")
    expect(page.locator("#now-grid .ag-row[row-index='0'] [col-id='deal']")).to_be_visible()
    expect(page.locator("#now-grid .ag-header-cell[col-id='deal']")).to_be_visible()
