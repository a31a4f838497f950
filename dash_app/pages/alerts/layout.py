"""What stands on the alerts page, before anything is known."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc  # type: ignore[import-untyped]
from dash import dcc, html

from dash_app.loaders.alerts import STATES
from dash_app.page import View
from dash_app.pages.alerts import form
from dash_app.pages.alerts import ids as here
from dash_app.shell.search import searched
from dash_app.views import alerts as views
from dash_app.views.aria import named
from dash_app.views.cards import card, skeleton
from dash_app.views.export import export_menu

_STORES = (
    views.OPEN, views.WHY, views.MUTE, views.REMOVE, views.TEST, views.ADOPT, views.FAR,
    here.CHANGED, here.DRAWN, here.MOVED, here.LOGGED, here.DOOMED,
)  # fmt: skip


def layout(view: View) -> Any:
    """The page that the address asks for."""
    return [
        *(dcc.Store(id=name) for name in _STORES),
        dcc.Store(id=here.WHY_RULE, data=view.one("why")),
        _head(),
        _rules(view),
        _channels(),
        _log(view),
        form.drawer(view),
        _why(view),
        _confirm(),
    ]


def _head() -> Any:
    make = html.Button("Make a rule", **views.act(views.OPEN, "new"), className="main-button")
    return html.Section(
        [
            html.Div([html.H1("Alerts"), html.P("\u00a0", id=here.SUMMARY, role="status")], className="event-head"),
            html.Div([export_menu("rules"), make], className="controls"),
        ],
        className="alerts-head", **named("Alerts"),
    )  # fmt: skip


def _rules(view: View) -> Any:
    controls = [
        dmc.TextInput(id=here.WORDS, value=view.one("q", default=""), placeholder="Name, event, venue, channel or #number",
                      debounce=250, **named("Search rules")),
        dmc.Select(id=here.STATE, value=view.one("state", STATES), data=state_choices({}), placeholder="Any state",
                   clearable=True, **named("State of the rules")),
    ]  # fmt: skip
    return card(
        "Rules",
        html.Div(id=here.DEFAULT),
        html.Div(skeleton(6, 24), id=here.CARDS),
        dmc.Pagination(id=here.PAGE, value=page_number(view, "page"), total=page_number(view, "page"), hideWithOnePage=True,
                       withControls=False, size="sm", mt=20, **named("Pages of rules")),
        controls=controls, name="rules-card",
    )  # fmt: skip


def _log(view: View) -> Any:
    states = [{"value": state, "label": words.capitalize()} for state, words in views.DELIVERY.items()]
    filters = [
        dmc.NumberInput(id=here.LOG_RULE, value=_number(view.one("of")), placeholder="Any rule", prefix="#", min=1,
                        allowDecimal=False, hideControls=True, debounce=300, label="Rule"),
        searched(here.LOG_EVENT, value=view.one("event-of"), data=[], placeholder="Any event", clearable=True, label="Event",
                 nothingFoundMessage="No event of that name", filter={"function": "alertsAsFound"}),
        dmc.Select(id=here.LOG_STATE, value=view.one("delivery", list(views.DELIVERY)), data=states, placeholder="Any state",
                   clearable=True, label="State"),
    ]  # fmt: skip
    return card(
        "Notifications",
        html.Div(filters, className="log-filters"),
        html.Div(skeleton(6), id=here.LOG),
        dmc.Pagination(id=here.LOG_PAGE, value=page_number(view, "log"), total=page_number(view, "log"),
                       hideWithOnePage=True, withControls=False, size="sm", mt=16, **named("Pages of notifications")),
        controls=export_menu("notifications"), note=html.P("\u00a0", id=here.LOG_NOTE, className="note"), name="log-card",
    )  # fmt: skip


def _channels() -> Any:
    return card("Channels", html.Div(skeleton(3), id=here.CHANNELS), name="channels-card")


def _why(view: View) -> Any:
    choice = dmc.Select(id=here.WHY_EVENT, data=[], label="Event", placeholder="The latest", clearable=True, searchable=True,
                        display="none")  # fmt: skip
    return dmc.Drawer(
        [choice, html.Div(skeleton(5), id=here.WHY_PANEL, className="rule-why")],
        id=here.WHY_DRAWER, title="Why?", position="right", size="min(520px, 100%)", opened=view.one("why") is not None,
        keepMounted=True, closeButtonProps=named("Close"), className="alerts-drawer",
    )  # fmt: skip


def _confirm() -> Any:
    buttons = [html.Button("Keep it", id=here.CONFIRM_NO, className="quiet-button"),
               html.Button("Delete", id=here.CONFIRM_YES, className="main-button danger")]  # fmt: skip
    return dmc.Modal(
        [html.P(id=here.CONFIRM_TEXT), html.Div(buttons, className="form-foot")],
        id=here.CONFIRM, title="Delete this rule?", centered=True, keepMounted=True, closeButtonProps=named("Close"),
    )  # fmt: skip


def state_choices(counts: dict[str, int]) -> list[dict[str, str]]:
    """The states to choose from, with how many rules are in each where that is known."""
    words = {state: f" ({count:,})" for state, count in counts.items()}
    return [{"value": state, "label": f"{views.STATE_WORDS[state]}{words.get(state, '')}"} for state in STATES]


def page_number(view: View, name: str) -> int:
    """The page that the address asks for, from 1 on."""
    return min(max(_number(view.one(name)) or 1, 1), 100_000)


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 16 else None
