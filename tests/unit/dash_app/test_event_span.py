from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dash_app.loaders.windows import NEVER
from dash_app.pages.event.span import PRESETS, SIZES, Span, reach

LAST = datetime(2026, 11, 23, 12, 34, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def test_the_address_names_a_length_two_times_or_two_distances() -> None:
    assert Span.of("6h") == Span("6h")
    assert Span.of("20261123T120000Z_20261123T180000Z") == Span(
        None, times=(datetime(2026, 11, 23, 12, tzinfo=UTC), datetime(2026, 11, 23, 18, tzinfo=UTC))
    )
    assert Span.of("d30.5_d-1", aligned=True) == Span(None, days=(30.5, -1.0))


@pytest.mark.parametrize(
    "asked",
    [None, "", "2w", "20261123T120000Z", "20261123T180000Z_20261123T120000Z", "20261399T120000Z_20261123T120000Z",
     "00010101T000000Z_99991231T000000Z", "d3_d2", "<script>", "dnan_dinf"],
)  # fmt: skip
def test_anything_else_is_the_usual_length(asked: str | None) -> None:
    assert Span.of(asked) == Span("1w")


def test_a_time_is_no_distance() -> None:
    assert Span.of("20261123T120000Z_20261123T180000Z", aligned=True) == Span()


@pytest.mark.parametrize(
    ("preset", "first", "seconds", "since"),
    [
        ("6h", LAST - 90 * DAY, 60, LAST - 6 * HOUR),
        ("1w", LAST - 90 * DAY, 3600, (LAST - 7 * DAY).replace(minute=0)),
        ("1w", LAST - 5 * HOUR, 60, LAST - 5 * HOUR),
        ("all", LAST - 90 * DAY, 86400, (LAST - 90 * DAY).replace(hour=0, minute=0)),
    ],
)
def test_the_size_of_windows_follows_what_there_is_to_show(
    preset: str, first: datetime, seconds: int, since: datetime
) -> None:
    found = reach(Span(preset), first, LAST, None)
    assert (found.seconds, found.since, found.to, found.shown) == (seconds, since, NEVER, None)


def test_a_zoom_is_loaded_with_a_margin_on_both_sides() -> None:
    shown = (LAST - 2 * HOUR, LAST - HOUR)
    found = reach(Span(None, times=shown), LAST - 90 * DAY, LAST, None)
    assert found.shown == shown
    assert found.seconds == 60
    assert found.since == shown[0] - HOUR
    assert found.to == shown[1] + HOUR + timedelta(minutes=1)


def test_days_before_the_event_are_times_of_that_event() -> None:
    starts = LAST + 10 * DAY
    assert reach(Span(None, days=(12, 11)), LAST - 90 * DAY, LAST, None, starts).shown == (LAST - 2 * DAY, LAST - DAY)


def test_too_many_windows_are_larger_ones_and_that_is_said() -> None:
    found = reach(Span("all"), LAST - 90 * DAY, LAST, 60)
    assert (found.seconds, found.coarser) == (3600, True)
    assert not reach(Span("1d"), LAST - 90 * DAY, LAST, 60).coarser


@given(
    st.sampled_from([*PRESETS, None]), st.floats(0.001, 4000), st.floats(-4000, 4000), st.floats(0.0001, 4000),
    st.sampled_from([None, *SIZES]),
)  # fmt: skip
def test_windows_are_never_more_than_can_be_drawn_and_cover_what_is_shown(
    preset: str | None, age: float, begins: float, length: float, size: int | None
) -> None:
    begin = LAST - begins * DAY
    span = Span(preset) if preset else Span(None, times=(begin, begin + length * DAY))
    found = reach(span, LAST - age * DAY, LAST, size)
    begin, end = found.shown or (found.since, LAST)
    assert (end - begin).total_seconds() / found.seconds <= 20_001 or found.seconds == 86400
    assert found.since <= begin < found.to
    assert found.to >= end
    assert found.since.timestamp() % found.seconds == 0
