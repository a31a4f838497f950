"""What the rule in the form would have done, asked for while it is typed, one question of a viewer at a time."""

from __future__ import annotations

from typing import Any

import psycopg
from dash import ClientsideFunction, Dash, Input, Output, html

from analytics.rules import RuleError
from analytics.rulestore import Rules
from dash_app import ids
from dash_app.figures.blank import blank
from dash_app.figures.theme import SCHEMES
from dash_app.figures.trial import trial_chart
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.pages.alerts.changes import sentence
from dash_app.pages.alerts.fields import BLANK, columns, prop, unfinished
from dash_app.pages.alerts.ids import field
from dash_app.views import alerts as views
from dash_app.views.toast import NO_TABLES

NEAR, FAR = 20_000, 150_000
"""Stored prices that a trial looks at while typing (well under a second), and when asked to look further back."""
_DEAL = 20  # a deal compares each price with many, which costs so many times as much


def register(app: Dash, services: Services) -> None:
    """Register the trial."""
    rules = services.rules

    def try_out(asked: dict[str, Any] | None) -> tuple[Any, ...]:
        if not asked:
            return *_nothing("Say what you are waiting for, and this shows it on the stored prices."), None
        return *_tried(rules, asked), {"number": asked["number"]}  # whatever came of it: the browser waits for it

    app.callback(
        Output(here.TRIAL, "children"),
        Output(here.TRIAL_CHART, "figure"),
        Output(here.TRIAL_LIST, "children"),
        Output(here.VERDICT, "children"),
        Output(here.ANSWERED, "data"),
        Input(here.ASKED, "data"),
    )(try_out)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope_alerts", "typed"),
        Output(here.ASKED, "data"),  # is set later; without an output Dash would miss the parts on other pages
        Input(here.DRAWER, "opened"),
        Input(ids.ZONE, "data"),
        Input(ids.SCHEME, "data"),
        Input(views.FAR, "data"),
        Input(here.EDITED, "data"),
        *(Input(field(name), prop(name)) for name in BLANK),
    )
    in_browser(ClientsideFunction("conscope_alerts", "answered"), Input(here.ANSWERED, "data"))


def _tried(rules: Rules, asked: dict[str, Any]) -> tuple[Any, Any, Any, str]:
    typed, zone = dict(zip(BLANK, asked["values"], strict=True)), asked["zone"] or "UTC"
    if (missing := unfinished(typed)) is not None:
        return _nothing(missing)
    most = (FAR if asked["far"] else NEAR) // (_DEAL if typed["condition"] == "deal" else 1)
    try:
        tried, seen = rules.try_and_see(columns(typed, zone), most=most)
    except RuleError as error:
        return _nothing(sentence(str(error)))
    except psycopg.errors.UndefinedTable:
        return _nothing(NO_TABLES)
    except psycopg.Error:
        return _nothing("Postgres does not answer, so there is nothing to try it on. It goes on by itself.")
    words = views.trial_words(tried, most, cut=seen.cut, farther=not asked["far"])
    if not seen.path:
        return words, blank(190), None, tried.summary()
    rule = tried.rule
    firings = [firing for firing in tried.firings if firing.event_id == seen.event_id]
    scheme = SCHEMES["dark" if asked["scheme"] == "dark" else "light"]
    chart = trial_chart(seen.path, firings, rule.target, rule.currency, zone, scheme)
    of = [html.P(["On ", html.Strong(seen.event_name or seen.event_id)], className="note")] if rule.is_wide else []
    return [*words, *of], chart, views.firings(tried, zone), tried.summary()


def _nothing(why: str) -> tuple[Any, Any, Any, str]:
    return html.P(why, className="note"), blank(190), None, why
