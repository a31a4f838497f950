"""Alert rules: made, changed, tried and explained; and what was sent of them."""

from __future__ import annotations

import polars as pl
from dash import Dash

from dash_app.loaders import alerts as loaders
from dash_app.page import Page, Services, View
from dash_app.pages.alerts import changes, edit, ids, log, rules, trial, why
from dash_app.pages.alerts.layout import layout
from dash_app.shell import router
from dash_app.shell.router import Field
from dash_app.views.alerts import DELIVERY

_PATH = "/alerts"
_MOST = 50_000  # rows of a table to take away


def _register(app: Dash, services: Services) -> None:
    for part in (rules, changes, edit, trial, why, log):
        part.register(app, services)
    router.remember(
        app,
        _PATH,
        [
            Field("q", ids.WORDS),
            Field("state", ids.STATE),
            Field("page", ids.PAGE, 1),
            Field("why", ids.WHY_RULE, prop="data"),
            Field("of", ids.LOG_RULE),
            Field("event-of", ids.LOG_EVENT),
            Field("delivery", ids.LOG_STATE),
            Field("log", ids.LOG_PAGE, 1),
        ],
    )


def _rules(services: Services, view: View) -> pl.DataFrame:
    state = view.one("state", loaders.STATES)
    return loaders.rules_page(services.database, view.one("q") or "", state, limit=_MOST)


def _notifications(services: Services, view: View) -> pl.DataFrame:
    rule = view.one("of") or ""
    found, _ = loaders.notifications(
        services.database, rule=int(rule) if rule.isdigit() and len(rule) < 16 else None, event_id=view.one("event-of"),
        state=view.one("delivery", list(DELIVERY)), limit=_MOST, most=_MOST,
    )  # fmt: skip
    return found


PAGE = Page(_PATH, "Alerts", layout, _register, exports={"rules": _rules, "notifications": _notifications})
