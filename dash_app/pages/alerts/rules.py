"""The rules as cards, a page at a time, and the rule that holds while there is none."""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, no_update

from dash_app import ids
from dash_app.loaders.alerts import any_rules, rule_counts, rules_page
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.pages.alerts.layout import state_choices
from dash_app.shell.guard import keeps
from dash_app.views.alerts import default_rule, rule_cards, summary

PER_PAGE = 12


def register(app: Dash, services: Services) -> None:
    """Register the cards, what is around them, and their pages."""
    database, settings = services.database, services.settings

    @keeps
    def cards(
        _token: str | None, _changed: Any, words: str | None, state: str | None, page: int | None, zone: str | None,
        drawn: str | None,
    ) -> tuple[Any, Any]:  # fmt: skip
        number = max(page or 1, 1)
        found = rules_page(database, words or "", state, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
        asked = bool(words or state or number > 1)
        shows = repr((found.rows(), zone, asked))
        if shows == drawn:
            return no_update, no_update
        return rule_cards(found, zone or "UTC") if asked or found.height else [], shows

    @keeps
    def around(_slow: int | None, _changed: Any, words: str | None, state: str | None) -> tuple[Any, ...]:
        counts = rule_counts(database, words or "")
        active, some = any_rules(database)
        shown = counts.get(state, 0) if state else sum(counts.values())
        webhook = settings.discord_webhook_url is not None
        return (
            summary(counts),
            state_choices(counts),
            max(-(-shown // PER_PAGE), 1),
            None if active else default_rule(settings.alert_min_drop_percent, has_webhook=webhook, has_rules=some),
        )

    app.callback(
        Output(here.CARDS, "children"),
        Output(here.DRAWN, "data"),
        Input(ids.PRICES, "data"),
        Input(here.CHANGED, "data"),
        Input(here.WORDS, "value"),
        Input(here.STATE, "value"),
        Input(here.PAGE, "value"),
        Input(ids.ZONE, "data"),
        State(here.DRAWN, "data"),
    )(cards)
    app.callback(
        Output(here.SUMMARY, "children"),
        Output(here.STATE, "data"),
        Output(here.PAGE, "total"),
        Output(here.DEFAULT, "children"),
        Input(ids.SLOW, "n_intervals"),
        Input(here.CHANGED, "data"),
        Input(here.WORDS, "value"),
        Input(here.STATE, "value"),
    )(around)
    app.callback(
        Output(here.PAGE, "value"),
        Input(here.WORDS, "value"),
        Input(here.STATE, "value"),
        prevent_initial_call=True,
    )(lambda _words, _state: 1)
