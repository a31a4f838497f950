"""What the event offers now: its listings, where they are, and what is a good price."""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag  # type: ignore[import-untyped]
import dash_mantine_components as dmc  # type: ignore[import-untyped]
import polars as pl
from dash import Dash, dcc, html

from dash_app.figures.blank import blank
from dash_app.loaders.listings import shared
from dash_app.page import Services, View
from dash_app.pages.event import now_cards, now_detail, now_table
from dash_app.pages.event import now_ids as here
from dash_app.pages.event.now_query import MOST_TOGETHER, SORTS, Query, amount, answer
from dash_app.shell.router import Field
from dash_app.text import link
from dash_app.views.aria import named
from dash_app.views.cards import card, skeleton
from dash_app.views.controls import segments
from dash_app.views.export import export_menu

FIELDS = [
    Field("party", here.PARTY, "1"),
    Field("target", here.TARGET),
    Field("q", here.WORDS),
    Field("at", here.AT),
    Field("most", here.MOST),
    Field("by", here.SORT, "price", "data"),
    Field("listing", here.LISTING, prop="data"),
]
"""What of this part stands in the address, for `router.remember`."""

_CHART: Any = {"displayModeBar": False, "displaylogo": False, "responsive": True, "showTips": False}
_THEME = (
    "themeQuartz.withParams({"
    "backgroundColor: 'var(--card)', foregroundColor: 'var(--text)', borderColor: 'var(--line)',"
    "accentColor: 'var(--accent)', headerBackgroundColor: 'var(--card)', headerTextColor: 'var(--muted)',"
    "rowHoverColor: 'var(--soft)', chromeBackgroundColor: 'var(--card)', fontFamily: 'inherit', fontSize: 14,"
    "headerFontSize: 13, headerFontWeight: 500, cellHorizontalPadding: 10, wrapperBorder: false, columnBorder: false,"
    "spacing: 8, tooltipBackgroundColor: 'var(--card)', tooltipTextColor: 'var(--text)', browserColorScheme: 'inherit'})"
)
_COLUMNS: list[dict[str, Any]] = [
    {"field": "deal", "headerName": "Deal", "cellRenderer": "NowDeal", "width": 150, "sortingOrder": ["desc", "asc"],
     "headerTooltip": "0 to 100: how it compares with the others of its section, and the event with its own history"},
    {"field": "price", "headerName": "All-in", "cellRenderer": "NowPrice", "width": 112, "type": "rightAligned",
     "headerTooltip": "Per ticket, fees included"},
    {"field": "section", "headerName": "Section", "cellRenderer": "NowText", "minWidth": 110, "flex": 2},
    {"field": "row", "headerName": "Row", "cellRenderer": "NowText", "width": 80},
    {"field": "seat", "headerName": "Seats", "cellRenderer": "NowText", "minWidth": 84, "flex": 1, "sortable": False},
    {"field": "tickets", "headerName": "Tickets", "cellRenderer": "NowText", "width": 88, "type": "rightAligned"},
    {"field": "fees", "headerName": "Fees", "cellRenderer": "NowText", "width": 80, "type": "rightAligned",
     "headerTooltip": "In percent of the price before fees"},
    {"field": "than", "headerName": "Cheaper than", "cellRenderer": "NowThan", "width": 128, "type": "rightAligned",
     "headerTooltip": "Share of the listings it is compared with that cost more, and how many those are"},
    {"field": "source", "headerName": "Source", "cellRenderer": "NowText", "minWidth": 110, "flex": 1},
    {"field": "seen", "headerName": "Seen", "cellRenderer": "NowText", "width": 80, "type": "rightAligned",
     "headerTooltip": "When its source last saw it"},
    {"field": "link", "headerName": "", "cellRenderer": "NowLink", "width": 84, "sortable": False},
]  # fmt: skip


def cards(view: View) -> list[Any]:
    """The cards of this part."""
    columns = html.Div([_together_card(), _spread_card(view)], className="columns even-cards")
    places = html.Div([_heat_card(), _same_card()], className="columns")
    return [_head(view), columns, places, _table_card(Query.of(view)), _drawer(view)]


def register(app: Dash, services: Services) -> None:
    """Register this part's callbacks."""
    offers = shared(services.database)
    now_cards.register(app, offers)
    now_table.register(app, offers)
    now_detail.register(app, services.database, offers)


def listings_export(services: Services, view: View) -> pl.DataFrame:
    """The listings of the view, all of them: prices per ticket, `fee_percent` of the base price, `percentile` the share of
    the `others` that cost less."""
    event = view.one("event")
    found = shared(services.database).get(event or "")
    listings = answer(found.listings, Query.of(view))
    urls = pl.Series([link(url) for url in listings["listing_url"]], dtype=pl.String)
    return listings.select(
        "event_id", "source", "section", "row", "seat", "quantity", "currency", pl.col("all_in"), "base",
        fee_percent="fee", deal_score="score", compared_with="among", others="others", percentile="percentile", seen="timestamp",
        listing_id="listing_id", listing_url=urls,
    )  # fmt: skip


def _head(view: View) -> Any:
    parties = [(str(number), str(number)) for number in range(1, MOST_TOGETHER + 1)]
    party = segments(here.PARTY, parties, view.one("party", [value for value, _ in parties], "1"), "Tickets together")
    target = amount(view.one("target"))
    price = dmc.NumberInput(
        id=here.TARGET, value="" if target is None else target, label="Your price", placeholder="per ticket", min=0,
        debounce=300, hideControls=True, thousandSeparator=",", decimalScale=2, allowNegative=False, w=120,
    )  # fmt: skip
    return html.Section(
        [
            dcc.Store(id=here.TOKEN),
            dcc.Store(id=here.LISTING, data=view.one("listing")),
            dcc.Store(id=here.SORT, data=view.one("by", [sign + name for name in SORTS for sign in ("", "-")], "price")),
            html.Div([html.H2("On sale now"), html.P("\u00a0", id=here.HEAD, className="note", role="status")]),
            html.Div(
                [html.Div([html.Span("Tickets together", className="mantine-InputWrapper-label"), party]), price],
                className="now-controls",
            ),
        ],
        className="now-top", **named("On sale now"),
    )  # fmt: skip


def _together_card() -> Any:
    return card("The cheapest together", html.Div(skeleton(6), id=here.TOGETHER), name="together-card",
                note=html.P("\u00a0", id=here.TOGETHER_NOTE, className="note"))  # fmt: skip


def _spread_card(view: View) -> Any:
    graph = dcc.Graph(id=here.SPREAD, config=_CHART, figure=blank(310), className="spread")
    said = named("Chart of how many listings there are at which price; the sentence above says where yours lies")
    return card("How prices are spread", html.Div(graph, role="figure", **said), name="spread-card",
                note=html.P("\u00a0", id=here.SPREAD_NOTE, className="note", role="status"))  # fmt: skip


def _heat_card() -> Any:
    graph = dcc.Graph(id=here.HEAT, config=_CHART, figure=blank(320), className="heat")
    said = named("Map of the cheapest price by section and row; the table below has the same in words")
    return card("Cheapest by section and row", html.Div(graph, role="figure", className="heat-frame", **said), name="heat-card",
                note=html.P("\u00a0", id=here.HEAT_NOTE, className="note"))  # fmt: skip


def _same_card() -> Any:
    return card("The same seats elsewhere", html.Div(skeleton(6), id=here.SAME), name="same-card",
                note=html.P("\u00a0", id=here.SAME_NOTE, className="note"))  # fmt: skip


def _table_card(query: Query) -> Any:
    filters = html.Div(
        [
            dmc.TextInput(id=here.WORDS, value=query.words, label="Search", placeholder="Section, row, notes",
                          debounce=250),
            dmc.MultiSelect(id=here.AT, value=list(query.sources), label="Sources", placeholder="Any", clearable=True,
                            data=[{"value": source, "label": source} for source in query.sources]),
            dmc.NumberInput(id=here.MOST, value="" if query.most is None else query.most, label="Up to", min=0, debounce=250,
                            placeholder="Any price", hideControls=True, thousandSeparator=",", decimalScale=2),
        ],
        className="now-filters",
    )  # fmt: skip
    count = html.Div(
        [html.P("\u00a0", id=here.COUNT, role="status"),
         dmc.Button("Clear filters", id=here.CLEAR, variant="subtle", size="compact-sm")],
        className="now-count",
    )  # fmt: skip
    return card("Listings", filters, count, _grid(query), controls=export_menu("listings"), name="listings-card")


def _grid(query: Query) -> Any:
    down, by = query.sort.startswith("-"), query.sort.removeprefix("-")
    columns = [
        {**column, "sort": "desc" if down else "asc"} if column["field"] == by else column for column in _COLUMNS
    ]
    options = {
        # A request of the grid's Dash component, which nobody answers, may come before ours: it must not be in the way.
        "rowHeight": 46, "headerHeight": 40, "cacheBlockSize": 100, "maxBlocksInCache": 5, "maxConcurrentDatasourceRequests": -1,
        "infiniteInitialRowCount": 8, "blockLoadDebounceMillis": 60, "theme": {"function": _THEME}, "suppressMultiSort": True,
        "suppressDragLeaveHidesColumns": True, "animateRows": False, "tooltipShowDelay": 400,
        "localeText": {"noRowsToShow": "No listing matches. Clear the filters, or ask for fewer tickets together."},
    }  # fmt: skip
    return html.Div(
        dag.AgGrid(
            id=here.GRID, rowModelType="infinite", columnDefs=columns, getRowId="params.data.id", dashGridOptions=options,
            defaultColDef={"sortingOrder": ["asc", "desc"], "resizable": True, "suppressHeaderMenuButton": True},
            className="now-grid", style={"height": None, "width": "100%"},
        ),
        role="region", **named("Listings; arrow keys move, Enter shows a listing"),
    )  # fmt: skip


def _drawer(view: View) -> Any:
    return dmc.Drawer(
        html.Div(skeleton(6), id=here.DETAIL, className="listing"), id=here.DRAWER, opened=bool(view.one("listing")),
        position="right", size=440, title="Listing", closeButtonProps=named("Close"), lockScroll=False,
    )  # fmt: skip
