"""The notebook runs from top to bottom on a lake, headless, and what it shows is right."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from datetime import datetime
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
    told = [value for _, value in market.observe(market.start + 2_400_000 * i for i in range(3000))]
    values: list[bytes | None] = [market.spoil(value) if i % 50 == 49 else value for i, value in enumerate(told)]
    writer, clock = LakeWriter(folder / "prices"), PartitionClock(LATENESS)
    for at in range(0, len(values), 500):
        part = values[at : at + 500]
        ids = [row_id(1, 0, at + i) for i in range(len(part))]
        rows, held = quality.split(clock.stamp(decode(part, [None] * len(part), [-1] * len(part), ids).rows))
        both = lake_rows(rows, held)
        assert both is not None
        writer.add([both])
        writer.flush()
    return [json.loads(value) for i, value in enumerate(told) if i % 50 != 49]


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
        listing = (
            one["event_id"],
            one["source"],
            *(one.get(n) for n in ("level", "listing_id", "section", "row", "seat")),
        )
        cost, before = one.get("total_price", one["price"]), last.get(listing)
        if before is not None and cost < before:
            moves.append((cost / before - 1, one.get("listing_id"), one["timestamp"]))
        last[listing] = cost
        if "level" not in one:
            minutes.add((one["event_id"], one["source"], one["section"], one["timestamp"][:16]))
    assert found["equal"] is True
    assert found["windows"] == len(minutes)

    by_event = defaultdict(list)
    for (event, _, level, *_), cost in last.items():
        if level is None:
            by_event[event].append(cost)
    assert {c["event_id"]: (c["low"], c["typical"], c["high"], c["listings"]) for c in found["costs"]} == {
        event: (min(p), pytest.approx(median(p), abs=0.006), max(p), len(p)) for event, p in by_event.items()
    }

    assert len(found["drops"]) == len(moves)
    deepest, named, when = min(moves, key=lambda move: move[0])
    assert found["drops"][0]["listing_id"] == named
    assert found["drops"][0]["change_percent"] == pytest.approx(deepest * 100, abs=1e-4)
    assert datetime.fromisoformat(found["drops"][0]["timestamp"]) == datetime.fromisoformat(when)
    assert found["lasting"]["drops"] == sum(move <= -0.1 for move, *_ in moves)
    assert 0 < found["lasting"]["taken_back"] < found["lasting"]["drops"]

    [chart] = [out for cell in notebook.cells if cell.id == "chart" for out in cell.outputs]
    lines = chart.data["application/vnd.plotly.v1+json"]["data"]
    assert [line["name"] for line in lines] == ["low", "average"]
    ours = [o["total_price"] for o in observed if o["event_id"] == found["event"] and "level" not in o]
    assert min(row["low"] for row in found["moved"]) == min(ours)
    assert sum(row["observations"] for row in found["moved"]) == len(ours)
    assert chart.data["image/svg+xml"].count("<polyline") == 2


def test_an_empty_lake_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_DIR", str(tmp_path / "none"))
    with pytest.raises(CellExecutionError, match="run `make demo`"):
        run()


def test_the_notebook_is_committed_without_outputs() -> None:
    """What git has of it, that is: `make notebook` fills the outputs in, on purpose."""
    git = ["git", "-C", str(NOTEBOOK.parent), "show", f":./{NOTEBOOK.name}"]
    staged = subprocess.run(git, capture_output=True, text=True, check=False)
    if staged.returncode:
        pytest.skip("not a git checkout")
    notebook = nbformat.reads(staged.stdout, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
