"""The price chart of an event."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app import text
from dash_app.figures.gaps import closed_part, isolated, open_part, runs, with_gaps
from dash_app.figures.theme import Scheme

Metric = Literal["low", "average"]
MOST_LINES = 12
_TICKS = [
    {"dtickrange": [None, 60_000], "value": "%H:%M:%S"},
    {"dtickrange": [60_000, 86_400_000], "value": "%H:%M\n%b %-d"},
    {"dtickrange": [86_400_000, "M1"], "value": "%b %-d"},
    {"dtickrange": ["M1", None], "value": "%b %Y"},
]
_MONEY_TICKS = [{"dtickrange": [None, 0.99], "value": ",.2f"}, {"dtickrange": [0.99, None], "value": ",.0f"}]
_DASHES = ("solid", "dash", "dashdot", "longdash")


@dataclass(frozen=True)
class Look:
    """How a chart is to be drawn: scheme, currency code, time zone, window size in seconds, which price as lines."""

    scheme: Scheme
    currency: str
    zone: str
    seconds: int
    metric: Metric = "low"
    revision: str = ""


def price_chart(event: pl.DataFrame, lines: pl.DataFrame, alerts: pl.DataFrame, look: Look) -> go.Figure:
    """Price over time: the event's lowest-to-average band, a line for each source or section, and the alerts.

    Args:
        event: `loaders.event_series`; lines: `loaders.line_series`; alerts: `loaders.alert_marks`.
        look: `look.revision` names the view: while it stays, zoom and hidden lines do too.
    """
    figure = go.Figure()
    for windows, fill, part in ((closed_part(event), look.scheme.band, "closed"),
                                (open_part(event), look.scheme.band_open, "open")):  # fmt: skip
        figure.add_trace(_band(windows, fill, part, look))
    _add_line(figure, event, look, name="Event average", uid="event", colour=look.scheme.accent, column="average")
    groups = sorted(lines.partition_by("source", "section", "level"), key=_busiest)[:MOST_LINES]
    sections = sorted({group["section"][0] for group in groups})
    sources = sorted({group["source"][0] for group in groups})
    for group in sorted(groups, key=lambda part: (part["section"][0], part["source"][0])):
        source, section, level = group.row(0)[:3]
        by_section = len(sections) > 1
        tint = sections.index(section) if by_section else sources.index(source)
        _add_line(
            figure, group, look,
            name=line_name(source, section, level), uid=f"{level}/{source}/{section}",
            colour=look.scheme.lines[tint % len(look.scheme.lines)], column=look.metric,
            dash=_DASHES[sources.index(source) % len(_DASHES)] if by_section else "solid",
        )  # fmt: skip
    figure.add_trace(_alert_marks(alerts, look))
    figure.update_layout(
        template=look.scheme.template,
        uirevision=look.revision,
        height=420,
        margin={"l": 0, "r": 4, "t": 8, "b": 0},
        hovermode="x unified",
        dragmode="zoom",
        legend={"orientation": "h", "y": -0.1, "yanchor": "top", "x": 0, "itemwidth": 30},
        xaxis={"automargin": True, "type": "date", "hoverformat": "%b %-d, %H:%M", "nticks": 7,
               "tickangle": 0, "ticklabelstandoff": 6, "tickformatstops": _TICKS},
        yaxis={"automargin": True, "tickprefix": html.escape(text.symbol(look.currency)), "tickformatstops": _MONEY_TICKS,
               "nticks": 7, "ticklabelstandoff": 8},
    )  # fmt: skip
    return figure


def line_name(source: str, section: str, level: str) -> str:
    """A line's name in the legend, as text that Plotly cannot read as markup."""
    name = text.source_name(source)
    if section:
        name = f"{section} · {name}"
    elif level == "event":
        name = f"{name} (whole event)"
    return html.escape(name if len(name) <= 48 else name[:47] + "…")


def _busiest(group: pl.DataFrame) -> tuple[int, str, str]:
    return -int(group["observations"].sum()), group["source"][0], group["section"][0]


def _band(windows: pl.DataFrame, fill: str, part: str, look: Look) -> go.Scatter:
    """One filled outline a stretch, so that the band has a hole where windows are missing."""
    x: list[Any] = []
    y: list[float | None] = []
    for run in runs(windows, look.seconds) if windows.height else []:
        times = text.local(run["start"], look.zone).to_list()
        x += [*times, *reversed(times), None]
        y += [*run["low"].to_list(), *reversed(run["average"].to_list()), None]
    return go.Scatter(
        x=x, y=y, **_identity(f"band:{part}"), name="Lowest to average", legendgroup="band", showlegend=part == "closed",
        mode="lines", line={"width": 0}, fill="toself", fillcolor=fill, hoverinfo="skip",
    )  # fmt: skip


def _add_line(
    figure: go.Figure, windows: pl.DataFrame, look: Look, *, name: str, uid: str, colour: str, column: str,
    dash: str = "solid",
) -> None:  # fmt: skip
    shared: dict[str, Any] = {"name": name, "legendgroup": _identity(uid)["uid"], "connectgaps": False}
    closed, still = with_gaps(closed_part(windows), look.seconds), with_gaps(open_part(windows), look.seconds)
    figure.add_trace(
        go.Scatter(
            x=text.local(closed["start"], look.zone).to_list(), y=closed[column].to_list(), mode="lines",
            line={"color": colour, "width": 1.75, "dash": dash}, showlegend=True,
            hovertemplate=_amount(look), **_identity(uid), **shared,
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=text.local(still["start"], look.zone).to_list(), y=still[column].to_list(), mode="lines",
            line={"color": colour, "width": 1.5, "dash": "dot"}, showlegend=False, hoverinfo="skip",
            **_identity(f"{uid}:open"), **shared,
        )
    )  # fmt: skip
    dots = pl.concat([isolated(closed), windows.filter(~pl.col("final"))], how="diagonal")
    is_open = (~dots["final"]).to_list()
    figure.add_trace(
        go.Scatter(
            x=text.local(dots["start"], look.zone).to_list(), y=dots[column].to_list(),
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
    # A longer window stands at its start, and so does what happened in it.
    times = alerts["time"] if look.seconds <= 60 else alerts["time"].dt.truncate(f"{look.seconds}s")
    return go.Scatter(
        x=text.local(times, look.zone).to_list(), y=alerts["new"].to_list(), **_identity("alerts"), name="Alerts",
        mode="markers", showlegend=alerts.height > 0,
        marker={"symbol": "triangle-down", "size": 10, "color": look.scheme.alert,
                "line": {"color": look.scheme.paper, "width": 1.5}},
        customdata=[
            f"{text.percent(change)}, {line_name(source, section or '', '')}"
            for change, section, source in alerts.select("percent", "section", "source").iter_rows()
        ],
        hovertemplate=f"{_amount(look)} %{{customdata}}<extra>Alert</extra>",
    )  # fmt: skip
