"""The chart of a trial."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from analytics.trial import Firing
from dash_app.figures import SCHEMES
from dash_app.figures.trial import thinned, trial_chart

_HOUR = 3_600_000_000
_PATH = [(0, 900_000_000), (_HOUR, 150_000_000), (60 * _HOUR, 120_000_000), (90 * _HOUR, 140_000_000)]


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=400), st.integers(4, 80))
def test_thinning_keeps_first_last_lowest_and_highest_in_order(prices: list[int], most: int) -> None:
    points = pl.DataFrame({"time": range(len(prices)), "price": prices})
    kept = thinned(points, most)
    assert kept.height <= max(most, 4)
    assert kept["time"].is_sorted()
    assert {0, len(prices) - 1} <= set(kept["time"])
    assert (kept["price"].min(), kept["price"].max()) == (min(prices), max(prices))


def test_the_path_is_steps_on_the_viewers_clock_with_the_alerts_on_it() -> None:
    firing = Firing(1, "e1", 60 * _HOUR, 120_000_000, None, True, 5)
    chart = trial_chart(_PATH, [firing], 125_000_000, "USD", "Europe/Berlin", SCHEMES["light"])
    line, marks = chart.data
    assert line.line.shape == "hv"
    assert list(line.y) == [900, 150, 120, 140]
    assert [time.hour for time in line.x] == [1, 2, 13, 19]
    assert (marks.x[0], marks.y[0]) == (line.x[2], 120)
    assert [shape.y0 for shape in chart.layout.shapes] == [125]


def test_a_dear_first_listing_does_not_flatten_the_rest_but_the_target_is_always_in_sight() -> None:
    low, high = trial_chart(_PATH, [], 60_000_000, "USD", "UTC", SCHEMES["dark"]).layout.yaxis.range
    assert low < 60
    assert 140 < high < 900


def test_a_currency_of_any_name_is_text() -> None:
    chart = trial_chart(_PATH, [], None, "<b>", "UTC", SCHEMES["light"])
    assert "<b>" not in chart.layout.yaxis.tickprefix
    assert not chart.layout.shapes


def test_a_single_price_is_drawn() -> None:
    low, high = trial_chart(_PATH[:1], [], None, "USD", "UTC", SCHEMES["light"]).layout.yaxis.range
    assert low < 900 < high
