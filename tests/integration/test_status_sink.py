"""The status sink: the newest status of each source, and never in the way of a price."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from sinks import status
from sinks.status import StatusSink, calls_spent
from sinks.tables import Metric, SourceStatus
from tests.conftest import Database

PATIENCE = 20.0
NOW = time.time_ns() // 1000


def of(source: str, state: str = "polling", spent: int = 5, at: int = NOW) -> SourceStatus:
    return SourceStatus(source, state, "said: <b>'x'</b>", 3, 2, 1, 2000, spent, 2000 - spent, 1700, at, None, at)


@pytest.fixture
def part() -> Iterator[Callable[[str], Any]]:
    opened: list[Any] = []

    def make(dsn: str) -> Any:
        opened.append(StatusSink(dsn).build_part("s", "status", None))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.02)
    return found


def rows(connection: psycopg.Connection) -> dict[str, tuple[Any, ...]]:
    found = connection.execute("SELECT source, state, detail, calls_spent, next_look FROM source_status").fetchall()
    return {row[0]: row[1:] for row in found}


def test_the_newest_status_of_each_source_stands(part: Any, tables: Database, connection: psycopg.Connection) -> None:
    sink = part(tables.dsn)
    sink.write_batch([of("a", "starting"), of("b"), of("a", "held", 9)])
    until("both", lambda: rows(connection).keys() == {"a", "b"})
    assert rows(connection)["a"] == ("held", "said: <b>'x'</b>", 9, None)
    sink.write_batch([of("a", "polling", 10)])
    until("the newest", lambda: rows(connection)["a"][0] == "polling")


def test_readings_are_kept_one_by_one(part: Any, tables: Database, connection: psycopg.Connection) -> None:
    sink = part(tables.dsn)
    sink.write_batch([[Metric("source_priced.a", 2.0, NOW)], [Metric("source_priced.a", 3.0, NOW + 1_000_000)]])
    until(
        "two readings",
        lambda: connection.execute("SELECT count(*) FROM system_metrics").fetchone() == (2,),
    )


def test_a_snapshot_does_not_wait_for_postgres(part: Any, tables: Database) -> None:
    sink = part("host=127.0.0.1 port=1 user=u password=canary-secret dbname=d connect_timeout=1")
    began = time.monotonic()
    for number in range(2000):
        sink.write_batch([of("a", spent=number), [Metric("x", 1.0, NOW)]])
    assert sink.snapshot() is None
    assert time.monotonic() - began < 10


def test_what_could_not_be_written_is_when_postgres_is_back(
    part: Any, tables: Database, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(status, "_PAUSE_SECONDS", 0.1)
    name = tables.environment["POSTGRES_DB"]
    with psycopg.connect(tables.dsn.replace(f"dbname={name}", "dbname=postgres"), autocommit=True) as admin:
        sink = part(tables.dsn)
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        sink.write_batch([of("a", "polling", 1), [Metric("x", 1.0, NOW)]])
        until("a warning", lambda: "the sources' status waits" in caplog.text)
        sink.write_batch([of("a", "held", 2)])
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    until("the newest", lambda: rows(connection).get("a", ("",))[0] == "held")
    assert connection.execute("SELECT count(*) FROM system_metrics").fetchone() == (1,)


def test_at_the_end_the_last_word_is_written(part: Any, tables: Database, connection: psycopg.Connection) -> None:
    sink = part(tables.dsn)
    sink.write_batch([of("a", "refused")])
    sink.close()
    assert rows(connection)["a"][0] == "refused"


def test_the_calls_that_were_spent_are_known_for_a_day(part: Any, tables: Database) -> None:
    sink = part(tables.dsn)
    sink.write_batch([of("a", spent=42), of("old", spent=42, at=NOW - 25 * 3_600_000_000)])
    sink.close()
    assert [calls_spent(tables.dsn, name) for name in ("a", "old", "never")] == [42, 0, 0]
