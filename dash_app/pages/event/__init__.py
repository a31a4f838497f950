"""One event: what it costs, and what it did."""

from __future__ import annotations

import polars as pl
from dash import Dash

from dash_app.loaders.history import OBSERVATIONS
from dash_app.page import Page, Services, View
from dash_app.pages.event import activity, chart, choice, ids, now
from dash_app.pages.event.layout import layout
from dash_app.pages.event.prices import Asked, observations
from dash_app.pages.event.span import USUAL
from dash_app.shell import router
from dash_app.shell.router import Field

_PATH = "/event"


def _register(app: Dash, services: Services) -> None:
    choice.register(app, services.database)
    chart.register(app, services)
    activity.register(app, services.database)
    now.register(app, services)
    router.remember(
        app,
        _PATH,
        [
            Field("event", ids.EVENT),
            Field("range", ids.SPAN, USUAL, "data"),
            Field("window", ids.WINDOW, "auto"),
            Field("price", ids.METRIC, "low"),
            Field("basis", ids.BASIS, "total"),
            Field("section", ids.SECTIONS),
            Field("source", ids.SOURCES),
            Field("compare", ids.COMPARE),
            Field("align", ids.ALIGN, "date"),
            Field("currency", ids.CURRENCY),
            Field("scope", ids.SCOPE, "event"),
            *now.FIELDS,
        ],
    )


def _observations(services: Services, view: View) -> pl.DataFrame:
    asked = Asked.in_view(view)
    if asked is None:
        return pl.DataFrame(schema=OBSERVATIONS)
    return observations(services.database, services.lake, asked)


_EXPORTS = {"event": _observations, "listings": now.listings_export}
PAGE = Page(_PATH, "Event", layout, _register, exports=_EXPORTS, needs_prices=True)
