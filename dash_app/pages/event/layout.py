"""What stands on the event page, before anything is known."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.figures.blank import blank
from dash_app.page import View
from dash_app.pages.event import ids as here
from dash_app.pages.event import now
from dash_app.views.aria import named
from dash_app.views.cards import card, skeleton
from dash_app.views.controls import multi, segments

_CHART: Any = {
    "displayModeBar": False,
    "displaylogo": False,
    "responsive": True,
    "showTips": False,
    "doubleClick": "autosize",
}
_WINDOWS = [("60", "1 min"), ("3600", "1 hour"), ("86400", "1 day")]
_METRICS = [("low", "Lowest"), ("average", "Average")]
_SCOPES = [("event", "This event"), ("all", "All events")]


def layout(view: View) -> Any:
    """The page that the address asks for."""
    columns = html.Div([_changes_card(view), _alerts_card()], className="columns")
    return [dcc.Store(id=here.DRAWING), _hero(view), _chart_card(view), *now.cards(view), columns]


def _hero(view: View) -> Any:
    choice = dmc.Select(
        id=here.EVENT, value=view.one("event"), label="Event", searchable=True,
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
    controls = [segments(here.METRIC, _METRICS, view.one("price", ["average"], "low"), "Price of the lines"),
                segments(here.WINDOW, _WINDOWS, view.one("window", ["3600", "86400"], "60"), "Window size")]  # fmt: skip
    filters = [
        multi(here.SECTIONS, "Sections", "Whole event", view.many("section")),
        multi(here.SOURCES, "Sources", "All sources", view.many("source")),
    ]
    graph = dcc.Graph(id=here.CHART, config=_CHART, figure=blank(420), className="graph")
    summary = named("Chart of the event's prices over time; the key figures above say the same in words")
    return card(
        "Price over time",
        html.Div(filters, className="filters"),
        html.Div(graph, role="figure", **summary),
        controls=controls, note=html.P("\u00a0", id=here.CHART_NOTE, className="note"), name="chart",
    )  # fmt: skip


def _changes_card(view: View) -> Any:
    scope = segments(here.SCOPE, _SCOPES, view.one("scope", ["all"], "event"), "Changes and alerts of")
    return card("Latest changes", html.Div(skeleton(8), id=here.CHANGES), controls=scope, name="changes-card")


def _alerts_card() -> Any:
    return card("Alerts", html.Div(skeleton(6), id=here.ALERTS), name="alerts-card")
