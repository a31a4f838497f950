"""Which event is looked at."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.database import Database
from dash_app.loaders import find_event, recent_events
from dash_app.pages.event import ids as here
from dash_app.shell.guard import keeps, required
from dash_app.views.head import event_head, event_options


def register(app: Dash, database: Database) -> None:
    """Register the event list and the event's title."""

    @keeps
    def options(
        _token: str, _slow: int | None, shown: list[Any] | None, chosen: str | None, is_open: bool | None
    ) -> tuple[Any, Any]:
        if shown and (is_open or ctx.triggered_id == ids.PRICES):
            raise PreventUpdate  # the list must not move under a hand, nor be asked for at every tick
        events = recent_events(database)
        if chosen and not events["event_id"].is_in([chosen]).any():
            events = pl.concat([events, find_event(database, chosen)])
        data, known = event_options(events), set(events["event_id"])
        first = str(events["event_id"][0]) if events.height else None
        return (
            data if data != shown else no_update,
            no_update if chosen in known or first is None else first,
        )

    @keeps
    def title(chosen: str | None, zone: str | None, _slow: int | None) -> Any:
        event = find_event(database, required(chosen))
        return event_head(event.row(0, named=True), zone or "UTC") if event.height else no_update

    app.callback(
        Output(here.EVENT, "data"),
        Output(here.EVENT, "value", allow_duplicate=True),
        Input(ids.PRICES, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(here.EVENT, "data"),
        State(here.EVENT, "value"),
        State(here.EVENT, "dropdownOpened"),
        prevent_initial_call="initial_duplicate",
    )(options)
    app.callback(
        Output(here.EVENT_HEAD, "children"),
        Input(here.EVENT, "value"),
        Input(ids.ZONE, "data"),
        Input(ids.SLOW, "n_intervals"),
    )(title)
