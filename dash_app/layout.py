"""The page before anything is known: its frame, with skeletons where content will be."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app import ids
from dash_app.views.aria import DECORATION, named
from dash_app.views.cards import card, skeleton

# fmt: off
_THEME = {
    "primaryColor": "indigo",
    "fontFamily": "'Inter', system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "defaultRadius": "md",
    "cursorType": "pointer",
    "colors": {"dark": ["#d5d9e3", "#b4bac8", "#9aa3b5", "#6f788b", "#343b4b", "#2b3140", "#1d212c", "#171a23",
                        "#12151d", "#0f1117"]},
}
# fmt: on
_CHART: Any = {
    "displayModeBar": False,
    "displaylogo": False,
    "responsive": True,
    "showTips": False,
    "doubleClick": "autosize",
}
_STILL: Any = {"staticPlot": True, "responsive": True}
_WINDOWS = [("60", "1 min"), ("3600", "1 hour"), ("86400", "1 day")]
_METRICS = [("low", "Lowest"), ("average", "Average")]
_SCOPES = [("event", "This event"), ("all", "All events")]


def layout() -> Any:
    """The whole page, on Mantine's provider."""
    return dmc.MantineProvider(
        [
            *_clockwork(),
            _header(),
            html.Main([_notices(), _empty(), _content(), _sources_card()], id=ids.STAGE, className="loading"),
        ],
        theme=_THEME,
        defaultColorScheme="auto",
    )


def _clockwork() -> list[Any]:
    stores = (ids.ZONE, ids.SCHEME, ids.PRICES, ids.HEALTH_TOKEN, ids.HEARTBEAT, ids.WRITTEN, ids.DRAWING)
    return [
        dcc.Location(id=ids.URL, refresh=False),
        dcc.Interval(id=ids.TICK, interval=1500),
        dcc.Interval(id=ids.SLOW, interval=15_000),
        *(dcc.Store(id=name) for name in stores),
    ]


def _header() -> Any:
    link = html.Div([html.Span(className="dot"), html.Span("Connecting", id=ids.LINK_TEXT)],
                    id=ids.LINK, className="link wait", role="status")  # fmt: skip
    toggle = dmc.ColorSchemeToggle(
        id=ids.TOGGLE, lightIcon=html.Span("☀", **DECORATION),
        darkIcon=html.Span("☾", **DECORATION), variant="subtle", color="gray", size="lg", radius="xl",
        **named("Switch between light and dark"),
    )  # fmt: skip
    brand = html.Div([html.Span(className="mark", **DECORATION), html.Span("ConScope", className="name"),
                      html.Span("Ticket price intelligence", className="tag")], className="brand")  # fmt: skip
    return html.Header(html.Div([brand, html.Div([link, toggle], className="tools")], className="inner"))


def _notices() -> Any:
    offline = "The dashboard's own server does not answer. What you see is the last it said; it goes on by itself."
    return html.Div(
        [html.Div(id=ids.NOTICE, className="notice", role="alert", hidden=True),
         html.Div(offline, id=ids.OFFLINE, className="notice", role="alert", hidden=True)]
    )  # fmt: skip


def _empty() -> Any:
    return html.Section(
        [
            html.Span(className="mark big", **DECORATION),
            html.H1("No prices yet"),
            html.P(["Start everything at once with ", html.Code("make demo"), ", or send prices to the topic ",
                    html.Code("raw_prices"), " while ", html.Code("python -m bytewax.run flows.prices"), " runs."]),
            html.P("This page fills by itself as soon as the first one arrives."),
        ],
        className="empty-state",
    )  # fmt: skip


def _content() -> Any:
    return html.Div([_hero(), _chart_card(), html.Div([_changes_card(), _alerts_card()], className="columns"),
                     _health_card()], className="content")  # fmt: skip


def _hero() -> Any:
    choice = dmc.Select(
        id=ids.EVENT, label="Event", searchable=True, data=[], limit=100, allowDeselect=False, maxDropdownHeight=420,
        nothingFoundMessage="No event of that name", placeholder="Search events", size="md", checkIconPosition="right",
    )  # fmt: skip
    return html.Section(
        [
            html.Div([html.Div(skeleton(2, 28), id=ids.EVENT_HEAD, className="event-head"), choice],
                     className="hero-top"),
            html.Dl(skeleton(2, 40), id=ids.FIGURES, className="tiles key-figures"),
        ],
        className="hero", **named("Event"),
    )  # fmt: skip


def _chart_card() -> Any:
    controls = [_segments(ids.METRIC, _METRICS, "low", "Price of the lines"),
                _segments(ids.WINDOW, _WINDOWS, "60", "Window size")]  # fmt: skip
    filters = [_multi(ids.SECTIONS, "Sections", "Whole event"), _multi(ids.SOURCES, "Sources", "All sources")]
    graph = dcc.Graph(id=ids.CHART, config=_CHART, figure=_blank(420), className="graph")
    summary = named("Chart of the event's prices over time; the key figures above say the same in words")
    return card(
        "Price over time",
        html.Div(filters, className="filters"),
        html.Div(graph, role="figure", **summary),
        controls=controls, note=html.P("\u00a0", id=ids.CHART_NOTE, className="note"), name="chart",
    )  # fmt: skip


def _changes_card() -> Any:
    scope = _segments(ids.SCOPE, _SCOPES, "event", "Changes and alerts of")
    return card("Latest changes", html.Div(skeleton(8), id=ids.CHANGES), controls=scope, name="changes-card")


def _alerts_card() -> Any:
    return card("Alerts", html.Div(skeleton(6), id=ids.ALERTS), name="alerts-card")


def _health_card() -> Any:
    spark = dcc.Graph(
        id=ids.SPARK, config={"staticPlot": True, "responsive": True}, figure=_blank(56), className="spark"
    )
    return card(
        "Pipeline",
        html.Dl(skeleton(2, 32), id=ids.HEALTH, className="tiles health-figures"),
        html.Div(
            [html.Div([html.H3("Events per second, last 10 minutes"), spark]),
             html.Div([html.H3("Latest refused messages"), html.Div(skeleton(2), id=ids.DEAD)])],
            className="columns even",
        ),
        name="health-card",
    )  # fmt: skip


def _sources_card() -> Any:
    return card("Sources", html.Div(skeleton(2), id=ids.POLLED), name="sources-card")


def _segments(name: str, choices: list[tuple[str, str]], value: str, label: str) -> Any:
    data = [{"value": key, "label": words} for key, words in choices]
    return html.Div(dmc.SegmentedControl(id=name, data=data, value=value, size="sm", radius="md"),
                    role="group", **named(label))  # fmt: skip


def _multi(name: str, label: str, placeholder: str) -> Any:
    return dmc.MultiSelect(id=name, label=label, placeholder=placeholder, data=[], value=[], searchable=True,
                           clearable=True, hidePickedOptions=True, maxValues=12, limit=200)  # fmt: skip


def _blank(height: int) -> dict[str, Any]:
    axis, clear = {"visible": False}, "rgba(0,0,0,0)"
    look = {"height": height, "xaxis": axis, "yaxis": axis, "paper_bgcolor": clear, "plot_bgcolor": clear}
    return {"data": [], "layout": look}
