"""What a message says of an alert."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sinks.words import clean, cut, headline, notice, selected, sparkline
from tests.unit.sinks.notices import alert, alerts_given, bursts, told
from tests.unit.sinks.rows import NASTY


def test_an_alert_of_the_default_rule() -> None:
    one = notice(alert())
    assert one.title == "Taylor Swift: $199.99 (−20.0 %)"
    assert one.lines == (
        "All-in per ticket: $250.00 → $199.99",
        "−20.0 % against this listing's previous price",
        "Section 101 · Row A",
    )
    assert one.short == "Taylor Swift · 101: $250.00 → $199.99, seatgeek"
    assert one.origin == "seatgeek · MetLife Stadium"
    assert one.rule is None


def test_an_alert_of_a_rule_says_everything_that_it_rests_on() -> None:
    one = notice(
        alert(
            rule_id=7, rule_name="Floor seats", cause="at or below $200", reference="median", percentile=Decimal(8), sample=37,
            lowest_so_far=Decimal("180"), quantity=2, seat="12", currency="EUR",
        ),
        [Decimal(250), Decimal(240), Decimal("199.99")],
    )  # fmt: skip
    assert one.lines == (
        "All-in per ticket: €250.00 → €199.99",
        "Rule “Floor seats”: at or below $200",
        "−20.0 % against the median",
        "Section 101 · Row A · Seat 12 · 2 tickets",
        "8 % of 37 comparable listings cost less",
        "Lowest so far: €180.00",
    )
    assert one.path == (250.0, 240.0, 199.99)
    assert one.rule == 7


def test_the_first_sight_of_a_listing_has_no_old_price() -> None:
    one = notice(alert(old_price=None, drop_percent=None, rule_id=7, percentile=Decimal(0), sample=1,
                       lowest_so_far=Decimal("199.99")))  # fmt: skip
    assert one.title == "Taylor Swift: $199.99"
    assert one.lines == (
        "All-in per ticket: $199.99",
        "Rule 7",
        "Section 101 · Row A",
        "None of 1 comparable listing costs less",
        "The lowest price so far",
    )


def test_a_rise_is_a_rise() -> None:
    assert notice(alert(drop_percent=Decimal("-12.34"))).change == "+12.3 %"


def test_a_notice_is_told_too() -> None:
    one = notice(alert(notice="expired", new_price=None, currency=None, rule_id=7, rule_name="Floor seats"))
    assert one.title == "Rule “Floor seats” has expired"
    assert one.lines == ("It watched Taylor Swift. It ended at 2026-11-23 12:00 UTC, and alerts no more.",)
    assert one.rule is None, "there is nothing left to mute"
    assert notice(alert(notice="test", new_price=None)).title == "A test from ConScope"


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_text_from_outside_says_nothing_but_itself(text: str) -> None:
    said = clean(text, 200)
    assert "\n" not in said
    assert "@everyone" not in said
    assert "://" not in said
    assert not {c for c in said if unicodedata.category(c) in ("Cc", "Cf")} - {"\u200b"}


@hypothesis_settings(max_examples=100)
@given(alerts_given)
def test_every_alert_finds_words_of_one_line_each(one: object) -> None:
    made = notice(one)  # type: ignore[arg-type]
    for text in (made.title, made.short, made.origin, *made.lines):
        assert len(text.splitlines()) <= 1, text
        assert "\u202e" not in text
        assert "@everyone" not in text
    assert made.title
    assert made.lines


@given(st.text(), st.integers(1, 50))
def test_a_cut_text_keeps_its_limit_and_its_start(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short.encode("utf-16-le", "replace")) // 2 <= max(limit, 1)
    if len(text.encode("utf-16-le", "replace")) // 2 > limit:
        assert short.endswith("…")


@hypothesis_settings(max_examples=60)
@given(bursts, st.integers(1, 20))
def test_a_digest_tells_of_every_event_before_it_tells_twice_of_one(alerts: list[object], most: int) -> None:
    notices = told(*alerts)  # type: ignore[arg-type]
    chosen = selected(notices, most)
    assert len(chosen) == min(most, len(notices))
    assert len({one.id for one in chosen}) == len(chosen)
    assert len({one.group for one in chosen}) == min(most, len({one.group for one in notices}))


def test_a_digest_begins_with_the_biggest() -> None:
    notices = told(*(alert(n, event_id=f"e{n % 3}", drop_percent=Decimal(n)) for n in range(30)))
    assert [one.weight for one in selected(notices, 5)] == [29, 28, 27, 26, 25]


def test_a_headline_counts() -> None:
    assert headline(told(*(alert(n, event_id=f"e{n % 3}") for n in range(1200)))) == "1,200 price alerts at 3 events"
    assert headline(told(alert(0), alert(1))) == "2 price alerts at 1 event"


@given(st.lists(st.floats(0, 1e9), max_size=40))
def test_a_sparkline_has_a_block_for_each_price(path: list[float]) -> None:
    line = sparkline(path)
    assert len(line) == (len(path) if len(path) >= 3 else 0)
    if line and max(path) > min(path):
        assert line[path.index(max(path))] == "█"
        assert line[path.index(min(path))] == "▁"


def test_a_sparkline_of_one_price_is_flat() -> None:
    assert sparkline([5.0] * 4) == "▄▄▄▄"
    assert sparkline([1, 2]) == ""
