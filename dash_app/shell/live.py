"""The tick: is there anything new, and does everything answer?"""

from __future__ import annotations

from typing import Any

from dash import Dash, Input, Output, State, no_update

from dash_app import ids, text
from dash_app.database import Database, DatabaseAwayError, NotReadyError
from dash_app.loaders import Pulse, pulse

_AWAY = "Postgres does not answer. What you see is the last it said; this page goes on by itself when it is back."
_QUIET_AFTER = 20.0  # seconds without progress of the flow


def register(app: Dash, database: Database) -> None:
    """Register the tick."""

    def tick(beat: int | None, prices: str | None, health: str | None, words: str, stage: str) -> tuple[Any, ...]:
        try:
            now = pulse(database)
        except DatabaseAwayError:
            return no_update, no_update, *_state("away", "Postgres is away", words), stage, _AWAY, False, beat
        except NotReadyError:
            return no_update, no_update, *_state("wait", "Waiting for the flow", words), "empty", "", True, beat
        look, said = _link(now)
        return (
            now.prices if now.prices != prices else no_update,
            now.health if now.health != health else no_update,
            *_state(look, said, words),
            "empty" if now.empty else "live",
            "",
            True,
            beat,
        )

    app.callback(
        Output(ids.PRICES, "data"),
        Output(ids.HEALTH_TOKEN, "data"),
        Output(ids.LINK, "className"),
        Output(ids.LINK_TEXT, "children"),
        Output(ids.STAGE, "className"),
        Output(ids.NOTICE, "children"),
        Output(ids.NOTICE, "hidden"),
        Output(ids.HEARTBEAT, "data"),
        Input(ids.TICK, "n_intervals"),
        State(ids.PRICES, "data"),
        State(ids.HEALTH_TOKEN, "data"),
        State(ids.LINK_TEXT, "children"),
        State(ids.STAGE, "className"),
    )(tick)


def _link(now: Pulse) -> tuple[str, str]:
    if now.quiet_seconds is not None and now.quiet_seconds > _QUIET_AFTER:
        return "quiet", f"No news for {text.duration(now.quiet_seconds)}"
    return ("wait", "Waiting for prices") if now.empty else ("live", "Live")


def _state(look: str, said: str, before: str) -> tuple[Any, Any]:
    """Only what changed, so that a screen reader is not told the same again."""
    return (f"link {look}", said) if said != before else (no_update, no_update)
