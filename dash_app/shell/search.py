"""The choices of a select that the server looks for while somebody types."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import ClientsideFunction, Dash, Input, State, dcc, html


def found(part: str) -> str:
    """The store that the server writes what it found for a select to, instead of to the select itself."""
    return f"{part}-found"


def searched(part: str, kind: Any = dmc.Select, **more: Any) -> Any:
    """A select of that kind, whose choices are what was `found`."""
    if kind is dmc.MultiSelect:
        more["hiddenInputValuesDivider"] = "\n"  # as client.js takes them apart
    return html.Div([dcc.Store(id=found(part)), kind(id=part, searchable=True, **more)], className="searched")


def register(app: Dash, part: str) -> None:
    """Show what was found, and keep what is chosen: somebody may choose while an answer is on its way, and Mantine
    drops a value that its choices do not have."""
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope", "listed"),
        Input(found(part), "data"),
        State(part, "value"),
        State(part, "data"),
        State(part, "id"),
        prevent_initial_call=True,
    )
