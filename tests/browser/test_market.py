"""The market page as a person sees it."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import Site, Watched, leave, postgres_away

pytestmark = pytest.mark.browser

_DEARER = """
INSERT INTO price_windows
SELECT 'concert_456', 'mock', section, 'listing', 'USD', 60, date_trunc('minute', newest) + interval '1 minute',
       {price}, 999, 500, 1, 1, 1, 1, false
FROM (SELECT max(window_start) AS newest FROM price_windows WHERE window_seconds = 60) w, (VALUES ('102')) place (section);
INSERT INTO price_history (id, event_id, source, section, price, total_price, currency, quantity, "timestamp", level, late)
SELECT max(id) + 1, 'concert_456', 'mock', '102', {price}, {price}, 'USD', 1, now(), 'listing', false FROM price_history
"""


def _rows(page: Page) -> Locator:
    return page.locator(".market-grid .ag-center-cols-container .ag-row:has(.market-event)")


def _names(page: Page) -> list[str]:
    cells = page.locator(".market-grid .ag-row:has(.market-event)")
    found: list[list[str]] = cells.evaluate_all(
        "rows => rows.map(row => [row.getAttribute('row-index'), row.querySelector('.market-event .name').textContent])"
    )
    return [name for _, name in sorted(found, key=lambda row: int(row[0]))]


def _row(page: Page, name: str) -> Locator:
    return _rows(page).filter(has_text=name)


def _open(page: Page, url: str, rows: int = 8) -> None:
    page.goto(url)
    expect(_rows(page)).to_have_count(rows)


def test_the_market_is_searched_filtered_and_sorted_and_its_link_says_so(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, site.url)
    expect(page.locator("#market-summary")).to_contain_text("8 events at 3 sources")
    expect(page.locator("#market-count")).to_have_text("8 events")
    expect(page.locator("#market-drops li").first).to_contain_text("▼")
    expect(page.locator("#market-tape li")).to_have_count(10)

    page.locator(".market-grid .ag-header-cell", has_text="Get-in").click()
    expect(page).to_have_url(re.compile(r"\?sort=price$"))
    expect(_rows(page).first.locator(".market-price")).to_be_visible()
    page.wait_for_function(
        "() => document.querySelector('.market-grid [row-index=\"0\"] .name')?.textContent === 'Tosca'"
    )
    page.get_by_label("Search").fill("PRIMAVERA forum")
    expect(_rows(page)).to_have_count(1)
    expect(page.locator("#market-count")).to_have_text("1 event")
    page.get_by_label("Search").fill("nothing of the kind")
    expect(page.get_by_text("No event matches. Clear the filters")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(_rows(page)).to_have_count(8)
    page.get_by_label("Get-in up to").fill("120")
    expect(_row(page, "Tosca")).to_be_visible()
    expect(_row(page, "Lakers")).to_have_count(0)
    shown, link = _names(page), page.url
    assert re.search(r"\?most=120&sort=price$", link), link
    leave(watched)
    _open(page, link, len(shown))
    assert _names(page) == shown
    assert watched.problems == []


def test_an_event_is_opened_and_come_back_from(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{site.url}?q=radiohead", 1)
    page.get_by_label("Search").fill("lakers")
    expect(_row(page, "Lakers vs. Celtics")).to_be_visible()
    _row(page, "Lakers vs. Celtics").locator(".market-price").click()
    expect(page).to_have_url(re.compile(r"/event\?event=game_789"))
    page.go_back()
    expect(_row(page, "Lakers vs. Celtics")).to_be_visible()
    page.get_by_label("Search").press("Enter")
    _row(page, "Lakers vs. Celtics").locator("[col-id=price]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/event\?event=game_789"))


def test_a_new_price_is_shown_in_its_row_and_nothing_else_moves(own_site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{own_site.url}?sort=name")
    before = _names(page)
    page.evaluate("window.row = document.querySelector('.market-grid [row-index=\"2\"]'); window.untouched = true")
    own_site.execute(_DEARER.format(price=1.23))
    price = _row(page, "Radiohead").locator(".market-price strong")
    expect(price).to_have_text("$1.23")
    expect(_row(page, "Radiohead").locator(".market-history")).to_contain_text("under typical")
    expect(page.locator("#market-drops li").first).to_contain_text("Radiohead")
    assert _names(page) == before
    assert page.evaluate("window.row.isConnected && window.untouched")
    assert watched.problems == []


def test_postgres_away_leaves_the_rows_and_is_got_over(own_site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, own_site.url)
    with postgres_away(own_site, page):
        assert len(_names(page)) == 8
        page.get_by_label("Search").fill("radiohead")  # what is kept answers
        expect(_rows(page)).to_have_count(1)
    own_site.execute(_DEARER.format(price=2.34))
    expect(_row(page, "Radiohead").locator(".market-price strong")).to_have_text("$2.34")
    assert watched.problems == []


def test_a_name_of_markup_is_text_in_every_part(site: Site, watched: Watched) -> None:
    page = watched.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    _open(page, f"{site.url}?q=%3Cscript%3E", 1)
    expect(_rows(page).locator(".market-event .name")).to_have_text("<script>alert(1)</script>")
    assert page.locator(".market script, .market b").count() == 0
    assert page.locator(".market a[href^='javascript' i]").count() == 0
    assert watched.problems == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_it_fits_and_reads_at_every_size(site: Site, browser: Browser, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        _open(page, f"{site.url}?sort=change")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        expect(page.locator(".market-history").first).to_be_visible(visible=width > 1000)
        expect(page.locator(".market-event .more").first).to_be_visible(visible=width < 1000)
        expect(page.locator(".market-sort")).to_be_visible(visible=width < 1000)
        found = Axe().run(page, context={"exclude": [["div:has(> .export-button)"]]})  # Mantine's own frame of a menu
        serious = [(broken["id"], broken["nodes"][0]["html"][:200]) for broken in found.response["violations"]
                   if broken["impact"] in {"serious", "critical"}]  # fmt: skip
        assert serious == []
    finally:
        context.close()
