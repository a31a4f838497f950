"""The market: rows as the grid shows them, the biggest drops, the tape, and the sum of it."""

from __future__ import annotations

import datetime as dt
import math
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import polars as pl
from dash import dcc, html

from dash_app import text
from dash_app.figures.market import spark_image, spark_path
from dash_app.views.aria import DECORATION
from dash_app.views.cards import nothing

_UNITS = {86_400: ("days", "daily"), 3600: ("hours", "hourly"), 300: ("× 5 min", "five-minute")}
_DAY = 86_400


def event_link(event_id: str) -> str:
    """Where an event is shown."""
    return f"/event?{urlencode({'event': event_id})}"


def rows(shown: pl.DataFrame, zone: str, now: datetime) -> list[dict[str, Any]]:
    """Rows of `table.market` in words, for the grid's cells on the viewer's clock; JSON."""
    dates = text.local(shown["date"], zone)
    today = text.local(pl.Series([now], dtype=pl.Datetime("us", "UTC")), zone).dt.date()[0]
    return [_row(row, date, today) for row, date in zip(shown.iter_rows(named=True), dates, strict=True)]


def _row(row: dict[str, Any], date: datetime | None, today: dt.date) -> dict[str, Any]:
    money, unit = row["currency"], _UNITS[row["unit"]]
    low, high = row["low"], row["high"]

    def along(value: float) -> float:
        return round((value - low) / (high - low), 4) if high > low else 0.5

    names = [text.source_name(source) for source in row["sources"]]
    return {
        "id": row["event_id"], "href": event_link(row["event_id"]), "name": row["name"],
        "venue": row["venue"] or "", "day": _date(date, today),
        "price": text.money(row["price"], money),
        "change": text.percent(row["change"]), "tone": text.tone(row["change"]), "span": _span(row["span"]),
        "low": _short(low, money), "typical": _short(row["typical"], money), "high": _short(high, money),
        "at": along(row["price"]), "mark": along(row["typical"]), "against": _against(row["against"]),
        "sample": f"{row['sample']} {unit[0].removesuffix('s') if row['sample'] == 1 else unit[0]}",
        "path": spark_path(row["starts"], row["lows"], row["unit"]), "unit": unit[1],
        "listings": text.count(row["listings"]), "days": _days((date.date() - today).days if date else None),
        "sources": names[0] + (f" +{len(names) - 1}" if len(names) > 1 else ""), "every_source": ", ".join(names),
        "seen": int(row["seen"].timestamp() * 1000),
    }  # fmt: skip


def summary(market: pl.DataFrame) -> str:
    """What the market is, in a sentence."""
    sources = market["sources"].explode().n_unique() if market.height else 0
    down = market.filter(pl.col("change") <= -0.05).height
    up = market.filter(pl.col("change") >= 0.05).height
    return (
        f"{text.count(market.height)} event{'s' * (market.height != 1)} at {sources} source{'s' * (sources != 1)} · "
        f"{text.count(down)} down and {text.count(up)} up in the last 24 hours"
    )


def drops_list(drops: pl.DataFrame) -> Any:
    """The events of `table.biggest_drops` as cards that lead to them."""
    if drops.is_empty():
        return nothing("No event has become cheaper in the last 24 hours.")
    return html.Ol([_drop(row) for row in drops.iter_rows(named=True)], className="drops")


def _drop(row: dict[str, Any]) -> html.Li:
    line = spark_image(spark_path(row["starts"], row["lows"], row["unit"]))
    mask = f'url("{line}")'
    return html.Li(
        dcc.Link(
            [
                html.Span(html.Bdi(row["name"]), className="name"),
                html.Span(className="line", style={"maskImage": mask, "WebkitMaskImage": mask}, **DECORATION),
                html.Span(
                    [html.Strong(text.money(row["price"], row["currency"])),
                     html.Span(text.percent(row["change"]), className=f"pill {text.tone(row['change'])}")],
                    className="now",
                ),
                html.Span(f"from {text.money(row['before'], row['currency'])} {_span(row['span']) or 'in 24 h'}",
                          className="before"),
            ],
            href=event_link(row["event_id"]),
        )
    )  # fmt: skip


def tape(changes: pl.DataFrame, zone: str) -> Any:
    """`loaders.latest_changes` of all events, newest first; each leads to its event."""
    if changes.is_empty():
        return nothing("No price has changed yet.")
    return html.Ol([_change(row, zone) for row in changes.iter_rows(named=True)], className="tape")


def _change(row: dict[str, Any], zone: str) -> html.Li:
    where = f"{text.place(row['section'], row['row'], row['seat'])} · {text.source_name(row['source'])}"
    return html.Li(
        [
            html.Div([dcc.Link(html.Bdi(row["event"]), href=event_link(row["event_id"]), className="name"),
                      html.Span(text.clock(row["time"], zone), className="time")]),
            html.Div([html.Span(where, className="where"),
                      html.Span(text.percent(row["percent"]), className=f"pill {text.tone(row['percent'])}")]),
            html.Div([html.S(text.money(row["old"], row["currency"])), html.Span(" → ", className="arrow"),
                      html.Strong(text.money(row["new"], row["currency"]))], className="price"),
        ]
    )  # fmt: skip


def _short(amount: float, currency: str) -> str:
    return f"{text.symbol(currency)}{amount:,.0f}"


def _date(date: datetime | None, today: dt.date) -> str:
    if date is None:
        return ""
    return f"{date:%a, %b} {date.day}" + (f", {date:%Y}" if date.year != today.year else "")


def _days(days: int | None) -> str:
    if days is None:
        return text.UNKNOWN
    return {0: "today", 1: "tomorrow"}.get(days, f"{days:,} days") if days >= 0 else "over"


def _span(seconds: int | None) -> str:
    """In what time a price changed, when it is not about a day."""
    if not seconds or abs(seconds - _DAY) < _DAY / 24:
        return ""
    return f"in {text.duration(seconds)}"


def _against(percent: float | None) -> str:
    if percent is None or not math.isfinite(percent):
        return text.UNKNOWN
    if abs(percent) < 0.5:
        return "typical"
    return f"{abs(percent):,.0f}% {'over' if percent > 0 else 'under'} typical"
