"""A rule in the form means what its row means, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.rules import Rule, RuleError, parse
from dash_app.pages.alerts.fields import BLANK, columns, unfinished, values

_ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])
_TEXT = st.text("aB9 -", max_size=12).map(str.strip)
_MONEY = st.integers(1, 500_000).map(lambda cents: cents / 100)
_HOURS = st.times().map(lambda time: time.strftime("%H:%M"))
_TYPED = st.fixed_dictionaries(
    {
        "name": _TEXT, "scope": st.sampled_from(["event", "search", "every"]), "event": st.just("e1"),
        "query": st.just("the band"), "venue": _TEXT,
        "sections": st.lists(st.sampled_from(["101", "GA", "Floor A"]), unique=True),
        "max_row": st.sampled_from(["", "F", "12"]), "source": st.sampled_from([None, "mock"]), "quantity": st.integers(1, 8),
        "condition": st.sampled_from(["at_or_below", "drop", "rise", "new_low", "back", "deal"]), "target": _MONEY,
        "much": st.integers(1, 99) | _MONEY.filter(lambda money: money < 99), "unit": st.sampled_from(["percent", "amount"]),
        "reference": st.sampled_from(["last_alert", "previous", "first_seen", "median", "lowest"]),
        "days": st.sampled_from([None, 7, 30]), "percentile": st.integers(1, 99), "gone": st.integers(1, 600),
        "price": st.sampled_from(["all_in", "base"]), "party": st.integers(1, 6), "currency": st.sampled_from(["USD", "CAD"]),
        "watch": st.sampled_from(["lowest", "each"]), "listings": st.integers(1, 5), "observations": st.integers(1, 5),
        "rearm": st.sampled_from(["usual", "once", "cooldown", "margin", "lower"]), "cooldown": st.integers(1, 600),
        "margin": st.integers(0, 50), "step": _MONEY, "skip": st.booleans(),
        "expires": st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(
            lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S")),
        "announce": st.booleans(), "channels": st.lists(st.sampled_from(["me", "phone"]), unique=True),
        "quiet": st.booleans(), "quiet_from": _HOURS, "quiet_to": _HOURS, "quiet_zone": st.sampled_from([None, "Asia/Tokyo"]),
        "digest": st.integers(0, 600),
    }
)  # fmt: skip


def _meaning(row: dict[str, Any]) -> Rule:
    return parse(0, datetime(1970, 1, 1, tzinfo=UTC), {"id": 0, **row})


@given(_TYPED, _ZONES)
def test_whatever_is_typed_is_a_rule_that_the_form_shows_again_as_it_was(typed: dict[str, Any], zone: str) -> None:
    assert set(typed) == set(BLANK)
    row = columns(typed, zone)
    again = columns(values(row, zone), zone)
    assert _meaning(again) == _meaning(row)
    assert again["definition"].get("quiet") == row["definition"].get("quiet"), "delivery is no part of the judgement"
    assert again["definition"].get("digest_minutes") == row["definition"].get("digest_minutes")


def test_what_another_condition_needs_is_left_out() -> None:
    row = columns({**BLANK, "event": "e1", "condition": "new_low", "target": 100, "much": 5, "percentile": 20}, "UTC")
    assert (row["target_price"], row["definition"]) == (None, {"condition": "new_low"})
    plain = columns({**BLANK, "event": "e1", "target": 120.5}, "UTC")
    assert (plain["target_price"], plain["definition"]) == ("120.5", {}), "as a row of the earlier version"


def test_an_empty_control_means_what_stood_there_before() -> None:
    row = columns(
        {**BLANK, "event": "e1", "target": 100, "quantity": "", "margin": "", "digest": "", "party": ""}, "UTC"
    )
    assert _meaning(row) == _meaning({"event_id": "e1", "target_price": 100})


def test_times_are_on_the_viewers_clock_and_quiet_hours_keep_their_own_zone() -> None:
    typed = {**BLANK, "event": "e1", "target": 100, "expires": "2027-06-01 20:00:00", "quiet": True}
    definition = columns(typed, "Europe/Berlin")["definition"]
    assert definition["expires_at"] == "2027-06-01T18:00:00Z"
    assert definition["quiet"] == {"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"}
    moved = values({"event_id": "e1", "target_price": 100, "definition": definition}, "America/New_York")
    assert (moved["expires"], moved["quiet_zone"]) == ("2027-06-01 14:00:00", "Europe/Berlin")
    assert columns(moved, "America/New_York")["definition"] == definition
    with pytest.raises(RuleError, match="no time"):
        columns({**typed, "expires": "soon"}, "UTC")


def test_a_row_that_means_nothing_can_still_be_mended() -> None:
    shown = values({"event_id": "e1", "name": "x", "target_price": 90, "definition": {"colour": "red"}}, "UTC")
    assert (shown["name"], shown["target"], shown["condition"]) == ("x", 90.0, "at_or_below")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({}, "event"), ({"scope": "search"}, "words"), ({"scope": "search", "venue": " "}, "words"),
        ({"event": "e1"}, "price"), ({"event": "e1", "condition": "drop", "much": ""}, "how much"),
    ],
)  # fmt: skip
def test_an_unfinished_form_says_what_comes_next(typed: dict[str, Any], says: str) -> None:
    assert says in (unfinished({**BLANK, **typed}) or "")


def test_a_finished_form_says_nothing() -> None:
    assert unfinished({**BLANK, "event": "e1", "target": 1}) is None
    assert unfinished({**BLANK, "scope": "search", "venue": "Hall", "condition": "back"}) is None
