"""What stands on the sources page, before anything is known."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.loaders.watchlist import ENTRY_STATES, LINK_KINDS
from dash_app.page import View
from dash_app.pages.sources import ids as here
from dash_app.shell.pager import Pager
from dash_app.shell.search import searched
from dash_app.views.aria import named
from dash_app.views.cards import card, skeleton
from dash_app.views.controls import segments
from dash_app.views.export import export_menu

ENTRY_PAGES, LINK_PAGES = Pager("watchlist"), Pager("links")
_STATES = [("all", "All"), ("active", "Followed"), ("paused", "Paused"), ("nothing", "Nothing found")]
_KINDS = [("all", "All"), ("shared", "On several"), ("unsure", "Unsure"), ("user", "By you"), ("gone", "Gone")]
_WAYS = [("query", "What matches"), ("id", "One event by its id")]
_COLUMNS = [
    ("artist", "free words: an artist, a team, a show"),
    ("venue, city", "names, as the sources write them"),
    ("since, until", "first and last local date of the show, as in 2027-06-01"),
    ("source", "only this source; empty is every source"),
    ("id", "one event by its source's id; with source, and nothing else"),
]
IN_THE_FILE = (
    "Entries of the watchlist file are ruled by it: they can be paused here, and are taken out there. "
    "What is added here stays, whatever the file says."
)


def layout(view: View) -> Any:
    """The page that the address asks for."""
    return [
        dcc.Store(id=here.CHANGED),
        html.H1("Sources and watchlist", className="sr-only"),
        card("Sources", html.Div(skeleton(4, 28), id=here.POLLED), name="sources-card"),
        _watchlist(view),
        _links(view),
        _adding(),
        _importing(),
        _removal(),
        _relinking(),
    ]


def _watchlist(view: View) -> Any:
    controls = [
        dmc.Button("Add", id=here.ADD, size="xs", className="primary"),
        dmc.Button("Import", id=here.IMPORT, size="xs", variant="default"),
        export_menu("watchlist"),
    ]
    filters = [
        _search(here.FIND, "Search the watchlist", view.one("find")),
        segments(here.STATE, _STATES, view.one("state", ENTRY_STATES, "all"), "Which entries"),
    ]
    return card(
        "Watchlist",
        html.Div(filters, className="table-filters"),
        html.Div(skeleton(5), id=here.ENTRIES),
        ENTRY_PAGES.layout(view, "the watchlist"),
        controls=controls,
        note=html.P(f"What ConScope looks for at the sources. {IN_THE_FILE}", className="note"),
        name="watchlist-card",
    )


def _links(view: View) -> Any:
    entry = view.one("entry") or ""
    filters = [
        _search(here.LINK_FIND, "Search the listings", view.one("listing")),
        segments(here.LINK_KIND, _KINDS, view.one("kind", LINK_KINDS, "all"), "Which listings"),
    ]
    note = (
        "What the watchlist found, and which listings of different sources are one event. Where a match is wrong or "
        "missing, say so: your word stays. Prices that came before stay under the event that they were published for."
    )
    return card(
        "Events and their listings",
        dcc.Store(id=here.LINK_ENTRY, data=entry if entry.isascii() and entry.isdigit() and len(entry) < 16 else None),
        html.Div(filters, className="table-filters"),
        html.Div(
            [html.Span(id=here.LINK_OF), dmc.Button("Show all", id=here.LINK_ALL, variant="subtle", size="compact-sm")],
            id=f"{here.LINK_OF}-line", className="narrowed", hidden=True,
        ),
        html.Div(skeleton(5), id=here.LINKS),
        LINK_PAGES.layout(view, "listings"),
        note=html.P(note, className="note"),
        name="links-card",
    )  # fmt: skip


def _search(name: str, label: str, value: str | None) -> Any:
    return dmc.TextInput(id=name, value=value or "", placeholder=label, debounce=300, size="sm", inputProps={"maxLength": 100},
                         className="search", **named(label))  # fmt: skip


def _adding() -> Any:
    def field(name: str, label: str, hint: str) -> Any:
        return dmc.TextInput(
            id=name, label=label, placeholder=hint, debounce=200, inputProps={"maxLength": 100}, value=""
        )

    def day(name: str, label: str) -> Any:
        return dmc.DateInput(id=name, label=label, valueFormat="YYYY-MM-DD", placeholder="any", clearable=True)

    query = [
        field(here.ARTIST, "Artist, team or show", "Nora Vale"),
        html.Div([field(here.VENUE, "Venue", "any"), field(here.CITY, "City", "any")], className="field-pair"),
        html.Div([day(here.SINCE, "From"), day(here.UNTIL, "To")], className="field-pair"),
    ]
    by_id = [field(here.SOURCE_ID, "The source's id of the event", "6109434")]
    return dmc.Modal(
        html.Div(
            [
                segments(here.KIND, _WAYS, "query", "What to follow"),
                html.Div(query, id=f"{here.KIND}-query", className="fields"),
                html.Div(by_id, id=f"{here.KIND}-id", className="fields", hidden=True),
                dmc.Select(id=here.SOURCE, label="Source", placeholder="every source", data=[], clearable=True,
                           searchable=True, comboboxProps={"withinPortal": True}),
                html.P(id=here.PREVIEW, className="preview", role="status"),
                html.Div(dmc.Button("Follow", id=here.SAVE, disabled=True, className="primary"), className="modal-acts"),
            ],
            className="fields",
        ),
        id=here.ADDING, title="Follow something", size="md", centered=True,
        closeButtonProps=named("Close"),
    )  # fmt: skip


def _importing() -> Any:
    columns = html.Dl([part for name, says in _COLUMNS for part in (html.Dt(html.Code(name)), html.Dd(says))],
                      className="columns-of")  # fmt: skip
    return dmc.Modal(
        html.Div(
            [
                html.P(["A CSV file in UTF-8, at most 1 MB. Its first line names the columns, some of these:"]),
                columns,
                html.P([html.A("Download a template", href="/assets/watchlist-template.csv", download="watchlist.csv"),
                        ". What is followed already is not added again."]),
                dcc.Upload(
                    html.Div([html.Strong("Choose a file"), html.Span(" or drop it here")]),
                    id=here.FILE, accept=".csv,text/csv", max_size=20_000_000, className="drop",
                    className_active="drop over",
                ),
                html.Div(id=here.REPORT, role="status"),
            ],
            className="fields",
        ),
        id=here.IMPORTING, title="Import a list", size="lg", centered=True, closeButtonProps=named("Close"),
    )  # fmt: skip


def _removal() -> Any:
    return dmc.Modal(
        [
            dcc.Store(id=here.REMOVING),
            html.P(id=here.REMOVAL_TEXT),
            html.Div([dmc.Button("Keep it", id=here.KEEP, variant="default"),
                      dmc.Button("Remove", id=here.REMOVE, color="red")], className="modal-acts"),
        ],
        id=here.REMOVAL, title="Follow this no more?", centered=True, closeButtonProps=named("Close"),
    )  # fmt: skip


def _relinking() -> Any:
    return dmc.Modal(
        html.Div(
            [
                dcc.Store(id=here.RELINKED),
                html.P(id=here.RELINK_TEXT),
                searched(here.EVENT, label="It is this event", placeholder="Search by name, venue or date", data=[],
                         nothingFoundMessage="No such event", maxDropdownHeight=300,
                         comboboxProps={"withinPortal": True}),
                html.Div(dmc.Button("It is this event", id=here.RELINK, disabled=True, className="primary"),
                         className="modal-acts"),
            ],
            className="fields",
        ),
        id=here.RELINKING, title="Which event is it?", size="md", centered=True, closeButtonProps=named("Close"),
    )  # fmt: skip
