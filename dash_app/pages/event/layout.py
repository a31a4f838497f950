"""What stands on the event page, before anything is known."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.figures.blank import blank
from dash_app.figures.price import HEIGHT
from dash_app.page import View
from dash_app.pages.event import ids as here
from dash_app.pages.event import now
from dash_app.pages.event.prices import MOST_EVENTS
from dash_app.pages.event.span import PRESETS, USUAL
from dash_app.shell.search import searched
from dash_app.views.aria import named
from dash_app.views.cards import card, skeleton
from dash_app.views.controls import multi, segments
from dash_app.views.export import export_menu

_CHART: Any = {
    "displayModeBar": False,
    "displaylogo": False,
    "responsive": True,
    "showTips": False,
    "doubleClick": "autosize",
}
_WINDOWS = [("auto", "Automatic"), ("60", "1 minute"), ("3600", "1 hour"), ("86400", "1 day")]
_METRICS = [("low", "Lowest"), ("average", "Average")]
_BASES = [("total", "All-in"), ("base", "Without fees")]
_ALIGNS = [("date", "By date"), ("days", "By days to go")]
_RANGES = [("6h", "6 h"), ("1d", "1 d"), ("1w", "1 w"), ("1m", "1 m"), ("all", "All")]
_SCOPES = [("event", "This event"), ("all", "All events")]


def layout(view: View) -> Any:
    """The page that the address asks for."""
    columns = html.Div([_changes_card(view), _alerts_card()], className="columns")
    stores = [
        dcc.Store(id=here.FIRST),
        dcc.Store(id=here.NEWS),
        dcc.Store(id=here.TOLD),
        dcc.Store(id=here.BEGUN),
        dcc.Store(id=here.DRAWING),
        dcc.Store(id=here.DRAWN),
        dcc.Store(id=here.SPAN, data=view.one("range", default=USUAL)),
    ]
    return [*stores, _hero(view), _chart_card(view), *now.cards(view), columns]


def _hero(view: View) -> Any:
    choice = searched(
        here.EVENT, value=view.one("event"), label="Event",
        data=[], limit=100, allowDeselect=False, maxDropdownHeight=420,
        nothingFoundMessage="No event of that name", placeholder="Search events", size="md", checkIconPosition="right",
    )  # fmt: skip
    return html.Section(
        [
            html.Div([html.Div(skeleton(2, 28), id=here.EVENT_HEAD, className="event-head"), choice],
                     className="hero-top"),
            html.Dl(skeleton(2, 40), id=here.FIGURES, className="tiles key-figures"),
        ],
        className="hero", **named("Event"),
    )  # fmt: skip


def _chart_card(view: View) -> Any:
    span = view.one("range", default=USUAL)
    controls = [
        segments(here.METRIC, _METRICS, view.one("price", ["average"], "low"), "Price of the lines"),
        segments(here.BASIS, _BASES, view.one("basis", ["base"], "total"), "With or without fees"),
        export_menu("event"),
    ]
    tools = [
        segments(here.RANGE, _RANGES, span if span in PRESETS else "", "Stretch of time"),
        segments(here.ALIGN, _ALIGNS, view.one("align", ["days"], "date"), "Time axis"),
    ]
    currency = dmc.Select(id=here.CURRENCY, label="Currency", data=[], value=view.one("currency"), clearable=True,
                          placeholder="Most common")  # fmt: skip
    filters = [
        _searched(here.SECTIONS, "Sections", "Whole event", view.many("section"), 12),
        multi(here.SOURCES, "Sources", "All sources", view.many("source")),
        _searched(here.COMPARE, "Compare with", "Other events", view.many("compare", MOST_EVENTS - 1), MOST_EVENTS - 1),
        dmc.Select(id=here.WINDOW, label="Windows", data=[{"value": key, "label": words} for key, words in _WINDOWS],
                   value=view.one("window", ["60", "3600", "86400"], "auto"), allowDeselect=False),
        html.Div(currency, id=here.CURRENCY_BOX, hidden=True),
    ]  # fmt: skip
    graph = dcc.Graph(id=here.CHART, config=_CHART, figure=blank(HEIGHT), className="graph")
    summary = named("Chart of the event's prices over time; the key figures above say the same in words")
    return card(
        "Price over time",
        html.Div(tools, className="chart-tools"),
        html.Div(filters, className="filters chart-filters"),
        html.Div(graph, role="figure", **summary),
        controls=controls, note=html.P("\u00a0", id=here.CHART_NOTE, className="note", dir="auto"), name="chart",
    )  # fmt: skip


def _searched(name: str, label: str, placeholder: str, value: list[str], most: int) -> Any:
    """Some of very many: the server looks for what is typed."""
    return searched(name, dmc.MultiSelect, label=label, placeholder=placeholder, data=value, value=value, clearable=True,
                    hidePickedOptions=True, maxValues=most, limit=200, nothingFoundMessage="None of that name")  # fmt: skip


def _changes_card(view: View) -> Any:
    scope = segments(here.SCOPE, _SCOPES, view.one("scope", ["all"], "event"), "Changes and alerts of")
    return card("Latest changes", html.Div(skeleton(8), id=here.CHANGES), controls=scope, name="changes-card")


def _alerts_card() -> Any:
    return card("Alerts", html.Div(skeleton(6), id=here.ALERTS), name="alerts-card")
