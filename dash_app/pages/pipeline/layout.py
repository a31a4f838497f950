"""What stands on the pipeline page, before anything is known."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.figures.blank import blank
from dash_app.figures.pipeline import READINGS
from dash_app.loaders.health import SPANS
from dash_app.loaders.quarantine import FATES
from dash_app.page import View
from dash_app.pages.pipeline import ids as here
from dash_app.shell.pager import Pager
from dash_app.views.aria import named
from dash_app.views.cards import card, skeleton
from dash_app.views.controls import segments
from dash_app.views.export import export_menu

HELD_PAGES, DEAD_PAGES = Pager("quarantine"), Pager("dead")
_METRICS = [
    ("rate", "Events / s"),
    ("lag", "Lag"),
    ("delay", "Watermark"),
    ("sinks", "Sinks"),
    ("recovery", "Recovery"),
]
_SPANS = [("10m", "10 min"), ("1h", "1 hour"), ("1d", "1 day")]
_STATES = [("held", "Held"), ("released", "Released"), ("confirmed", "Confirmed"), ("all", "All")]
_CHART: Any = {"displayModeBar": False, "responsive": True, "showTips": False, "doubleClick": "autosize"}


def layout(view: View) -> Any:
    """The page that the address asks for."""
    return [
        html.H1("Pipeline", className="sr-only"),
        dcc.Store(id=here.DRAWING),
        card(
            "Now",
            html.Div(skeleton(1), id=here.VERDICT, role="status"),
            html.Dl(skeleton(2, 32), id=here.HEALTH, className="tiles pipeline-figures"),
            name="health-card",
        ),
        _chart(view),
        card("Partitions", html.Div(skeleton(4), id=here.PARTITIONS), name="partitions-card",
             note=html.P("How far each partition of the topic has been read. Normal: little lag, and watermarks side by "
                         "side; the one furthest behind holds back what waits for event time.", className="note")),
        html.Div([_sinks(), _channels()], className="columns halves"),
        _quarantine(view),
        _dead(view),
        dmc.Modal(html.Div(id=here.LETTER_TEXT), id=here.LETTER, title="A refused message", size="xl", centered=True,
                  closeButtonProps=named("Close")),
    ]  # fmt: skip


def _chart(view: View) -> Any:
    controls = [
        segments(here.METRIC, _METRICS, view.one("metric", list(READINGS), "rate"), "What to draw"),
        segments(here.SPAN, _SPANS, view.one("span", list(SPANS), "10m"), "How far back"),
    ]
    graph = dcc.Graph(id=here.CHART, config=_CHART, figure=blank(260), className="readings")
    return card(
        "Over time",
        html.Div(graph, role="figure", **named("Chart of the pipeline's readings; the line below says the same")),
        html.P("\u00a0", id=here.WORDS, className="note"),
        controls=controls, name="readings-card",
    )  # fmt: skip


def _sinks() -> Any:
    return card(
        "Sinks and storage",
        html.Div(skeleton(3), id=here.SINKS),
        html.Dl(skeleton(1), id=here.STORAGE, className="tiles storage"),
        note=html.P("How long writing takes. A slow sink holds the flow back, and nothing is lost.", className="note"),
        name="sinks-card",
    )


def _channels() -> Any:
    note = (
        "How long an alert takes to its reader, without what is held back on purpose: in quiet hours, or for a digest."
    )
    return card("Delivery", html.Div(skeleton(3), id=here.CHANNELS), note=html.P(note, className="note"),
                name="channels-card")  # fmt: skip


def _quarantine(view: View) -> Any:
    filters = [
        segments(here.STATE, _STATES, view.one("state", FATES, "held"), "What became of them"),
        _reasons(here.REASON, view.one("reason")),
        dmc.TextInput(id=here.EVENT, value=view.one("event") or "", placeholder="Event", debounce=300, size="sm",
                      inputProps={"maxLength": 100}, className="search", **named("Event, by name or id")),
    ]  # fmt: skip
    note = (
        "Prices that cannot be true, or must be doubted until they persist: they are in no low, window or alert. Release "
        "what was right, and it enters the history; confirm what was wrong. Either can be taken back."
    )
    return card(
        "Quarantine",
        dcc.Store(id=here.DECIDED),
        html.Div(filters, className="table-filters"),
        html.Div(
            [html.Span(id=here.LAST, role="status"), dmc.Button("Undo", id=here.UNDO, variant="subtle", size="compact-sm")],
            id=f"{here.LAST}-line", className="narrowed", hidden=True,
        ),
        html.Div(skeleton(5), id=here.HELD),
        HELD_PAGES.layout(view, "quarantine"),
        controls=export_menu("quarantine"),
        note=html.P(note, className="note"),
        name="quarantine-card",
    )  # fmt: skip


def _dead(view: View) -> Any:
    note = "Messages that could not be read. Nothing of them is lost: they stand in the topic dead_letters, too."
    return card(
        "Dead letters",
        html.Div([_reasons(here.DEAD_REASON, view.one("refused"))], className="table-filters"),
        html.Div(skeleton(4), id=here.DEAD),
        DEAD_PAGES.layout(view, "dead letters"),
        controls=export_menu("dead-letters"),
        note=html.P(note, className="note"),
        name="dead-card",
    )


def _reasons(name: str, value: str | None) -> Any:
    data = [{"value": value, "label": value}] if value else []  # until the counts come
    return dmc.Select(id=name, value=value, data=data, placeholder="Every reason", clearable=True, size="sm",
                      className="reasons", **named("Reason"))  # fmt: skip
