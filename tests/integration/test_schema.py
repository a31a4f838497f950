"""The database schema: migrations, and what the earlier version's readers may count on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import polars as pl
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import settings as configuration
from sinks import schema
from sinks.tables import Write
from tests.conftest import Database
from tests.unit.sinks.test_tables import write_of_each_kind

CONTRACT = {
    "events": "event_id, event_name, venue, event_date, city, state, created_at, last_updated",
    "price_history": "id, event_id, source, section, row, seat, price, fees, total_price, timestamp, listing_id, "
    "listing_url, quantity, created_at",
    "price_drop_alerts": "alert_id, event_id, alert_type, alert_timestamp, old_price, new_price, drop_amount, "
    "drop_percent, section, row, seat, source, listing_id, listing_url, created_at",
    "alerts": "id, user_id, event_id, target_price, section, max_row, notification_method, notification_target, "
    "active, created_at, last_triggered",
    "alert_triggers": "id, alert_id, price, source, section, row, seat, listing_url, triggered_at",
    "system_metrics": "metric_name, metric_value, timestamp",
}
"""The tables and columns that readers of the earlier version select, as the contract lists them."""

TIMES = {
    "event_date", "created_at", "last_updated", "timestamp", "alert_timestamp", "last_triggered", "triggered_at",
}  # fmt: skip
MONEY = {"price", "fees", "total_price", "old_price", "new_price", "drop_amount", "drop_percent", "target_price"}

FITS = {
    pl.Int64: {"bigint", "integer", "smallint"},
    pl.Int32: {"integer"},
    pl.Float64: {"numeric", "double precision"},
    pl.Boolean: {"boolean"},
    pl.String: {"text", "uuid", "bytea"},
    pl.Datetime: {"timestamp with time zone"},
}

EARLIER_READ = """
    SELECT e.event_name, e.venue, ph.section, ph.row, ph.seat, ph.price, ph.fees, ph.total_price, ph.timestamp, ph.source
    FROM price_history ph JOIN events e ON ph.event_id = e.event_id
    WHERE ph.timestamp >= NOW() - INTERVAL '24 hours' ORDER BY ph.timestamp DESC LIMIT 10000
"""


def types(connection: psycopg.Connection, table: str) -> dict[str, str]:
    found = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s",
        (table,),
    )
    return dict(found.fetchall())


def test_a_fresh_database_gets_every_migration(database: Database) -> None:
    assert schema.migrate(database.dsn) == [name for name, _ in schema._migrations()] != []


def test_a_second_start_changes_nothing(database: Database) -> None:
    schema.migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        before = connection.execute("SELECT * FROM schema_migrations").fetchall()
    assert schema.migrate(database.dsn) == []
    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT * FROM schema_migrations").fetchall() == before


def test_many_starts_at_once_migrate_once(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        applied = list(pool.map(schema.migrate, [database.dsn] * 8))
    assert sorted(map(len, applied))[:-1] == [0] * 7, f"migrations were applied more than once: {applied}"
    assert len(max(applied, key=len)) == len(schema._migrations())


def test_a_migration_that_was_changed_afterwards_is_refused(database: Database) -> None:
    schema.migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        (name,) = connection.execute("UPDATE schema_migrations SET checksum = 'other' RETURNING name").fetchone() or ()
    with pytest.raises(schema.SchemaConflict, match=f"{name} was changed"):
        schema.migrate(database.dsn)


def test_a_migration_that_fails_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    good = schema._migrations()
    monkeypatch.setattr(schema, "_migrations", lambda: [*good, ("9999_bad.sql", "CREATE TABLE half (); SELECT 1/0")])
    with pytest.raises(psycopg.errors.DivisionByZero):
        schema.migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT to_regclass('half'), to_regclass('events')").fetchone() == (None, None)
    monkeypatch.undo()
    assert schema.migrate(database.dsn) == [name for name, _ in good]


def test_the_earlier_versions_tables_are_refused_and_left_alone(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute("CREATE TABLE price_history (id serial PRIMARY KEY, price numeric)")
        connection.execute("INSERT INTO price_history (price) VALUES (45.5)")
    with pytest.raises(schema.SchemaConflict, match="earlier version's tables; point POSTGRES_DB at a new"):
        schema.migrate(database.dsn)
    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("SELECT price FROM price_history").fetchall() == [(Decimal("45.5"),)]
        assert set(types(connection, "price_history")) == {"id", "price"}
        assert connection.execute("SELECT to_regclass('schema_migrations')").fetchone() == (None,)


def test_other_peoples_tables_do_no_harm(database: Database) -> None:
    with psycopg.connect(database.dsn) as connection:
        connection.execute("CREATE TABLE somebody_elses (id int)")
    assert schema.migrate(database.dsn)


@pytest.mark.parametrize("table", CONTRACT)
def test_the_contracts_columns_are_there_with_their_types(connection: psycopg.Connection, table: str) -> None:
    there = types(connection, table)
    wanted = CONTRACT[table].split(", ")
    assert [column for column in wanted if column not in there] == [], f"{table} lacks columns of the contract"
    for column in wanted:
        if column in TIMES:
            assert there[column] == "timestamp with time zone", f"{table}.{column}"
        if column in MONEY:
            assert there[column] == "numeric", f"{table}.{column}"
    # They can be selected as the earlier version's readers write them: "row" unquoted behind an alias.
    columns = SQL(", ").join(SQL(f"t.{column}") for column in wanted)
    assert connection.execute(SQL("SELECT {} FROM {} t").format(columns, Identifier(table))).fetchall() == []


def test_the_earlier_dashboards_read_answers(connection: psycopg.Connection) -> None:
    connection.execute(
        "INSERT INTO events (event_id, event_name, venue) VALUES ('concert_123', 'Taylor Swift', 'MetLife')"
    )
    for identity, hours in enumerate((1, 2, 30)):
        connection.execute(
            "INSERT INTO price_history (id, event_id, source, section, price, total_price, currency, quantity, "
            "\"timestamp\", level, late) VALUES (%s, 'concert_123', 'mock', '101', 40.63, 50.63, 'USD', 1, "
            "now() - make_interval(hours => %s), 'listing', false)",
            (identity, hours),
        )
    read = connection.execute(EARLIER_READ.encode()).fetchall()
    assert [(row[0], row[5], row[7]) for row in read] == [("Taylor Swift", Decimal("40.63"), Decimal("50.63"))] * 2
    assert read[0][8] > read[1][8], "the newest price does not come first"


def test_the_earlier_versions_writes_of_rules_are_taken(connection: psycopg.Connection) -> None:
    """A user's rules have no id of ours: the database gives one."""
    rule = connection.execute(
        "INSERT INTO alerts (user_id, event_id, target_price) VALUES ('u', 'e', 99.5) RETURNING id, active"
    )
    identity, active = rule.fetchone() or (None, None)
    assert active is True
    connection.execute("INSERT INTO alert_triggers (alert_id, price) VALUES (%s, 90)", (identity,))
    assert connection.execute("SELECT count(*) FROM alert_triggers WHERE triggered_at <= now()").fetchone() == (1,)


@pytest.mark.parametrize("write", write_of_each_kind(), ids=lambda write: write.table.name)
def test_every_column_that_the_flow_writes_fits_the_table(connection: psycopg.Connection, write: Write) -> None:
    there = types(connection, write.table.name)
    for name, kind in write.frame.schema.items():
        assert name in there, f"{write.table.name} has no column {name}"
        assert there[name] in FITS[kind.base_type()], f"{write.table.name}.{name} is {there[name]}, given {kind}"


@pytest.mark.parametrize("write", write_of_each_kind(), ids=lambda write: write.table.name)
def test_a_row_that_comes_again_is_told_by_a_key(connection: psycopg.Connection, write: Write) -> None:
    found = connection.execute(
        "SELECT i.indisprimary, array_agg(a.attname::text) FROM pg_index i "
        "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey) "
        "WHERE i.indrelid = %s::regclass AND i.indisunique GROUP BY i.indexrelid, i.indisprimary",
        (write.table.name,),
    ).fetchall()
    if write.table.key:
        assert [set(columns) for is_primary, columns in found if is_primary] == [set(write.table.key)]
    elif write.table.name != "system_metrics":  # readings are of the machine's clock: a replay takes others
        assert any(set(columns) <= set(write.table.columns) for _, columns in found), (
            f"{write.table.name} cannot tell a row that comes again"
        )


def test_ids_can_be_taken_apart_in_sql(connection: psycopg.Connection) -> None:
    from analytics.schema import row_id

    for parts in [(1, 0, 0), (7, 3, 12345), (2047, 4095, 2**40 - 1)]:
        identity = row_id(*parts)
        assert (
            connection.execute(
                "SELECT stream_of(%(id)s), partition_of(%(id)s), offset_of(%(id)s)", {"id": identity}
            ).fetchone()
            == parts
        )


def test_a_stream_keeps_its_number(tables: Database) -> None:
    first = schema.register_stream(tables.dsn, "raw_prices", "made-1")
    other = schema.register_stream(tables.dsn, "raw_prices", "made-2")
    elsewhere = schema.register_stream(tables.dsn, "more_prices", "made-1")
    assert len({first, other, elsewhere}) == 3, "two makings of topics share a number"
    assert schema.register_stream(tables.dsn, "raw_prices", "made-1") == first
    assert schema.register_stream(tables.dsn, "raw_prices", "made-2") == other
    assert min(first, other, elsewhere) > 0


def test_partitions_that_open_at_once_agree_on_the_stream(tables: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = set(pool.map(lambda _: schema.register_stream(tables.dsn, "raw_prices", "made"), range(16)))
    assert len(numbers) == 1


def test_registering_again_uses_up_no_numbers(tables: Database) -> None:
    """Every start registers each partition, and only 2,047 numbers fit into an id."""
    for _ in range(20):
        schema.register_stream(tables.dsn, "raw_prices", "made-1")
    assert schema.register_stream(tables.dsn, "raw_prices", "made-2") <= 2


@pytest.fixture
def configured(database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> Iterator[Database]:
    """The environment points at the test's database."""
    monkeypatch.chdir(str(tmp_path))
    for name, value in database.environment.items():
        monkeypatch.setenv(name, value)
    configuration.load.cache_clear()
    yield database
    configuration.load.cache_clear()


def test_the_command_says_what_it_did(configured: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main() == 0
    assert capsys.readouterr().out.startswith("applied 0001_")
    assert schema.main() == 0
    assert capsys.readouterr().out == "the schema is up to date\n"


def test_the_command_says_which_database_is_out_of_reach_and_not_its_password(
    configured: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POSTGRES_PORT", "1")
    configuration.load.cache_clear()
    assert schema.main() == 1
    said = capsys.readouterr()
    assert f"127.0.0.1:1/{configured.environment['POSTGRES_DB']}" in said.err
    assert configured.environment["POSTGRES_PASSWORD"] not in said.err + said.out
