"""What a person does to a rule on its card: mute, unmute, delete; and the test of a channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from dash import ClientsideFunction, Dash, Input, Output, State, no_update
from dash.exceptions import PreventUpdate

from analytics.rules import RuleError
from analytics.rulestore import NoSuchRule, Rules
from dash_app import ids, text
from dash_app.database import DatabaseAwayError, NotReadyError
from dash_app.loaders.alerts import channels
from dash_app.page import Services
from dash_app.pages.alerts import ids as here
from dash_app.shell.guard import required
from dash_app.views import alerts as views
from dash_app.views.toast import AWAY, NO_TABLES, toast


def register(app: Dash, services: Services) -> None:
    """Register what the cards' and the channels' buttons do."""
    rules = services.rules

    def mute(taken: dict[str, Any] | None, zone: str | None) -> tuple[Any, Any]:
        number, _, seconds = _value(taken).partition(":")
        return changed(lambda: _mute(rules, int(number), seconds, zone or "UTC"))

    def ask(taken: dict[str, Any] | None) -> tuple[Any, Any, Any]:
        number = _value(taken)
        try:
            [kept] = rules.all(int(number))
        except NoSuchRule:
            return no_update, no_update, no_update
        except psycopg.Error:
            return True, None, AWAY
        name = kept.rule["name"] or f"Rule #{number}"
        words = f"“{name}” will tell you nothing more. The alerts that it has given stay in the log."
        return True, number, words

    def remove(clicks: int | None, doomed: str | None) -> tuple[Any, Any, Any]:
        if not clicks:
            raise PreventUpdate
        number = int(required(doomed))

        def gone() -> str:
            rules.remove(number)
            return f"Rule #{number} is deleted."

        return *changed(gone), False

    def test(taken: dict[str, Any] | None) -> tuple[Any, Any]:
        return changed(lambda: send_test(services, _value(taken)))

    app.callback(
        Output(ids.TOASTS, "sendNotifications", allow_duplicate=True),
        Output(here.CHANGED, "data", allow_duplicate=True),
        Input(views.MUTE, "data"),
        State(ids.ZONE, "data"),
        prevent_initial_call=True,
    )(mute)
    app.callback(
        Output(here.CONFIRM, "opened", allow_duplicate=True),
        Output(here.DOOMED, "data"),
        Output(here.CONFIRM_TEXT, "children"),
        Input(views.REMOVE, "data"),
        prevent_initial_call=True,
    )(ask)
    app.callback(
        Output(ids.TOASTS, "sendNotifications", allow_duplicate=True),
        Output(here.CHANGED, "data", allow_duplicate=True),
        Output(here.CONFIRM, "opened", allow_duplicate=True),
        Input(here.CONFIRM_YES, "n_clicks"),
        State(here.DOOMED, "data"),
        prevent_initial_call=True,
    )(remove)
    app.callback(
        Output(ids.TOASTS, "sendNotifications", allow_duplicate=True),
        Output(here.CHANGED, "data", allow_duplicate=True),
        Input(views.TEST, "data"),
        prevent_initial_call=True,
    )(test)
    in_browser: Any = app.clientside_callback  # Dash leaves it without types
    in_browser(
        ClientsideFunction("conscope_alerts", "shut"),
        Output(here.CONFIRM, "opened", allow_duplicate=True),
        Input(here.CONFIRM_NO, "n_clicks"),
        prevent_initial_call=True,
    )


def changed(change: Callable[[], str]) -> tuple[list[dict[str, Any]], Any]:
    """Do it, and what to say of it: (notifications, what the page draws anew for)."""
    try:
        said = change()
    except (RuleError, NoSuchRule) as error:
        return toast(sentence(str(error)), failed=True), time.time()  # the page shows a rule that is gone: draw it anew
    except (psycopg.errors.UndefinedTable, NotReadyError):
        return toast(NO_TABLES, failed=True), no_update
    except (psycopg.Error, DatabaseAwayError):
        return toast(AWAY, failed=True), no_update
    return toast(said), time.time()


def send_test(services: Services, channel: str) -> str:
    """Have the running delivery send a test; what to say of it.

    Raises:
        RuleError: there is no such channel.
    """
    known = channels(services.database, channel_names(services))["channel"]
    if channel not in known.to_list():
        raise RuleError(f"there is no channel {channel}")
    services.database.change("SELECT send_test(%(name)s)", {"name": channel})
    return f"A test for {views.channel_name(channel)} is on its way; the notifications below say what becomes of it."


def channel_names(services: Services) -> Sequence[str]:
    """The names of the channels that this process's settings have; never an address."""
    default = ["discord:default"] if services.settings.discord_webhook_url is not None else []
    return [*default, *sorted(services.settings.channels)]


def sentence(words: str) -> str:
    """Words as a sentence."""
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def _mute(rules: Rules, number: int, seconds: str, zone: str) -> str:
    if seconds == "0":
        rules.unmute(number)
        return f"Rule #{number} speaks again."
    if not seconds:
        rules.mute(number)
        return f"Rule #{number} is silent until you unmute it."
    until = datetime.now(UTC) + timedelta(seconds=int(seconds))
    rules.mute(number, until)
    return f"Rule #{number} is silent until {text.clock(until, zone, '%b %-d, %H:%M')}."


def _value(taken: dict[str, Any] | None) -> str:
    """What the click said.

    Raises:
        PreventUpdate: nothing was clicked.
    """
    return required(None if taken is None else str(taken["value"]))
