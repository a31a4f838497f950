"""The page behind a mail's link that mutes a rule: the one thing that the dashboard writes.

A GET only asks, because mail scanners follow links; a POST mutes, from the page's button or from a mail program's own
(RFC 8058). A link works once, and only its token's hash is in the database.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from html import escape
from typing import Any

import psycopg
from flask import Flask, Response, request

from settings import Settings

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_STYLE = """
:root { color-scheme: light dark; --page: #f6f7fa; --card: #fff; --line: #e6e9f0; --text: #1b1f2a; --muted: #5d6678; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0f1117; --card: #171a23; --line: #262b38; --text: #eceef4; --muted: #9aa3b5; }
}
body { margin: 0; padding: 12vh 16px; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 460px; margin: 0 auto; padding: 28px 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 14px; overflow-wrap: anywhere; }
h1 { margin: 0 0 8px; font-size: 22px; line-height: 1.25; }
p { margin: 0; color: var(--muted); }
button { margin-top: 20px; padding: 11px 20px; border: 0; border-radius: 9px; background: #4f46e5; color: #fff;
  font: inherit; font-weight: 600; cursor: pointer; }
button:focus-visible { outline: 2px solid var(--text); outline-offset: 2px; }
"""
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex"><title>{title} – ConScope</title><style>{style}</style></head>
<body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>"""
_BUTTON = '<form method="post"><button>Mute</button></form>'
# This page has a form and a style of its own, and nothing else. A browser that sends no referrer at all names no origin
# either, and a POST without one would be taken for a stranger's.
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Type": "text/html; charset=utf-8",
}
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
        return psycopg.connect(
            settings.postgres_dsn, autocommit=True, connect_timeout=3, options="-c statement_timeout=8000 -c timezone=UTC",
            application_name="conscope-mute",
        )  # fmt: skip

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
        return _page(503, "Not now", "The database does not answer. Please try again in a minute.")
    if not rules:
        return _unknown()
    names = " and ".join(f"“{name}”" + (f" ({event})" if event else "") for name, event, _ in rules)
    if muted:
        return _page(
            200, "Muted", f"You get no more alerts from {names}. The rule is kept, and can be made active again."
        )
    if all(used for _, _, used in rules):
        when = max(used for _, _, used in rules)
        said = f"This link was used on {when:%Y-%m-%d at %H:%M} UTC, and works once. {names} was muted then."
        return _page(410 if use else 200, "Already used", said)
    return _page(200, f"Mute {names}?", "You will get no more alerts from it, wherever it sends them.", _BUTTON)


def _unknown() -> Response:
    return _page(404, "Unknown link", "This link is not, or no longer, known. The rule may have been deleted.")


def _page(status: int, title: str, text: str, form: str = "") -> Response:
    page = _PAGE.format(title=escape(title), text=escape(text), form=form, style=_STYLE)
    return Response(page, status, headers=_HEADERS)
