"""What happens when: a tick asks one cheap question, and only what changed is asked for and drawn again.

A panel whose question fails keeps what it shows; the tick says on the page what is wrong, and when Postgres is back
every panel asks again.
"""

from __future__ import annotations

from dash import Dash

from dash_app.callbacks import activity, choice, client, health, live, market, polled
from dash_app.database import Database


def register(app: Dash, database: Database) -> None:
    """Register every callback of the page; nothing is asked of the database before the first of them runs."""
    client.register(app)
    for part in (live, choice, market, activity, health, polled):
        part.register(app, database)


__all__ = ["register"]
