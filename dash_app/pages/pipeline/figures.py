"""The pipeline's panel."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output

from dash_app import ids
from dash_app.database import Database
from dash_app.figures import SCHEMES, sparkline
from dash_app.loaders import dead_letters, pipeline_health, rates
from dash_app.pages.pipeline import ids as here
from dash_app.shell.guard import keeps
from dash_app.views.health import dead_letter_list, health_tiles


def register(app: Dash, database: Database) -> None:
    """Register the figures, the sparkline and the refused messages."""

    @keeps
    def panel(_token: str, zone: str | None, scheme: str | None) -> tuple[Any, ...]:
        look = SCHEMES["dark" if scheme == "dark" else "light"]
        return (
            health_tiles(pipeline_health(database)),
            sparkline(rates(database), look),
            dead_letter_list(dead_letters(database), zone or "UTC"),
        )

    app.callback(
        Output(here.HEALTH, "children"),
        Output(here.SPARK, "figure"),
        Output(here.DEAD, "children"),
        Input(ids.HEALTH_TOKEN, "data"),
        Input(ids.ZONE, "data"),
        Input(ids.SCHEME, "data"),
    )(panel)
