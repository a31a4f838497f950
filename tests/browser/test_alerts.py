"""Alert rules as a person makes, watches, mutes and deletes them."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Site, Watched, leave, postgres_away, watch

pytestmark = pytest.mark.browser

# What the flow writes when rule 1 fires, and what lets a page know that there is something new.
_FIRES = """
INSERT INTO rule_states VALUES (1, 'concert_456', 1, 'fired', 'fired', 149.5, 150, NULL, 149.5, 21, now(), 1, now());
INSERT INTO rule_decisions VALUES (1, 77, 'concert_456', 1, true, 'fired', 149.5, 150, NULL, now());
INSERT INTO price_drop_alerts (alert_id, event_id, event_name, alert_type, alert_timestamp, old_price, new_price, currency,
                               source, price_id, rule_id, rule_name, cause)
VALUES ('00000000-0000-0000-0000-0000000000ff', 'concert_456', 'Radiohead', 'rule', now(), 160, 149.5, 'USD', 'mock', 77, 1,
        '<img src=x onerror=alert(1)>', 'at or below 150.00 USD');
INSERT INTO outbox (alert_id, channel, state, sent_at)
VALUES ('00000000-0000-0000-0000-0000000000ff', 'phone', 'sent', now());
UPDATE alerts SET last_triggered = now() WHERE id = 1;
UPDATE pipeline_progress SET next_offset = next_offset + 1
"""
_HOSTILE = "<img src=x onerror=alert(1)>"


def _serious(page: Page) -> list[Any]:
    """What axe finds in what is open; the page below is looked at by test_axe.py."""
    found = Axe().run(page, "[role=dialog]").response["violations"]
    return [(v["id"], [n["html"][:160] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]


def _open(page: Page, site: Site, search: str = "") -> None:
    page.goto(f"{site.url}alerts{search}")
    expect(page.locator("#alerts-summary")).to_contain_text("rule")


def _count(site: Site) -> tuple[Any, ...] | None:
    with psycopg.connect(site.dsn) as connection:
        return connection.execute("SELECT count(*), max(target_price), bool_or(active) FROM alerts").fetchone()


def test_a_rule_is_tried_made_seen_firing_muted_and_deleted(own_site: Site, watched: Watched) -> None:
    page = watched.page
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    own_site.execute("INSERT INTO channels VALUES ('phone', 'x', NULL, NULL)")
    _open(page, own_site)
    expect(page.locator(".default-rule")).to_contain_text("every drop of 5 % or more")

    # Made, with what it would have done while it is typed.
    page.locator(".default-rule").get_by_role("button", name="Make a rule").click()
    form = page.get_by_role("dialog", name="Make a rule")
    form.get_by_role("textbox", name="Event").fill("garden radio")
    page.get_by_role("option", name="Radiohead").click()
    form.get_by_role("textbox", name="Name").fill(_HOSTILE)
    form.get_by_role("button", name="Save the rule").click()
    expect(form.get_by_role("alert")).to_have_text("Name a price.")
    form.get_by_role("textbox", name=re.compile("^Target")).fill("10")
    expect(form.locator("#alerts-trial")).to_contain_text("5 % over the low would be")
    form.get_by_role("button", name=re.compile(r"Use \$\d")).click()
    expect(form.locator("#alerts-trial")).to_contain_text("Would have fired")
    expect(form.locator("#alerts-trial-chart .scatterlayer .trace").first).to_be_attached()
    expect(form.locator("#alerts-trial-list li").first).to_contain_text("look")
    form.get_by_role("textbox", name=re.compile("^Target")).fill("150")
    form.get_by_role("textbox", name="Channels").click()
    page.get_by_role("option", name="phone").click()
    page.keyboard.press("Escape")
    assert _serious(page) == [], "axe"
    form.get_by_role("button", name="Save the rule").click()
    expect(page.get_by_text("Rule #1 is made. A running flow takes it up within seconds.")).to_be_visible()
    expect(form).to_be_hidden()
    card = page.locator(".rule-card")
    expect(card).to_have_count(1)
    expect(card).to_contain_text("Lowest all-in price at or below 150.00 USD.")
    expect(card.get_by_role("heading")).to_have_text(_HOSTILE)
    expect(page.locator(".default-rule")).to_have_count(0)

    # It fires: the card and the log say so by themselves, and a menu that is open stays so.
    card.locator("summary").click()
    own_site.execute(_FIRES)
    expect(card.locator(".rule-state")).to_have_text("Fired")
    expect(card).to_contain_text("$149.50 now")
    expect(page.locator(".log tbody tr").first).to_contain_text("at or below 150.00 USD")
    page.get_by_role("button", name="For an hour").click()
    expect(card.locator(".rule-state")).to_have_text("Muted")
    expect(card).to_have_class("rule-card muted")
    expect(page.get_by_text(re.compile("Rule #1 is silent until"))).to_be_visible()
    card.get_by_role("button", name="Unmute").click()
    expect(card.locator(".rule-state")).to_have_text("Fired")

    # Why, for a link to share.
    page.get_by_role("button", name=re.compile("^Why did")).click()
    why = page.get_by_role("dialog", name=re.compile("^Why"))
    expect(why.locator(".decisions li")).to_contain_text("Fired; the price was $149.50, it fires at $150.00.")
    expect(why.locator(".decisions li")).to_contain_text("phone: sent")
    expect(page).to_have_url(re.compile(r"/alerts\?why=1$"))
    why.get_by_role("button", name="Close").click()
    expect(page).to_have_url(re.compile(r"/alerts$"))

    # Changed, and deleted after a question.
    card.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Change rule #1")
    target = form.get_by_role("textbox", name=re.compile("^Target"))
    expect(target).to_have_value("$150")
    target.fill("140")
    form.get_by_role("button", name="Save the rule").click()
    expect(card).to_contain_text("at or below 140.00 USD.")
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    assert _count(own_site) == (1, 140, True)
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".default-rule")).to_be_visible()
    assert _count(own_site) == (0, None, None)
    assert page.locator("#page img").count() == 0
    assert watched.problems == []


def test_many_rules_are_searched_filtered_and_the_link_shows_the_same(own_site: Site, watched: Watched) -> None:
    page = watched.page
    own_site.execute(
        "INSERT INTO alerts (name, event_id, target_price, active) "
        "SELECT 'Rule ' || g, 'concert_123', g, g % 100 > 0 FROM generate_series(1, 10000) g"
    )
    own_site.execute("INSERT INTO alerts (name, event_id, definition) VALUES ('odd', 'xss', '{\"colour\": 1}')")
    _open(page, own_site)
    expect(page.locator("#alerts-summary")).to_have_text("10,001 rules · 9,901 armed · 100 muted")
    expect(page.locator(".rule-card")).to_have_count(12)
    expect(page.locator(".rule-card").first).to_contain_text("means nothing", ignore_case=True)
    page.get_by_role("textbox", name="Search rules").fill("swift rule 77")
    expect(page.locator("#alerts-summary")).to_contain_text("280 rules")
    page.get_by_role("textbox", name="State of the rules").click()
    page.get_by_role("option", name="Muted").click()
    expect(page.locator(".rule-card")).to_have_count(1)
    expect(page.locator(".rule-card")).to_contain_text("Rule 7700")
    expect(page).to_have_url(re.compile(r"\?q=swift\+rule\+77&state=muted$"))
    log = page.locator("#alerts-log")
    page.get_by_role("textbox", name="State", exact=True).click()
    page.get_by_role("option", name="Not delivered").click()
    expect(log.locator(".state.sent")).to_have_count(0)
    expect(log.locator(".state.failed").first).to_be_visible()
    expect(page).to_have_url(re.compile("delivery=failed"))
    link = page.url
    leave(watched)
    page.goto(link)
    expect(page.locator(".rule-card")).to_have_count(1)
    expect(log.locator(".state.failed").first).to_be_visible()
    expect(log.locator(".state.sent")).to_have_count(0)
    assert watched.problems == []


def test_a_channel_is_tried_and_postgres_away_is_said(own_site: Site, watched: Watched) -> None:
    page = watched.page
    own_site.execute("INSERT INTO channels VALUES ('phone', 'x', now(), '404: no such topic')")
    _open(page, own_site)
    expect(page.locator(".channel-list")).to_contain_text("404: no such topic")
    page.get_by_role("button", name="Send a test to phone").click()
    expect(page.get_by_text("A test for phone is on its way")).to_be_visible()
    first = page.locator(".log tbody tr").first
    expect(first).to_contain_text("A test")
    expect(first).to_contain_text("the channel is disabled: 404: no such topic")
    before = page.locator("#alerts-log").inner_text()
    with postgres_away(own_site, page):
        page.get_by_role("button", name="Send a test to phone").click()
        expect(page.get_by_text("Postgres does not answer. Nothing was changed")).to_be_visible()
        assert page.locator("#alerts-log").inner_text() == before
    page.get_by_role("button", name="Send a test to phone").click()
    expect(page.locator(".log .cause", has_text="A test")).to_have_count(2)
    assert watched.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_another_page_opens_the_form_for_an_event_and_a_phone_can_use_it(
    site: Site, browser: Browser, scheme: str
) -> None:
    with watch(browser, viewport={"width": 390, "height": 844}, color_scheme=scheme) as watched:
        page = watched.page
        _open(page, site, "?event=concert_456&new=1")
        form = page.get_by_role("dialog", name="Make a rule")
        expect(form.get_by_role("textbox", name="Event")).to_have_value(re.compile("Radiohead"))
        form.get_by_role("radio", name=re.compile("^Drops")).click()
        expect(form.locator("#alerts-verdict")).to_have_text(re.compile(r"fired|Never"))
        form.locator("summary").click()
        expect(form.get_by_text("Target, per ticket")).to_be_hidden()
        page.wait_for_timeout(400)  # the drawer slides in, and half-faded text has half the contrast
        assert _serious(page) == [], "axe"
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        form.get_by_role("button", name="Cancel").click()
        expect(form).to_be_hidden()
        assert watched.problems == []
