"""What one listing has cost."""

from __future__ import annotations

import html

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app import text
from dash_app.figures.axis import make_room
from dash_app.figures.theme import Scheme


def path_chart(points: pl.DataFrame, scheme: Scheme, currency: str, zone: str) -> go.Figure:
    """The steps of `loaders.listings.path`: a price stands until the next one."""
    sign = html.escape(text.symbol(currency))
    one = points.height == 1
    figure = go.Figure(
        go.Scatter(
            x=text.local(points["time"], zone).to_list(), y=points["price"].to_list(), mode="lines+markers",
            line={"shape": "hv", "color": scheme.accent, "width": 2},
            marker={"size": 8 if one else 4, "color": scheme.accent},
            hovertemplate=f"{sign}%{{y:,.2f}}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        template=scheme.template, height=170, margin={"l": 0, "r": 6, "t": 6, "b": 0}, hovermode="x", showlegend=False,
        xaxis={"type": "date", "fixedrange": True, "automargin": True, "nticks": 4, "hoverformat": "%b %-d, %H:%M",
               "tickfont": {"size": 11}},
        yaxis={"fixedrange": True, "automargin": True, "nticks": 4, "tickprefix": sign, "tickformat": ",.0f",
               "tickfont": {"size": 11}, "ticklabelstandoff": 6},
    )  # fmt: skip
    make_room(figure)
    prices = points["price"]
    if prices.len() and prices.min() == prices.max():  # a flat line in the middle, not an axis of cents
        level = float(prices[0])
        figure.update_yaxes(range=[level * 0.9, level * 1.1])
    return figure
