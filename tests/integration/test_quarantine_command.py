"""Doubted prices listed, released and confirmed by command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

import settings
from sinks.quarantine import main
from sinks.schema import migrate
from tests.conftest import Database

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is read of the environment is this test's own."""
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def dsn(database: Database, monkeypatch: pytest.MonkeyPatch) -> str:
    """Three prices in quarantine: 1 and 2 of e1, 3 of e2."""
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        for number, (event, reason) in enumerate(
            (("e1", "under_quarter"), ("e1", "not_a_ticket"), ("e2", "under_quarter")), 1
        ):
            connection.execute(
                "INSERT INTO quarantine (id, event_id, source, section, price, total_price, currency, quantity, timestamp, "
                "level, late, reason) VALUES (%s, %s, 'mock', '101', 5, 6, 'USD', 2, %s, 'listing', false, %s)",
                (number, event, NOW, reason),
            )
    return database.dsn


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> dict[int, str]:
    assert main(["list", "--json", *options]) == 0
    return {row["id"]: row["state"] for row in json.loads(capsys.readouterr().out)}


def test_the_list_is_narrowed_by_state_reason_event_and_number(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {1: "held", 2: "held", 3: "held"}
    assert set(listed(capsys, "--event", "e1")) == {1, 2}
    assert set(listed(capsys, "--reason", "under_quarter")) == {1, 3}
    assert set(listed(capsys, "--most", "1")) == {3}
    assert listed(capsys, "--state", "confirmed") == {}
    assert main(["list", "--state", "confirmed"]) == 0
    assert "Nothing is in quarantine" in capsys.readouterr().out


def test_a_price_is_released_and_the_release_taken_back(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    def history() -> set[int]:
        with psycopg.connect(dsn) as connection:
            return {number for (number,) in connection.execute("SELECT id FROM price_history")}

    assert main(["release", "1", "2"]) == 0
    assert "1 is released: it stands in price_history" in capsys.readouterr().out
    assert history() == {1, 2}
    assert listed(capsys) == {1: "released", 2: "released", 3: "held"}
    assert main(["confirm", "2"]) == 0
    capsys.readouterr()
    assert history() == {1}
    assert listed(capsys)[2] == "confirmed"


def test_what_is_not_there_is_said_and_does_not_keep_the_others_back(
    dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "99", "3"]) == 2
    said = capsys.readouterr()
    assert "conscope: 99 is not in quarantine" in said.err
    assert "3 is released" in said.out


def test_a_database_without_tables_is_answered_with_a_sentence(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    assert main(["list"]) == 1
    assert "python -m sinks.schema" in capsys.readouterr().err
