"""The latest price changes and alerts."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.views.aria import named
from dash_app.views.cards import nothing

_DELIVERY = {
    "sent": "sent", "pending": "waiting", "sending": "sending", "expired": "too old to send", "failed": "not delivered",
}  # fmt: skip


def changes_table(changes: pl.DataFrame, zone: str, *, every_event: bool) -> Any:
    """A table of `loaders.latest_changes`; with the event's name when it is of all events."""
    if changes.is_empty():
        return nothing("No price has changed yet.")
    columns = ["Time", *(["Event"] if every_event else []), "Ticket", "Source", "Price", "Change"]
    numeric = {"Price", "Change"}
    head = html.Tr([html.Th(name, scope="col", className="number" if name in numeric else "") for name in columns])
    rows = [_change_row(row, zone, every_event) for row in changes.iter_rows(named=True)]
    return html.Table(
        [html.Caption("Latest price changes, newest first", className="sr-only"), html.Thead(head), html.Tbody(rows)],
        className="changes",
    )


def _change_row(row: dict[str, Any], zone: str, every_event: bool) -> html.Tr:
    event = [html.Td(row["event"], className="event", title=row["event"])] if every_event else []
    return html.Tr(
        [
            html.Td(text.clock(row["time"], zone), className="time"),
            *event,
            html.Td(_ticket(row), className="ticket"),
            html.Td(text.source_name(row["source"]), className="source"),
            html.Td(
                [html.S(text.money(row["old"], row["currency"])), html.Span(" → ", className="arrow"),
                 html.Strong(text.money(row["new"], row["currency"]))],
                className="number price",
            ),
            html.Td(_pill(row["percent"]), className="number change"),
        ]
    )  # fmt: skip


def alerts_list(alerts: pl.DataFrame, zone: str, *, every_event: bool) -> Any:
    """A list of `loaders.latest_alerts` with what became of each."""
    if alerts.is_empty():
        return nothing("No alert has fired yet.")
    return html.Ol([_alert(row, zone, every_event) for row in alerts.iter_rows(named=True)], className="alerts-list")


def _alert(row: dict[str, Any], zone: str, every_event: bool) -> html.Li:
    price = text.money(row["new"], row["currency"])
    # The first sight of a listing, or a price that stands, can be an alert, too.
    moved = row["old"] not in (None, row["new"])
    if moved:
        price = f"{text.money(row['old'], row['currency'])} → {price}"
    return html.Li(
        [
            html.Div([*([_pill(row["percent"])] if moved else []), html.Strong(price),
                      html.Span(text.clock(row["time"], zone), className="time")], className="line"),
            *([html.Div(row["event"], className="event", title=row["event"])] if every_event else []),
            html.Div([html.Span(_ticket(row)), html.Span(f" · {text.source_name(row['source'])}")], className="where"),
            *([html.Div(row["cause"], className="cause", title=row["cause"])] if row["cause"] else []),
            html.Div([_delivery(state) for state in row["delivery"]] or "no channel", className="delivery"),
        ]
    )  # fmt: skip


def _pill(change: float | None) -> html.Span:
    return html.Span(text.percent(change), className=f"pill {text.tone(change)}")


def _delivery(channel_state: str) -> html.Span:
    channel, _, state = channel_state.rpartition(" ")
    return html.Span(f"{channel}: {_DELIVERY.get(state, state)}", className=f"state {state}")


def _ticket(row: dict[str, Any]) -> Any:
    where, url = text.place(row["section"], row["row"], row["seat"]), text.link(row["url"])
    if url is None:
        return where
    name = named(f"{where}, open the listing in a new tab")
    return html.A(where, href=url, target="_blank", rel="noopener noreferrer", **name)
