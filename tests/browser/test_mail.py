"""A mail as a person sees it, and its link that mutes the rule."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Page, expect

from local.postgres import free_port
from sinks import delivery, mail
from sinks.channels import Channels
from sinks.delivery import Delivery
from sinks.mail import Server
from tests.browser.conftest import Site, Watched
from tests.conftest import Database
from tests.integration.test_outbox import fire, rule
from tests.unit.dash_app import seed
from tests.unit.sinks.test_mail import Post, parts

pytestmark = pytest.mark.browser

NAME = "<script>alert(1)</script> & “Swift” \u202egnp.exe"


@pytest.fixture
def mails(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    """What a delivery sends by mail, over the site's database."""
    with psycopg.connect(own_site.dsn, autocommit=True) as connection:
        for migration in sorted(seed.MIGRATIONS[0].parent.glob("*.sql")):
            if migration not in seed.MIGRATIONS:
                connection.execute(migration.read_text().encode())
    monkeypatch.setattr(delivery, "_LOOK_AGAIN", 0.05)
    monkeypatch.setattr(mail, "_AT_MOST_EVERY", 0.0)
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    server = Server("127.0.0.1", controller.port, "ConScope <alerts@conscope.example>", security="none")
    channels = Channels({"me": "mailto:canary-someone@example.com"}, server, own_site.url)
    one = Delivery(own_site.dsn, channels, 10**10)
    thread = threading.Thread(target=one.run)
    thread.start()
    yield handler
    one.stop()
    thread.join(20)
    controller.stop()


def shown(page: Page, post: Post, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(post.taken) < count:
        assert time.monotonic() < deadline, "no mail came"
        time.sleep(0.05)
    _, html = parts(post.taken[-1])
    page.goto("about:blank")
    page.set_content(html)


def test_a_mail_is_shown_and_its_link_mutes_once(own_site: Site, mails: Post, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    with psycopg.connect(own_site.dsn, autocommit=True) as connection:
        number = rule(connection, name="Floor seats")
        for step, price in enumerate([260, 250, 240, 199]):
            connection.execute(
                "INSERT INTO price_changes (id, event_id, source, section, row, currency, level, old_price, new_price, "
                "change, change_percent, previous_timestamp, timestamp) VALUES (%s, 'concert_123', 'mailed', '101', 'A', "
                "'USD', 'listing', %s, %s, -10, -4, now(), now() - make_interval(mins => %s))",
                (2**50 + step, price + 10, price, 10 - step),
            )
        fire(
            Database({}, own_site.dsn), range(1), "me", rule_id=number, rule_name="Floor seats", cause="at or below $200",
            event_name=NAME, old_price=250, new_price=199, drop_percent=20.4, reference="previous", percentile=4, sample=52,
            lowest_so_far=199, quantity=2, source="mailed", alert_timestamp=datetime.now(UTC),
            listing_url="https://tickets.example/listing/1",
        )  # fmt: skip
        shown(page, mails, 1)
        title = page.get_by_role("heading", level=1)
        expect(title).to_contain_text("<script>alert(1)</script> & “Swift” gnp.exe: $199.00 (−20.4 %)")
        expect(page.get_by_text("All-in per ticket: $250.00 → $199.00")).to_be_visible()
        expect(page.get_by_text("Rule “Floor seats”: at or below $200")).to_be_visible()
        expect(page.get_by_text("4 % of 52 comparable listings cost less")).to_be_visible()
        expect(page.get_by_text("The lowest price so far")).to_be_visible()
        bars = page.get_by_role("img", name="Recent prices")
        expect(bars).to_be_visible()
        assert bars.locator("td").count() == 5
        heights = [box["height"] for cell in bars.locator("td div").all() if (box := cell.bounding_box())]
        assert heights == sorted(heights, reverse=True), "the price fell"
        link = page.get_by_role("link", name="See the listing")
        assert link.get_attribute("href") == "https://tickets.example/listing/1"
        page.screenshot(path=tmp_path / "mail.png")
        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360

        mute = page.get_by_role("link", name="Mute").get_attribute("href") or ""
        assert mute.startswith(f"{own_site.url}mute/")
        page.goto(mute)
        page.screenshot(path=tmp_path / "mute.png")
        expect(page.get_by_role("heading")).to_contain_text("Mute “Floor seats”")
        state = "SELECT active FROM alerts WHERE id = %s"
        assert connection.execute(state, (number,)).fetchone() == (True,), "to look is not to mute"
        page.get_by_role("button", name="Mute").click()
        expect(page.get_by_role("heading")).to_have_text("Muted")
        assert connection.execute(state, (number,)).fetchone() == (False,)
        page.goto(mute)
        expect(page.get_by_role("heading")).to_have_text("Already used")
        expect(page.get_by_role("button")).to_have_count(0)
        assert watched.problems == []


def test_many_alerts_are_one_readable_mail(own_site: Site, mails: Post, watched: Watched, tmp_path: Path) -> None:
    fire(Database({}, own_site.dsn), range(200), "me", event_name=NAME)
    shown(watched.page, mails, 1)
    expect(watched.page.get_by_role("heading", level=1)).to_have_text("200 price alerts at 1 event")
    expect(watched.page.get_by_text("… and 160 more")).to_be_visible()
    watched.page.screenshot(path=tmp_path / "digest.png")
    assert watched.problems == []
