"""Tables are taken away from the page, as the page shows them."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Watched

pytestmark = pytest.mark.browser


def _take(page: Page, what: str, kind: str) -> tuple[str, Path]:
    """Follow a link of an export's menu; gives the address that was asked and the file."""
    links = page.locator(f"#export-{what}")
    links.locator("summary").click()
    with page.expect_download() as started:
        links.get_by_role("link", name=re.compile(f"^{kind}")).click()
    expect(links).not_to_have_attribute("open", "")
    assert re.fullmatch(rf"conscope-{what}-\d{{8}}T\d{{6}}Z\.\w+", started.value.suggested_filename)
    return started.value.url, started.value.path()


def test_a_table_is_taken_away_in_three_forms(site: Site, watched: Watched) -> None:
    page = watched.page
    page.goto(f"{site.url}event?event=concert_456&section=102")
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")
    url, csv = _take(page, "event", "CSV")
    asked = parse_qs(urlsplit(url).query)
    assert (asked["event"], asked["section"], asked["zone"]) == (["concert_456"], ["102"], ["America/New_York"])
    table = pl.read_csv(csv)
    assert table.height > 0
    assert set(table["section"].cast(pl.String)) == {"102"}
    parquet = pl.read_parquet(_take(page, "event", "Parquet")[1])
    assert (parquet.height, parquet.columns) == (table.height, table.columns)
    book = zipfile.ZipFile(io.BytesIO(_take(page, "event", "Excel")[1].read_bytes()))
    assert book.read("xl/worksheets/sheet1.xml").count(b"<row ") == table.height + 1
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")  # the page has stayed
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
