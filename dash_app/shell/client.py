"""Callbacks that run in the browser; their JavaScript is assets/client.js."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State

from dash_app import ids


def register(app: Dash) -> None:
    """Register the browser's own callbacks."""
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(ClientsideFunction("conscope", "zone"), Output(ids.ZONE, "data"), Input(ids.TICK, "id"))
    in_browser(ClientsideFunction("conscope", "scheme"), Output(ids.SCHEME, "data"), Input(ids.TICK, "id"))
    in_browser(
        ClientsideFunction("conscope", "tick"),
        Output(ids.TICK, "n_intervals"),
        Input(ids.BEAT, "n_intervals"),
        State(ids.TICK, "n_intervals"),
    )
    in_browser(
        ClientsideFunction("conscope", "offline"),
        Output(ids.OFFLINE, "hidden"),
        Input(ids.BEAT, "n_intervals"),
        State(ids.HEARTBEAT, "data"),
    )
