"""Why a rule did, or did not, fire."""

from __future__ import annotations

from typing import Any

import psycopg
from dash import ClientsideFunction, Dash, Input, Output

from analytics.rulestore import NoSuchRule
from dash_app import ids
from dash_app.loaders.alerts import rules_page, standings
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.shell.guard import keeps, required
from dash_app.views import alerts as views
from dash_app.views.cards import nothing

_MOST = 20


def register(app: Dash, services: Services) -> None:
    """Register the panel."""
    database, rules = services.database, services.rules

    @keeps
    def why(
        rule: str | None, event: str | None, _slow: int | None, _changed: Any, zone: str | None
    ) -> tuple[Any, Any, Any, str]:
        number = required(rule)
        found = rules_page(database, numbers=[int(number)]) if number.isdigit() and len(number) < 16 else None
        if found is None or found.is_empty():
            return nothing(f"There is no rule {number}; it may have been deleted."), [], "none", "Why?"
        [row] = found.iter_rows(named=True)
        standing = standings(database, row["id"], event)
        try:
            decisions = rules.explain(row["id"], event, _MOST)
        except (NoSuchRule, psycopg.Error):
            decisions = []
        choices = [
            {"value": s["event_id"], "label": s["event"] or s["event_id"]} for s in standing.iter_rows(named=True)
        ]
        title = f"Why? {views.rule_title(row)} · #{number}"
        panel = views.why(row, standing, decisions, zone or "UTC")
        return panel, choices, "block" if row["event_id"] is None else "none", title

    app.callback(
        Output(here.WHY_PANEL, "children"),
        Output(here.WHY_EVENT, "data"),
        Output(here.WHY_EVENT, "display"),
        Output(here.WHY_DRAWER, "title"),
        Input(here.WHY_RULE, "data"),
        Input(here.WHY_EVENT, "value"),
        Input(ids.SLOW, "n_intervals"),
        Input(here.CHANGED, "data"),
        Input(ids.ZONE, "data"),
    )(why)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope_alerts", "why"),
        Output(here.WHY_RULE, "data"),
        Output(here.WHY_DRAWER, "opened"),
        Input(views.WHY, "data"),
        prevent_initial_call=True,
    )
    in_browser(ClientsideFunction("conscope_alerts", "closed"), Input(here.WHY_DRAWER, "opened"))
