"""What is told and drawn of the curves."""

from __future__ import annotations

from bench.chart import figure
from bench.curves import Point, table

POINTS = [
    Point("listings", 20_000, 57_000.4, 18.0, 6.04, 2.5, 390.2, 3.14),
    Point("listings", 1_000, 60_000.0, 17.0, 6.0, 2.5, 300.0, 2.0),
    Point("batch", 500, 40_000.0, 20.0, 6.0, 2.5, 290.0, None),
]


def test_each_run_is_a_line_of_the_table() -> None:
    assert table(POINTS)[2:] == [
        "| 20,000 listings | 57,000 | 18.0 | 6.0 | 2.5 | 390 MB | 3.1 s |",
        "| 1,000 listings | 60,000 | 17.0 | 6.0 | 2.5 | 300 MB | 2.0 s |",
        "| batches of 500 | 40,000 | 20.0 | 6.0 | 2.5 | 290 MB |  |",
    ]


def test_a_curve_goes_from_the_least_to_the_most_and_memory_and_the_way_back_have_their_own() -> None:
    drawn = figure(POINTS, "2026-12-01, 2 cores")
    titles = [title.text for title in drawn.layout.annotations]
    lines = dict(zip(titles, ((list(line.x), list(line.y)) for line in drawn.data), strict=True))
    listings = ["1,000", "20,000"]
    assert lines["events/s<br>over listings"] == (listings, [60_000.0, 57_000.4])
    assert lines["peak memory, MB<br>over listings"] == (listings, [300.0, 390.2])
    assert lines["back after a kill, s<br>over listings"] == (listings, [2.0, 3.14])
    assert lines["events/s<br>over messages a batch, at most"] == (["500"], [40_000.0])
    assert drawn.layout.title.text == "2026-12-01, 2 cores"
