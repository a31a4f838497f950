"""What a person does with the demo: real prices from a real flow on every page, and nothing put there by the test."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, Page, Response, TimeoutError, expect

from dash_app.pages.event import ids
from tests.browser.conftest import Watched, drag, leave, sent, take
from tests.support.demo import demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(500)]

_PATIENCE = 90_000  # milliseconds; broker, Postgres, flow, market, dashboard and browser share the machine
_CHART = "document.querySelector('#price-chart .js-plotly-plot')"
_RANGE = f"() => {_CHART}._fullLayout.xaxis.range.map(String)"
_DRAWN = f"() => JSON.stringify({_CHART}._fullData.map(t => t.y && Array.from(t.y)))"


def test_the_demo_is_used_from_the_search_to_the_alert(browser: Browser, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with demo(tmp_path) as running:
        base = running.address()
        event = _an_event_is_searched(page, base)
        _its_chart_keeps_its_zoom_while_prices_come(page)
        with sent(browser, page) as other:
            expect(other.get_by_role("heading", level=1)).to_have_text(event)
            expect(other.locator("#price-chart .scatterlayer .trace").first).to_be_attached(timeout=_PATIENCE)
        _go(watched, f"{base}/alerts?new=1")
        _a_rule_is_made_fires_and_is_muted(page, event)
        _go(watched, f"{base}/pipeline")
        _a_held_price_is_released(page)
        _go(watched, f"{base}/sources")
        expect(page.locator("#page .card").first).to_be_visible()
        assert watched.problems == []
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0, running.said


def _go(watched: Watched, url: str) -> None:
    leave(watched)
    watched.page.goto(url)


def _an_event_is_searched(page: Page, base: str) -> str:
    page.goto(base)
    first = page.locator("#market-grid .ag-row[row-index='0'] .market-event .name")
    expect(first).not_to_be_empty(timeout=_PATIENCE)
    everything = page.locator("#market-count").inner_text()
    name = first.inner_text()
    page.get_by_label("Search", exact=True).fill(name)
    expect(page.locator("#market-count")).not_to_have_text(everything)
    expect(page).to_have_url(re.compile(r"\?q="))
    expect(first).to_have_text(name)
    first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return name


def _is_of_the_zoom(answer: Response) -> bool:
    asked = answer.request.post_data_json if "_dash-update-component" in answer.url else {}
    return ids.DRAWING in asked.get("output", "") and f"{ids.SPAN}.data" in asked["changedPropIds"]


def _zoom(page: Page) -> None:
    """Drag until it is a zoom: on a full machine a chart may be drawn anew in the middle of it."""
    for patience in (20_000, 20_000, _PATIENCE):
        try:
            with page.expect_response(_is_of_the_zoom, timeout=patience):  # what the zoom itself asks for
                drag(page, "#price-chart", (0.4, 60), (0.95, 200))
        except TimeoutError:
            continue
        return
    raise AssertionError("three times a box was drawn in the chart, and it asked for no other stretch of time")


def _its_chart_keeps_its_zoom_while_prices_come(page: Page) -> None:
    expect(page.locator("#price-chart .scatterlayer .trace").first).to_be_attached(timeout=_PATIENCE)
    _zoom(page)
    zoomed = None
    while zoomed != (zoomed := page.evaluate(_RANGE)):  # until it is drawn
        page.wait_for_timeout(500)
    drawn = page.evaluate(_DRAWN)
    page.wait_for_function(f"drawn => ({_DRAWN})() !== drawn", arg=drawn, timeout=_PATIENCE)
    assert page.evaluate(_RANGE) == zoomed, "new prices moved the chart"


def _a_rule_is_made_fires_and_is_muted(page: Page, event: str) -> None:
    form = page.get_by_role("dialog", name="Make a rule")
    form.get_by_role("textbox", name="Event").fill(event)
    page.get_by_role("option").first.click()
    form.get_by_role("textbox", name=re.compile("^Target")).fill("5000")
    expect(form.locator("#alerts-trial")).to_contain_text("Would have fired")
    form.get_by_role("button", name="Save the rule").click()
    card = page.locator(".rule-card")
    expect(card.locator(".rule-state"), "the flow did not take the rule up").to_have_text("Fired", timeout=_PATIENCE)
    expect(page.locator("#alerts-log tbody tr").filter(has_text="at or below").first).to_contain_text("sent")
    told = pl.read_csv(take(page, "notifications", "CSV")[1])
    assert told.filter(pl.col("rule_id") == 1).height > 0, "the export has no alert of the rule"
    card.locator("summary").click()
    page.get_by_role("button", name="For an hour").click()
    expect(card.locator(".rule-state")).to_have_text("Muted")


def _a_held_price_is_released(page: Page) -> None:
    expect(page.locator("#health .tile")).to_have_count(10)
    # Of a kind that the flow never releases by itself, as it may the others before the button is pressed.
    lasting = page.locator("#quarantine-rows tr", has_text=re.compile("A price of zero|More than a million")).first
    release = lasting.get_by_role("button", name=re.compile("^Release: "))
    release.press("Enter")
    expect(page.locator("#quarantine-last")).to_contain_text("in the history now")
