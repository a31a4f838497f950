"""Quarantine: what is held, and a person's word on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import polars as pl
import psycopg
from dash import ALL, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.database import Database, DatabaseAwayError, NotReadyError
from dash_app.loaders.quarantine import HELD, Fate, confirm, quarantine, quarantine_count, quarantine_reasons, release
from dash_app.pages.pipeline import ids as here
from dash_app.pages.pipeline.layout import HELD_PAGES
from dash_app.shell.guard import keeps
from dash_app.shell.pager import ROWS, said
from dash_app.views.quarantine import DECIDE, quarantine_table, reason
from dash_app.views.toast import AWAY, NO_TABLES, toast

_WORDS = {
    "release": "Released: the price is in the history now. Windows, changes and alerts stay as they are.",
    "confirm": "Confirmed: the price is wrong, and stays out of everything.",
}
_CHANGES: dict[str, Callable[[Database, int], bool]] = {"release": release, "confirm": confirm}
_OTHER = {"release": "confirm", "confirm": "release"}


def register(app: Dash, database: Database) -> None:
    """Register the table, its pager and filters, and releasing, confirming and undoing."""

    @keeps
    def table(
        page: int,
        state: Any,
        why: str | None,
        event: str | None,
        zone: str | None,
        _decided: Any,
        _slow: int | None,
        mark: str | None,
    ) -> tuple[Any, ...]:
        asked = (event or "").strip() or None
        chosen: Fate = state or "held"
        try:
            found = quarantine(database, chosen, why, asked, ROWS * (page - 1), ROWS)
            total = quarantine_count(database, chosen, why, asked)
        except NotReadyError:
            found, total = pl.DataFrame(schema=HELD), 0
        filtered = bool(why or asked) or chosen != "held" or page > 1
        return quarantine_table(found, zone or "UTC", filtered=filtered), *said(
            page, found, total, mark, zone, filtered
        )

    @keeps
    def reasons(state: Any, _decided: Any, _slow: int | None, why: str | None) -> Any:
        try:
            counts = dict(quarantine_reasons(database, state or "held").iter_rows())
        except NotReadyError:
            counts = {}
        if why:
            counts.setdefault(why, 0)  # what is chosen stays to be seen
        return [{"value": name, "label": f"{reason(name)} ({count:,})"} for name, count in counts.items()]

    def decide(_clicks: list[int | None], _undo: int | None, last: dict[str, str] | None) -> tuple[Any, ...]:
        if not ctx.triggered[0]["value"]:  # rows were only drawn
            raise PreventUpdate
        if ctx.triggered_id == here.UNDO:
            if last is None:
                raise PreventUpdate
            price, to, undone = last["price"], _OTHER[last["to"]], True
        else:
            price, to, undone = ctx.triggered_id["price"], ctx.triggered_id["to"], False
        try:
            known = _CHANGES[to](database, int(price))
        except NotReadyError:
            return no_update, toast(NO_TABLES, failed=True)
        except (DatabaseAwayError, psycopg.Error):  # whose text can name the host and the user
            return no_update, toast(AWAY, failed=True)
        if not known:
            return no_update, toast("This price is no longer in quarantine.", failed=True)
        words = f"Taken back. {_WORDS[to]}" if undone else _WORDS[to]
        return {"price": price, "to": to, "undone": undone, "at": time.time_ns()}, toast(words)

    def last(decided: dict[str, Any] | None) -> tuple[str, bool]:
        return ("", True) if decided is None or decided["undone"] else (_WORDS[decided["to"]], False)

    filters = [Input(here.STATE, "value"), Input(here.REASON, "value"), Input(here.EVENT, "value")]
    HELD_PAGES.register(app, filters)
    app.callback(
        Output(here.HELD, "children"),
        *HELD_PAGES.outputs(),
        Input(HELD_PAGES.page, "data"),
        *filters,
        Input(ids.ZONE, "data"),
        Input(here.DECIDED, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(HELD_PAGES.mark, "data"),
    )(table)
    app.callback(
        Output(here.REASON, "data"),
        Input(here.STATE, "value"),
        Input(here.DECIDED, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(here.REASON, "value"),
    )(reasons)
    app.callback(
        Output(here.DECIDED, "data"),
        Output(ids.TOASTS, "sendNotifications", allow_duplicate=True),
        Input({"type": DECIDE, "price": ALL, "to": ALL}, "n_clicks"),
        Input(here.UNDO, "n_clicks"),
        State(here.DECIDED, "data"),
        prevent_initial_call=True,
    )(decide)
    app.callback(Output(here.LAST, "children"), Output(f"{here.LAST}-line", "hidden"), Input(here.DECIDED, "data"))(
        last
    )
