"""What stands on the market page, before anything is known."""

from __future__ import annotations

from typing import Any

import dash_ag_grid as dag  # type: ignore[import-untyped]
import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.page import View
from dash_app.pages.market import ids as here
from dash_app.pages.market.query import Query
from dash_app.views.aria import named, named_by
from dash_app.views.cards import card, skeleton
from dash_app.views.export import export_menu

_WHENS = [
    ("upcoming", "Upcoming"), ("7", "Next 7 days"), ("30", "Next 30 days"), ("90", "Next 90 days"), ("all", "All, also past"),
]  # fmt: skip
_SORTS = [
    ("date", "Soonest"), ("-date", "Latest date"), ("price", "Cheapest"), ("-price", "Dearest"), ("change", "Biggest drop"),
    ("-change", "Biggest rise"), ("history", "Furthest under typical"), ("-history", "Furthest over typical"),
    ("-listings", "Most listings"), ("listings", "Fewest listings"), ("-seen", "Seen last"), ("seen", "Seen longest ago"),
    ("name", "Name"), ("-name", "Name, backwards"),
]  # fmt: skip
_HISTORY = "Lowest, typical (median) and highest get-in price in its past, of how many lows, and where it is now"
_COLUMNS: list[dict[str, Any]] = [
    {"field": "name", "headerName": "Event", "cellRenderer": "MarketEvent", "minWidth": 190, "flex": 3},
    {"field": "price", "headerName": "Get-in", "cellRenderer": "MarketPrice", "width": 94, "type": "rightAligned",
     "headerTooltip": "The cheapest ticket, fees included"},
    {"field": "change", "headerName": "24 h", "cellRenderer": "MarketChange", "width": 98, "type": "rightAligned",
     "headerTooltip": "How the get-in price changed in 24 hours, or since the event is known"},
    {"field": "history", "headerName": "In its history", "cellRenderer": "MarketHistory", "minWidth": 188, "flex": 2,
     "headerTooltip": _HISTORY},
    {"field": "path", "headerName": "Trend", "cellRenderer": "MarketTrend", "width": 86, "sortable": False},
    {"field": "listings", "headerName": "Listings", "width": 80, "type": "rightAligned",
     "headerTooltip": "Different listings seen in the last hour"},
    {"field": "date", "headerName": "To go", "cellRenderer": "MarketDays", "width": 84, "type": "rightAligned"},
    {"field": "sources", "headerName": "Sources", "cellRenderer": "MarketSources", "minWidth": 104, "flex": 1,
     "sortable": False},
    {"field": "seen", "headerName": "Last seen", "cellRenderer": "MarketSeen", "width": 92, "type": "rightAligned"},
]  # fmt: skip
_THEME = (
    "themeQuartz.withParams({"
    "backgroundColor: 'var(--card)', foregroundColor: 'var(--text)', borderColor: 'var(--line)',"
    "accentColor: 'var(--accent)', headerBackgroundColor: 'var(--card)', headerTextColor: 'var(--muted)',"
    "rowHoverColor: 'var(--soft)', chromeBackgroundColor: 'var(--card)', fontFamily: 'inherit', fontSize: 14,"
    "headerFontSize: 13, headerFontWeight: 500, cellHorizontalPadding: 10, wrapperBorder: false, columnBorder: false,"
    "headerColumnResizeHandleColor: 'transparent',"
    "spacing: 8, tooltipBackgroundColor: 'var(--card)', tooltipTextColor: 'var(--text)', browserColorScheme: 'inherit'})"
)


def layout(view: View) -> Any:
    """The page that the address asks for."""
    query = Query.of(view)
    return html.Div(
        [
            dcc.Store(id=here.VERSION), dcc.Store(id=here.TAPE_HEAD),
            html.Div([html.H1("Market"), html.P(html.Span(skeleton(1)), id=here.SUMMARY)], className="market-head"),
            html.Section([html.H2("Biggest drops now", id="drops-title"), html.Div(skeleton(2, 24), id=here.DROPS)],
                         className="drops-strip", **named_by("drops-title")),
            html.Div(
                [_grid_card(query),
                 card("Live", html.Div(skeleton(8), id=here.TAPE), name="tape-card",
                      note=html.P("Every price that changes", className="note"))],
                className="market-columns",
            ),
        ],
        className="market",
    )  # fmt: skip


def _grid_card(query: Query) -> Any:
    controls = html.Div(
        [
            dmc.TextInput(id=here.WORDS, value=query.words, label="Search", placeholder="Event or venue", debounce=250),
            dmc.Select(id=here.WHEN, value=query.when, label="When", allowDeselect=False,
                       data=[{"value": value, "label": label} for value, label in _WHENS]),
            dmc.MultiSelect(id=here.SOURCES, value=list(query.sources), label="Sources", placeholder="Any", clearable=True,
                            data=[{"value": source, "label": source} for source in query.sources]),
            dmc.NumberInput(id=here.MOST, value="" if query.most is None else query.most, label="Get-in up to", min=0,
                            placeholder="Any price", debounce=250, hideControls=True, thousandSeparator=","),
            dmc.Select(id=here.SORT, value=query.sort, label="Sorted by", allowDeselect=False, className="market-sort",
                       data=[{"value": value, "label": label} for value, label in _SORTS]),
        ],
        className="market-filters",
    )  # fmt: skip
    clear = dmc.Button("Clear filters", id=here.CLEAR, variant="subtle", size="xs")
    count = html.P("\u00a0", id=here.COUNT, role="status", className="note")
    return card(
        "Events", controls, _grid(query), controls=[clear, export_menu("market")], note=count, name="events-card"
    )


def _grid(query: Query) -> Any:
    down, by = query.sort.startswith("-"), query.sort.removeprefix("-")
    columns = [
        {**column, "sort": "desc" if down else "asc"} if column["field"] == by else column for column in _COLUMNS
    ]
    options = {
        # A request of the grid's Dash component, which nobody answers, may come before ours: it must not be in the way.
        "rowHeight": 58, "headerHeight": 40, "cacheBlockSize": 50, "maxBlocksInCache": 6, "maxConcurrentDatasourceRequests": -1,
        "infiniteInitialRowCount": 12, "blockLoadDebounceMillis": 60, "theme": {"function": _THEME}, "suppressMultiSort": True,
        "suppressCellFocus": False, "suppressDragLeaveHidesColumns": True, "animateRows": False, "tooltipShowDelay": 400,
        "localeText": {"noRowsToShow": "No event matches. Clear the filters, or search for less."},
    }  # fmt: skip
    return html.Div(
        dag.AgGrid(
            id=here.GRID, rowModelType="infinite", columnDefs=columns, getRowId="params.data.id", dashGridOptions=options,
            defaultColDef={"sortingOrder": ["asc", "desc"], "resizable": True, "suppressHeaderMenuButton": True,
                           "suppressMovable": False},
            className="market-grid", style={"height": None, "width": "100%"},
        ),
        role="region", **named("Events; arrow keys move, Enter opens an event"),
    )  # fmt: skip
