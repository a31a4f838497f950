"""How the pipeline is doing."""

from __future__ import annotations

from dash import Dash

from dash_app.page import Page, Services
from dash_app.pages.pipeline import figures
from dash_app.pages.pipeline.layout import layout


def _register(app: Dash, services: Services) -> None:
    figures.register(app, services.database)


PAGE = Page("/pipeline", "Pipeline", layout, _register)
