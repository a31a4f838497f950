"""Prices in quarantine, beside what they are doubted by, with what a person can say of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import dash_mantine_components as dmc  # type: ignore[import-untyped]
import polars as pl
from dash import dcc, html

from dash_app import text
from dash_app.views.aria import named
from dash_app.views.cards import nothing

DECIDE = "quarantine-decide"
"""Type of the rows' buttons: {"type": DECIDE, "price": "<id>", "to": "release" or "confirm"}."""

REASONS = {
    "negative_price": "Below zero", "zero_price": "A price of zero", "negative_fees": "Fees below zero",
    "total_not_positive": "All-in not above zero", "implausibly_high": "More than a million",
    "not_a_ticket": "Not a ticket", "another_currency": "Another currency", "hundred_times": "Fifty times or more",
    "hundredth": "A fiftieth or less", "under_quarter": "Under a quarter",
    "too_many_listings": "One listing too many",
}  # fmt: skip
_WHY = {
    "not_a_ticket": "parking, a shuttle or a package",
    "another_currency": "than this source used for the event before",
    "hundred_times": "of what it cost before, or of its section",
    "hundredth": "of what it cost before, or of its section",
    "under_quarter": "of what it cost before, or of its section",
    "too_many_listings": "an event has 50,000 at most",
}


def reason(name: str) -> str:
    """Why a price is held, in words."""
    return REASONS.get(name, name.replace("_", " "))


def quarantine_table(held: pl.DataFrame, zone: str, *, filtered: bool) -> Any:
    """A page of `loaders.quarantine`."""
    if held.is_empty():
        return nothing(
            "No price like that. Look at another state, or clear the filters."
            if filtered
            else "No price is held. What cannot be true, or must be doubted, would wait here."
        )
    columns = ["Price", "Compared with", "Why", "State", "Actions"]
    return html.Table(
        [
            html.Thead(html.Tr([html.Th(column, scope="col") for column in columns])),
            html.Tbody([_held(row, zone) for row in held.iter_rows(named=True)]),
        ],
        className="rows held", **named("Prices in quarantine"),
    )  # fmt: skip


def _held(row: dict[str, Any], zone: str) -> html.Tr:
    url = text.link(row["url"])
    place = text.place(row["section"], row["row"], row["seat"])
    where = [html.A(place, href=url, target="_blank", rel="noreferrer") if url else place,
             f" · {text.source_name(row['source'])} · {text.clock(row['time'], zone, '%-d %b %H:%M:%S')}"]  # fmt: skip
    price = money(row["total"], row["currency"])
    base = "" if row["price"] == row["total"] else f" {money(row['price'], row['currency'])} without fees"
    return html.Tr(
        [
            html.Td([html.Div([html.Strong(price), html.Span(base, className="quiet")]),
                     dcc.Link(row["event"], href=f"/event?{urlencode({'event': row['event_id']})}", className="of-event"),
                     html.Span(where, className="detail")]),
            html.Td(_beside(row)),
            html.Td([html.Span(reason(row["reason"])), html.Span(_WHY.get(row["reason"], ""), className="detail")]),
            html.Td(_state(row, zone)),
            html.Td(html.Div(_actions(row, f"{price} for {row['event']}, {place}"), className="row-acts"),
                    className="actions"),
        ]
    )  # fmt: skip


def money(amount: float, currency: str) -> str:
    """An amount, exact where it is small: what is held is often a fraction of a cent, or below zero."""
    size, sign = abs(amount), "−" if amount < 0 else ""
    return sign + (f"{text.symbol(currency)}{size:,.4f}" if 0 < size < 0.01 else text.money(size, currency))


def _beside(row: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    if row["before"] is not None:
        ago = text.duration((row["time"] - row["before_time"]).total_seconds())
        found.append(html.Div([html.Strong(text.money(row["before"], row["currency"])), f" {ago} before"]))
    if row["usual"] is not None:
        found.append(
            html.Div([text.money(row["usual"], row["currency"]), " on average in its section"], className="quiet")
        )
    return found or [html.Span("nothing known of the day before", className="quiet")]


def _state(row: dict[str, Any], zone: str) -> list[Any]:
    if row["reviewed"] is not None:
        words, tone = ("Released", "down") if row["reviewed"] == "released" else ("Confirmed wrong", "up")
        return [html.Span(words, className=f"pill {tone}"),
                html.Span(text.clock(row["reviewed_at"], zone, "by hand, %-d %b %H:%M"), className="detail")]  # fmt: skip
    if row["released_by"] is not None:
        return [html.Span("Persisted", className="pill down"),
                html.Span("later prices agreed: true after all", className="detail")]  # fmt: skip
    return [html.Span("Held", className="pill warn")]


def _actions(row: dict[str, Any], label: str) -> list[Any]:
    def act(words: str, to: str) -> Any:
        return dmc.Button(words, id={"type": DECIDE, "price": str(row["id"]), "to": to}, variant="subtle",
                          size="compact-sm", **named(f"{words}: {label}"))  # fmt: skip

    release, confirm = act("Release", "release"), act("Confirm wrong", "confirm")
    return {"released": [confirm], "confirmed": [release]}.get(row["reviewed"] or "", [release, confirm])
