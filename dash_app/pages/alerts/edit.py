"""The form: opened, filled, its choices, and saved."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from dash import ClientsideFunction, Dash, Input, Output, State, ctx, no_update
from dash.exceptions import PreventUpdate

from analytics.rules import RuleError
from analytics.rulestore import NoSuchRule
from dash_app import ids
from dash_app.database import Database, DatabaseAwayError, NotReadyError
from dash_app.loaders import currencies
from dash_app.loaders.alerts import channels, known_event, search_events, sections_of, sources_of
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.pages.alerts.changes import channel_names, sentence
from dash_app.pages.alerts.fields import BLANK, columns, prop, unfinished, values
from dash_app.pages.alerts.ids import field
from dash_app.shell import search
from dash_app.shell.guard import keeps
from dash_app.text import source_name, symbol
from dash_app.views import alerts as views
from dash_app.views.head import event_options
from dash_app.views.toast import AWAY, NO_TABLES, toast

_CURRENCIES = ("USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF")
_CASES = ("scope", "condition", "reference", "rearm", "quiet")


def register(app: Dash, services: Services) -> None:
    """Register the form."""
    database, rules = services.database, services.rules

    def opened(taken: dict[str, Any] | None, zone: str | None) -> tuple[Any, ...]:
        if not taken:
            raise PreventUpdate
        if taken["value"] == "new":
            return True, "Make a rule", None, "", *BLANK.values()
        try:
            [kept] = rules.all(int(taken["value"]))
        except (NoSuchRule, psycopg.Error):
            raise PreventUpdate from None
        shown = values(kept.rule, zone or "UTC")
        title = f"Change rule #{taken['value']}"
        return True, title, taken["value"], "", *(shown[name] for name in BLANK)

    def save(clicks: int | None, edited: str | None, zone: str | None, *given: Any) -> tuple[Any, ...]:
        if not clicks:
            raise PreventUpdate
        typed = dict(zip(BLANK, given, strict=True))
        try:
            missing = unfinished(typed)
            if missing:
                raise RuleError(missing)
            row = columns(typed, zone or "UTC")
            if edited is None:
                number = rules.add(row)
            else:
                rules.change(int(edited), row)
        except (RuleError, NoSuchRule) as error:
            return no_update, sentence(str(error)), no_update, no_update
        except psycopg.errors.UndefinedTable:
            return no_update, NO_TABLES, no_update, no_update
        except psycopg.Error:
            return no_update, AWAY, no_update, no_update
        said = f"Rule #{number} is made" if edited is None else f"Rule #{edited} is changed"
        return False, "", time.time(), toast(f"{said}. A running flow takes it up within seconds.")

    @keeps
    def of_event(event: str | None) -> tuple[Any, ...]:
        money = currencies(database, event) if event else []
        return (
            sections_of(database, event) if event else [],
            [{"value": name, "label": source_name(name)} for name in sources_of(database, event)],
            [{"value": code, "label": code} for code in dict.fromkeys([*money, *_CURRENCIES])],
        )

    @keeps
    def money_of(event: str | None, currency: str | None) -> Any:
        """A new rule is about the money that the event is sold for."""
        money = currencies(database, event) if event else []
        return no_update if not money or currency in money else money[0]

    @keeps
    def channel_choices(is_open: bool | None, chosen: list[str] | None) -> Any:
        if not is_open:
            raise PreventUpdate
        known = channels(database, channel_names(services))["channel"].to_list()
        names = dict.fromkeys([*known, *(chosen or [])])
        return [{"value": name, "label": views.channel_name(name)} for name in names]

    app.callback(
        Output(here.DRAWER, "opened", allow_duplicate=True),
        Output(here.DRAWER, "title"),
        Output(here.EDITED, "data"),
        Output(here.ERROR, "children", allow_duplicate=True),
        *(Output(field(name), prop(name), allow_duplicate=True) for name in BLANK),
        Input(views.OPEN, "data"),
        State(ids.ZONE, "data"),
        prevent_initial_call=True,
    )(opened)
    app.callback(
        Output(here.DRAWER, "opened", allow_duplicate=True),
        Output(here.ERROR, "children"),
        Output(here.CHANGED, "data", allow_duplicate=True),
        Output(ids.TOASTS, "sendNotifications", allow_duplicate=True),
        Input(here.SAVE, "n_clicks"),
        State(here.EDITED, "data"),
        State(ids.ZONE, "data"),
        *(State(field(name), prop(name)) for name in BLANK),
        running=[(Output(here.SAVE, "loading"), True, False)],
        prevent_initial_call=True,
    )(save)
    app.callback(
        Output(field("sections"), "data"),
        Output(field("source"), "data"),
        Output(field("currency"), "data"),
        Input(field("event"), "value"),
    )(of_event)
    app.callback(
        Output(field("currency"), "value", allow_duplicate=True),
        Input(field("event"), "value"),
        State(field("currency"), "value"),
        prevent_initial_call="initial_duplicate",
    )(money_of)
    app.callback(Output(field("channels"), "data"), Input(here.DRAWER, "opened"), State(field("channels"), "value"))(
        channel_choices
    )
    event_search(app, database, field("event"))
    app.callback(*(Output(field(name), "prefix") for name in ("target", "step")), Input(field("currency"), "value"))(
        lambda code: (symbol(code or "USD"),) * 2
    )

    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope_alerts", "cases"),
        Output(here.FORM, "className"),
        *(Input(field(name), prop(name)) for name in _CASES),
    )
    in_browser(
        ClientsideFunction("conscope_alerts", "quiet"),
        Output(here.QUIET_NOTE, "children"),
        Input(field("quiet_zone"), "data"),
        Input(ids.ZONE, "data"),
    )
    in_browser(
        ClientsideFunction("conscope_alerts", "adopt"),
        Output(field("target"), "value", allow_duplicate=True),
        Input(views.ADOPT, "data"),
        prevent_initial_call=True,
    )
    in_browser(
        ClientsideFunction("conscope_alerts", "shut"),
        Output(here.DRAWER, "opened", allow_duplicate=True),
        Input(here.CANCEL, "n_clicks"),
        prevent_initial_call=True,
    )


def event_search(app: Dash, database: Database, part: str) -> None:
    """Let a select find events by typing: its choices are what was found, and what is chosen."""

    def look(words: str | None, chosen: str | None, shown: list[dict[str, str]] | None, zone: str | None) -> Any:
        labels = {option["value"]: option["label"] for option in shown or []}
        if chosen and words == labels.get(chosen):
            if ctx.triggered_id is not None and len(labels) > 1:
                raise PreventUpdate  # it was just chosen
            words = ""
        try:
            found = event_options(search_events(database, words or ""), zone or "UTC")
            if chosen and chosen not in {option["value"] for option in found}:
                known = event_options(known_event(database, chosen), zone or "UTC")
                found = [*(known or [{"value": chosen, "label": chosen}]), *found]
        except (DatabaseAwayError, NotReadyError):
            raise PreventUpdate from None
        return no_update if found == shown else found

    app.callback(
        Output(search.found(part), "data"), Input(part, "searchValue"), Input(part, "value"), State(part, "data"),
        State(ids.ZONE, "data"),
    )(look)  # fmt: skip
    search.register(app, part)
