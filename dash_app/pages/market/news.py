"""What moved: the table's version, the biggest drops, and the tape."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State
from dash.exceptions import PreventUpdate

from dash_app import ids, text
from dash_app.database import Database
from dash_app.loaders import latest_changes
from dash_app.pages.market import ids as here
from dash_app.pages.market.shared import shared
from dash_app.pages.market.table import biggest_drops
from dash_app.shell.guard import keeps
from dash_app.views.market import drops_list, summary, tape


def register(app: Dash, database: Database) -> None:
    """Register the callbacks; each leaves what it drew alone until that changes."""

    @keeps
    def market(_token: str | None, _slow: int | None, version: str | None) -> tuple[Any, ...]:
        now = shared(database).get()
        if now.version == version:
            raise PreventUpdate
        frame = now.frame
        names = frame["sources"].explode().drop_nulls().unique().sort().to_list()
        known = [{"value": name, "label": text.source_name(name)} for name in names]
        return now.version, summary(frame), drops_list(biggest_drops(frame)), known

    @keeps
    def changes(_token: str | None, zone: str | None, head: str | None) -> tuple[Any, str]:
        found = latest_changes(database, None, 10)
        now = f"{zone}/{found.hash_rows(seed=7).sum() if found.height else 0:x}"
        if now == head:
            raise PreventUpdate
        return tape(found, zone or "UTC"), now

    app.callback(
        Output(here.VERSION, "data"),
        Output(here.SUMMARY, "children"),
        Output(here.DROPS, "children"),
        Output(here.SOURCES, "data"),
        Input(ids.PRICES, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(here.VERSION, "data"),
    )(market)
    app.callback(
        Output(here.TAPE, "children"),
        Output(here.TAPE_HEAD, "data"),
        Input(ids.PRICES, "data"),
        Input(ids.ZONE, "data"),
        State(here.TAPE_HEAD, "data"),
    )(changes)
