"""The table of listings and the events that they are, and a person's word on that."""

from __future__ import annotations

from typing import Any

import polars as pl
from dash import ALL, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from analytics.watchstore import WatchStore
from dash_app import ids
from dash_app.database import Database, NotReadyError
from dash_app.loaders.watchlist import LINKS, event_choices, links, watchlist
from dash_app.pages.sources import ids as here
from dash_app.pages.sources.changing import TOLD, NotChanged, attempt, pressed, told
from dash_app.pages.sources.layout import LINK_PAGES
from dash_app.shell import search
from dash_app.shell.guard import keeps
from dash_app.shell.pager import ROWS, said
from dash_app.text import source_name
from dash_app.views.toast import toast
from dash_app.views.watchlist import FOUND, RELINK, UNLINK, entry_name, link_table

_BETWEEN = " · "


def register(app: Dash, database: Database, store: WatchStore) -> None:
    """Register the table, its pager, narrowing it to an entry, and saying which event a listing is."""

    @keeps
    def table(
        page: int,
        find: str | None,
        kind: Any,
        entry: str | None,
        _changed: int | None,
        _slow: int | None,
        mark: str | None,
    ) -> tuple[Any, ...]:
        try:
            number = int(entry) if entry else None
            found = links(database, find or "", kind or "all", number, offset=ROWS * (page - 1), limit=ROWS)
        except NotReadyError:
            found = pl.DataFrame(schema=LINKS)
        total = int(found["total"][0]) if found.height else 0
        searched = bool(find or entry) or kind != "all" or page > 1
        return link_table(found, searched=searched), *said(page, found, total, mark, searched)

    def narrow(_found: list[int | None], _all: int | None) -> Any:
        if ctx.triggered_id == here.LINK_ALL:
            return None
        key = pressed()
        if key is None:
            raise PreventUpdate
        return str(key["entry"])

    @keeps
    def narrowed(entry: str | None) -> tuple[str, bool]:
        if not entry:
            return "", True
        return f"Found by “{entry_name(watchlist(database, entry=int(entry)))}”", False

    def unlink(_clicks: list[int | None]) -> tuple[Any, Any]:
        key = pressed()
        if key is None:
            raise PreventUpdate
        try:
            attempt(lambda: store.unlink(key["source"], key["id"]))
        except NotChanged as why:
            return toast(str(why), failed=True), no_update
        return told("It is an event of its own now. Its next prices come under that.")

    def ask(_clicks: list[int | None]) -> tuple[Any, ...]:
        key = pressed()
        if key is None:
            raise PreventUpdate
        return key, f"{source_name(key['source'])}'s listing {key['id']} is now taken for another event.", True, None

    @keeps
    def choices(typed: str | None, listing: dict[str, str] | None) -> Any:
        if listing is None:
            raise PreventUpdate
        own = links(database, f"{listing['source']} {listing['id']}")
        dates = own.filter(source=listing["source"], source_id=listing["id"])["date"].drop_nulls()
        near = str(dates[0]) if len(dates) else None
        found = event_choices(database, (typed or "").replace(_BETWEEN, " "), near)  # also of what was chosen
        return [
            {"value": row["event_id"],
             "label": _BETWEEN.join(str(part) for part in (row["name"], row["venue"], row["date"], row["event_id"]) if part)}
            for row in found.iter_rows(named=True)
        ]  # fmt: skip

    def relink(_clicks: int | None, event: str | None, listing: dict[str, str] | None) -> tuple[Any, ...]:
        if not event or listing is None:
            raise PreventUpdate
        try:
            attempt(lambda: store.relink(listing["source"], listing["id"], event))
        except NotChanged as why:
            return toast(str(why), failed=True), no_update, no_update
        return *told(f"It is {event} now. Its next prices come under that."), False

    filters = [Input(here.LINK_FIND, "value"), Input(here.LINK_KIND, "value"), Input(here.LINK_ENTRY, "data")]
    LINK_PAGES.register(app, filters)
    app.callback(
        Output(here.LINKS, "children"),
        *LINK_PAGES.outputs(),
        Input(LINK_PAGES.page, "data"),
        *filters,
        Input(here.CHANGED, "data"),
        Input(ids.SLOW, "n_intervals"),
        State(LINK_PAGES.mark, "data"),
    )(table)
    app.callback(
        Output(here.LINK_ENTRY, "data"),
        Input({"type": FOUND, "entry": ALL}, "n_clicks"),
        Input(here.LINK_ALL, "n_clicks"),
        prevent_initial_call=True,
    )(narrow)
    app.callback(
        Output(here.LINK_OF, "children"), Output(f"{here.LINK_OF}-line", "hidden"), Input(here.LINK_ENTRY, "data")
    )(narrowed)
    app.callback(*TOLD, Input({"type": UNLINK, "source": ALL, "id": ALL}, "n_clicks"), prevent_initial_call=True)(
        unlink
    )
    app.callback(
        Output(here.RELINKED, "data"),
        Output(here.RELINK_TEXT, "children"),
        Output(here.RELINKING, "opened"),
        Output(here.EVENT, "value"),
        Input({"type": RELINK, "source": ALL, "id": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )(ask)
    app.callback(
        Output(search.found(here.EVENT), "data"),
        Input(here.EVENT, "searchValue"),
        Input(here.RELINKED, "data"),
    )(choices)
    search.register(app, here.EVENT)
    app.callback(Output(here.RELINK, "disabled"), Input(here.EVENT, "value"))(lambda event: not event)
    app.callback(
        *TOLD,
        Output(here.RELINKING, "opened", allow_duplicate=True),
        Input(here.RELINK, "n_clicks"),
        State(here.EVENT, "value"),
        State(here.RELINKED, "data"),
        prevent_initial_call=True,
    )(relink)
