from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from dash_app.figures import SCHEMES
from dash_app.figures.gaps import isolated, open_part, runs, with_gaps
from dash_app.figures.price import MOST_LINES, Look, Prices, line_name, price_chart
from dash_app.loaders.schemas import MARKS, SERIES
from dash_app.text import UNKNOWN

START = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
LOOK = Look(scheme=SCHEMES["light"], currency="USD", zone="UTC", seconds=60, revision="e/60/USD")
NO_MARKS = pl.DataFrame(schema=MARKS)


def series(minutes: dict[int, bool], source: str = "", section: str = "", level: str = "listing") -> pl.DataFrame:
    """Windows at these minutes, and whether each is final."""
    rows = [
        (source, section, level, START + timedelta(minutes=minute), 100.0 + minute, 120.0 + minute, 5, final)
        for minute, final in minutes.items()
    ]
    return pl.DataFrame(rows, schema=SERIES, orient="row")


def traces(figure: object) -> dict[str, dict[str, object]]:
    return {trace["meta"]: trace for trace in figure.to_plotly_json()["data"]}  # type: ignore[attr-defined]


def test_a_missing_window_breaks_the_line() -> None:
    drawn = with_gaps(series({0: True, 1: True, 4: True}), 60)
    assert drawn["low"].to_list() == [100.0, 101.0, None, 104.0]


def test_a_missing_window_breaks_the_band() -> None:
    whole = series({0: True, 1: True, 4: True, 5: True})
    assert [part["low"].to_list() for part in runs(with_gaps(whole, 60))] == [[100.0, 101.0], [104.0, 105.0]]
    assert traces(price_chart(Prices(whole, series({}), NO_MARKS), LOOK))["band:closed"]["y"].count(None) == 2  # type: ignore[attr-defined]


def test_a_lone_window_is_drawn_as_a_dot() -> None:
    drawn = with_gaps(series({0: True, 3: True, 4: True}), 60)
    assert isolated(drawn)["low"].to_list() == [100.0]


def test_open_windows_are_drawn_apart_and_joined_to_the_last_closed_one() -> None:
    whole = series({0: True, 1: True, 2: False})
    assert open_part(whole)["low"].to_list() == [101.0, 102.0]
    drawn = traces(price_chart(Prices(whole, series({}), NO_MARKS), LOOK))
    assert drawn["event"]["y"] == [120.0, 121.0]
    assert drawn["event:open"]["y"] == [121.0, 122.0]
    assert drawn["event:open"]["line"]["dash"] == "dot"  # type: ignore[index]
    assert drawn["event:dots"]["y"] == [122.0]


def test_lines_are_of_the_price_that_was_asked_for() -> None:
    lines = series({0: True}, "seatgeek", "101")
    low, average = (
        traces(price_chart(Prices(series({0: True}), lines, NO_MARKS), look))["listing/seatgeek/101"]["y"]
        for look in (LOOK, Look(SCHEMES["light"], "USD", "UTC", 60, "average"))
    )
    assert (low, average) == ([100.0], [120.0])


def test_times_are_on_the_viewers_clock() -> None:
    look = Look(SCHEMES["dark"], "USD", "Europe/Berlin", 60)
    drawn = traces(price_chart(Prices(series({0: True}), series({}), NO_MARKS), look))
    assert drawn["event"]["x"] == [datetime(2026, 7, 1, 14, 0)]


def test_the_view_keeps_zoom_and_hidden_lines() -> None:
    first, second = (
        price_chart(Prices(series({0: True}), series({0: True}, "mock"), NO_MARKS), LOOK) for _ in range(2)
    )
    assert first.layout.uirevision == second.layout.uirevision == "e/60/USD"
    assert list(traces(first)) == list(traces(second))
    assert len({trace.uid for trace in first.data}) == len(traces(first)) == len(first.data)


def test_only_the_busiest_lines_are_drawn() -> None:
    lines = pl.concat([series({0: True}, "mock", f"S{number}") for number in range(MOST_LINES + 5)])
    drawn = traces(price_chart(Prices(series({0: True}), lines, NO_MARKS), LOOK))
    assert sum(name.startswith("listing/") and name.count(":") == 0 for name in drawn) == MOST_LINES


def test_alerts_are_marked_at_their_price() -> None:
    marks = pl.DataFrame(
        [(START, 88.0, -12.0, "<b>101</b>", "mock"), (START, 99.0, None, None, "mock")], schema=MARKS, orient="row"
    )
    drawn = traces(price_chart(Prices(series({0: True}), series({}), marks), LOOK))["alerts"]
    assert drawn["y"] == [88.0, 99.0]
    assert drawn["customdata"][0] == "▼ −12.0%, &lt;b&gt;101&lt;/b&gt; · Mock market"
    assert drawn["customdata"][1].startswith(UNKNOWN), "an alert with nothing to compare with"


def test_alerts_stand_where_their_window_does() -> None:
    marks = pl.DataFrame([(START + timedelta(minutes=42), 88.0, 12.0, None, "mock")], schema=MARKS, orient="row")
    look = Look(SCHEMES["light"], "USD", "UTC", 3600)
    assert traces(price_chart(Prices(series({0: True}), series({}), marks), look))["alerts"]["x"] == [
        START.replace(tzinfo=None)
    ]


def test_a_line_of_open_windows_only_is_in_the_legend() -> None:
    drawn = traces(price_chart(Prices(series({0: False}), series({}), NO_MARKS), LOOK))
    assert drawn["event:dots"]["showlegend"]


def test_names_cannot_be_markup() -> None:
    name = line_name('<a href="javascript:alert(1)">x</a>', "<b>", "listing")
    assert "<" not in name
    assert name.startswith("&lt;b&gt; · &lt;a href=")


def test_an_event_level_source_says_so() -> None:
    assert line_name("seatgeek", "", "event") == "SeatGeek (whole event)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_empty_frames_make_an_empty_chart(scheme: str) -> None:
    look = Look(SCHEMES[scheme], "USD", "UTC", 60)
    figure = price_chart(Prices(series({}), series({}), NO_MARKS), look)
    assert all(not trace["y"] for trace in traces(figure).values())


@pytest.mark.parametrize(
    ("minutes", "room"),
    [({0: True}, (-5, 5)), ({0: True, 1: True, 2: False}, (-4, 6)), (dict.fromkeys(range(11), True), None)],
    ids=["one window", "a few", "enough"],
)
def test_the_time_axis_has_room_for_ten_windows(minutes: dict[int, bool], room: tuple[int, int] | None) -> None:
    figure = price_chart(Prices(series(minutes)), LOOK)
    ends = room and [START.replace(tzinfo=None) + timedelta(minutes=minute) for minute in room]
    assert traces(figure).get("room", {}).get("x") == ends
    assert figure.layout.xaxis.autorange, "or what comes later would stand outside of it"


def test_days_before_the_event_have_room_too() -> None:
    look = replace(LOOK, seconds=86_400, starts=START + timedelta(days=30))
    assert traces(price_chart(Prices(series({0: True})), look))["room"]["x"] == [25.0, 35.0]
