"""The price chart of an event, or of several."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from zlib import crc32

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app import text
from dash_app.figures.axis import make_room
from dash_app.figures.gaps import closed_part, isolated, open_part, runs, with_gaps
from dash_app.figures.theme import Scheme
from dash_app.loaders.schemas import SERIES

Metric = Literal["low", "average"]
MOST_LINES = 12
HEIGHT = 440
_BUCKETS = 500  # of a line: about as many as a phone's chart has pixels, half a desktop's
_LEAST_WINDOWS = 10  # that the time axis has room for
_TICKS = [
    {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 86_400_000], "value": "%H:%M\n%b %-d"},
    {"dtickrange": [86_400_000, "M1"], "value": "%b %-d"},
    {"dtickrange": ["M1", None], "value": "%b %Y"},
]
_MONEY_TICKS = [{"dtickrange": [None, 0.99], "value": ",.2f"}, {"dtickrange": [0.99, None], "value": ",.0f"}]
_DASHES = ("solid", "dash", "dashdot", "longdash")
_STATES = {"held": "held out", "released": "released", "confirmed": "confirmed to be wrong"}
_DAY_MICROS = 86_400_000_000


@dataclass(frozen=True)
class Look:
    """How a chart is to be drawn.

    Attributes:
        scheme, zone: colours, and the viewer's time zone.
        currency: of all prices.
        seconds: size of the windows.
        metric: which price the lines show.
        revision: names the view; while it stays, hidden lines do too.
        placed: names the choice of time; while it stays, a zoom by hand does too.
        shown: what the time axis shows, when not all there is.
        starts: when the event does: then the time axis is days before it.
    """

    scheme: Scheme
    currency: str
    zone: str
    seconds: int
    metric: Metric = "low"
    revision: str = ""
    placed: str = ""
    shown: tuple[datetime, datetime] | None = None
    starts: datetime | None = None


@dataclass(frozen=True)
class Other:
    """An event to compare with: its id, name, windows (`loaders.event_series`) and, on an axis of days, its start."""

    event_id: str
    name: str
    windows: pl.DataFrame
    starts: datetime | None = None


@dataclass(frozen=True)
class Prices:
    """What a chart is of.

    Attributes:
        event: `loaders.event_series`; lines: `loaders.line_series`.
        alerts: `loaders.alert_marks`; doubts: `loaders.doubt_marks`.
        name: of the event, for the legend when there are others.
        others: to compare with; then every event is one line, and there is no band.
    """

    event: pl.DataFrame
    lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SERIES))
    alerts: pl.DataFrame | None = None
    doubts: pl.DataFrame | None = None
    name: str = ""
    others: Sequence[Other] = ()


def price_chart(prices: Prices, look: Look) -> go.Figure:
    """Price over time: the event's lowest-to-average band, a line for each source or section, alerts and doubted prices;
    or a line for each of several events."""
    figure = go.Figure()
    event, own = prices.event, look.starts
    if prices.others:
        _add_line(figure, event, look, own, name=_short(prices.name), uid="event", colour=look.scheme.accent,
                  column=look.metric)  # fmt: skip
        for number, other in enumerate(prices.others):
            _add_line(figure, other.windows, look, other.starts, name=_short(other.name), uid=f"event:{other.event_id}",
                      colour=look.scheme.lines[number % len(look.scheme.lines)], column=look.metric)  # fmt: skip
    else:
        for windows, fill, part in ((closed_part(event), look.scheme.band, "closed"),
                                    (open_part(event), look.scheme.band_open, "open")):  # fmt: skip
            figure.add_trace(_band(windows, fill, part, look))
        _add_line(figure, event, look, own, name="Event average", uid="event", colour=look.scheme.accent,
                  column="average")  # fmt: skip
    _add_places(figure, prices.lines, look, shift=len(prices.others))
    if prices.alerts is not None:
        figure.add_trace(_alert_marks(prices.alerts, look))
    if prices.doubts is not None:
        drawn = [part[name] for part in (event, prices.lines) for name in ("low", "average")]
        figure.add_trace(_doubt_marks(prices.doubts, look, pl.concat(drawn)))
    figure.update_layout(
        template=look.scheme.template,
        uirevision=look.revision,
        height=HEIGHT,
        margin={"l": 0, "r": 4, "t": 8, "b": 0},
        hovermode="x unified",
        dragmode="zoom",
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "itemwidth": 30},
        xaxis=_time_axis(look),
        yaxis={"automargin": True, "tickprefix": html.escape(text.symbol(look.currency)), "tickformatstops": _MONEY_TICKS,
               "nticks": 7, "ticklabelstandoff": 8, "uirevision": look.placed},
        annotations=_empty_words(figure, look),
    )  # fmt: skip
    least = timedelta(seconds=_LEAST_WINDOWS * look.seconds)
    make_room(figure, least if look.starts is None else least / timedelta(days=1))
    return figure


def line_name(source: str, section: str, level: str) -> str:
    """A line's name in the legend, as text that Plotly cannot read as markup."""
    name = text.source_name(source)
    if section:
        name = f"{section} · {name}"
    elif level == "event":
        name = f"{name} (whole event)"
    return _short(name)


def _short(name: str) -> str:
    return html.escape(text.isolated(name if len(name) <= 48 else name[:47] + "…"))


def _time_axis(look: Look) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "automargin": True, "nticks": 7, "tickangle": 0, "ticklabelstandoff": 6, "uirevision": look.placed,
    }  # fmt: skip
    if look.starts is None:
        axis |= {"type": "date", "hoverformat": "%b %-d, %H:%M", "tickformatstops": _TICKS, "autorange": True}
    else:
        axis |= {"type": "linear", "autorange": "reversed", "title": {"text": "Days before the event"},
                 "hoverformat": ",.2f", "zeroline": True}  # fmt: skip
    if look.shown:
        ends = pl.Series(look.shown, dtype=pl.Datetime("us", "UTC"))
        axis |= {"autorange": False, "range": _x(ends, look, look.starts)}
    return axis


def _x(times: pl.Series, look: Look, starts: datetime | None) -> list[Any]:
    """Where these times stand on the axis: on the viewer's clock, or in days before an event."""
    if look.starts is None:
        return text.local(times, look.zone).to_list()
    begin = pl.Series([starts or look.starts], dtype=pl.Datetime("us", "UTC")).to_physical()[0]
    distance: pl.Series = (begin - times.cast(pl.Datetime("us", "UTC")).to_physical()) / _DAY_MICROS
    return distance.round(6).to_list()


def _empty_words(figure: go.Figure, look: Look) -> list[dict[str, Any]]:
    if any(trace.y for trace in figure.data):
        return []
    return [{"text": "No prices in this time. Choose a longer one.", "showarrow": False, "xref": "paper", "yref": "paper",
             "x": 0.5, "y": 0.5, "font": {"color": look.scheme.muted, "size": 14}}]  # fmt: skip


def _add_places(figure: go.Figure, lines: pl.DataFrame, look: Look, shift: int) -> None:
    """The busiest lines; sections by colour and sources by dash, or sources by colour, each of their levels its own."""
    groups = sorted(lines.partition_by("source", "section", "level"), key=_busiest)[:MOST_LINES]
    sections = sorted({group["section"][0] for group in groups})
    sources = sorted({group["source"][0] for group in groups})
    kinds = sorted({(group["source"][0], group["level"][0]) for group in groups})
    for group in sorted(groups, key=lambda part: (part["section"][0], part["source"][0])):
        source, section, level = group.row(0)[:3]
        by_section = len(sections) > 1
        tint = shift + (sections.index(section) if by_section else kinds.index((source, level)))
        _add_line(
            figure, group, look, look.starts,
            name=line_name(source, section, level), uid=f"{level}/{source}/{section}",
            colour=look.scheme.lines[tint % len(look.scheme.lines)], column=look.metric,
            dash=_DASHES[sources.index(source) % len(_DASHES)] if by_section else "solid",
        )  # fmt: skip


def _busiest(group: pl.DataFrame) -> tuple[int, str, str]:
    return -int(group["observations"].sum()), group["source"][0], group["section"][0]


def _band(windows: pl.DataFrame, fill: str, part: str, look: Look) -> go.Scatter:
    """One filled outline a stretch, so that the band has a hole where windows are missing."""
    x: list[Any] = []
    y: list[float | None] = []
    for run in runs(with_gaps(windows, look.seconds, "low", "average", buckets=_BUCKETS)):
        times = _x(run["start"], look, look.starts)
        x += [*times, *reversed(times), None]
        y += [*run["low"].to_list(), *reversed(run["average"].to_list()), None]
    return go.Scatter(
        x=x, y=y, **_identity(f"band:{part}"), name="Lowest to average", legendgroup="band", showlegend=part == "closed",
        mode="lines", line={"width": 0}, fill="toself", fillcolor=fill, hoverinfo="skip",
    )  # fmt: skip


def _add_line(
    figure: go.Figure, windows: pl.DataFrame, look: Look, starts: datetime | None, *, name: str, uid: str, colour: str,
    column: str, dash: str = "solid",
) -> None:  # fmt: skip
    shared: dict[str, Any] = {"name": name, "legendgroup": _identity(uid)["uid"], "connectgaps": False}
    closed = with_gaps(closed_part(windows), look.seconds, column, buckets=_BUCKETS)
    still = with_gaps(open_part(windows), look.seconds)
    figure.add_trace(
        go.Scatter(
            x=_x(closed["start"], look, starts), y=closed[column].to_list(), mode="lines",
            line={"color": colour, "width": 1.75, "dash": dash}, showlegend=True,
            hovertemplate=_amount(look), **_identity(uid), **shared,
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=_x(still["start"], look, starts), y=still[column].to_list(), mode="lines",
            line={"color": colour, "width": 1.5, "dash": "dot"}, showlegend=False, hoverinfo="skip",
            **_identity(f"{uid}:open"), **shared,
        )
    )  # fmt: skip
    dots = pl.concat([isolated(closed), windows.filter(~pl.col("final"))], how="diagonal")
    is_open = (~dots["final"]).to_list()
    figure.add_trace(
        go.Scatter(
            x=_x(dots["start"], look, starts), y=dots[column].to_list(),
            mode="markers", showlegend=closed.is_empty(),
            marker={"size": [7 if point else 5 for point in is_open], "opacity": 1,
                    "color": [look.scheme.paper if point else colour for point in is_open],
                    "line": {"color": colour, "width": 1.5}},
            hovertemplate=[f"{_amount(look)} so far" if point else "" for point in is_open],
            hoverinfo=["all" if point else "skip" for point in is_open], **_identity(f"{uid}:dots"), **shared,
        )
    )  # fmt: skip


def _identity(name: str) -> dict[str, str]:
    """By the uid Plotly knows a trace again; it also becomes a class name, so outside strings are kept out of it."""
    return {"uid": f"t{crc32(name.encode()):08x}", "meta": name}


def _amount(look: Look) -> str:
    return f"{html.escape(text.symbol(look.currency))}%{{y:,.2f}}"


def _alert_marks(alerts: pl.DataFrame, look: Look) -> go.Scatter:
    return go.Scatter(
        x=_x(_window_starts(alerts["time"], look), look, look.starts), y=alerts["new"].to_list(), **_identity("alerts"),
        name="Alerts", mode="markers", showlegend=alerts.height > 0,
        marker={"symbol": "triangle-down", "size": 10, "color": look.scheme.alert,
                "line": {"color": look.scheme.paper, "width": 1.5}},
        customdata=[
            f"{text.percent(change)}, {line_name(source, section or '', '')}"
            for change, section, source in alerts.select("percent", "section", "source").iter_rows()
        ],
        hovertemplate=f"{_amount(look)} %{{customdata}}<extra>Alert</extra>",
    )  # fmt: skip


def _doubt_marks(doubts: pl.DataFrame, look: Look, drawn: pl.Series) -> go.Scatter:
    """Prices that were set apart. Many are absurd, so one that is far off stands at the edge of what is drawn, and the
    words on it tell the price."""
    low, high = drawn.min(), drawn.max()
    y = doubts["price"] if low is None else doubts["price"].clip(low * 0.96, high * 1.04)  # type: ignore[operator]
    return go.Scatter(
        x=_x(_window_starts(doubts["time"], look), look, look.starts), y=y.to_list(), **_identity("doubts"),
        name="Quarantined", mode="markers", showlegend=doubts.height > 0,
        marker={"symbol": "x-thin", "size": 8, "color": look.scheme.muted,
                "line": {"color": look.scheme.muted, "width": 2}},
        customdata=[
            f"{html.escape(text.money(price, look.currency))}, {line_name(source, section or '', '')}"
            f"<br>{html.escape(reason.replace('_', ' '))}, {_STATES[state]}"
            for price, reason, state, section, source
            in doubts.select("price", "reason", "state", "section", "source").iter_rows()
        ],
        hovertemplate="%{customdata}<extra>Quarantined</extra>",
    )  # fmt: skip


def _window_starts(times: pl.Series, look: Look) -> pl.Series:
    """A longer window stands at its start, and so does what happened in it."""
    return times if look.seconds <= 60 else times.dt.truncate(f"{look.seconds}s")
