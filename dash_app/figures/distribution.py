"""How an event's listings are spread over prices."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app import text
from dash_app.figures.theme import Scheme

BINS: dict[str, type[pl.DataType]] = {"start": pl.Float64, "stop": pl.Float64, "count": pl.Int64}
_ABOUT = 28  # bars
_TAIL = 0.97  # what is dearer than nearly all stands in the last bar


@dataclass(frozen=True)
class Mark:
    """A price to point out."""

    price: float
    name: str
    colour: str


def bins(prices: pl.Series) -> pl.DataFrame:
    """Counts of prices in bars of one round width: start, stop, count.

    The dearest few are in the last bar, which has no end (`stop` is infinite), so that one that asks for a fortune does not
    push all others into one bar. Every price is in exactly one bar; bars from the first to the last are all there.
    """
    known = prices.drop_nulls().sort()
    if known.is_empty():
        return pl.DataFrame(schema=BINS)
    low, high = float(known[0]), float(known[math.ceil(_TAIL * known.len()) - 1])
    width = _round_width((high - low) / _ABOUT or max(low / 10, 0.01))
    first = math.floor(low / width)
    last = max(math.floor(high / width), first)
    at = (known / width).floor().cast(pl.Int64).clip(first, last + 1)
    counts = dict(at.value_counts().iter_rows())
    over = [last + 1] if last + 1 in counts else []
    rows = [
        (n * width, math.inf if n in over else (n + 1) * width, counts.get(n, 0))
        for n in [*range(first, last + 1), *over]
    ]
    return pl.DataFrame(rows, schema=BINS, orient="row")


def distribution(prices: pl.Series, scheme: Scheme, currency: str, target: float | None = None) -> go.Figure:
    """Bars of `bins`, the cheapest, the median and the viewer's own price marked; bars up to that price stand out."""
    bars = bins(prices)
    few = bars.height and int(bars["count"].max() or 0) < 4  # type: ignore[arg-type]
    figure = go.Figure()
    if bars.height:
        width = float(bars["stop"][0] - bars["start"][0])
        starts = bars["start"].to_list()
        chosen = [target is None or start < target for start in starts]
        figure.add_trace(
            go.Bar(
                x=[start + width / 2 for start in starts], y=bars["count"].to_list(), width=width * 0.86,
                marker={"color": [scheme.accent if one else scheme.muted for one in chosen],
                        "opacity": [0.9 if one else 0.35 for one in chosen], "cornerradius": 3},
                customdata=[_span(start, stop, currency) for start, stop in bars.select("start", "stop").iter_rows()],
                hovertemplate="%{customdata}<br>%{y} listings<extra></extra>", showlegend=False,
            )
        )  # fmt: skip
        end = starts[-1] + width
        cheapest = float(prices.drop_nulls().sort()[0])
        marks = [
            Mark(cheapest, "Cheapest", scheme.text),
            Mark(prices.drop_nulls().quantile(0.5, "midpoint") or cheapest, "Median", scheme.text),
        ]
        if target is not None:
            marks.append(Mark(target, "Your price", scheme.alert))
        for row, mark in enumerate(marks):
            _point_out(figure, mark, row, min(max(mark.price, starts[0]), end), (starts[0] + end) / 2, currency)
    figure.update_layout(
        template=scheme.template, height=310, margin={"l": 0, "r": 0, "t": 62, "b": 0}, bargap=0, hovermode="closest",
        xaxis={"fixedrange": True, "tickprefix": html.escape(text.symbol(currency)), "tickformat": ",~r", "nticks": 6,
               "automargin": True, "ticklabelstandoff": 6},
        yaxis={"fixedrange": True, **({"dtick": 1} if few else {"nticks": 4}), "tickformat": ",d", "automargin": True,
               "ticklabelstandoff": 6, "rangemode": "tozero"},
    )  # fmt: skip
    return figure


def _point_out(figure: go.Figure, mark: Mark, row: int, at: float, middle: float, currency: str) -> None:
    """A line with its name above it, each in a row of its own so that names do not meet."""
    left = at <= middle
    figure.add_shape(type="line", x0=at, x1=at, y0=0, y1=1, yref="paper",
                     line={"color": mark.colour, "width": 1.5, "dash": "dot"})  # fmt: skip
    figure.add_annotation(
        x=at, y=1, yref="paper", yshift=8 + 19 * (2 - row), xanchor="left" if left else "right", showarrow=False,
        text=f"{mark.name} <b>{html.escape(text.money(mark.price, currency))}</b>",
        font={"color": mark.colour, "size": 12}, xshift=-2 if left else 2,
    )  # fmt: skip


def _span(start: float, stop: float, currency: str) -> str:
    first = html.escape(text.money(start, currency))
    return f"{first} and more" if math.isinf(stop) else f"{first} to {html.escape(text.money(stop, currency))}"


def _round_width(least: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten."""
    size = 10.0 ** math.floor(math.log10(least))
    return next(size * step for step in (1, 2, 2.5, 5, 10) if size * step >= least * 0.999)
