"""The rows behind the grid: the browser asks for those it shows, and for no others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
from dash import ClientsideFunction, Dash, Input, Output, State
from flask import request

from dash_app import ids
from dash_app.database import Database, DatabaseAwayError, NotReadyError
from dash_app.page import Services, View
from dash_app.pages.market import ids as here
from dash_app.pages.market.query import Query, answer
from dash_app.pages.market.shared import shared
from dash_app.views.market import rows

_MOST_ROWS = 200  # in one answer
_PATH = "/market/rows"
# As columns of a spreadsheet.
_EXPORT = ("event_id", "name", "venue", "date", "currency", "price", "change", "before", "before_at", "low", "typical", "high",
           "sample", "unit", "listings", "sources", "seen")  # fmt: skip


def export(services: Services, view: View) -> pl.DataFrame:
    """All rows of the view: prices all-in per ticket, `change` in percent since `before_at`, `unit` in seconds."""
    found = answer(shared(services.database).get().frame, Query.of(view), datetime.now(UTC))
    return found.select(_EXPORT).with_columns(pl.col("sources").list.join(", "))


def register(app: Dash, database: Database) -> None:
    """Register the rows, and what the grid does in the browser (assets/market.js)."""
    market = shared(database)

    def some_rows() -> dict[str, Any]:
        view = View.of(request.query_string.decode("ascii", "replace"))
        start = _whole(view.one("start"))
        now = datetime.now(UTC)
        try:
            found = answer(market.get().frame, Query.of(view), now)
        except (DatabaseAwayError, NotReadyError):
            return {"away": True}
        part = found.slice(start, min(max(_whole(view.one("end")) - start, 0), _MOST_ROWS))
        return {"rows": rows(part, view.one("zone") or "UTC", now), "total": found.height}

    app.server.add_url_rule(_PATH, "market-rows", some_rows)
    app.server.before_request(market.begin)  # so that the table is there, or nearly, when the page asks for it
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("market", "ask"),
        Output(here.GRID, "className"),
        Input(here.WORDS, "value"),
        Input(here.WHEN, "value"),
        Input(here.SOURCES, "value"),
        Input(here.MOST, "value"),
        Input(here.SORT, "value"),
        Input(ids.ZONE, "data"),
        State(here.GRID, "id"),
    )
    in_browser(
        ClientsideFunction("market", "refresh"),
        Output(here.COUNT, "className"),
        Input(here.VERSION, "data"),
        Input(ids.SLOW, "n_intervals"),
        Input(ids.TICK, "n_intervals"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("market", "clear"),
        Output(here.WORDS, "value"),
        Output(here.WHEN, "value"),
        Output(here.SOURCES, "value"),
        Output(here.MOST, "value"),
        Input(here.CLEAR, "n_clicks"),
        prevent_initial_call=True,
    )


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0
