"""What is told and drawn of the curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.chart import figure, panels
from bench.curves import Point, table
from bench.kept import keep

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
    drawn = {panel.title: (panel.over, *panel.lines.values()) for panel in panels({"points": _plain(POINTS)})}
    assert drawn == {
        "events/s<br>over listings": ([1_000, 20_000], [60_000.0, 57_000.4]),
        "peak memory, MB<br>over listings": ([1_000, 20_000], [300.0, 390.2]),
        "back after a kill, s<br>over listings": ([1_000, 20_000], [2.0, 3.14]),
        "events/s<br>over messages a batch, at most": ([500], [40_000.0]),
    }


def test_what_is_kept_is_drawn_and_a_second_measurement_takes_the_place_of_the_first(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    keep(file, "points", _plain([POINTS[0]._replace(rate=1.0)]), by=("curve", "at"))
    keep(file, "points", _plain(POINTS), by=("curve", "at"))
    for rows, slow in ((10_000_000, 170.0), (1_000_000, 90.0), (10_000_000, 180.0)):
        keep(file, "dashboards", [{"rows": rows, "p50": 20.0, "p95": slow}], by=("rows",))
    keep(file, "latencies", [{"rate": 100.0, "count": 9, "p50": 8.0, "p99": 30.0, "worst": 60.0}], by=("rate",))
    kept = json.loads(file.read_text())
    assert panels(kept)[0].lines == {"events/s": [60_000.0, 57_000.4]}
    assert panels(kept)[-2].lines == {"p50": [8.0], "p99": [30.0]}
    assert panels(kept)[-1].over == [1_000_000, 10_000_000]
    assert panels(kept)[-1].lines == {"p50": [20.0, 20.0], "p95": [90.0, 180.0]}
    drawn = figure(kept)
    assert len(drawn.data) == 8
    assert list(drawn.data[-1].x) == ["1M", "10M"]
    assert drawn.layout.title.text == kept["points"][0]["measured"]


def _plain(points: list[Point]) -> list[dict[str, Any]]:
    return [point._asdict() for point in points]
