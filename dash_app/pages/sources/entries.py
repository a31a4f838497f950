"""The table of the watchlist, and what its buttons do."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import ALL, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from analytics.watchstore import WatchStore
from dash_app import ids
from dash_app.database import Database, NotReadyError
from dash_app.loaders.watchlist import ENTRIES, watchlist
from dash_app.pages.sources import ids as here
from dash_app.pages.sources.changing import TOLD, NotChanged, attempt, pressed, told
from dash_app.pages.sources.layout import ENTRY_PAGES
from dash_app.shell.guard import keeps
from dash_app.shell.pager import ROWS, said
from dash_app.views.toast import toast
from dash_app.views.watchlist import ACTIVE, REMOVE, entry_name, entry_table


def register(app: Dash, database: Database, store: WatchStore) -> None:
    """Register the table, its pager, and pausing and removing an entry."""

    @keeps
    def table(
        page: int, find: str | None, state: Any, _changed: int | None, _slow: int | None, mark: str | None
    ) -> tuple[Any, ...]:
        try:
            found = watchlist(database, find or "", state or "all", offset=ROWS * (page - 1), limit=ROWS)
        except NotReadyError:
            found = pl.DataFrame(schema=ENTRIES)
        total = int(found["total"][0]) if found.height else 0
        searched = bool(find) or state != "all" or page > 1
        return entry_table(found, searched=searched), *said(page, found, total, mark, searched)

    def pause(_clicks: list[int | None]) -> tuple[Any, Any]:
        key = pressed()
        if key is None:
            raise PreventUpdate
        try:
            attempt(lambda: store.set_active(key["entry"], bool(key["to"])))
        except NotChanged as why:
            return toast(str(why), failed=True), no_update
        return told("Followed again." if key["to"] else "Paused: nothing is searched or looked at because of it.")

    @keeps
    def ask(_clicks: list[int | None]) -> tuple[Any, ...]:
        key = pressed()
        if key is None:
            raise PreventUpdate
        name = entry_name(watchlist(database, entry=key["entry"]))
        says = f"“{name}” is searched for no more, and what only it found is no longer looked at. Stored prices stay."
        return key["entry"], says, True

    def remove(_remove: int | None, number: int | None) -> tuple[Any, ...]:
        if number is None:
            raise PreventUpdate
        try:
            attempt(lambda: store.remove(number))
        except NotChanged as why:
            return toast(str(why), failed=True), no_update, False
        return *told("Removed from the watchlist."), False

    filters = [Input(here.FIND, "value"), Input(here.STATE, "value")]
    ENTRY_PAGES.register(app, filters)
    app.callback(
        Output(here.ENTRIES, "children"),
        *ENTRY_PAGES.outputs(),
        Input(ENTRY_PAGES.page, "data"),
        *filters,
        Input(here.CHANGED, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(ENTRY_PAGES.mark, "data"),
    )(table)
    app.callback(*TOLD, Input({"type": ACTIVE, "entry": ALL, "to": ALL}, "n_clicks"), prevent_initial_call=True)(pause)
    app.callback(
        Output(here.REMOVING, "data"),
        Output(here.REMOVAL_TEXT, "children"),
        Output(here.REMOVAL, "opened"),
        Input({"type": REMOVE, "entry": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )(ask)
    app.callback(
        *TOLD,
        Output(here.REMOVAL, "opened", allow_duplicate=True),
        Input(here.REMOVE, "n_clicks"),
        State(here.REMOVING, "data"),
        prevent_initial_call=True,
    )(remove)
    app.callback(
        Output(here.REMOVAL, "opened", allow_duplicate=True), Input(here.KEEP, "n_clicks"), prevent_initial_call=True
    )(lambda _keep: False)
