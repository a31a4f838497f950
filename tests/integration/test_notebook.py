"""The notebook runs from top to bottom on a lake, headless, and what it shows is right."""

from __future__ import annotations

import ast
import json
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from analytics import quality
from analytics.clock import PartitionClock
from analytics.decode import decode
from analytics.schema import row_id
from connectors.market import Market
from flows.prices import lake_rows
from sinks.lake import LakeWriter
from tests.support.logs import LATENESS, NOON

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "prices.ipynb"
Observed = list[dict[str, Any]]


def write_lake(folder: Path) -> Observed:
    """Two hours of a mock market across midnight, some of it broken; returns what must be in `prices`, in order."""
    start = NOON.replace(hour=23)
    market = Market(7, start, events=6, listings=120)
    told = [*market.opening(start), *(market.tick(start + timedelta(seconds=6 * i)) for i in range(1200))]
    values: list[bytes | None] = [
        market.spoil(e) if i % 50 == 49 else json.dumps(e).encode() for i, e in enumerate(told)
    ]
    writer, clock = LakeWriter(folder / "prices"), PartitionClock(LATENESS)
    for at in range(0, len(values), 500):
        part = values[at : at + 500]
        ids = [row_id(1, 0, at + i) for i in range(len(part))]
        rows, held = quality.split(clock.stamp(decode(part, [None] * len(part), [-1] * len(part), ids).rows))
        both = lake_rows(rows, held)
        assert both is not None
        writer.add([both])
        writer.flush()
    return [e for i, e in enumerate(told) if i % 50 != 49]


def run(show: str = "") -> Any:
    """The notebook after a run, with a cell at the end that prints `show` as JSON."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    if show:
        notebook.cells.append(nbformat.v4.new_code_cell(f"print(json.dumps({show}, default=str))"))
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    return notebook


def test_the_notebook_s_key_outputs_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observed = write_lake(tmp_path)
    monkeypatch.setenv("LAKE_DIR", str(tmp_path))
    notebook = run(
        "{'overview': overview.row(0, named=True), 'costs': costs.to_dicts(), 'drops': drops.to_dicts(), 'equal': equal,"
        " 'windows': by_sql.height, 'moved': moved.to_dicts(), 'event': EVENT, 'lasting': lasting.row(0, named=True)}"
    )
    found = json.loads(notebook.cells[-1].outputs[0].text)

    assert (found["overview"]["prices"], found["overview"]["events"]) == (len(observed), 6)
    assert found["overview"]["quarantined"] > 0

    last, moves, minutes = {}, [], set()
    for one in observed:
        before = last.get(one["listing_id"])
        if before is not None and one["total_price"] < before["total_price"]:
            moves.append((one["total_price"] / before["total_price"] - 1, one["listing_id"], one["timestamp"]))
        last[one["listing_id"]] = one
        minutes.add((one["event_id"], one["source"], one["section"], one["timestamp"][:16]))
    assert found["equal"] is True
    assert found["windows"] == len(minutes)

    by_event = defaultdict(list)
    for one in last.values():
        by_event[one["event_id"]].append(one["total_price"])
    assert {c["event_id"]: (c["low"], c["typical"], c["high"], c["listings"]) for c in found["costs"]} == {
        event: (min(p), pytest.approx(median(p), abs=0.006), max(p), len(p)) for event, p in by_event.items()
    }

    assert len(found["drops"]) == len(moves)
    deepest, listing, when = min(moves)
    assert found["drops"][0]["listing_id"] == listing
    assert found["drops"][0]["change_percent"] == pytest.approx(deepest * 100, abs=1e-4)
    assert datetime.fromisoformat(found["drops"][0]["timestamp"]) == datetime.fromisoformat(when)
    assert found["lasting"]["drops"] == sum(move <= -0.1 for move, *_ in moves)
    assert 0 < found["lasting"]["taken_back"] < found["lasting"]["drops"]

    [chart] = [out for cell in notebook.cells if cell.id == "chart" for out in cell.outputs]
    lines = chart.data["application/vnd.plotly.v1+json"]["data"]
    assert [line["name"] for line in lines] == ["low", "average"]
    ours = [one["total_price"] for one in observed if one["event_id"] == found["event"]]
    assert min(row["low"] for row in found["moved"]) == min(ours)
    assert sum(row["observations"] for row in found["moved"]) == len(ours)
    assert chart.data["image/svg+xml"].count("<polyline") == 2


def test_an_empty_lake_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_DIR", str(tmp_path / "none"))
    with pytest.raises(CellExecutionError, match="run `make demo`"):
        run()


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert "/home/" not in NOTEBOOK.read_text()
    for cell in code:
        ast.parse(cell.source)
