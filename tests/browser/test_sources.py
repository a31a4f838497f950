"""The sources page as a person uses it: follow, import, pause, remove, and say which event a listing is."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, Watched

pytestmark = pytest.mark.browser

_FOUND = """
WITH nora AS (INSERT INTO watchlist (text) VALUES ('Nora Vale') RETURNING id),
made AS (
    INSERT INTO source_events (source, source_id, event_id, name, venue, local_date, score, evidence)
    SELECT source, id, event, name, 'Grand Hall', '2031-06-01', score, '{"name": {"similarity": 0.9}}'
    FROM (VALUES ('seatgeek', '1', 'seatgeek-1', 'Nora Vale', 1.0),
                 ('ticketmaster', 'G1', 'seatgeek-1', '<b>NORA</b> VALE', 0.84),
                 ('seatgeek', '2', 'seatgeek-2', 'Nora Vale matinee', 1.0)) AS e (source, id, event, name, score)
    RETURNING source, source_id
)
INSERT INTO watched SELECT nora.id, made.source, made.source_id FROM nora, made
"""


def _open(page: Page, site: Site, search: str = "") -> None:
    page.goto(f"{site.url}sources{search}")
    expect(page.locator("#polled li")).to_have_count(2)
    expect(page.locator("#watchlist-range")).to_have_text(re.compile("none|of"))
    expect(page.locator("#links-range")).to_have_text(re.compile("none|of"))


def _choose(page: Page, file: Path) -> None:
    with page.expect_file_chooser() as asked:
        page.get_by_text("Choose a file").click()
    asked.value.set_files(file)


def _serious(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found if one["impact"] in {"serious", "critical"} for node in one["nodes"]
        if node["target"] != ["#export-watchlist-target"]  # dmc's, on every page
    ]  # fmt: skip


def test_a_search_is_followed_paused_found_by_its_link_and_removed(
    own_site: Site, watched: Watched, browser: Browser, tmp_path: Path
) -> None:
    page = watched.page
    _open(page, own_site)
    expect(page.locator("#watchlist-entries")).to_contain_text("Nothing is followed yet")

    page.get_by_role("button", name="Add", exact=True).click()
    save = page.get_by_role("button", name="Follow", exact=True)
    expect(save).to_be_disabled()
    page.get_by_label("Artist, team or show").fill("Nora Vale")
    page.get_by_role("textbox", name="City").fill("Chicago")
    expect(page.locator("#watchlist-preview")).to_have_text("Follows Nora Vale in Chicago on every source.")
    save.click()
    expect(page.locator("#watchlist-entries tbody tr")).to_have_count(1)
    expect(page.get_by_text("Following Nora Vale in Chicago.")).to_be_visible()

    page.get_by_role("button", name="Import").click()
    file = tmp_path / "tours.csv"
    file.write_text("artist,city\nNora Vale,Chicago\nRadiohead,London\nTosca\n<img src=x onerror=alert(1)>,\n")
    _choose(page, file)
    report = page.locator("#watchlist-report")
    expect(report).to_contain_text("2 entries added, 1 was followed already.")
    expect(report).to_contain_text("Line 4 1 cells, and 2 columns")
    _choose(page, file)
    expect(report).to_contain_text("0 entries added, 3 were followed already.")
    page.keyboard.press("Escape")
    expect(page.locator("#watchlist-entries tbody tr")).to_have_count(3)
    assert page.locator("#watchlist-entries img").count() == 0

    page.get_by_role("textbox", name="Search the watchlist").fill("radio")
    expect(page.locator("#watchlist-entries tbody tr")).to_have_count(1)
    page.get_by_role("button", name="Pause: Radiohead in London").click()
    expect(page.locator("#watchlist-entries .pill")).to_have_text("Paused")
    page.locator("#watchlist-state").get_by_text("Paused").click()
    expect(page).to_have_url(re.compile(r"\?find=radio&state=paused$"))
    other = browser.new_page()
    _open(other, own_site, "?find=radio&state=paused")
    expect(other.locator("#watchlist-entries tbody tr")).to_have_count(1)
    other.close()

    page.get_by_role("button", name="Remove: Radiohead in London").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("“Radiohead in London” is searched for no more")
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#watchlist-entries")).to_contain_text("No entry like that")
    with psycopg.connect(own_site.dsn) as connection:
        left = connection.execute("SELECT text FROM watchlist ORDER BY id").fetchall()
    assert left == [("Nora Vale",), ("<img src=x onerror=alert(1)>",)]
    assert watched.problems == []


def test_a_persons_word_on_a_match_counts(own_site: Site, watched: Watched) -> None:
    page = watched.page
    own_site.execute(_FOUND)
    _open(page, own_site)
    listings = page.locator("#links-rows tbody tr:not(.group)")
    expect(listings).to_have_count(3)
    expect(page.locator("#links-rows")).to_contain_text("<b>NORA</b> VALE")
    expect(page.locator("#links-rows")).to_contain_text("0.84")
    page.get_by_role("button", name="Show the 2 events that this found: Nora Vale").click()
    expect(page.locator("#links-of-line")).to_contain_text("Found by “Nora Vale”")
    expect(page).to_have_url(re.compile(r"\?entry=\d+$"))
    assert _serious(page) == [], "axe"

    page.get_by_role("button", name="Ticketmaster G1 is an event of its own").click()
    expect(page.locator("#links-rows tr.group")).to_have_count(3)
    expect(page.locator("#links-rows")).to_contain_text("You said so")

    page.get_by_role("button", name="Ticketmaster G1 is another event").click()
    choice = page.get_by_role("textbox", name="It is this event")
    choice.fill("matinee")
    expect(page.get_by_role("option")).to_have_count(1)
    page.get_by_role("option").click()
    page.get_by_role("dialog").get_by_role("button", name="It is this event").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#links-rows tr.group")).to_have_count(2)
    with psycopg.connect(own_site.dsn) as connection:
        row = connection.execute("SELECT event_id, decided_by FROM source_events WHERE source_id = 'G1'").fetchone()
    assert row == ("seatgeek-2", "user")
    assert watched.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(site: Site, browser: Browser, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        _open(page, site)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert _serious(page) == [], "axe"
        page.get_by_role("button", name="Import").click()
        expect(page.get_by_role("dialog")).to_contain_text("Download a template")
        page.wait_for_timeout(400)  # the dialogue fades in, and half-faded text has half the contrast
        assert _serious(page) == [], "axe"
    finally:
        context.close()
