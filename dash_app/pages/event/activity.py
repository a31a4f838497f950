"""The latest changes and alerts, of the chosen event or of all."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output

from dash_app import ids
from dash_app.database import Database
from dash_app.loaders import latest_alerts, latest_changes
from dash_app.pages.event import ids as here
from dash_app.shell.guard import keeps, required
from dash_app.views.activity import alerts_list, changes_table


def register(app: Dash, database: Database) -> None:
    """Register the two lists."""

    @keeps
    def changes(_token: str, chosen: str | None, scope: str, zone: str | None) -> Any:
        every = scope == "all"
        found = latest_changes(database, None if every else required(chosen))
        return changes_table(found, zone or "UTC", every_event=every)

    @keeps
    def alerts(_token: str, chosen: str | None, scope: str, zone: str | None) -> Any:
        every = scope == "all"
        found = latest_alerts(database, None if every else required(chosen))
        return alerts_list(found, zone or "UTC", every_event=every)

    for output, panel in ((here.CHANGES, changes), (here.ALERTS, alerts)):
        app.callback(
            Output(output, "children"),
            Input(here.NEWS, "data"),
            Input(here.EVENT, "value"),
            Input(here.SCOPE, "value"),
            Input(ids.ZONE, "data"),
        )(panel)
