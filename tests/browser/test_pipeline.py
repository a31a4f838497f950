"""The pipeline page as an operator uses it: look, release and take back, read what was refused."""

from __future__ import annotations

import re

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from dash_app import ids
from dash_app.pages.pipeline import ids as held
from tests.browser.conftest import Site, Watched, drag

pytestmark = pytest.mark.browser

_HELD = """
INSERT INTO quarantine (id, event_id, source, section, price, total_price, currency, quantity, "timestamp", level, late,
                        reason)
VALUES (9007199254740993, 'xss', 'mock', 'B', 1, 1.18, 'USD', 2, now(), 'listing', false, 'hundredth'),
       (9007199254740995, 'concert_456', 'mock', '102', 0, 0, 'USD', 2, now(), 'listing', false, 'zero_price')
"""
_REFUSED = """
INSERT INTO dead_letters VALUES (4503599627371000, 'raw_prices', 0, 504, 'not JSON', NULL, %(payload)s, 70000)
"""
_THERE = "SELECT count(*) FROM price_history WHERE id = 9007199254740993"
# An answer to a press takes two seconds, in which the rows are drawn anew.
_DRAWN_MEANWHILE = """([answer, slow]) => {
    const send = window.fetch;
    window.fetch = async (...asked) => {
        if (JSON.parse(asked[1]?.body || "{}").output?.includes(answer + ".data")) {
            window.dash_clientside.set_props(slow, {n_intervals: 1000});
            await new Promise((go) => setTimeout(go, 2000));
        }
        return send(...asked);
    };
}"""
_DRAWN = "() => (document.querySelector('#pipeline-chart .js-plotly-plot') || {}).data?.some(t => t.y.length > 5)"
_RANGE = "() => document.querySelector('#pipeline-chart .js-plotly-plot')._fullLayout.xaxis.range.map(String)"


def _open(page: Page, site: Site, search: str = "") -> None:
    page.goto(f"{site.url}pipeline{search}")
    expect(page.locator("#health .tile")).to_have_count(10)
    expect(page.locator("#dead-range")).to_have_text(re.compile("none|of"))
    expect(page.locator("#quarantine-range")).to_have_text(re.compile("none|of"))


def test_a_release_is_told_though_the_rows_are_drawn_anew_meanwhile(own_site: Site, watched: Watched) -> None:
    page = watched.page
    own_site.execute(_HELD)
    _open(page, own_site)
    expect(page.locator("#quarantine-rows tbody tr")).to_have_count(2)

    page.evaluate(_DRAWN_MEANWHILE, [held.DECIDED, ids.SLOW])
    own_site.execute(_HELD.replace("900719925474099", "900719925474098"))  # so that there are more of them
    page.get_by_role("button", name=re.compile("^Release: ")).first.press("Enter")
    expect(page.locator("#quarantine-last")).to_contain_text("in the history now")
    expect(page.locator("#quarantine-rows tbody tr")).to_have_count(3)
    assert watched.problems == []


def test_a_price_is_released_and_taken_back_and_a_message_is_read(
    own_site: Site, watched: Watched, browser: Browser
) -> None:
    page = watched.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    own_site.execute(_HELD)
    own_site.execute(_REFUSED, {"payload": "<img src=x onerror=alert(1)>\u202egnp\x00\n".encode()})
    _open(page, own_site)

    def stored() -> int:
        with psycopg.connect(own_site.dsn) as connection:
            row = connection.execute(_THERE).fetchone()
        assert row is not None
        return int(row[0])

    expect(page.locator("#quarantine-rows tbody tr")).to_have_count(2)
    page.get_by_role("textbox", name="Event, by name or id").fill("alert(1)")
    expect(page.locator("#quarantine-rows tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"\?event=alert%281%29$"))
    page.get_by_role("button", name=re.compile("^Release: ")).press("Enter")
    expect(page.locator("#quarantine-last")).to_contain_text("in the history now")
    expect(page.locator("#quarantine-rows")).to_contain_text("No price like that")
    assert stored() == 1, "a number of this size must come back from the browser as it went"
    page.get_by_role("button", name="Undo").press("Enter")
    expect(page.locator("#quarantine-last-line")).to_be_hidden()
    page.locator("#quarantine-state").get_by_text("Confirmed").click()
    expect(page.locator("#quarantine-rows .pill")).to_have_text("Confirmed wrong")
    assert stored() == 0

    other = browser.new_page()
    _open(other, own_site, "?state=confirmed&event=alert%281%29")
    expect(other.locator("#quarantine-rows tbody tr")).to_have_count(1)
    other.close()

    page.get_by_role("button", name="Open the message at raw_prices 0 / 504").press("Enter")
    raw = page.get_by_role("region", name="Content of the message")
    expect(raw).to_have_text("<img src=x onerror=alert(1)>⟨U+202E⟩gnp␀\n")
    expect(page.get_by_role("dialog")).to_contain_text("69,964 more bytes are not shown")
    page.keyboard.press("Escape")
    expect(raw).to_have_count(0)
    assert watched.problems == []


def test_the_chart_keeps_its_zoom_while_readings_come(own_site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, own_site)
    page.wait_for_function(_DRAWN)
    drag(page, "#pipeline-chart", (0.3, 60), (0.6, 160))
    zoomed = page.evaluate(_RANGE)
    own_site.execute("INSERT INTO system_metrics VALUES ('events_per_second', 987654, now())")
    expect(page.locator("#pipeline-words")).to_contain_text("987,654")
    page.wait_for_function(
        "() => document.querySelector('#pipeline-chart .js-plotly-plot').data.some(t => t.y.some(v => v > 5e5))"
    )
    assert page.evaluate(_RANGE) == zoomed
    page.locator("#pipeline-span").get_by_text("1 hour").click()
    page.locator("#pipeline-metric").get_by_text("Lag").click()
    expect(page).to_have_url(re.compile(r"\?metric=lag&span=1h$"))
    expect(page.locator("#pipeline-words")).to_contain_text("No readings in this time")
    assert watched.problems == []


def test_without_tables_the_page_says_what_to_do_and_fills_by_itself(own_site: Site, watched: Watched) -> None:
    page = watched.page
    own_site.execute("ALTER SCHEMA public RENAME TO filled")
    page.goto(f"{own_site.url}pipeline")
    expect(page.locator("#pipeline-verdict")).to_contain_text("python -m sinks.schema")
    own_site.execute("ALTER SCHEMA filled RENAME TO public")
    expect(page.locator("#health .tile")).to_have_count(10)
    expect(page.locator("#dead-letters tbody tr")).to_have_count(4)
    assert watched.problems == []
