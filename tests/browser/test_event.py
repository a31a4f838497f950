"""The event page as a person sees it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dash_app.pages.event import ids as here
from dash_app.shell.search import found
from tests.browser.conftest import Site, Watched, drag, leave, postgres_away

pytestmark = pytest.mark.browser

_RANGE = "() => document.querySelector('#price-chart .js-plotly-plot')._fullLayout.xaxis.range.map(String)"
_TRACES = "() => document.querySelector('#price-chart .js-plotly-plot')._fullData.map(t => [t.meta, String(t.visible)])"
_CHOOSE = """(option, [found, first]) => {
    const answer = () => window.dash_clientside.set_props(found, {data: [{value: "other", label: "Another event"}]});
    if (first == "answer") answer();
    option.click();
    if (first == "choice") answer();
}"""
_NEW_PRICE = """
WITH newest AS (SELECT max("timestamp") + interval '1 second' AS at, max(id) + 1 AS id FROM price_history),
raw AS (
    INSERT INTO price_history (id, event_id, source, section, price, total_price, currency, quantity, "timestamp",
                               level, late)
    SELECT id, 'concert_123', 'mock', '101', 1, 1.23, 'USD', 1, at, 'listing', false FROM newest
), windows AS (
    INSERT INTO price_windows
    SELECT 'concert_123', source, section, 'listing', 'USD', 60, date_trunc('minute', at) + interval '1 minute',
           1.23, 1.23, 1.23, 1.23, 1.23, 1, 1, false
    FROM newest, (VALUES ('mock', '101'), ('', '')) AS place (source, section)
)
INSERT INTO price_changes (id, event_id, source, section, currency, level, old_price, new_price, change,
                           change_percent, previous_timestamp, "timestamp")
SELECT id, 'concert_123', 'mock', '101', 'USD', 'listing', 123.45, 1.23, -122.22, -99.0036, at, at FROM newest
"""


def _open(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator("#key-figures .tile")).to_have_count(5)
    expect(page.locator("#price-chart .scatterlayer .trace").first).to_be_attached()


def _traces(page: Page) -> dict[str, str]:
    return dict(page.evaluate(_TRACES))


def _pick(page: Page, choice: Locator, words: str) -> None:
    """Choose what is picked out, as a person does: what the server finds may replace what the browser found itself
    between two keys, and then nothing is picked out any more, and one presses the two keys again."""
    for _ in range(5):
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        try:
            expect(choice).to_have_value(re.compile(words), timeout=3000)
        except AssertionError:
            continue
        return
    raise AssertionError(
        f"{words} was not chosen by five times of arrow and Enter; the field has {choice.input_value()!r}"
    )


def test_the_page_loads_without_a_complaint(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, site.url + "event")
    expect(page.get_by_role("heading", level=1)).to_have_text("Taylor Swift | The Eras Tour")
    expect(page.locator("#link")).to_have_text(re.compile("Live|No news"))
    expect(page.locator("#changes tbody tr")).to_have_count(12)
    expect(page.locator("#alerts li").first).to_contain_text("discord")
    expect(page.locator("#price-chart-note")).to_contain_text("New York time")
    assert page.locator("a[href^='javascript' i]").count() == 0
    page.wait_for_timeout(3500)  # two ticks
    assert watched.problems == []


def test_an_event_is_chosen_by_keyboard_and_the_link_reproduces_it(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, site.url + "event")
    choice = page.get_by_role("textbox", name="Event")
    choice.click()
    choice.fill("radio")
    expect(page.get_by_role("option")).to_have_count(1)
    _pick(page, choice, "Radiohead")
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")
    page.get_by_text("1 d", exact=True).click()
    page.get_by_text("Average", exact=True).click()
    page.get_by_text("All events", exact=True).click()
    expect(page).to_have_url(re.compile(r"\?event=concert_456&range=1d&price=average(&|.*&)scope=all"))
    link = page.url
    leave(watched)
    _open(page, link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")
    expect(page.locator("#event-range input[value='1d']")).to_be_checked()
    expect(page.locator("input[value='average']")).to_be_checked()
    expect(page.locator("#changes thead")).to_contain_text("Event")
    assert watched.problems == []


@pytest.mark.parametrize("first", ["answer", "choice"])
def test_what_is_chosen_while_an_answer_comes_stays_chosen(site: Site, watched: Watched, first: str) -> None:
    page = watched.page
    _open(page, site.url + "event")
    compare = "Compare with"
    for part, label, words in (
        (here.EVENT, "Event", "radio"),
        (here.COMPARE, compare, "taylor"),
        (here.COMPARE, compare, "lakers"),
    ):
        choice = page.get_by_role("textbox", name=label)
        choice.scroll_into_view_if_needed()
        choice.click()
        choice.fill(words)
        option = page.get_by_role("option")
        expect(option).to_have_count(1)
        page.wait_for_timeout(1000)  # what was asked with those words is answered before the test's own answer
        option.evaluate(_CHOOSE, [found(part), first])
    expect(page.get_by_role("heading", level=1)).to_have_text("Radiohead")
    both = r"\?event=concert_456&.*compare=concert_123&compare=(\w+)"
    expect(page).to_have_url(re.compile(both))
    (lakers,) = re.findall(both, page.url)
    page.locator(".searched", has=choice).locator(".mantine-Pill-remove").first.evaluate(_CHOOSE, [found(part), first])
    expect(page).to_have_url(re.compile(rf"\?event=concert_456&compare={lakers}$"))
    assert watched.problems == []


def test_sections_and_sources_are_chosen(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{site.url}event?event=concert_123&section=101&section=GA&source=mock")
    expect(page.locator("#price-chart .legend")).to_contain_text("101 · Mock market")
    lines = {name for name in _traces(page) if name.startswith("listing/") and ":" not in name}
    assert lines == {"listing/mock/101", "listing/mock/GA"}


def test_new_rows_appear_without_a_reload_and_the_view_stays(own_site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, own_site.url + "event")
    page.evaluate("window.untouched = true")
    drag(page, "#price-chart", (0.6, 60), (0.99, 260))
    page.locator("#price-chart .legendtoggle").nth(3).click()
    page.wait_for_timeout(1000)  # Plotly waits for a second click before it hides a line
    zoomed, hidden = page.evaluate(_RANGE), _traces(page)
    assert "legendonly" in hidden.values()
    expect(page).to_have_url(re.compile(r"range=\d{8}T\d{6}Z_\d{8}T\d{6}Z"))
    expect(page.locator("#event-range input:checked")).to_have_count(0)

    own_site.execute(_NEW_PRICE)

    expect(page.locator("#changes tbody tr").first).to_contain_text("$123.45 → $1.23")
    expect(page.locator("#changes tbody tr").first).to_contain_text("▼ −99.0%")
    expect(page.locator("#key-figures .lead .value")).to_have_text("$1.23")
    page.wait_for_function(
        "() => document.querySelector('#price-chart .js-plotly-plot').data.some(t => (t.y || []).includes(1.23))"
    )
    assert page.evaluate(_RANGE) == zoomed
    assert _traces(page) == hidden
    assert page.evaluate("window.untouched")
    assert watched.problems == []


def test_a_shared_zoom_is_the_same_in_another_zone(site: Site, watched: Watched, browser: Browser) -> None:
    page = watched.page
    _open(page, site.url + "event")
    drag(page, "#price-chart", (0.4, 60), (0.7, 60))
    expect(page).to_have_url(re.compile("range="))
    shown = [datetime.fromisoformat(end).replace(tzinfo=ZoneInfo("America/New_York")) for end in page.evaluate(_RANGE)]
    context = browser.new_context(viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo")
    try:
        other = context.new_page()
        _open(other, page.url)
        there = [datetime.fromisoformat(end).replace(tzinfo=ZoneInfo("Asia/Tokyo")) for end in other.evaluate(_RANGE)]
        for near, far in zip(shown, there, strict=True):
            assert abs(near - far) < timedelta(seconds=2)
    finally:
        context.close()
    zoomed = page.evaluate(_RANGE)[0]
    page.get_by_text("All", exact=True).click()
    expect(page).to_have_url(re.compile(r"range=all"))
    page.wait_for_function(
        "old => document.querySelector('#price-chart .js-plotly-plot')._fullLayout.xaxis.range.map(String)[0] < old",
        arg=zoomed,
    )
    assert watched.problems == []


def test_events_are_compared_by_days_to_go(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, f"{site.url}event?event=concert_123&compare=concert_456&compare=festival_eu&align=days")
    expect(page.locator("#price-chart .legend")).to_contain_text("Radiohead")
    expect(page.locator("#price-chart-note")).to_contain_text("Primavera Sound has no prices in USD")
    far, near = (float(end) for end in page.evaluate(_RANGE))
    assert 40 < far < 45, "time does not run to the right, toward the event"
    assert near < 18
    assert watched.problems == []


def test_one_of_ten_thousand_sections_is_found_by_typing(own_site: Site, watched: Watched) -> None:
    own_site.execute(
        "INSERT INTO price_windows SELECT 'concert_123', 'mock', 'S' || n, 'listing', 'USD', size,"
        " date_bin(size * interval '1 second', now(), '1970-01-01'), 80, 90, 85, 90, 80, 1, 1, true"
        " FROM generate_series(1, 10000) AS n, unnest(ARRAY[60, 3600, 86400]) AS size"
    )
    page = watched.page
    _open(page, own_site.url + "event?event=concert_123")
    field = page.get_by_role("textbox", name="Sections")
    field.click()
    assert page.get_by_role("option").count() <= 112
    field.press_sequentially("S9876")
    option = page.get_by_role("option", name="S9876", exact=True)
    expect(option).to_be_visible()
    option.click()
    expect(page.locator("#price-chart .legend")).to_contain_text("S9876 · Mock market")
    expect(page).to_have_url(re.compile("section=S9876"))
    assert watched.problems == []


def test_a_name_of_markup_is_shown_as_text(site: Site, watched: Watched) -> None:
    page = watched.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    _open(page, f"{site.url}event?event=xss&scope=all&section=B&section=%3Ci%3EA%3C%2Fi%3E")
    expect(page.get_by_role("heading", level=1)).to_have_text("<script>alert(1)</script>")
    expect(page.locator("#price-chart .legend")).to_contain_text("<i>A</i> · Mock market")
    assert page.locator("h1 script, #changes i, #alerts i, #price-chart .legend i").count() == 0
    assert watched.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(site: Site, browser: Browser, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        _open(page, f"{site.url}event?scope=all")
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("document.documentElement.getAttribute('data-mantine-color-scheme')") == scheme
        colour = page.locator("#price-chart .ytick text").first.evaluate("node => getComputedStyle(node).fill")
        assert colour == {"light": "rgb(102, 112, 133)", "dark": "rgb(152, 161, 179)"}[scheme]
    finally:
        context.close()


def test_the_scheme_is_switched_with_the_chart(site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, site.url + "event")
    tick = page.locator("#price-chart .ytick text").first
    expect(tick).to_have_css("fill", "rgb(102, 112, 133)")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(tick).to_have_css("fill", "rgb(152, 161, 179)")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


def test_an_empty_database_says_what_to_do_and_fills_by_itself(own_site: Site, watched: Watched) -> None:
    page = watched.page
    with psycopg.connect(own_site.dsn, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA public RENAME TO filled")
    page.goto(own_site.url + "event")
    expect(page.get_by_role("heading", name="No prices yet")).to_be_visible()
    expect(page.locator("#link")).to_have_text("Waiting for the flow")
    with psycopg.connect(own_site.dsn, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA filled RENAME TO public")
    expect(page.get_by_role("heading", level=1).filter(visible=True)).to_have_text("Taylor Swift | The Eras Tour")
    assert watched.problems == []


def test_postgres_away_is_said_and_got_over(own_site: Site, watched: Watched) -> None:
    page = watched.page
    _open(page, own_site.url + "event")
    before = page.locator("#key-figures").inner_text()
    with postgres_away(own_site, page):
        assert page.locator("#key-figures").inner_text() == before
    own_site.execute(_NEW_PRICE)
    expect(page.locator("#key-figures .lead .value")).to_have_text("$1.23")
    assert watched.problems == []


def test_the_first_chart_does_not_wait_to_be_told_of_news(site: Site, watched: Watched) -> None:
    """Or it would be the last thing to be seen on a busy machine."""
    page = watched.page
    asks = f'"output":"{here.TOLD}.data"'
    page.route(
        "**/_dash-update-component", lambda way: None if asks in (way.request.post_data or "") else way.continue_()
    )
    page.goto(site.url + "event?event=concert_123")
    expect(page.locator("#price-chart .scatterlayer .trace").first).to_be_attached()
    expect(page.locator("#key-figures")).to_contain_text("Get-in price")
    page.unroute_all(behavior="ignoreErrors")
