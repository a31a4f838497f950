"""The rows behind the listings' table: the browser asks for those it shows, and for no others."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State
from flask import request

from dash_app import ids
from dash_app.database import DatabaseAwayError, NotReadyError
from dash_app.loaders.listings import SharedOffers
from dash_app.page import View
from dash_app.pages.event import ids as page
from dash_app.pages.event import now_ids as here
from dash_app.pages.event.now_query import Query, answer
from dash_app.views.listings import grid_rows

_MOST_ROWS = 200  # in one answer
_PATH = "/event/listings"


def register(app: Dash, offers: SharedOffers) -> None:
    """Register the rows, and what the table does in the browser (assets/listings.js)."""

    def rows() -> dict[str, Any]:
        view = View.of(request.query_string.decode("ascii", "replace"))
        try:
            found = offers.get(view.one("event") or "", view.one("version"))
        except (DatabaseAwayError, NotReadyError):
            return {"away": True}
        listings = answer(found.listings, Query.of(view))
        start = _whole(view.one("start"))
        part = listings.slice(start, min(max(_whole(view.one("end")) - start, 0), _MOST_ROWS))
        return {
            "rows": grid_rows(part, found.currency, view.one("zone") or "UTC"),
            "total": listings.height,
            "all": found.listings.height,
        }

    app.server.add_url_rule(_PATH, "event-listings", rows)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("listings", "ask"),
        Output(here.GRID, "className"),
        Input(page.EVENT, "value"),
        Input(here.WORDS, "value"),
        Input(here.AT, "value"),
        Input(here.MOST, "value"),
        Input(here.PARTY, "value"),
        Input(ids.ZONE, "data"),
        State(here.GRID, "id"),
    )
    in_browser(
        ClientsideFunction("listings", "refresh"),
        Output(here.COUNT, "className"),
        Input(here.TOKEN, "data"),
        Input(ids.TICK, "n_intervals"),
        Input(ids.SLOW, "n_intervals"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("listings", "clear"),
        Output(here.WORDS, "value"),
        Output(here.AT, "value"),
        Output(here.MOST, "value"),
        Output(here.PARTY, "value"),
        Input(here.CLEAR, "n_clicks"),
        prevent_initial_call=True,
    )


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0
