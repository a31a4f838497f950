"""Which event is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.database import Database
from dash_app.loaders import find_event, find_events, news, recent_events
from dash_app.pages.event import ids as here
from dash_app.shell import search
from dash_app.shell.guard import keeps, required
from dash_app.views.head import event_head, event_options


def register(app: Dash, database: Database) -> None:
    """Register the event list, the event's title, and the question whether there is news of it."""

    @keeps
    def told(token: str | None, chosen: str | None, scope: str | None, known: str | None) -> Any:
        now = news(database, chosen) if chosen and scope != "all" else token
        return now if now != known else no_update

    @keeps
    def options(
        _token: str, _slow: int | None, words: str | None, shown: list[Any] | None, chosen: str | None,
        is_open: bool | None, zone: str | None,
    ) -> tuple[Any, Any]:  # fmt: skip
        typed = ctx.triggered_id == here.EVENT
        if shown and not typed and (is_open or ctx.triggered_id == ids.PRICES):
            raise PreventUpdate  # the list must not move under a hand, nor be asked for at every tick
        data, first = _choices(database, _searched(words, shown), [chosen] if chosen else [], zone)
        lost = chosen and all(option["value"] != chosen for option in data)
        return data if data != shown else no_update, {"first": first, "lost": chosen if lost else None}

    @keeps
    def others(
        words: str | None, picked: list[str] | None, _slow: int | None, zone: str | None, shown: list[Any] | None
    ) -> Any:
        data, _ = _choices(database, (words or "").strip(), picked or [], zone, short=True)
        return data if data != shown else no_update

    @keeps
    def title(chosen: str | None, zone: str | None, _slow: int | None) -> Any:
        event = find_event(database, required(chosen))
        return event_head(event.row(0, named=True), zone or "UTC") if event.height else no_update

    app.callback(
        Output(here.TOLD, "data"),
        Input(ids.PRICES, "data"),
        State(here.EVENT, "value"),  # not set off by a choice, or everything else would wait for this answer, too
        State(here.SCOPE, "value"),
        State(here.NEWS, "data"),
    )(told)
    app.callback(
        Output(search.found(here.EVENT), "data"),
        Output(here.FIRST, "data"),
        Input(ids.PRICES, "data"),
        Input(ids.SLOW, "n_intervals"),
        Input(here.EVENT, "searchValue"),
        State(here.EVENT, "data"),
        State(here.EVENT, "value"),
        State(here.EVENT, "dropdownOpened"),
        State(ids.ZONE, "data"),
    )(options)
    for part in (here.EVENT, here.COMPARE):
        search.register(app, part)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(  # so that what is drawn when the page is opened does not wait to be told of news
        ClientsideFunction("conscope", "pass_on"),
        Input(here.TOLD, "data"),
        State(here.NEWS, "id"),
        prevent_initial_call=True,
    )
    in_browser(  # there, because an answer may be on its way while somebody chooses
        ClientsideFunction("conscope", "begin"),
        Output(here.BEGUN, "data"),
        Input(here.FIRST, "data"),
        State(here.EVENT, "value"),
        State(here.EVENT, "id"),
        prevent_initial_call=True,
    )
    app.callback(
        Output(search.found(here.COMPARE), "data"),
        Input(here.COMPARE, "searchValue"),
        Input(here.COMPARE, "value"),
        Input(ids.SLOW, "n_intervals"),
        State(ids.ZONE, "data"),
        State(here.COMPARE, "data"),
    )(others)
    app.callback(
        Output(here.EVENT_HEAD, "children"),
        Input(here.EVENT, "value"),
        Input(ids.ZONE, "data"),
        Input(ids.SLOW, "n_intervals"),
    )(title)


def _choices(
    database: Database, words: str, picked: Sequence[str], zone: str | None, *, short: bool = False
) -> tuple[list[dict[str, str]], str | None]:
    """Events to choose from, those that are chosen among them, and the one to begin with."""
    events = find_events(database, words) if words else recent_events(database, 200)
    missing = [event for event in picked if event not in set(events["event_id"])]
    events = pl.concat([events, *(find_event(database, event) for event in missing)])
    return event_options(events, zone or "UTC", short=short), str(events["event_id"][0]) if events.height else None


def _searched(words: str | None, shown: Sequence[dict[str, str]] | None) -> str:
    """What a person looks for. The field holds the name of the chosen event, too, which is no search."""
    labels = {option["label"] for option in shown or []}
    return "" if not words or words in labels else words.strip()
