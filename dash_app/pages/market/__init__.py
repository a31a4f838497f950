"""All events: what they cost now, and what moved."""

from __future__ import annotations

from dash import Dash

from dash_app.page import Page, Services
from dash_app.pages.market import grid, ids, news
from dash_app.pages.market.layout import layout
from dash_app.shell import router
from dash_app.shell.router import Field

_PATH = "/"


def _register(app: Dash, services: Services) -> None:
    grid.register(app, services.database)
    news.register(app, services.database)
    router.remember(
        app,
        _PATH,
        [
            Field("q", ids.WORDS),
            Field("when", ids.WHEN, "upcoming"),
            Field("source", ids.SOURCES),
            Field("most", ids.MOST),
            Field("sort", ids.SORT, "date"),
        ],
    )


PAGE = Page(_PATH, "Market", layout, _register, exports={"market": grid.export}, needs_prices=True, wide=True)
