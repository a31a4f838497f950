"""What stands on the sources page, before anything is known."""

from __future__ import annotations

from typing import Any

from dash import html

from dash_app.page import View
from dash_app.pages.sources import ids as here
from dash_app.views.cards import card, skeleton


def layout(view: View) -> Any:
    """The page that the address asks for."""
    return card("Sources", html.Div(skeleton(2), id=here.POLLED), name="sources-card")
