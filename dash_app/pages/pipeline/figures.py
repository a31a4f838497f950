"""The pipeline's figures, its chart, and how partitions, sinks and channels do."""

from __future__ import annotations

from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State

from dash_app import ids
from dash_app.database import NotReadyError
from dash_app.figures import SCHEMES
from dash_app.figures.pipeline import READINGS, in_words, readings_chart
from dash_app.loaders.health import SPANS, channels, partitions, pipeline_health, readings, sink_times, storage
from dash_app.page import Services
from dash_app.pages.pipeline import ids as here
from dash_app.shell.guard import keeps
from dash_app.views import health as views
from dash_app.views.cards import nothing
from dash_app.views.toast import NO_TABLES


def register(app: Dash, services: Services) -> None:
    """Register the figures, the chart and the tables of a row each."""
    database = services.database

    @keeps
    def panel(_token: str | None, _slow: int | None) -> tuple[Any, ...]:
        try:
            found = views.figures(pipeline_health(database))
        except NotReadyError:
            return nothing(NO_TABLES), []
        return views.verdict(found), views.health_tiles(found)

    @keeps
    def chart(
        _token: str | None, metric: str | None, span: str | None, zone: str | None, scheme: str | None
    ) -> tuple[Any, Any]:
        shown = READINGS.get(metric or "", READINGS["rate"])
        reach = span if span in SPANS else "10m"
        try:
            found = readings(database, list(shown.metrics), reach)
        except NotReadyError:
            return blank_chart, NO_TABLES
        look = SCHEMES["dark" if scheme == "dark" else "light"]
        figure = readings_chart(found, shown, look, zone or "UTC", SPANS[reach][1], f"{metric}/{reach}")
        return figure, in_words(found, shown)

    @keeps
    def tables(_slow: int | None, zone: str | None) -> tuple[Any, ...]:
        try:
            return (
                views.partition_table(partitions(database)),
                views.sink_table(sink_times(database)),
                views.channel_table(channels(database), zone or "UTC"),
                views.storage_tiles(storage(database, services.settings.lake_dir)),
            )
        except NotReadyError:
            return nothing(NO_TABLES), nothing(NO_TABLES), nothing(NO_TABLES), []

    blank_chart = {"data": [], "layout": {"height": 260, "xaxis": {"visible": False}, "yaxis": {"visible": False}}}
    app.callback(
        Output(here.VERDICT, "children"),
        Output(here.HEALTH, "children"),
        Input(ids.HEALTH_TOKEN, "data"),
        Input(ids.SLOW, "n_intervals"),
    )(panel)
    app.callback(
        Output(here.DRAWING, "data"),
        Output(here.WORDS, "children"),
        Input(ids.HEALTH_TOKEN, "data"),
        Input(here.METRIC, "value"),
        Input(here.SPAN, "value"),
        Input(ids.ZONE, "data"),
        Input(ids.SCHEME, "data"),
    )(chart)
    app.callback(
        *(Output(name, "children") for name in (here.PARTITIONS, here.SINKS, here.CHANNELS, here.STORAGE)),
        Input(ids.SLOW, "n_intervals"),
        Input(ids.ZONE, "data"),
    )(tables)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope", "drawReadings"),
        Output(here.CHART, "figure"),
        Input(here.DRAWING, "data"),
        State(here.CHART, "id"),
    )
