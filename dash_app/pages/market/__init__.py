"""All events: what they cost now, and what moved."""

from __future__ import annotations

from typing import Any

from dash import Dash

from dash_app.page import Page, Services, View
from dash_app.views.cards import card, nothing


def _layout(view: View) -> Any:
    return card("Market", nothing("Soon."), name="market-card")


def _register(app: Dash, services: Services) -> None:
    pass


PAGE = Page("/", "Market", _layout, _register, needs_prices=True)
