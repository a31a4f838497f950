"""What the event offers now: its listings, where they are, and what is a good price."""

from __future__ import annotations

from typing import Any

from dash import Dash

from dash_app.page import Services, View


def cards(view: View) -> list[Any]:
    """The cards of this part."""
    return []


def register(app: Dash, services: Services) -> None:
    """Register this part's callbacks."""
