"""Panels that keep what they show while Postgres is away."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from dash.exceptions import PreventUpdate

from dash_app.database import DatabaseAwayError, NotReadyError

P = ParamSpec("P")


def keeps(panel: Callable[P, Any]) -> Callable[P, Any]:
    """The same callback, which leaves its outputs alone when the database does not answer."""

    @wraps(panel)
    def kept(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return panel(*args, **kwargs)
        except (DatabaseAwayError, NotReadyError):
            raise PreventUpdate from None

    return kept


def required(value: str | None) -> str:
    """The value; without one there is nothing to update.

    Raises:
        PreventUpdate: it is None or empty.
    """
    if not value:
        raise PreventUpdate
    return value
