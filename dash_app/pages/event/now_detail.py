"""One listing, in a drawer: why its price is good or not, and what it was."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html

from dash_app import ids, text
from dash_app.database import Database
from dash_app.figures import SCHEMES
from dash_app.figures.path import path_chart
from dash_app.loaders.listings import SharedOffers, path
from dash_app.pages.event import now_ids as here
from dash_app.shell.guard import keeps, required
from dash_app.views.aria import named
from dash_app.views.listings import detail, gone, same_groups

_CHART: Any = {"displayModeBar": False, "displaylogo": False, "responsive": True, "showTips": False}


def register(app: Dash, database: Database, offers: SharedOffers) -> None:
    """Register the drawer; buttons, cells and rows that open it are the browser's (assets/listings.js)."""

    @keeps
    def shown(key: str | None, token: list[str] | None, zone: str | None, scheme: str | None) -> tuple[Any, str]:
        event, version = token or ("", "")
        found, key = offers.get(required(event), version), required(key)
        rows = found.listings.filter(pl.col("key") == key)
        if rows.is_empty():
            return gone(), "Listing"
        row = rows.row(0, named=True)
        figure = path_chart(
            path(database, row), SCHEMES["dark" if scheme == "dark" else "light"], found.currency, zone or "UTC"
        )
        said = named("Chart of what this listing has cost over time")
        chart = html.Div(dcc.Graph(figure=figure, config=_CHART, className="path"), role="figure", **said)
        groups = same_groups(found).filter(pl.col("offers").list.contains(key))
        others = [other for other in groups["offers"].explode().unique(maintain_order=True) if other != key]
        elsewhere = found.listings.filter(pl.col("key").is_in(others)).to_dicts()
        return detail(row, found, elsewhere, zone or "UTC", chart), text.place(row["section"], row["row"], row["seat"])

    app.callback(
        Output(here.DETAIL, "children"),
        Output(here.DRAWER, "title"),
        Input(here.LISTING, "data"),
        Input(here.TOKEN, "data"),
        Input(ids.ZONE, "data"),
        Input(ids.SCHEME, "data"),
    )(shown)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(ClientsideFunction("listings", "opened"), Output(here.DRAWER, "opened"), Input(here.LISTING, "data"))
    in_browser(
        ClientsideFunction("listings", "closed"),
        Output(here.DETAIL, "className"),
        Input(here.DRAWER, "opened"),
        State(here.LISTING, "data"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("listings", "pick"),
        Output(here.HEAT, "clickData"),
        Input(here.HEAT, "clickData"),
        prevent_initial_call=True,
    )
