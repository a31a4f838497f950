"""Alert rules: made, changed, tried and explained."""

from __future__ import annotations

from typing import Any

from dash import Dash

from dash_app.page import Page, Services, View
from dash_app.views.cards import card, nothing


def _layout(view: View) -> Any:
    return card("Alerts", nothing("Soon."), name="rules-card")


def _register(app: Dash, services: Services) -> None:
    pass


PAGE = Page("/alerts", "Alerts", _layout, _register)
