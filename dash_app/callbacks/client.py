"""What the browser does by itself (assets/client.js): time zone, colours, address bar, zoom, noticing we are gone."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State

from dash_app import ids


def register(app: Dash) -> None:
    """Register the browser's own callbacks."""
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(ClientsideFunction("conscope", "zone"), Output(ids.ZONE, "data"), Input(ids.URL, "pathname"))
    in_browser(ClientsideFunction("conscope", "scheme"), Output(ids.SCHEME, "data"), Input(ids.URL, "pathname"))
    in_browser(
        ClientsideFunction("conscope", "restore"),
        Output(ids.EVENT, "value"),
        Output(ids.WINDOW, "value"),
        Output(ids.METRIC, "value"),
        Output(ids.SCOPE, "value"),
        Output(ids.SECTIONS, "value"),
        Output(ids.SOURCES, "value"),
        Input(ids.URL, "search"),
    )
    in_browser(
        ClientsideFunction("conscope", "remember"),
        Output(ids.WRITTEN, "data"),
        Input(ids.EVENT, "value"),
        Input(ids.WINDOW, "value"),
        Input(ids.METRIC, "value"),
        Input(ids.SCOPE, "value"),
        Input(ids.SECTIONS, "value"),
        Input(ids.SOURCES, "value"),
    )
    in_browser(
        ClientsideFunction("conscope", "draw"),
        Output(ids.CHART, "figure"),
        Input(ids.DRAWING, "data"),
        State(ids.CHART, "id"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("conscope", "offline"),
        Output(ids.OFFLINE, "hidden"),
        Input(ids.TICK, "n_intervals"),
        State(ids.HEARTBEAT, "data"),
    )
