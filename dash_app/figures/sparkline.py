"""A line without axes."""

from __future__ import annotations

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app.figures.theme import Scheme


def sparkline(rates: pl.DataFrame, scheme: Scheme) -> go.Figure:
    """The last minutes of `loaders.rates` as a small filled line from zero; empty when there are none."""
    figure = go.Figure(
        go.Scatter(
            x=rates["time"].to_list(), y=rates["value"].to_list(), mode="lines", fill="tozeroy", hoverinfo="skip",
            line={"color": scheme.accent, "width": 2, "shape": "spline", "smoothing": 0.6}, fillcolor=scheme.band,
        )
    )  # fmt: skip
    top = max([value for value in rates["value"].to_list() if value is not None], default=1.0)
    figure.update_layout(
        template=scheme.template,
        height=56,
        margin={"l": 0, "r": 0, "t": 2, "b": 0},
        showlegend=False,
        xaxis={"visible": False, "fixedrange": True},
        yaxis={"visible": False, "fixedrange": True, "range": [0, top * 1.15 or 1]},
    )
    return figure
