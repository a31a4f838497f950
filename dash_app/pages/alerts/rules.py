"""The rules as cards, a page at a time, and the rule that holds while there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dash import ALL, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from dash_app import ids
from dash_app.loaders.alerts import any_rules, rule_counts, rules_page
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.pages.alerts.layout import state_choices
from dash_app.shell.guard import keeps
from dash_app.views.alerts import (
    badge_id,
    card_class,
    card_id,
    default_rule,
    now_id,
    rule_cards,
    rule_now,
    state_badge,
    summary,
)

PER_PAGE = 12
_SAID = ("id", "name", "event_id", "event", "venue", "date", "says", "wanted", "channels", "active", "muted_until")


def register(app: Dash, services: Services) -> None:
    """Register the cards, what is around them, and their pages."""
    database, settings = services.database, services.settings

    @keeps
    def cards(
        _slow: int | None, _changed: Any, words: str | None, state: str | None, page: int | None, zone: str | None,
        drawn: str | None,
    ) -> tuple[Any, Any]:  # fmt: skip
        number = max(page or 1, 1)
        found = rules_page(database, words or "", state, limit=PER_PAGE, offset=(number - 1) * PER_PAGE)
        asked = bool(words or state or number > 1)
        muted = [state == "muted" for state in found["state"]]
        shows = repr((found.select(_SAID).rows(), muted, zone, asked))
        if shows == drawn:
            return no_update, no_update  # the rest moves by itself, below
        return rule_cards(found, zone or "UTC") if asked or found.height else [], shows

    @keeps
    def moves(
        _token: str | None, parts: list[dict[str, Any]], zone: str | None, shown: dict[str, str] | None
    ) -> tuple[Any, ...]:
        numbers = [part["rule"] for part in parts]
        if not numbers:
            raise PreventUpdate
        found = {
            row["id"]: row for row in rules_page(database, numbers=numbers, limit=len(numbers)).iter_rows(named=True)
        }
        shows = {str(number): repr((row, zone)) for number, row in found.items()}
        moved = [number in found and shows[str(number)] != (shown or {}).get(str(number)) for number in numbers]

        def drawn(part: Callable[[dict[str, Any]], Any]) -> list[Any]:
            return [part(found[number]) if new else no_update for number, new in zip(numbers, moved, strict=True)]

        return (
            drawn(lambda rule: card_class(rule["state"])),
            drawn(lambda rule: state_badge(rule["state"])),
            drawn(lambda rule: rule_now(rule, zone or "UTC")),
            shows,
        )

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
        Input(ids.SLOW, "n_intervals"),
        Input(here.CHANGED, "data"),
        Input(here.WORDS, "value"),
        Input(here.STATE, "value"),
        Input(here.PAGE, "value"),
        Input(ids.ZONE, "data"),
        State(here.DRAWN, "data"),
    )(cards)
    app.callback(
        Output(card_id(ALL), "className"),
        Output(badge_id(ALL), "children"),
        Output(now_id(ALL), "children"),
        Output(here.MOVED, "data"),
        Input(ids.PRICES, "data"),
        State(now_id(ALL), "id"),
        State(ids.ZONE, "data"),
        State(here.MOVED, "data"),
        prevent_initial_call=True,
    )(moves)
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
