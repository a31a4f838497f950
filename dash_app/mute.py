"""The page behind a mail's link that mutes a rule.

A GET only asks, because mail scanners follow links; a POST mutes, from the page's button or from a mail program's own
(RFC 8058). A link works once, and only its token's hash is in the database.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import psycopg
from flask import Flask, Response, request

from analytics import roles
from dash_app.plain import plain_page
from settings import Settings

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_BUTTON = '<form method="post"><button>Mute</button></form>'
_LOOK = (
    "SELECT coalesce(r.name, 'Rule ' || r.id), e.event_name, l.used_at FROM mute_links l JOIN alerts r ON r.id = l.rule_id "
    "LEFT JOIN events e ON e.event_id = r.event_id WHERE l.hash = %s ORDER BY r.id"
)
_USE = (
    "WITH used AS (UPDATE mute_links SET used_at = now() WHERE hash = %s AND used_at IS NULL RETURNING rule_id) "
    "UPDATE alerts r SET active = false, updated_at = now() FROM used WHERE r.id = used.rule_id"
)

Connect = Callable[[], psycopg.Connection[Any]]


def register(server: Flask, settings: Settings) -> None:
    """Serve `/mute/<token>`. Connects for each request, which are few."""

    def connect() -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            settings.postgres_dsn, autocommit=True, connect_timeout=3, options="-c statement_timeout=8000 -c timezone=UTC",
            application_name="conscope-mute",
        )  # fmt: skip
        roles.take(connection, roles.DASHBOARD)
        return connection

    server.add_url_rule(
        "/mute/<token>", "mute", lambda token: answer(connect, token, use=request.method == "POST"), methods=["GET", "POST"]
    )  # fmt: skip


def answer(connect: Connect, token: str, *, use: bool) -> Response:
    """The page for a link; with `use`, its rules are muted first, unless it was used before."""
    if not _TOKEN.fullmatch(token):
        return _unknown()
    identity = hashlib.sha256(token.encode()).hexdigest()
    try:
        with connect() as connection:
            muted = connection.execute(_USE, (identity,)).rowcount if use else 0
            rules = connection.execute(_LOOK, (identity,)).fetchall()
    except psycopg.Error:  # whose text can name the host and the user
        return plain_page(503, "Not now", "The database does not answer. Please try again in a minute.")
    if not rules:
        return _unknown()
    names = " and ".join(f"“{name}”" + (f" ({event})" if event else "") for name, event, _ in rules)
    if muted:
        return plain_page(
            200, "Muted", f"You get no more alerts from {names}. The rule is kept, and can be made active again."
        )
    if all(used for _, _, used in rules):
        when = max(used for _, _, used in rules)
        said = f"This link was used on {when:%Y-%m-%d at %H:%M} UTC, and works once. {names} was muted then."
        return plain_page(410 if use else 200, "Already used", said)
    return plain_page(200, f"Mute {names}?", "You will get no more alerts from it, wherever it sends them.", _BUTTON)


def _unknown() -> Response:
    return plain_page(404, "Unknown link", "This link is not, or no longer, known. The rule may have been deleted.")
