"""What a person changes on this page, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from dash import Output, ctx

from analytics.watchlist import WatchlistError
from dash_app import ids
from dash_app.pages.sources import ids as here
from dash_app.views.toast import AWAY, NO_TABLES, toast

TOLD = (
    Output(ids.TOASTS, "sendNotifications", allow_duplicate=True),
    Output(here.CHANGED, "data", allow_duplicate=True),
)
"""What `told` is for."""


class NotChanged(Exception):
    """It could not be done; the text says why."""


def attempt(change: Callable[[], Any]) -> Any:
    """What `change` gives.

    Raises:
        NotChanged: the watchlist refuses it, or Postgres does not answer.
    """
    try:
        return change()
    except WatchlistError as error:
        raise NotChanged(str(error)) from None
    except psycopg.errors.UndefinedTable:
        raise NotChanged(NO_TABLES) from None
    except psycopg.Error:  # whose text can name the host and the user
        raise NotChanged(AWAY) from None


def told(message: str) -> tuple[Any, int]:
    """A toast, and that the tables are to be read again."""
    return toast(message), time.time_ns()


def pressed() -> dict[str, Any] | None:
    """The key of the row's button that was pressed; None when rows were only drawn, which triggers a callback, too."""
    return dict(ctx.triggered_id) if ctx.triggered_id and ctx.triggered[0]["value"] else None
