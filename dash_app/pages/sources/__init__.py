"""Where prices come from, and what is watched."""

from __future__ import annotations

from dash import Dash

from dash_app.page import Page, Services
from dash_app.pages.sources import polled
from dash_app.pages.sources.layout import layout


def _register(app: Dash, services: Services) -> None:
    polled.register(app, services.database)


PAGE = Page("/sources", "Sources", layout, _register)
