"""One event: what it costs, and what it did."""

from __future__ import annotations

from dash import Dash

from dash_app.page import Page, Services
from dash_app.pages.event import activity, chart, choice, ids, now
from dash_app.pages.event.layout import layout
from dash_app.shell import router
from dash_app.shell.router import Field

_PATH = "/event"


def _register(app: Dash, services: Services) -> None:
    for part in (choice, chart, activity):
        part.register(app, services.database)
    now.register(app, services)
    router.remember(
        app,
        _PATH,
        [
            Field("event", ids.EVENT),
            Field("window", ids.WINDOW, "60"),
            Field("price", ids.METRIC, "low"),
            Field("scope", ids.SCOPE, "event"),
            Field("section", ids.SECTIONS),
            Field("source", ids.SOURCES),
        ],
    )


PAGE = Page(_PATH, "Event", layout, _register, needs_prices=True)
