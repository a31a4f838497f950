"""Draws what `python -m bench latency curves --save FILE` and `python -m bench.dashboard --save FILE` have kept.

python -m bench.chart FILE IMAGE.svg
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

_CURVES = {
    "listings": "listings", "rules": "rules", "partitions": "partitions", "processes": "processes",
    "batch": "messages a batch, at most",
}  # fmt: skip
_COLORS = {"p50": "#2563eb", "p95": "#dc2626", "p99": "#dc2626"}
_FONT = "system-ui, sans-serif"


class Panel(NamedTuple):
    """One chart of the picture: lines by name, each over the same values of what was varied."""

    title: str
    over: list[float]
    lines: dict[str, list[float]]


def panels(kept: dict[str, Any]) -> list[Panel]:
    """What there is to draw: events/s over all that was varied, memory and the way back, latencies, the dashboard."""
    found = []
    curves: dict[str, list[dict[str, Any]]] = {}
    for point in sorted(kept.get("points", []), key=lambda point: point["at"]):
        curves.setdefault(point["curve"], []).append(point)
    wanted = [(curve, "events/s", "rate") for curve in _CURVES]
    wanted[1:1] = [("listings", "peak memory, MB", "peak"), ("listings", "back after a kill, s", "back")]
    for curve, unit, name in wanted:
        if points := curves.get(curve):
            title = f"{unit}<br>over {_CURVES[curve]}"
            found.append(Panel(title, [p["at"] for p in points], {unit: [p[name] for p in points]}))
    for kind, title, at, names in (
        ("latencies", "publish to Postgres, ms<br>over prices a second", "rate", ("p50", "p99")),
        ("dashboards", "dashboard's callbacks, ms<br>over prices stored", "rows", ("p50", "p95")),
    ):
        if points := sorted(kept.get(kind, []), key=lambda point: point[at]):
            found.append(Panel(title, [p[at] for p in points], {name: [p[name] for p in points] for name in names}))
    return found


def figure(kept: dict[str, Any]) -> go.Figure:
    """All panels in one picture."""
    found = panels(kept)
    if not found:
        raise SystemExit("bench: nothing is kept there that could be drawn")
    told = sorted({one["measured"] for points in kept.values() for one in points})
    rows = -(-len(found) // _COLUMNS)
    drawn = make_subplots(
        rows=rows, cols=_COLUMNS, vertical_spacing=0.36 / rows, subplot_titles=[panel.title for panel in found]
    )
    for number, panel in enumerate(found):
        place = {"row": number // _COLUMNS + 1, "col": number % _COLUMNS + 1}
        for name, values in panel.lines.items():
            shown = {"mode": "lines+markers", "line": {"color": _COLORS.get(name, "#2563eb"), "width": 2}}
            if len(panel.lines) > 1:
                shown |= {"mode": "lines+markers+text", "text": [""] * (len(values) - 1) + [f" {name}"],
                          "textposition": "middle left", "cliponaxis": False}  # fmt: skip
            drawn.add_trace(go.Scatter(x=[_short(at) for at in panel.over], y=values, name=name, **shown), **place)
        drawn.update_xaxes(type="category", **place)
    drawn.update_yaxes(rangemode="tozero", tickformat="~s", gridcolor="#e5e7eb")
    return drawn.update_layout(
        width=1000, height=290 * rows + 60, showlegend=False, template="simple_white",
        font={"family": _FONT, "size": 12},
        title={"text": "<br>".join(told), "font": {"size": 12}, "x": 0.01, "y": 0.99, "yanchor": "top"},
        margin={"t": 90, "l": 50, "r": 20, "b": 40},
    )  # fmt: skip


_COLUMNS = 3


def _short(number: float) -> str:
    """1k, 20k, 1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def svg(drawn: go.Figure) -> str:
    """The figure as an image, drawn by Plotly in a Chromium."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise SystemExit("bench: no Chromium: install chromium, which draws the chart")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.add_script_tag(content=get_plotlyjs())
        image: str = page.evaluate(
            "async (figure) => decodeURIComponent((await Plotly.toImage(figure, {format: 'svg'})).split(',').slice(1).join(','))",
            json.loads(drawn.to_json()),
        )
        browser.close()
    return image


def main() -> int:
    """Draw the chart."""
    parser = argparse.ArgumentParser(prog="python -m bench.chart", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("image", type=Path)
    chosen = parser.parse_args()
    chosen.image.write_text(svg(figure(json.loads(chosen.results.read_text()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
