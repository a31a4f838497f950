"""Tables are taken away from the page, as the page shows them."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Watched, take

pytestmark = pytest.mark.browser


def test_a_table_is_taken_away_in_three_forms(site: Site, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{site.url}event?event=concert_456&section=102")
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")
    url, csv = take(page, "event", "CSV")
    asked = parse_qs(urlsplit(url).query)
    assert (asked["event"], asked["section"], asked["zone"]) == (["concert_456"], ["102"], ["America/New_York"])
    table = pl.read_csv(csv)
    assert table.height > 0
    assert set(table["section"].cast(pl.String)) == {"102"}
    parquet = pl.read_parquet(take(page, "event", "Parquet")[1])
    assert (parquet.height, parquet.columns) == (table.height, table.columns)
    book = zipfile.ZipFile(io.BytesIO(take(page, "event", "Excel")[1].read_bytes()))
    assert book.read("xl/worksheets/sheet1.xml").count(b"<row ") == table.height + 1
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")  # the page has stayed
    assert watched.problems == []


# An address, the rows that it shows and the table of them, a kind of file, its columns, and one of these, from the database.
_TABLES = {
    "market": (
        "?source=ticketmaster&sort=name", ".market-event", "market", "CSV",
        "event_id name venue date currency price change before before_at low typical high sample unit listings sources seen",
        "name", "SELECT event_name FROM events WHERE event_id IN (SELECT event_id FROM price_history"
        " WHERE source = 'ticketmaster') ORDER BY lower(event_name)",
    ),
    "alerts": (
        "alerts?delivery=failed", "#alerts-log tbody tr", "notifications", "Parquet",
        "caused rule_id rule event_id event cause old new currency channel state attempts maybe_repeats error waits_for"
        " held_until created sent",
        "state", "SELECT state FROM outbox WHERE state = 'failed'",
    ),
    "sources": (
        "sources?find=tour", "#watchlist-entries tbody tr", "watchlist", "CSV", "artist venue city since until source id",
        "artist", "SELECT text FROM watchlist WHERE text LIKE '%tour%' ORDER BY id DESC",
    ),
    "pipeline": (
        "pipeline?refused=not+JSON", "#dead-letters tbody tr", "dead-letters", "Excel",
        "id time reason detail topic partition offset size",
        "reason", "SELECT reason FROM dead_letters WHERE reason = 'not JSON'",
    ),
}  # fmt: skip


def _read(file: Path, kind: str) -> pl.DataFrame:
    if kind != "Excel":
        return {"CSV": pl.read_csv, "Parquet": pl.read_parquet}[kind](file)  # type: ignore[operator]
    sheet = zipfile.ZipFile(file).read("xl/worksheets/sheet1.xml").decode()
    rows = [re.findall("<(?:v|t)>(.*?)</", row) for row in re.findall("<row .*?</row>", sheet)]
    return pl.DataFrame(rows[1:], schema=rows[0], orient="row")


@pytest.mark.parametrize("page_name", _TABLES)
def test_each_page_gives_the_table_that_it_shows(site: Site, watched: Watched, page_name: str) -> None:
    address, rows, what, kind, columns, column, sql = _TABLES[page_name]
    page = watched.page
    with site.having("INSERT INTO watchlist (text) VALUES ('a tour'), ('a play'), ('b tour')", "DELETE FROM watchlist"):
        expected = site.column(sql)
        page.goto(site.url + address)
        expect(page.locator(rows), "the page shows other rows").to_have_count(len(expected))
        table = _read(take(page, what, kind)[1], kind)
    assert table.columns == columns.split(), "the file has other columns"
    assert table[column].to_list() == expected, "the file has other rows than the page"
    assert watched.problems == []


def test_the_links_are_used_by_keyboard(site: Site, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{site.url}event?event=concert_123")
    expect(page.get_by_role("heading", level=1)).to_have_text("Taylor Swift | The Eras Tour")
    summary, first = page.locator("#export-event summary"), page.locator("#export-event a").first
    summary.press("Enter")
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("Escape")
    expect(first).to_be_hidden()
    expect(summary).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    with page.expect_download():
        page.keyboard.press("Enter")
    assert watched.problems == []


def test_a_failed_export_is_a_page_that_says_what_to_do(own_site: Site, watched: Watched) -> None:
    page = watched.page
    own_site.server.crash()
    answer = page.goto(f"{own_site.url}export/event.csv?event=concert_123")
    assert answer is not None
    assert answer.status == 503
    expect(page.get_by_role("heading", level=1)).to_have_text("Not now")
    own_site.server.start()
