"""What was sent, and the channels that it went to."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State
from dash.exceptions import PreventUpdate

from dash_app import ids, text
from dash_app.loaders.alerts import MOST_NOTIFICATIONS, channels, notifications
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.pages.alerts.changes import channel_names
from dash_app.pages.alerts.edit import event_search
from dash_app.shell.guard import keeps
from dash_app.views.alerts import channel_list, log_table

PER_PAGE = 20


def register(app: Dash, services: Services) -> None:
    """Register the log with its filters and pages, and the channels."""
    database = services.database

    @keeps
    def log(
        _token: str | None, _changed: Any, rule: float | None, event: str | None, state: str | None, page: int | None,
        zone: str | None, drawn: str | None,
    ) -> tuple[Any, ...]:  # fmt: skip
        number = max(page or 1, 1)
        found, count = notifications(
            database, rule=int(rule) if rule else None, event_id=event, state=state, limit=PER_PAGE,
            offset=(number - 1) * PER_PAGE,
        )  # fmt: skip
        shows = repr((found.rows(), count, number, zone))
        if shows == drawn:
            raise PreventUpdate
        note = f"{text.count(count)} in all, the newest first" if count < MOST_NOTIFICATIONS else (
            f"the newest {text.count(count)}"
        )  # fmt: skip
        pages = max(-(-count // PER_PAGE), 1) if found.height else number
        return log_table(found, zone or "UTC"), note if found.height else "\u00a0", pages, shows

    @keeps
    def listed(_slow: int | None, _changed: Any, zone: str | None) -> Any:
        names = channel_names(services)
        return channel_list(channels(database, names), names, zone or "UTC")

    filters = (Input(here.LOG_RULE, "value"), Input(here.LOG_EVENT, "value"), Input(here.LOG_STATE, "value"))
    app.callback(
        Output(here.LOG, "children"),
        Output(here.LOG_NOTE, "children"),
        Output(here.LOG_PAGE, "total"),
        Output(here.LOGGED, "data"),
        Input(ids.PRICES, "data"),
        Input(here.CHANGED, "data"),
        *filters,
        Input(here.LOG_PAGE, "value"),
        Input(ids.ZONE, "data"),
        State(here.LOGGED, "data"),
    )(log)
    app.callback(Output(here.LOG_PAGE, "value"), *filters, prevent_initial_call=True)(lambda *_: 1)
    app.callback(
        Output(here.CHANNELS, "children"), Input(ids.SLOW, "n_intervals"), Input(here.CHANGED, "data"),
        Input(ids.ZONE, "data"),
    )(listed)  # fmt: skip
    event_search(app, database, here.LOG_EVENT)
