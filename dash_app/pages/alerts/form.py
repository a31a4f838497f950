"""The form that makes or changes a rule, with what the rule would have done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.figures.blank import blank
from dash_app.page import View
from dash_app.pages.alerts import ids as here
from dash_app.pages.alerts.fields import BLANK
from dash_app.pages.alerts.ids import field
from dash_app.shell.search import searched
from dash_app.views.aria import DECORATION, named
from dash_app.views.controls import segments

_CONDITIONS = [
    ("at_or_below", "At or below", "a price you name"),
    ("drop", "Drops", "by a share or an amount"),
    ("rise", "Rises", "by a share or an amount"),
    ("new_low", "New low", "lower than ever, or in N days"),
    ("deal", "Deal", "among the cheapest seats like it"),
    ("back", "Back again", "seen again after it was gone"),
]
_SCOPES = [("event", "One event"), ("search", "A search"), ("every", "Every event")]
_REFERENCES = [
    ("last_alert", "since this rule's last alert"), ("previous", "from the price before"),
    ("first_seen", "since first seen"), ("median", "from the median of some days"), ("lowest", "from the lowest so far"),
]  # fmt: skip
_UNITS = [("percent", "%"), ("amount", "Amount")]
_WATCHES = [("lowest", "the lowest price"), ("each", "each listing for itself")]
_REARMS = [
    ("usual", "As usual for such a rule"), ("always", "At once, whenever it holds anew"), ("once", "Never: once only"),
    ("cooldown", "After a while"), ("margin", "When the price has gone back"), ("lower", "Only if lower still"),
]  # fmt: skip
_CHART: Any = {"displayModeBar": False, "responsive": True}


def drawer(view: View) -> Any:
    """The form in its drawer; `?event=x&new=1` opens it for that event."""
    start = {**BLANK, "event": view.one("event")}
    is_new = view.one("new") is not None
    return dmc.Drawer(
        html.Div([_form(start), _trial()], className="rule-form-and-trial"),
        id=here.DRAWER, title="Make a rule", position="right", size="min(1080px, 100%)", opened=is_new,
        keepMounted=True, closeButtonProps=named("Close"), className="alerts-drawer wide",
    )  # fmt: skip


def choices(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """(value, words) as a control's data."""
    return [{"value": value, "label": words} for value, words in pairs]


def _form(v: dict[str, Any]) -> Any:
    return html.Div(
        [
            dcc.Store(id=here.EDITED),
            dcc.Store(id=field("quiet_zone"), data=v["quiet_zone"]),
            *(dcc.Store(id=name) for name in (here.ASKED, here.ANSWERED)),
            _words(v, "name", "Name", placeholder="Optional: what you call it", inputProps={"maxLength": 120}),
            _part("Watch", _scope(v)),
            _part("Tell me when the price", _condition(v)),
            _part("Tell me", _delivery(v)),
            html.Details([html.Summary("More: which price, how steady, when again, until when"), html.Div(_more(v))],
                         className="form-more"),
            html.P(id=here.ERROR, className="form-error", role="alert"),
            html.Div(
                [html.P(id=here.VERDICT, className="foot-verdict", **DECORATION),  # the trial says it, and may be out of sight
                 html.Button("Cancel", id=here.CANCEL, className="quiet-button"),
                 dmc.Button("Save the rule", id=here.SAVE)],
                className="form-foot",
            ),
        ],
        id=here.FORM, className="rule-form",
    )  # fmt: skip


def _trial() -> Any:
    parts = [
            html.H3("What it would have done"),
            html.Div(html.P("Say what you are waiting for, and this shows it on the stored prices.", className="note"),
                     id=here.TRIAL, role="status"),
            html.Div(
                dcc.Graph(id=here.TRIAL_CHART, config=_CHART, figure=blank(190), className="trial-graph"), role="figure",
                **named("The price that the rule would have watched, with the alerts there would have been; "
                        "the sentence above and the list below say the same"),
            ),
            html.Div(id=here.TRIAL_LIST),
    ]  # fmt: skip
    return html.Aside(html.Div(parts), className="rule-trial", **named("What the rule would have done"))


def _part(title: str, children: Any) -> Any:
    return html.Fieldset([html.Legend(title), *children], className="form-part")


def _when(name: str, *children: Any) -> Any:
    """Fields that stand there only in some cases; the form's own class, set in the browser, says which."""
    return html.Div(list(children), className=f"when when-{name}")


def _scope(v: dict[str, Any]) -> list[Any]:
    return [
        segments(field("scope"), _SCOPES, v["scope"], "Which events"),
        _when("event", searched(
            field("event"), value=v["event"], data=[], label="Event", clearable=True,
            placeholder="Type a name, a venue or a city's arena", nothingFoundMessage="No event of that name",
            filter={"function": "alertsAsFound"}, maxDropdownHeight=320, limit=40,
        )),
        _when("search", html.Div([
            _words(v, "query", "Words of the event's name", placeholder="The Band"),
            _words(v, "venue", "Venue, whole name", placeholder="Any"),
        ], className="pair")),
        dmc.TagsInput(id=field("sections"), value=v["sections"], data=[], label="Sections", clearable=True, maxTags=30,
                      limit=60, splitChars=[",", ";"], placeholder="Any; type and press Enter"),
        html.Div([
            _words(v, "max_row", "Up to row", placeholder="Any"),
            _whole(v, "quantity", "Tickets at least", 1, 1000),
            _one(v, "source", "Source", [], placeholder="Any", clearable=True),
        ], className="pair three"),
    ]  # fmt: skip


def _condition(v: dict[str, Any]) -> list[Any]:
    cards = [
        dmc.RadioCard([html.Strong(words), html.Span(more)], value=value, className="condition-card",
                      **named(f"{words}: {more}"))
        for value, words, more in _CONDITIONS
    ]  # fmt: skip
    much = html.Div([
        _amount(v, "much", "By"),
        html.Div(segments(field("unit"), _UNITS, v["unit"], "Share or amount"), className="unit"),
        _one(v, "reference", "Measured", _REFERENCES, allowDeselect=False),
    ], className="pair much")  # fmt: skip
    return [
        dmc.RadioGroup(html.Div(cards, className="condition-cards"), id=field("condition"), value=v["condition"],
                       **named("What must happen")),
        _when("at_or_below", _amount(v, "target", "Target, per ticket, all-in unless you say otherwise", min=0)),
        _when("moves", much),
        _when("days", _whole(v, "days", "Days (empty: 30 for a median, ever for a low)", 1, 365)),
        _when("deal", _whole(v, "percentile", "Among the cheapest … percent of ten or more comparable listings", 1, 99)),
        _when("back", _whole(v, "gone", "Gone for … minutes before it counts as back", 1, 525_600)),
    ]  # fmt: skip


def _delivery(v: dict[str, Any]) -> list[Any]:
    return [
        dmc.MultiSelect(id=field("channels"), value=v["channels"], data=[], label="Channels", clearable=True, searchable=True,
                        placeholder="Discord (default)"),
        html.Div([
            _switch(v, "quiet", "Quiet hours"),
            _when("quiet", html.Div([
                dmc.TimeInput(id=field("quiet_from"), value=v["quiet_from"], label="From"),
                dmc.TimeInput(id=field("quiet_to"), value=v["quiet_to"], label="To"),
            ], className="pair"), html.P(id=here.QUIET_NOTE, className="note")),
        ]),
        _whole(v, "digest", "At most one message in … minutes (0: each alert at once)", 0, 10_080),
    ]  # fmt: skip


def _more(v: dict[str, Any]) -> list[Any]:
    return [
        html.Div([
            _one(v, "price", "Price", [("all_in", "All-in, with fees"), ("base", "Without fees")], allowDeselect=False),
            _one(v, "currency", "Currency", [("USD", "USD")], allowDeselect=False, searchable=True),
            _whole(v, "party", "For so many together", 1, 100),
        ], className="pair three"),
        html.Div([
            _one(v, "watch", "Look at", _WATCHES, allowDeselect=False),
            _whole(v, "observations", "Must stand for … looks", 1, 1000),
            _whole(v, "listings", "Listings that qualify", 1, 1000),
        ], className="pair three"),
        html.Div([
            _one(v, "rearm", "It may fire again", _REARMS, allowDeselect=False),
            _when("cooldown", _whole(v, "cooldown", "… after so many minutes", 1, 525_600)),
            _when("margin", _amount(v, "margin", "… when back over it by … %", min=0, max=1000)),
            _when("lower", _amount(v, "step", "… if lower by", min=0)),
        ], className="pair"),
        _when("at_or_below", _switch(v, "skip", "Do not fire on what holds already when the rule is made")),
        html.Div([
            dmc.DateTimePicker(id=field("expires"), value=v["expires"], clearable=True,
                               label="Ends, on your clock",
                               placeholder="When the event begins", valueFormat="MMM D, YYYY HH:mm",
                               **named("When the rule ends")),
            _switch(v, "announce", "Tell me when it ends"),
        ], className="pair"),
    ]  # fmt: skip


def _words(v: dict[str, Any], name: str, label: str, **more: Any) -> Any:
    return dmc.TextInput(id=field(name), value=v[name], label=label, **more)


def _whole(v: dict[str, Any], name: str, label: str, low: int, high: int) -> Any:
    return dmc.NumberInput(id=field(name), value=v[name], label=label, min=low, max=high, allowDecimal=False,
                           allowNegative=False, className="number-field")  # fmt: skip


def _amount(v: dict[str, Any], name: str, label: str, **more: Any) -> Any:
    return dmc.NumberInput(id=field(name), value=v[name], label=label, decimalScale=2, allowNegative=False,
                           hideControls=True, className="number-field", **more)  # fmt: skip


def _one(v: dict[str, Any], name: str, label: str, pairs: Sequence[tuple[str, str]], **more: Any) -> Any:
    return dmc.Select(**{"id": field(name), "value": v[name], "label": label, "data": choices(pairs), **more})


def _switch(v: dict[str, Any], name: str, label: str) -> Any:
    return dmc.Switch(id=field(name), checked=v[name], label=label)
