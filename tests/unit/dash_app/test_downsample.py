from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dash_app.figures.downsample import m4

START = datetime(2026, 7, 1, tzinfo=UTC)
BUCKETS = st.integers(1, 12)
LINES = st.lists(
    st.tuples(st.integers(0, 500), st.integers(-50, 50).map(float)), max_size=200, unique_by=lambda point: point[0]
).map(lambda points: pl.DataFrame(sorted(points), schema={"x": pl.Int64, "y": pl.Float64}, orient="row"))


@given(LINES, BUCKETS)
def test_every_point_that_is_left_was_there_and_in_that_order(line: pl.DataFrame, buckets: int) -> None:
    kept = m4(line, "x", "y", buckets)
    assert kept.join(line, on=["x", "y"], how="semi").height == kept.height
    assert kept["x"].is_sorted()
    assert kept["x"].is_unique().all()


@given(LINES, BUCKETS)
def test_there_are_at_most_four_a_bucket(line: pl.DataFrame, buckets: int) -> None:
    assert m4(line, "x", "y", buckets).height <= 4 * buckets


@given(LINES, BUCKETS)
def test_each_bucket_keeps_its_first_last_lowest_and_highest(line: pl.DataFrame, buckets: int) -> None:
    kept = m4(line, "x", "y", buckets)
    if line.height <= 4 * buckets:
        assert kept.equals(line), "a line of few points is left as it is"
        return
    begin, end = line["x"][0], line["x"][-1]
    for number in range(buckets):
        inside = [
            frame.filter(
                ((pl.col("x") - begin) / ((end - begin) / buckets)).floor().clip(upper_bound=buckets - 1) == number
            )
            for frame in (line, kept)
        ]
        for what in ("first", "last", "min", "max"):
            whole, few = (getattr(frame["y"], what)() if frame.height else None for frame in inside)
            assert whole == few, f"the {what} of bucket {number}"


def test_times_are_positions_too_and_other_columns_come_along() -> None:
    line = pl.DataFrame(
        {"at": [START + timedelta(minutes=n) for n in range(100)], "y": [float(n % 10) for n in range(100)],
         "name": [str(n) for n in range(100)]},
    )  # fmt: skip
    kept = m4(line, "at", "y", 2)
    assert kept["name"].to_list() == ["0", "9", "49", "50", "59", "99"]


def test_points_of_one_time_are_one_bucket() -> None:
    line = pl.DataFrame({"x": [5] * 9, "y": [3.0, 9, 1, 4, 9, 1, 2, 2, 7]})
    assert m4(line, "x", "y", 2)["y"].to_list() == [3.0, 9.0, 1.0, 7.0]
