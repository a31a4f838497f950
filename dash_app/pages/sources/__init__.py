"""Where prices come from, what is watched, and which listings are one event."""

from __future__ import annotations

import polars as pl
from dash import Dash

from analytics import roles
from analytics.watchstore import WatchStore
from dash_app.loaders.watchlist import ENTRY_STATES, EntryState, watchlist
from dash_app.page import Page, Services, View
from dash_app.pages.sources import adding, entries, links, polled
from dash_app.pages.sources import ids as here
from dash_app.pages.sources.layout import ENTRY_PAGES, LINK_PAGES, layout
from dash_app.shell.router import Field, remember
from dash_app.views.watchlist import export_frame


def _register(app: Dash, services: Services) -> None:
    store = WatchStore(services.settings.postgres_dsn, roles.DASHBOARD)
    polled.register(app, services.database)
    entries.register(app, services.database, store)
    adding.register(app, services.database, store)
    links.register(app, services.database, store)
    remember(
        app, "/sources",
        [Field("find", here.FIND), Field("state", here.STATE, "all"), ENTRY_PAGES.field(),
         Field("listing", here.LINK_FIND), Field("kind", here.LINK_KIND, "all"),
         Field("entry", here.LINK_ENTRY, prop="data"), LINK_PAGES.field()],
    )  # fmt: skip


def _export(services: Services, view: View) -> pl.DataFrame:
    """The watchlist as the address shows it, all pages of it."""
    asked = view.one("state")
    state: EntryState = next((state for state in ENTRY_STATES if state == asked), "all")
    return export_frame(watchlist(services.database, view.one("find") or "", state))


PAGE = Page("/sources", "Sources", layout, _register, exports={"watchlist": _export})
