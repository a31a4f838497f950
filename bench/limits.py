"""The limits of this machine on the bench's own data: Postgres' bare COPY, Kafka's bare consume, the bare decoder.

Each does one thing that the flow cannot do without, and nothing else, so no flow of this design passes the slowest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from analytics.decode import decode
from analytics.schema import MICROS, MONEY
from bench import reading
from local.postgres import EmbeddedPostgres
from sinks import schema, tables
from tests.conftest import new_database
from tests.support.pipeline import log_ends

BATCH = 5000
"""Rows of a transaction, and messages that are decoded together."""

Row = tuple[Any, ...]

_TIME = "%Y-%m-%dT%H:%M:%S%.6fZ"


class Limit(NamedTuple):
    """How many events one thing alone could do, and in how many seconds."""

    name: str
    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


def measure(bootstrap: str, topic: str, server: EmbeddedPostgres, events: int = 200_000) -> list[Limit]:
    """All limits, one after the other, each printed as it is known.

    Args:
        bootstrap: Kafka's address.
        topic: filled with price events; the bare consume reads all of it.
        server: gets a database of its own for each COPY, gone afterwards.
        events: decoded and copied at most: they, and the rows that they become, are held in memory.
    """
    limits = [consume(bootstrap, topic)]
    report(limits[-1])
    loaded = load(bootstrap, topic, events)
    limits.append(bare_decode(loaded))
    report(limits[-1])
    rows = history_rows(loaded)
    for indexes in (True, False):
        limits.append(copy(server, rows, indexes=indexes))
        report(limits[-1])
    limits.append(copy_ready(server, history_csv(loaded)))
    report(limits[-1])
    return limits


def report(limit: Limit) -> None:
    """Print one figure."""
    print(f"  {limit.rate:>9,.0f} events/s   {limit.name}: {limit.events:,} in {limit.seconds:.2f} s", flush=True)


def consume(bootstrap: str, topic: str) -> Limit:
    """Read all partitions from the first batch to the last; look at nothing but where the messages stand."""
    began, count = 0.0, 0
    for batch in reading.messages(bootstrap, topic, log_ends(bootstrap, topic), BATCH):
        if began:
            count += len(batch)
        else:  # connecting does not count, and so neither does what came with it
            began = time.perf_counter()
    return Limit("bare consume", count, time.perf_counter() - began)


def load(bootstrap: str, topic: str, events: int) -> list[reading.Batch]:
    """The first `events` of a topic, more or less, in memory."""
    ends = log_ends(bootstrap, topic)
    share = min(1.0, events / max(1, sum(ends.values())))
    ends = {partition: int(end * share) for partition, end in ends.items()}
    return [reading.unpack(batch) for batch in reading.messages(bootstrap, topic, ends, BATCH)]


def bare_decode(loaded: list[reading.Batch]) -> Limit:
    """Decode batches that are in memory."""
    decode(*loaded[0])
    began = time.perf_counter()
    count = sum(decode(*batch).rows.height for batch in loaded)
    return Limit("bare decode", count, time.perf_counter() - began)


def history_rows(loaded: list[reading.Batch]) -> list[Row]:
    """What becomes of these messages in `price_history`, as the tuples that psycopg takes."""
    rows: list[Row] = []
    for batch in loaded:
        frame = decode(*batch).rows
        columns = {name: frame[name].to_list() for name in tables.PRICE_HISTORY.columns if name != "late"}
        for name in MONEY:
            columns[name] = [None if micros is None else Decimal(micros) / MICROS for micros in columns[name]]
        columns["late"] = [False] * frame.height
        rows.extend(zip(*columns.values(), strict=True))
    return rows


def history_csv(loaded: list[reading.Batch]) -> list[tuple[int, bytes]]:
    """The same as the flow's own sink sends it: (rows, their CSV) of each batch."""
    frames = (decode(*batch).rows.with_columns(late=False) for batch in loaded)
    return [
        (rows.height, tables.history(rows).frame.write_csv(None, include_header=False, datetime_format=_TIME).encode())
        for rows in frames
    ]


def copy(server: EmbeddedPostgres, rows: list[Row], *, indexes: bool) -> Limit:
    """Binary COPY straight into a fresh `price_history`, a transaction for each batch of rows.

    Args:
        server: where; with the durability that it was started with.
        rows: of `history_rows`.
        indexes: keep the table's two other indexes, or only its primary key.
    """
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with _fresh(server, indexes=indexes) as connection:
        types = list(_types(connection).values())
        began = time.perf_counter()
        for batch in batches:
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(_copy("binary")) as into:
                into.set_types(types)
                for row in batch:
                    into.write_row(row)
        seconds = time.perf_counter() - began
    name = "primary key and two indexes" if indexes else "primary key only"
    return Limit(f"bare binary COPY, {name}", len(rows), seconds)


def copy_ready(server: EmbeddedPostgres, texts: list[tuple[int, bytes]]) -> Limit:
    """COPY of ready-made CSV into a fresh `price_history` with all its indexes: what the server alone can take."""
    with _fresh(server, indexes=True) as connection:
        began = time.perf_counter()
        for _, text in texts:
            with connection.transaction(), connection.cursor() as cursor, cursor.copy(_copy("csv")) as into:
                into.write(text)
        seconds = time.perf_counter() - began
    return Limit("bare COPY of ready-made CSV, all indexes", sum(count for count, _ in texts), seconds)


@contextmanager
def _fresh(server: EmbeddedPostgres, *, indexes: bool) -> Iterator[psycopg.Connection[Any]]:
    with new_database(server) as database:
        schema.migrate(database.dsn)
        with psycopg.connect(database.dsn, autocommit=True) as connection:
            if not indexes:
                _drop_indexes(connection)
            yield connection


def _copy(form: str) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, tables.PRICE_HISTORY.columns))
    return sql.SQL("COPY price_history ({}) FROM STDIN (FORMAT {})").format(names, sql.SQL(form))


def _types(connection: psycopg.Connection[Any]) -> dict[str, str]:
    found = dict(
        connection.execute(
            "SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = 'price_history'::regclass AND attnum > 0 AND NOT attisdropped"
        ).fetchall()
    )
    return {name: found[name] for name in tables.PRICE_HISTORY.columns}


def _drop_indexes(connection: psycopg.Connection[Any]) -> None:
    names = connection.execute(
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'price_history'::regclass AND NOT indisprimary"
    ).fetchall()
    for (name,) in names:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
