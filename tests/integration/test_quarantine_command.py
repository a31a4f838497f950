"""`python -m sinks.quarantine`, over a real database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import settings
from sinks import quarantine, schema
from tests.conftest import Database

HELD = (
    "INSERT INTO quarantine (id, event_id, source, section, price, total_price, currency, quantity, timestamp, level, late, "
    "reason) VALUES (%s, %s, 'mock', '101', %s, %s, 'USD', 2, '2027-03-01T12:00:00Z'::timestamptz + %s * interval '1 min', "
    "'listing', false, %s)"
)


@pytest.fixture(autouse=True)
def this_database(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    schema.migrate(database.dsn)
    with psycopg.connect(database.dsn, autocommit=True) as one:
        for row in ((7, "concert", 0, 0, 0, "zero_price"), (8, "concert", 2, 2.5, 1, "hundredth"),
                    (9, "game", 3, 3, 2, "hundredth")):  # fmt: skip
            one.execute(HELD, row)
        yield one


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert quarantine.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_is_held_is_listed_and_filtered(
    connection: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [row["id"] for row in told(capsys, "list")] == [9, 8, 7]
    assert [row["id"] for row in told(capsys, "list", "--event", "concert", "--reason", "hundredth")] == [8]
    assert [row["id"] for row in told(capsys, "list", "--most", "1")] == [9]
    assert told(capsys, "list", "--state", "released") == []
    assert quarantine.main(["list", "--event", "concert"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "8",
        "2027-03-01",
        "12:01:00",
        "held",
        "2.50",
        "USD",
        "hundredth",
        "concert",
        "mock",
        "101",
    ]
    assert quarantine.main(["list", "--event", "nothing"]) == 0
    assert capsys.readouterr().out == "no price like that is in quarantine\n"


def test_a_release_enters_the_history_and_is_taken_back(
    connection: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    history = "SELECT id, total_price::float8 FROM price_history"
    assert [row["state"] for row in told(capsys, "release", "8", "9")] == ["released", "released"]
    assert connection.execute(f"{history} ORDER BY id").fetchall() == [(8, 2.5), (9, 3.0)]
    assert [row["state"] for row in told(capsys, "confirm", "8")] == ["confirmed"]
    assert connection.execute(history).fetchall() == [(9, 3.0)]
    assert [row["id"] for row in told(capsys, "list")] == [7]


def test_an_unknown_number_changes_nothing(
    connection: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert quarantine.main(["release", "8", "99"]) == 2
    assert "there is no price 99 in quarantine; nothing was changed" in capsys.readouterr().err
    assert connection.execute("SELECT count(*) FROM price_history").fetchone() == (0,)
    assert [row["state"] for row in told(capsys, "list")] == ["held"] * 3


def test_what_it_cannot_do_it_says_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quarantine.main(["list"]) == 1
    assert "run python -m sinks.schema" in capsys.readouterr().err
    monkeypatch.setenv("POSTGRES_PORT", "1")
    settings.load.cache_clear()
    assert quarantine.main(["list"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("conscope: Postgres:")
    assert error.count("\n") == 1
    with pytest.raises(SystemExit):
        quarantine.main(["list", "--most", "0"])
