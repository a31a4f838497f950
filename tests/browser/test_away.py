"""What a page asks may be away while it is open: it says so, keeps what it shows, and comes back by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from sinks.lake import LakeWriter
from tests.browser.conftest import Site, Watched, postgres_away, watch
from tests.unit.sinks import rows

pytestmark = pytest.mark.browser

_THEN = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
_FORM = "%Y%m%dT%H%M%SZ"
# The prices of the event's own line, of which the last is drawn apart.
_DRAWN = """plot => [...new Set(plot.data.filter((t) => t.meta.startsWith('event')).flatMap((t) => t.y))]
    .filter((price) => price !== null).sort()"""


def _is_drawn(page: Page, prices: list[int]) -> None:
    """The note may be there before the chart."""
    page.wait_for_function(
        f"""prices => {{
            const plot = document.querySelector('#price-chart .js-plotly-plot');
            return plot && String(({_DRAWN})(plot)) === String(prices);
        }}""",
        arg=prices,
    )


def _observe(site: Site, offset: int, minutes: int, price: int) -> None:
    """Write an observation of two days ago to the lake, which Postgres no longer has; of a partition of its own."""
    seen = rows.price(offset, partition=9, event_id="opera_1", timestamp=_THEN + timedelta(minutes=minutes),
                      price=price * 1_000_000)  # fmt: skip
    writer = LakeWriter(site.lake / "prices")
    writer.add([rows.frame([seen])])
    writer.flush()


@pytest.fixture
def old_prices(site: Site) -> Iterator[Site]:
    """The site whose lake has a few prices of an event that Postgres does not."""
    for minute, price in enumerate((40, 50, 60)):
        _observe(site, minute, minute, price)
    yield site
    shutil.rmtree(site.lake / "prices")


def _quarter_of_a_minute_passes(page: Page) -> None:
    """What comes every 15 seconds comes now; the rest of the page goes on as before."""
    page.evaluate("dash_clientside.set_props('slow', { n_intervals: Math.floor(Date.now() / 10) })")


def test_the_lake_away_is_said_and_the_chart_stays(old_prices: Site, watched: Watched, browser: Browser) -> None:
    site, page = old_prices, watched.page
    span = "_".join((_THEN + timedelta(hours=hours)).strftime(_FORM) for hours in (-1, 1))
    page.goto(f"{site.url}event?event=opera_1&basis=base&range={span}")
    plot, note = page.locator("#price-chart .js-plotly-plot"), page.locator("#price-chart-note")
    expect(note).to_contain_text("New York time")
    expect(note).not_to_contain_text("the lake")
    _is_drawn(page, [40, 50, 60])
    with watch(browser) as other:
        market = other.page
        market.goto(site.url)
        expect(market.locator(".market-event")).to_have_count(8)

        away = site.lake.rename(site.lake.with_name("away"))
        _quarter_of_a_minute_passes(page)
        expect(note, "it is not said").to_contain_text("the lake does not answer, so this is the last it said")
        assert plot.evaluate(_DRAWN) == [40, 50, 60], "the chart has lost what it had"
        expect(page.locator("#link"), "what the lake has no part in is said to be away, too").not_to_contain_text(
            "away"
        )
        _quarter_of_a_minute_passes(market)
        expect(market.locator(".market-event"), "the market needs no lake").to_have_count(8)
        expect(market.locator("#notice")).to_be_hidden()
        taken = page.request.get(f"{site.url}export/event.csv?event=opera_1")
        assert (taken.status, "the lake" in taken.text()) == (503, True), "a table without its history is given away"

        away.rename(site.lake)
        _observe(site, 3, 3, 70)
        _quarter_of_a_minute_passes(page)
        expect(note, "the chart does not come back").not_to_contain_text("the lake")
        _is_drawn(page, [40, 50, 60, 70])
        assert watched.problems == other.problems == []


def test_postgres_away_is_said_by_sources_and_pipeline_which_keep_what_they_show(
    own_site: Site, watched: Watched, browser: Browser
) -> None:
    sources = watched.page
    own_site.execute("INSERT INTO watchlist (text) VALUES ('Nora Vale')")
    sources.goto(f"{own_site.url}sources")
    followed, polled = sources.locator("#watchlist-entries tbody tr"), sources.locator("#polled li")
    expect(followed).to_have_count(1)
    expect(polled).to_have_count(2)
    with watch(browser) as other:
        pipeline = other.page
        pipeline.goto(f"{own_site.url}pipeline")
        refused, tiles = pipeline.locator("#dead-letters tbody tr"), pipeline.locator("#health .tile")
        drawn = pipeline.locator("#pipeline-chart .scatterlayer .trace")
        expect(refused).to_have_count(4)
        expect(tiles).to_have_count(10)
        expect(drawn.first).to_be_attached()

        with postgres_away(own_site, sources, pipeline):
            for page in sources, pipeline:
                _quarter_of_a_minute_passes(page)
            sources.get_by_role("button", name="Pause: Nora Vale").click()
            expect(sources.get_by_text("Postgres does not answer. Nothing was changed")).to_be_visible()
            expect(followed, "the watchlist is gone").to_have_count(1)
            expect(polled, "the sources are gone").to_have_count(2)
            expect(refused, "the dead letters are gone").to_have_count(4)
            expect(tiles, "the figures are gone").to_have_count(10)
            expect(drawn.first, "the chart is gone").to_be_attached()

        own_site.execute(
            "INSERT INTO watchlist (text) VALUES ('Tosca'); DELETE FROM dead_letters WHERE reason = 'not JSON'"
        )
        for page in sources, pipeline:
            _quarter_of_a_minute_passes(page)
        expect(followed, "what is followed since does not come").to_have_count(2)
        expect(refused, "what was refused since is not shown").to_have_count(3)
        assert watched.problems == other.problems == []
