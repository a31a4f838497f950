"""Draws what `python -m bench curves --save FILE` wrote: `python -m bench.chart FILE IMAGE.svg`."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from bench.curves import Point

_CURVES = {
    "listings": "listings", "rules": "rules", "partitions": "partitions", "processes": "processes",
    "batch": "messages a batch, at most",
}  # fmt: skip
_FONT = "system-ui, sans-serif"


def figure(points: list[Point], measured: str) -> go.Figure:
    """Events/s over everything that was varied; memory and the way back after a kill over listings."""
    panels = [(curve, "events/s", "rate") for curve in _CURVES]
    panels[1:1] = [("listings", "peak memory, MB", "peak"), ("listings", "back after a kill, s", "back")]
    drawn = make_subplots(rows=2, cols=4, subplot_titles=[f"{unit}<br>over {_CURVES[c]}" for c, unit, _ in panels])
    for number, (curve, _, name) in enumerate(panels):
        found = sorted((point for point in points if point.curve == curve), key=lambda point: point.at)
        names, values = [f"{p.at:,}" for p in found], [getattr(p, name) for p in found]
        place = {"row": number // 4 + 1, "col": number % 4 + 1}
        line = go.Scatter(x=names, y=values, mode="lines+markers", line={"color": "#2563eb", "width": 2})
        drawn.add_trace(line, **place)
        drawn.update_xaxes(type="category", **place)
    drawn.update_yaxes(rangemode="tozero", tickformat="~s", gridcolor="#e5e7eb")
    return drawn.update_layout(
        width=1200, height=640, showlegend=False, template="simple_white", font={"family": _FONT, "size": 12},
        title={"text": measured, "font": {"size": 12}, "x": 0.01, "y": 0.99, "yanchor": "top"},
        margin={"t": 90, "l": 50, "r": 20, "b": 40},
    )  # fmt: skip


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
    saved = json.loads(chosen.results.read_text())
    points = [Point(**point) for point in saved["points"]]
    chosen.image.write_text(svg(figure(points, saved["measured"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
