"""The event's name and its key figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.keyfigures import KeyFigures
from dash_app.views.cards import figure_tile


def _label(row: dict[str, Any], date: datetime | None, short: bool) -> str:
    day = None if date is None else f"{date:%b} {date.day}" if short else f"{date:%b} {date.day}, {date:%Y}"
    said = (row["name"] or row["event_id"], None if short else row["venue"], day)
    return " · ".join(text.isolated(part) for part in said if part)


def event_options(events: pl.DataFrame, zone: str, *, short: bool = False) -> list[dict[str, str]]:
    """The choices of a list of events, in the frame's order: name, venue and date on the viewer's clock; in short without
    the venue and the year."""
    dates = text.local(events["date"], zone)
    return [
        {"value": row["event_id"], "label": _label(row, date, short)}
        for row, date in zip(events.iter_rows(named=True), dates, strict=True)
    ]


def event_head(row: dict[str, Any], zone: str, today: datetime | None = None) -> list[Any]:
    """The page's title: what, where and when on the viewer's clock, and how long it still is. A name may be written from
    the right."""
    when = text.clock(row["date"], zone, "%A, %B %-d, %Y · %H:%M your time") if row["date"] else None
    parts = [part for part in (row["venue"], when, _to_go(row["date"], today or datetime.now(UTC))) if part]
    joined = [piece for part in parts for piece in (" · ", html.Bdi(part))][1:]
    return [html.H1(row["name"] or row["event_id"], dir="auto"), html.P(joined)]


def _to_go(date: datetime | None, today: datetime) -> str | None:
    if date is None:
        return None
    days = (date - today).total_seconds() / 86_400
    if days < 0:
        return "over"
    return f"in {text.duration(days * 86_400)}" if days < 2 else f"{days:.0f} days to go"


def key_figure_tiles(figures: KeyFigures, currency: str) -> list[Any]:
    """The five figures at the top."""
    where = " · ".join(part for part in (figures.get_in_section, text.source_name(figures.get_in_source or "")) if part)
    names = ", ".join(map(text.source_name, figures.sources))
    return [
        figure_tile("Get-in price", text.money(figures.get_in, currency), where, name="lead"),
        figure_tile("Typical price", text.money(figures.typical, currency), _up_to(figures, currency)),
        _change_tile("Last hour", figures.hour_change),
        _change_tile("Since start", figures.start_change),
        figure_tile(
            "Listings", text.count(figures.listings),
            html.Span(f"last minute · {len(figures.sources)} source{'s' * (len(figures.sources) != 1)}", title=names),
        ),
    ]  # fmt: skip


def _change_tile(label: str, change: float | None) -> html.Div:
    return figure_tile(label, text.percent(change), "typical price", tone=text.tone(change))


def _up_to(figures: KeyFigures, currency: str) -> str:
    return f"up to {text.money(figures.highest, currency)}" if figures.highest is not None else ""
