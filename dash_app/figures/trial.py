"""A rule's trial as a small chart."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from analytics.trial import Firing
from dash_app import text
from dash_app.figures.axis import make_room
from dash_app.figures.theme import Scheme

MOST_POINTS = 600
_HEIGHT = 190
_SETTLING = 0.03  # of the time


def trial_chart(
    path: Sequence[tuple[int, int]],
    firings: Sequence[Firing],
    target: int | None,
    currency: str,
    zone: str,
    scheme: Scheme,
) -> go.Figure:
    """The price that a rule would have watched, as steps, with the alerts that there would have been.

    Args:
        path: (microseconds, micros) whenever it moved; firings: of the same event.
        target: where an `at or below` rule fires, in micros.
        zone: on whose clock.
    """
    figure = go.Figure()
    points = thinned(pl.DataFrame(list(path), schema={"time": pl.Int64, "price": pl.Int64}, orient="row"))
    sign = html.escape(text.symbol(currency))
    figure.add_trace(
        go.Scatter(
            x=_local(points["time"].to_list(), zone), y=[price / 1e6 for price in points["price"]], mode="lines",
            line={"color": scheme.accent, "width": 1.75, "shape": "hv"}, name="Price", showlegend=False,
            hovertemplate=f"{sign}%{{y:,.2f}}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=_local([f.time for f in firings], zone), y=[f.price / 1e6 for f in firings], mode="markers", name="Alert",
            showlegend=False, marker={"symbol": "triangle-down", "size": 11, "color": scheme.alert,
                                      "line": {"color": scheme.paper, "width": 1.5}},
            hovertemplate=f"{sign}%{{y:,.2f}}<extra>Alert</extra>",
        )
    )  # fmt: skip
    if target is not None:
        figure.add_hline(y=target / 1e6, line={"color": scheme.alert, "width": 1.25, "dash": "dash"})
    low, high = _range(points, target)
    figure.update_layout(
        template=scheme.template, height=_HEIGHT, margin={"l": 0, "r": 4, "t": 10, "b": 0}, hovermode="closest",
        xaxis={"automargin": True, "type": "date", "nticks": 4, "tickangle": 0, "fixedrange": True, "ticklabelstandoff": 4,
               "hoverformat": "%b %-d, %H:%M"},
        yaxis={"automargin": True, "tickprefix": sign, "nticks": 4, "fixedrange": True, "ticklabelstandoff": 6,
               "range": [low, high]},
    )  # fmt: skip
    make_room(figure)
    return figure


def _range(points: pl.DataFrame, target: int | None) -> tuple[float, float]:
    """What the price axis shows. A history begins with the first listing alone, often a dear one: that is left out."""
    begin, end = points["time"][0], points["time"][-1]
    settled = points.filter(pl.col("time") >= begin + (end - begin) * _SETTLING)["price"]
    prices = [*settled, points["price"].min(), *([] if target is None else [target])]
    low, high = min(prices) / 1e6, max(prices) / 1e6
    margin = (high - low) * 0.12 or high * 0.05 or 1.0
    return max(low - margin, 0.0), high + margin


def thinned(points: pl.DataFrame, most: int = MOST_POINTS) -> pl.DataFrame:
    """At most so many points (time, price), in order: of each stretch its first, last, lowest and highest."""
    if points.height <= most:
        return points
    stretches = max(most // 4, 1)
    place, price = pl.col("place"), pl.col("price")
    kept = (
        points.with_row_index("place")
        .with_columns(stretch=pl.col("place").cast(pl.Int64) * stretches // points.height)
        .group_by("stretch")
        .agg(first=place.first(), last=place.last(), low=place.get(price.arg_min()), high=place.get(price.arg_max()))
    )
    return points[sorted({*kept["first"], *kept["last"], *kept["low"], *kept["high"]})]


def _local(times: Sequence[int], zone: str) -> list[datetime]:
    moments = [datetime.fromtimestamp(time / 1e6, UTC) for time in times]
    return text.local(pl.Series(moments, dtype=pl.Datetime("us", "UTC")), zone).to_list()
