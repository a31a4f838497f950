"""Following something new: by the form, or by a file of many."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from analytics.watchlist import Entry, Read, WatchlistError, read_csv
from analytics.watchstore import Added, WatchStore
from dash_app.database import Database, NotReadyError
from dash_app.loaders.watchlist import known_sources
from dash_app.pages.sources import ids as here
from dash_app.pages.sources.changing import TOLD, NotChanged, attempt, told
from dash_app.shell.guard import keeps
from dash_app.text import source_name
from dash_app.views.toast import toast
from dash_app.views.watchlist import import_report, preview

MOST_BYTES, MOST_ENTRIES = 1_000_000, 5_000
_USUAL = ("seatgeek", "stubhub", "ticketmaster")
_QUERY = ("artist", "venue", "city", "since", "until")
_FIELDS = (here.ARTIST, here.VENUE, here.CITY, here.SINCE, here.UNTIL, here.SOURCE, here.SOURCE_ID)


def register(app: Dash, database: Database, store: WatchStore) -> None:
    """Register the form and the import."""

    @keeps
    def open_form(_clicks: int | None) -> tuple[Any, ...]:
        try:
            names = sorted({*known_sources(database), *_USUAL})
        except NotReadyError:
            names = list(_USUAL)
        return True, [{"value": name, "label": source_name(name)} for name in names]

    def show(kind: str | None) -> tuple[bool, bool]:
        return kind == "id", kind != "id"

    def look(kind: str | None, *given: Any) -> tuple[str, str, bool]:
        if not any(given):
            return "Say what to follow.", "preview", True
        says, possible = preview(_fields(kind, given))
        return says, "preview" if possible else "preview wrong", not possible

    def save(clicks: int | None, kind: str | None, *given: Any) -> tuple[Any, ...]:
        if not clicks:  # the page has just appeared
            raise PreventUpdate
        try:
            entry = Entry.of(_fields(kind, given))
            added = attempt(lambda: store.add_all([entry]))
        except (WatchlistError, NotChanged) as why:
            return toast(str(why), failed=True), no_update, no_update, *[no_update] * len(_FIELDS)
        words = f"Following {entry}." if added.new else f"{entry} is followed already."
        empty = [None if name in (here.SINCE, here.UNTIL, here.SOURCE) else "" for name in _FIELDS]
        return *told(words), False, *empty

    def take(contents: str | None, _name: str | None) -> tuple[Any, ...]:
        if not contents:
            raise PreventUpdate
        try:
            read = _read(contents)
            entries = list(read.entries.values())
            added = attempt(lambda: store.add_all(entries)) if entries else Added(0, 0)
        except NotChanged as why:
            return toast(str(why), failed=True), no_update, str(why), None
        # The file is let go, so that the same one can be chosen again.
        return *told(f"{added.new:,} added to the watchlist."), import_report(read, *added), None

    app.callback(
        Output(here.ADDING, "opened"), Output(here.SOURCE, "data"), Input(here.ADD, "n_clicks"),
        prevent_initial_call=True,
    )(open_form)  # fmt: skip
    app.callback(
        Output(f"{here.KIND}-query", "hidden"), Output(f"{here.KIND}-id", "hidden"), Input(here.KIND, "value")
    )(show)  # fmt: skip
    app.callback(
        Output(here.PREVIEW, "children"), Output(here.PREVIEW, "className"), Output(here.SAVE, "disabled"),
        Input(here.KIND, "value"), *(Input(name, "value") for name in _FIELDS),
    )(look)  # fmt: skip
    app.callback(
        *TOLD, Output(here.ADDING, "opened", allow_duplicate=True), *(Output(name, "value") for name in _FIELDS),
        Input(here.SAVE, "n_clicks"), State(here.KIND, "value"), *(State(name, "value") for name in _FIELDS),
        prevent_initial_call=True,
    )(save)  # fmt: skip
    app.callback(
        Output(here.IMPORTING, "opened"), Output(here.REPORT, "children"), Input(here.IMPORT, "n_clicks"),
        prevent_initial_call=True,
    )(lambda _clicks: (True, ""))  # fmt: skip
    app.callback(
        *TOLD, Output(here.REPORT, "children", allow_duplicate=True), Output(here.FILE, "contents"),
        Input(here.FILE, "contents"), State(here.FILE, "filename"),
        prevent_initial_call=True,
    )(take)  # fmt: skip
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope", "nameUpload"),
        Output(here.FILE, "className"),
        Input(here.IMPORTING, "opened"),
        State(here.FILE, "id"),
        prevent_initial_call=True,
    )


def _fields(kind: str | None, given: tuple[Any, ...]) -> dict[str, Any]:
    """The form as `Entry.of` takes it: what the chosen kind of entry does not have is left out."""
    fields = dict(zip((*_QUERY, "source", "id"), given, strict=True))
    hidden = _QUERY if kind == "id" else ("id",)
    return {name: value for name, value in fields.items() if name not in hidden}


def _read(contents: str) -> Read:
    """The entries of an uploaded file, which comes as a data URL.

    Raises:
        NotChanged: it is too large, or no text.
    """
    try:
        content = base64.b64decode(contents.partition(",")[2], validate=True)
        text = content.decode("utf-8-sig")
    except (binascii.Error, UnicodeDecodeError):
        raise NotChanged("The file is no UTF-8 text. Save it as CSV (UTF-8).") from None
    if len(content) > MOST_BYTES:
        raise NotChanged("The file is larger than 1 MB. Split it, and import the parts.")
    read = read_csv(text)
    if len(read.entries) > MOST_ENTRIES:
        raise NotChanged(f"The file has {len(read.entries):,} entries, more than {MOST_ENTRIES:,}. Split it.")
    return read
