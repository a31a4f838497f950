"""The market in words and lines."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dash_app import loaders
from dash_app.database import Database
from dash_app.figures.market import spark_image, spark_path
from dash_app.loaders import market as loader
from dash_app.pages.market import table
from dash_app.views import market as views

_NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
_POINT = re.compile(r"([ML])(-?[\d.]+) (-?[\d.]+)")


@given(
    st.lists(st.tuples(st.integers(1, 5), st.floats(0.01, 1e6)), min_size=1, max_size=40),
    st.sampled_from([300, 3600, 86400]),
)
def test_a_line_stays_in_its_frame_and_breaks_at_every_gap(points: list[tuple[int, float]], unit: int) -> None:
    starts, at = [], 0
    for step, _ in points:
        at += step * unit
        starts.append(at)
    path = spark_path(starts, [value for _, value in points], unit, width=100, height=28)
    drawn = _POINT.findall(path)
    assert len(drawn) == len(points)
    assert all(0 <= float(x) <= 100 and 0 <= float(y) <= 28 for _, x, y in drawn)
    assert [kind for kind, _, _ in drawn[1:]] == ["M" if step > 1 else "L" for step, _ in points[1:]]
    assert [float(x) for _, x, _ in drawn] == sorted(float(x) for _, x, _ in drawn)


def test_the_lowest_is_at_the_bottom() -> None:
    assert [point[1:] for point in _POINT.findall(spark_path([0, 300], [9, 1], 300, width=100, height=28))] == [
        ("0.0", "0.0"), ("100.0", "28.0"),
    ]  # fmt: skip
    assert spark_path([], [], 300) == ""


def test_an_image_is_nothing_but_data() -> None:
    image = spark_image(spark_path([0, 300], [9, 1], 300))
    assert image.startswith("data:image/svg+xml,")
    assert not set(image) & set("\"'()<> ")


def _frame(**change: Any) -> pl.DataFrame:
    row = {"event_id": "a&b=<c>", "name": "<script>alert(1)</script>", "venue": "Hall", "date": _NOW + timedelta(days=9),
           "currency": "USD", "unit": 86400, "starts": [0, 86400], "lows": [100.0, 120.0], "price": 90.0, "seen": _NOW,
           "sources": ["seatgeek", "mock"], "before": 100.0, "before_at": _NOW - timedelta(hours=24), "listings": 1234,
           "span": 86400, "low": 90.0, "typical": 110.0, "high": 120.0, "sample": 2, "change": -10.0,
           "against": -18.2} | change  # fmt: skip
    types = {
        "date": loader.HISTORY["date"],
        "venue": pl.String,
        "change": pl.Float64,
        "listings": pl.Int64,
        "against": pl.Float64,
    }
    return pl.DataFrame([row], schema_overrides=types)


def _row(zone: str = "UTC", **change: Any) -> dict[str, Any]:
    (row,) = views.rows(_frame(**change), zone, _NOW)
    return row


def test_a_row_says_everything_in_words() -> None:
    row = _row()
    assert (row["price"], row["change"], row["tone"], row["span"]) == ("$90.00", "▼ −10.0%", "down", "")
    assert (row["low"], row["typical"], row["high"], row["sample"]) == ("$90", "$110", "$120", "2 days")
    assert (row["at"], row["mark"], row["against"]) == (0, 0.6667, "18% under typical")
    assert (row["sources"], row["every_source"], row["listings"]) == ("SeatGeek +1", "SeatGeek, Mock market", "1,234")
    assert (row["venue"], row["day"]) == ("Hall", "Wed, Dec 2")
    assert row["href"] == "/event?event=a%26b%3D%3Cc%3E"


def test_an_event_of_which_little_is_known_has_a_row_too() -> None:
    row = _row(venue=None, date=None, change=None, listings=None, low=5.0, typical=5.0, high=5.0, against=None, span=0,
               sources=["mock"], sample=1)  # fmt: skip
    assert row["sample"] == "1 day"
    assert (row["venue"], row["day"], row["change"], row["listings"], row["days"]) == ("", "", "—", "—", "—")
    assert row["against"] == "—"
    assert (row["at"], row["mark"], row["sources"]) == (0.5, 0.5, "Mock market")
    json.dumps(row, allow_nan=False)


@pytest.mark.parametrize(
    ("zone", "hours", "days"),
    [("UTC", 3, "today"), ("UTC", 5, "tomorrow"), ("Asia/Tokyo", 3, "today"), ("Asia/Tokyo", 20, "tomorrow"),
     ("America/Los_Angeles", 5, "today"), ("UTC", 24 * 40, "40 days"), ("UTC", -30, "over"), ("Nowhere", 5, "tomorrow")],
)  # fmt: skip
def test_days_to_go_are_nights_on_the_viewers_clock(zone: str, hours: int, days: str) -> None:
    assert _row(zone, date=_NOW + timedelta(hours=hours))["days"] == days


def test_a_change_of_less_than_a_day_says_so() -> None:
    assert _row(span=47 * 60)["span"] == "in 47 min"
    assert _row(span=86400 + 600)["span"] == ""


def test_names_of_markup_stay_text_in_cards_and_tape(seeded: Database) -> None:
    drops = str(views.drops_list(_frame()))
    assert "Bdi('<script>alert(1)</script>')" in drops
    tape = views.tape(loaders.latest_changes(seeded, "xss", 4), "UTC")
    assert len(tape.children) == 4
    assert "javascript" not in str(tape)
    assert "href='/event?event=xss'" in str(tape)


def test_an_empty_market_is_said_in_words(seeded: Database) -> None:
    histories = loader.histories(seeded)
    market = table.market(
        histories, loader.now(seeded, histories["event_id"].to_list(), histories["currency"].to_list())
    )
    assert views.summary(market).startswith("6 events at 3 sources · ")
    assert views.summary(market.clear()) == "0 events at 0 sources · 0 down and 0 up in the last 24 hours"
    assert "No event has become cheaper" in str(views.drops_list(market.clear()))
    assert "No price has changed" in str(views.tape(loaders.latest_changes(seeded, "nothing"), "UTC"))
