from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dash_app import text


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [(245.5, "USD", "$245.50"), (1234.5, "EUR", "€1,234.50"), (12_345.6, "SEK", "SEK 12,346"), (None, "USD", "—"),
     (float("nan"), "USD", "—")],
)  # fmt: skip
def test_money(amount: float | None, currency: str, shown: str) -> None:
    assert text.money(amount, currency) == shown


@pytest.mark.parametrize(
    ("change", "shown", "tone"),
    [(-4.23, "▼ −4.2%", "down"), (4.23, "▲ +4.2%", "up"), (0.01, "± 0.0%", "flat"), (None, "—", "flat")],
)
def test_a_change_has_sign_arrow_and_tone(change: float | None, shown: str, tone: str) -> None:
    assert (text.percent(change), text.tone(change)) == (shown, tone)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.42, "0.4 s"), (-3.0, "0.0 s"), (42, "42 s"), (600, "10 min"), (10_800, "3 h"), (400_000, "5 d"), (None, "—")],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JavaScript:alert(1)", "data:text/html,x", "//example.com", "ftp://example.com/a", "http://",
     "http://[", "", None, " \tjavascript:alert(1)", "/local"],
)  # fmt: skip
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert text.link(url) is None


def test_a_web_address_is_kept() -> None:
    assert text.link(" https://example.com/a?b=c ") == "https://example.com/a?b=c"


def test_place_names_what_is_known() -> None:
    assert text.place("112", "F", "12-13") == "Sec 112 · Row F · Seats 12-13"
    assert text.place("112", "F", "7") == "Sec 112 · Row F · Seat 7"
    assert text.place("112", "F", "4, 6, 101") == "Sec 112 · Row F · Seats 4, 6, 101"
    assert text.place("112", "F", "Aisle seat 4") == "Sec 112 · Row F · Aisle seat 4"
    assert text.place("Floor A") == "Floor A"
    assert text.place(None, None, None) == "No section"


def test_a_name_from_the_right_is_kept_to_itself() -> None:
    assert text.isolated("Café 7!") == "Café 7!"
    assert text.isolated("דאר 7!") == "\u2068דאר 7!\u2069"


def test_times_are_on_the_viewers_clock() -> None:
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    assert text.clock(summer, "Europe/Berlin") == "14:00:00"
    assert text.clock(summer, "America/New_York") == "08:00:00"


@pytest.mark.parametrize("zone", ["No/Where", "", "'; DROP TABLE x"])
def test_an_unknown_zone_counts_as_utc(zone: str) -> None:
    assert text.clock(datetime(2026, 7, 1, 12, 0, tzinfo=UTC), zone) == "12:00:00"
