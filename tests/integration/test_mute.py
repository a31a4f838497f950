"""The link of a mail that mutes a rule: it asks first, works once, and nothing else can use it."""

from __future__ import annotations

import logging
from typing import Any

import psycopg
import pytest

from dash_app.app import create_app
from settings import Settings
from sinks import outbox
from tests.conftest import Database
from tests.integration.test_outbox import rule

ONE_CLICK = {"data": {"List-Unsubscribe": "One-Click"}}


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


@pytest.fixture
def client(tables: Database) -> Any:
    given = {name.lower(): value for name, value in tables.environment.items()}
    return create_app(settings(**given)).server.test_client()


def link(connection: psycopg.Connection, *rules: int) -> str:
    made = outbox.mute_link(connection, "", rules)
    assert made is not None
    return made


def active(connection: psycopg.Connection) -> list[bool]:
    return [row[0] for row in connection.execute("SELECT active FROM alerts ORDER BY id").fetchall()]


def test_to_look_changes_nothing(client: Any, connection: psycopg.Connection) -> None:
    """Mail scanners follow every link."""
    connection.execute("INSERT INTO events (event_id, event_name) VALUES ('concert_123', 'Taylor Swift')")
    path = link(connection, rule(connection))
    for _ in range(3):
        page = client.get(path)
        assert page.status_code == 200
        assert "Mute “Floor seats” (Taylor Swift)?" in page.text
        assert '<form method="post">' in page.text
    assert client.head(path).status_code == 200
    assert active(connection) == [True]


@pytest.mark.parametrize("post", [{}, ONE_CLICK], ids=["the page's button", "a mail program"])
def test_it_mutes_once(client: Any, connection: psycopg.Connection, post: dict[str, Any]) -> None:
    number, other = rule(connection), rule(connection, name="Other")
    path = link(connection, number)
    page = client.post(path, **post)
    assert (page.status_code, "Muted" in page.text) == (200, True)
    assert active(connection) == [False, True]
    connection.execute("UPDATE alerts SET active = true")  # its owner wants it back
    page = client.post(path, **post)
    assert (page.status_code, "Already used" in page.text) == (410, True)
    page = client.get(path)
    assert (page.status_code, "Already used" in page.text, "<form" in page.text) == (200, True, False)
    assert active(connection) == [True, True], "the link worked twice"
    versions = connection.execute("SELECT count(*) FROM rule_versions WHERE rule_id = %s", (number,)).fetchone()
    assert versions == (3,), "the flow hears of it as of any change"
    assert other


def test_a_mail_of_several_rules_mutes_them_together(client: Any, connection: psycopg.Connection) -> None:
    path = link(connection, rule(connection), rule(connection, name="Balcony"))
    rule(connection)
    assert "“Floor seats” and “Balcony”" in client.get(path).text
    client.post(path)
    assert active(connection) == [False, False, True]


@pytest.mark.parametrize("token", ["x", "a" * 43, "a" * 5000, "%00", "'; DROP TABLE alerts; --"])
def test_another_token_is_unknown(client: Any, connection: psycopg.Connection, token: str) -> None:
    link(connection, rule(connection))
    for ask in (client.get, client.post):
        assert ask(f"/mute/{token}").status_code == 404
    assert active(connection) == [True]


def test_the_hash_of_a_token_is_no_token(client: Any, connection: psycopg.Connection) -> None:
    link(connection, rule(connection))
    (stored,) = connection.execute("SELECT hash FROM mute_links").fetchone() or ("",)
    for guess in (stored, stored[:43]):
        assert client.post(f"/mute/{guess}").status_code == 404


def test_a_rule_that_is_gone_leaves_an_unknown_link(client: Any, connection: psycopg.Connection) -> None:
    path = link(connection, rule(connection))
    connection.execute("DELETE FROM alerts")
    assert client.post(path).status_code == 404


def test_another_site_cannot_use_it(client: Any, connection: psycopg.Connection) -> None:
    path = link(connection, rule(connection))
    assert client.post(path, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post(path, headers={"Host": "evil.example"}).status_code == 403
    assert active(connection) == [True]


def test_a_name_of_markup_is_shown_as_text(client: Any, connection: psycopg.Connection) -> None:
    page = client.get(link(connection, rule(connection, name="<script>alert(1)</script>"))).text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_page_carries_the_headers(client: Any, connection: psycopg.Connection) -> None:
    headers = client.get(link(connection, rule(connection))).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "same-origin"


def test_postgres_away_is_said_without_naming_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    app = create_app(settings(postgres_host="127.0.0.1", postgres_port=1, postgres_user="canary-user"))
    page = app.server.test_client().post(f"/mute/{'a' * 43}")
    assert page.status_code == 503
    assert "canary-user" not in page.text + caplog.text
