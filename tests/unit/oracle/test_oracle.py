"""The oracle agrees with a naive one, and is not blind: whatever is wrong in a table, it says so and shows the row."""

# ruff: noqa: S608 - statements made of this file's own constants
from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import psycopg
import pytest
from confluent_kafka import Producer
from psycopg.sql import SQL, Identifier

from analytics import quality
from analytics.decode import decode
from local.postgres import EmbeddedPostgres
from oracle import doubt
from oracle.compare import Oracle, report
from sinks.schema import migrate
from tests.support import naive
from tests.support.inprocess import run_prices
from tests.support.logs import LATENESS, NOON, Log, Message, message, micros, random_log
from tests.support.poison import ODD, PARKING, POISON, TICKETS

LOGGED = micros(NOON) // 1000


def rows(oracle: Oracle, query: str) -> list[tuple[Any, ...]]:
    return oracle._duck.execute(query).fetchall()


# Right


@pytest.mark.parametrize("seed", range(12))
def test_expected_tables_equal_the_naive_ones(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (quality, doubt):
        monkeypatch.setattr(module, "MOST_LISTINGS", 2 if seed % 3 == 0 else 50_000)
    log = random_log(Random(seed), length=120)
    oracle, expected = Oracle(log.frame()), naive.tables(log, LATENESS)
    found = {
        "history": """SELECT id, event_id, source, section, "row", seat, listing_id, price, fees, total, currency, level,
            time, late FROM price_history""",
        "quarantine": "SELECT id, event_id, total, late, reason FROM quarantine",
        "releases": "SELECT id, released_by FROM quarantine_releases",
        "changes": "SELECT id, previous, total, change, percent, previous_time FROM price_changes",
        "events": "SELECT event_id, event_id, event_name, venue, event_date FROM events",
    }
    for name, query in found.items():
        found_rows = {key: row[0] if name == "releases" else tuple(row) for key, *row in rows(oracle, query)}
        assert found_rows == expected[name], name
    assert {key for key, *_ in rows(oracle, "FROM dead_letters")} == expected["dead"].keys()
    alerts = rows(oracle, "SELECT alert_id, id, drop_percent FROM price_drop_alerts")
    assert {str(key): tuple(row) for key, *row in alerts} == expected["alerts"]
    windows = rows(oracle, "FROM price_windows")
    assert {row[:7]: (*row[7:], True) for row in windows} == expected["windows"]
    assert [oracle.count(t) for t in ("price_windows", "lake")] == [
        len(expected["windows"]), len(expected["history"]) + len(expected["quarantine"]),
    ]  # fmt: skip


def test_each_message_is_judged_and_read_as_the_flow_does() -> None:
    """Every poison and every odd message: both refuse it, or both take it and read the same from it."""
    named = {**{name: value for name, (_, value) in POISON.items()}, **ODD}
    names, values, count = list(named), list(named.values()), len(named)
    log = Log(1, [Message(0, i, b"e1", v, LOGGED, None) for i, v in enumerate(values)], False)
    oracle = Oracle(log.frame(), stream=0)
    flow = decode(values, [b"e1"] * count, [LOGGED] * count, list(range(count)))
    dead = {off for _, _, off in rows(oracle, "FROM dead_letters")}
    assert {names[off] for off in dead ^ {reject.position for reject in flow.rejects}} == set()
    columns = ["id", "event_id", "source", "event_name", "venue", "section", "row", "seat", "listing_id", "listing_url",
               "currency", "level", "quantity", "price", "fees", "keyed"]  # fmt: skip
    ours = flow.rows.select(
        *columns, "total_price", pl.col("timestamp").dt.timestamp("us"), pl.col("event_date").dt.timestamp("us")
    )
    accepted = oracle._duck.table("accepted").order("id")
    theirs = accepted.select(*(f'"{c}"' for c in (*columns, "total", "time", "event_date"))).fetchall()
    for one, other in zip(ours.iter_rows(), theirs, strict=True):
        assert one == other, names[one[0]]


def test_what_is_no_ticket_is_so_to_both() -> None:
    texts = [
        *PARKING,
        *TICKETS,
        ("event_name", "Nora Vale - Parking\n"),
        ("section", "Parkinġ"),
        ("section", "é parking é"),
    ]
    values = [message(**{field: text}) for field, text in texts]
    log = Log(1, [Message(0, i, b"e1", v, LOGGED, None) for i, v in enumerate(values)], False)
    held = rows(Oracle(log.frame(), stream=0), "SELECT id FROM held WHERE reason = 'not_a_ticket' ORDER BY id")
    count = len(values)
    ours = quality.split(decode(values, [b"e1"] * count, [LOGGED] * count, list(range(count))).rows)[1]
    assert [texts[id] for (id,) in held] == [texts[id] for id in ours["id"]]


def test_no_pyarrow_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of ours, and DuckDB asks for it when it is handed a Polars frame."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert Oracle(random_log(Random(1)).frame()).count("price_history") > 0


# Not blind


@dataclass(frozen=True)
class State:
    """A database and a lake that equal the log."""

    dsn: str
    lake: Path
    oracle: Oracle

    def compare(self) -> str:
        return report(self.oracle.compare(self.dsn, self.lake))

    @contextmanager
    def spoilt(self, table: str, statement: str) -> Iterator[None]:
        """The state with one row of a table changed, and as it was again afterwards."""
        name = Identifier(table)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(SQL("CREATE TEMP TABLE kept AS TABLE {}").format(name))
            assert connection.execute(statement.encode()).rowcount == 1
            yield
            connection.execute(SQL("TRUNCATE {} CASCADE").format(name))
            connection.execute(SQL("INSERT INTO {} TABLE kept").format(name))


@pytest.fixture(scope="module")
def written(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> State:
    """What the flow makes of a random log."""
    name, lake = f"oracle_{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("oracle") / "lake"
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    kafka = Producer({"bootstrap.servers": "x:1", "test.mock.num.brokers": 1, "log_level": 0})
    broker = next(iter(kafka.list_topics(timeout=10).brokers.values()))
    log = random_log(Random(8), length=400)
    with pytest.MonkeyPatch.context() as patch:
        environment = {**postgres_server.environment, "POSTGRES_DB": name}
        run_prices(log, environment, f"{broker.host}:{broker.port}", lake, patch)
    return State(postgres_server.dsn(name), lake, Oracle(log.frame()))


@pytest.fixture
def state(written: State, tmp_path: Path) -> State:
    """The same with a lake of its own, to be spoilt."""
    shutil.copytree(written.lake, tmp_path / "lake")
    return replace(written, lake=tmp_path / "lake")


def differing(text: str) -> dict[str, list[str]]:
    """The tables that differ, each with the words "missing" and "extra" of the rows shown under it."""
    found: dict[str, list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith(" "):
            found[table].append(line.split()[0])
        else:
            table = line.split()[0]
            if "DIFFERS" in line:
                found[table] = []
    return found


def test_an_equal_state_is_equal_and_no_table_is_empty(state: State) -> None:
    results = state.oracle.compare(state.dsn, state.lake)
    assert differing(report(results)) == {}
    assert len(results) == 9
    assert [result.table for result in results if result.actual < 5] == []


ANY_WINDOW = "(SELECT ctid FROM price_windows LIMIT 1)"
CHANGED, GONE, NEW = ["missing", "extra"], ["missing"], ["extra"]
SPOILT = {
    "a price missing": ("price_history", GONE, "DELETE FROM price_history WHERE id = {id}"),
    "a price off by a cent": ("price_history", CHANGED, "UPDATE price_history SET price = price + 0.01 WHERE id = {id}"),
    "a total off by a micro": (
        "price_history", CHANGED, "UPDATE price_history SET total_price = total_price - 0.000001 WHERE id = {id}",
    ),
    "a time off by a microsecond": (
        "price_history", CHANGED, """UPDATE price_history SET "timestamp" = "timestamp" + interval '1 us' WHERE id = {id}""",
    ),
    "no fees instead of fees of zero": (
        "price_history", CHANGED,
        "UPDATE price_history SET fees = NULL WHERE id = (SELECT min(id) FROM price_history WHERE fees = 0)",
    ),
    "an empty section instead of none": (
        "price_history", CHANGED,
        "UPDATE price_history SET section = '' WHERE id = (SELECT min(id) FROM price_history WHERE section IS NULL)",
    ),
    "late or not": ("price_history", CHANGED, "UPDATE price_history SET late = NOT late WHERE id = {id}"),
    "another id": ("price_history", CHANGED, "UPDATE price_history SET id = id + 500000 WHERE id = {id}"),
    "another reason": ("quarantine", CHANGED, "UPDATE quarantine SET reason = 'x' WHERE id = {id}"),
    "held instead of released": (
        "quarantine_releases", GONE, "DELETE FROM quarantine_releases WHERE id = {id}",
    ),
    "released by another": (
        "quarantine_releases", CHANGED, "UPDATE quarantine_releases SET released_by = released_by + 1 WHERE id = {id}",
    ),
    "a dead letter missing": ("dead_letters", GONE, "DELETE FROM dead_letters WHERE id = {id}"),
    "a dead letter too many": (
        "dead_letters", NEW,
        """INSERT INTO dead_letters (id, topic, partition, "offset", reason, payload, size)
        SELECT min(id), 'raw_prices', partition_of(min(id)), offset_of(min(id)), 'x', 'x', 1 FROM price_history""",
    ),
    "a change missing": ("price_changes", GONE, "DELETE FROM price_changes WHERE id = {id}"),
    "a change's percent": (
        "price_changes", CHANGED, "UPDATE price_changes SET change_percent = change_percent + 0.0001 WHERE id = {id}",
    ),
    "a change's previous time": (
        "price_changes", CHANGED,
        "UPDATE price_changes SET previous_timestamp = previous_timestamp - interval '1 s' WHERE id = {id}",
    ),
    "an alert missing": (
        "price_drop_alerts", GONE,
        "DELETE FROM price_drop_alerts WHERE alert_id = (SELECT alert_id FROM price_drop_alerts LIMIT 1)",
    ),
    "an alert of another id": (
        "price_drop_alerts", CHANGED,
        """UPDATE price_drop_alerts SET alert_id = gen_random_uuid()
        WHERE alert_id = (SELECT alert_id FROM price_drop_alerts LIMIT 1)""",
    ),
    "an event missing": ("events", GONE, "DELETE FROM events WHERE event_id = 'e1'"),
    "an event's name": ("events", CHANGED, "UPDATE events SET event_name = event_name || '!' WHERE event_id = 'e1'"),
    **{
        f"a window's {column}": (
            "price_windows", CHANGED,
            f"UPDATE price_windows SET {column} = {column} + 1 WHERE ctid = {ANY_WINDOW}",
        )
        for column in ("min_price", "max_price", "avg_price", "open_price", "close_price", "observations", "listings")
    },
    "a window missing": ("price_windows", GONE, "DELETE FROM price_windows WHERE ctid = " + ANY_WINDOW),
}  # fmt: skip


@pytest.mark.parametrize(("table", "shown", "statement"), SPOILT.values(), ids=SPOILT.keys())
def test_what_is_wrong_in_postgres_shows(written: State, table: str, shown: list[str], statement: str) -> None:
    with written.spoilt(table, statement.replace("{id}", f"(SELECT min(id) FROM {table})")):
        assert differing(written.compare()) == {table: shown}


def test_what_people_release_is_not_taken_for_a_price_of_the_log(written: State) -> None:
    release = "SELECT release_quarantined(max(id)) FROM quarantine"
    with written.spoilt("quarantine", "SELECT"), written.spoilt("price_history", release):
        assert differing(written.compare()) == {}
        with psycopg.connect(written.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM price_history JOIN quarantine USING (id)").fetchone() == (
                1,
            )


def one_file(state: State) -> Path:
    return min(state.lake.glob("prices/day=*/*.parquet"))


def rewrite(path: Path, change: pl.Expr | None = None, keep: slice = slice(None)) -> None:
    frame = pl.read_parquet(path, hive_partitioning=False)
    (frame if change is None else frame.with_columns(change)).slice(keep.start or 0).write_parquet(path)


def test_a_row_doubled_in_the_lake_shows(state: State) -> None:
    """Every row of the copy is a good row: only counting finds it."""
    path = one_file(state)
    stream, partition, *_ = path.stem.split("-")
    doubled = path.with_name(f"{stream}-{partition}-{8 * 10**12:013d}-{9 * 10**12:013d}.parquet")
    pl.read_parquet(path, hive_partitioning=False)[:1].write_parquet(doubled)
    assert differing(state.compare()) == {"lake": NEW}


def test_a_row_missing_in_the_lake_shows(state: State) -> None:
    rewrite(one_file(state), keep=slice(1, None))
    assert differing(state.compare()) == {"lake": GONE}


def test_a_file_missing_in_the_lake_shows(state: State) -> None:
    one_file(state).unlink()
    assert set(differing(state.compare())["lake"]) == {"missing"}


def test_a_price_off_by_a_cent_in_the_lake_shows(state: State) -> None:
    first = pl.int_range(pl.len()) == 0
    rewrite(one_file(state), pl.when(first).then(pl.col("price") + 0.01).otherwise(pl.col("price")).alias("price"))
    assert differing(state.compare()) == {"lake": CHANGED}


def test_an_empty_database_and_no_lake_show_everything_missing(state: State, database: Any, tmp_path: Path) -> None:
    migrate(database.dsn)
    found = differing(State(database.dsn, tmp_path / "nothing", state.oracle).compare())
    assert {table: set(words) for table, words in found.items()} == {
        table: {"missing"} for table in ("price_history", "quarantine", "quarantine_releases", "dead_letters", "price_changes",
                                         "price_drop_alerts", "events", "price_windows", "lake")
    }  # fmt: skip


def test_the_row_that_is_wrong_is_printed(written: State) -> None:
    with psycopg.connect(written.dsn) as connection:
        row = connection.execute("SELECT max(id) FROM price_changes").fetchone()
    assert row is not None
    with written.spoilt("price_changes", f"DELETE FROM price_changes WHERE id = {row[0]}"):
        assert f"missing ('{row[0]}', " in written.compare()
    assert "missing" not in written.compare()
