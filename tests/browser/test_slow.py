"""Where answers are slow, the page is late, and not stuck."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Watched

pytestmark = pytest.mark.browser

# Longer than a beat: each answer comes when the next one could be asked for already.
_SLOW = """
const send = window.fetch;
window.fetch = async (...asked) => {
  const answer = await send(...asked);
  if (String(asked[0]).includes('_dash-update-component')) await new Promise((done) => setTimeout(done, 2500));
  return answer;
};
"""


@pytest.fixture
def lively(own_site: Site) -> Iterator[Site]:
    """A site with news at every tick, from a flow that never rests."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(1):
            own_site.execute("UPDATE pipeline_progress SET next_offset = next_offset + 1, updated_at = now()")

    flow = threading.Thread(target=work)
    flow.start()
    yield own_site
    stop.set()
    flow.join()


def test_a_page_whose_answers_take_longer_than_a_tick_is_drawn_and_goes_on(lively: Site, watched: Watched) -> None:
    page = watched.page
    page.add_init_script(_SLOW)
    page.goto(f"{lively.url}event?event=concert_123")
    expect(page.locator("#link")).to_have_text("Live")
    expect(page.locator("#price-chart .scatterlayer .trace").first).to_be_attached()
    first = page.locator("#changes tbody tr").first
    expect(first).to_be_visible()
    lively.execute(
        "INSERT INTO price_changes (id, event_id, source, section, currency, level, old_price, new_price, change, "
        'change_percent, previous_timestamp, "timestamp") '
        "SELECT max(id) + 1, 'concert_123', 'mock', '101', 'USD', 'listing', 123.45, 1.23, -122.22, -99, now(), now() "
        "FROM price_changes"
    )
    expect(first).to_contain_text("$123.45 → $1.23")
    expect(page.locator("#offline")).to_be_hidden()
    assert watched.problems == []
