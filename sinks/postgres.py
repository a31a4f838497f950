"""The Postgres sink: every update, changes, windows, alerts with their outbox, dead letters, progress.

**Delivery**: effectively once (readings in `system_metrics`: at least once). Rows are committed as they come, many to a
transaction; after a crash some come again. Rows that are facts of one message (`id`) are then left as they are; windows,
events and progress are written over with what the replay computes, which is the same. `snapshot()` returns when
everything handed over is committed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import polars as pl
import psycopg
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from psycopg import sql

from analytics.alerts import Standing
from analytics.shard import Description
from analytics.windows import Window
from sinks import schema, tables
from sinks.tables import Progress, Table, Write
from sinks.writer import Writer

log = logging.getLogger(__name__)

Item = Write | list[Write] | list[Window] | list[Description] | list[Standing] | Progress

OUTBOX_CHANNEL = "conscope_outbox"
"""The NOTIFY channel on which a commit with new deliveries is announced."""

_HOLD_SECONDS = 0.5
_FEW = 20  # rows that are written one by one


@dataclass(frozen=True)
class PostgresSink(FixedPartitionedSink[Item, None]):
    """Write `Item`s to Postgres.

    Args:
        dsn: libpq connection string.
        retry_seconds: how long data is held while Postgres is away; the flow waits meanwhile.
    """

    dsn: str = field(repr=False)
    retry_seconds: float = 300.0

    def list_parts(self) -> list[str]:
        """One partition: a single writer, whose transactions gather what all the flow has for it."""
        return ["postgres"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Apply the schema and connect."""
        return _Partition(self)


class _Partition(StatefulSinkPartition[Item, None]):
    """Two writers, each with a connection: windows are many and slow to write, and no price shall wait for them."""

    def __init__(self, sink: PostgresSink) -> None:
        self._database = Database(sink.dsn, sink.retry_seconds)
        self._database.run(lambda _: schema.migrate(sink.dsn))
        self._pending = _Pending()
        self._commit = Commits()
        self._writer: Writer[Item] = Writer("postgres", self._write)
        self._windows = _Windows(sink)

    def write_batch(self, values: list[Item]) -> None:
        for value in values:
            if _of_windows(value):
                self._windows.writer.put(value)
            else:
                self._writer.put(value)

    def snapshot(self) -> None:
        self._writer.barrier()
        self._windows.writer.barrier()

    def close(self) -> None:
        # No flush: close() also runs on the way out of a crash, and what is not committed will be read again.
        self._writer.stop()
        self._windows.writer.stop()
        self._database.close()
        self._windows.database.close()

    def _write(self, items: list[Item], barrier: bool) -> None:
        self._pending.take(items)
        writes = self._pending.due(everything=barrier)
        if writes:
            self._database.run(lambda connection: self._commit(connection, writes))


class _Windows:
    """Upserts windows, each time the newest version of those that changed since the last."""

    def __init__(self, sink: PostgresSink) -> None:
        self.database = Database(sink.dsn, sink.retry_seconds)
        self.writer: Writer[list[Window]] = Writer("postgres/windows", self._write)
        self._newest: dict[tuple[Any, ...], Window] = {}
        self._last = 0.0

    def _write(self, items: list[list[Window]], barrier: bool) -> None:
        for windows in items:
            self._newest.update((window[:7], window) for window in windows)
        if self._newest and (barrier or time.monotonic() - self._last >= _HOLD_SECONDS):
            self._last = time.monotonic()
            writes = [tables.windows(list(self._newest.values()))]
            self._newest = {}
            self.database.run(lambda connection: commit(connection, writes))


def _of_windows(item: Item) -> TypeGuard[list[Window]]:
    return isinstance(item, list) and bool(item) and isinstance(item[0], Window)


class _Pending:
    """What is still to be written. Rows that are written again and again wait a moment for their next version."""

    def __init__(self) -> None:
        self._appends: dict[Table, list[Write]] = {}
        self._events: dict[str, Description] = {}
        self._progress: dict[tuple[int, int], Progress] = {}
        self._standings: dict[tuple[int, str], Standing] = {}
        self._last = 0.0

    def take(self, items: Iterable[Item]) -> None:
        for item in items:
            for row in item if isinstance(item, list) else [item]:
                if isinstance(row, Write):
                    self._appends.setdefault(row.table, []).append(row)
                elif isinstance(row, Progress):
                    self._progress[row[:2]] = row
                elif isinstance(row, Standing):
                    self._standings[row.rule.id, row.event_id] = row
                elif isinstance(row, Description):
                    self._events[row.event_id] = row

    def due(self, *, everything: bool) -> list[Write]:
        """Take what is to be written now, in an order that foreign keys and readers can live with."""
        writes = []
        if self._events:
            writes.append(tables.events(list(self._events.values())))
            self._events = {}
        for table in _APPEND_ORDER:
            if gathered := self._appends.pop(table, []):
                frame = gathered[0].prepare(pl.concat([write.rows for write in gathered]))
                if frame.height:
                    writes.append(Write(table, frame))
        now = time.monotonic()
        if everything or now - self._last >= _HOLD_SECONDS:
            self._last = now
            if self._progress:
                writes.append(tables.progress(list(self._progress.values())))
                self._progress = {}
            if self._standings:
                writes.append(tables.standings(list(self._standings.values())))
                self._standings = {}
        return writes


_APPEND_ORDER = (
    tables.PRICE_HISTORY, tables.QUARANTINE, tables.QUARANTINE_RELEASES, tables.DEAD_LETTERS, tables.PRICE_CHANGES,
    tables.ALERTS, tables.OUTBOX, tables.ALERT_TRIGGERS, tables.RULE_DECISIONS, tables.METRICS,
)  # fmt: skip


class Database:
    """A connection that is made again when it breaks, and runs each job until it is committed or time is up."""

    def __init__(self, dsn: str, retry_seconds: float) -> None:
        self._dsn = dsn
        self._retry_seconds = retry_seconds
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, job: Any) -> None:
        """Run `job(connection)`; again after a passing fault, so it must bear being repeated.

        Raises:
            psycopg.Error: a lasting fault, or one that outlasted `retry_seconds`.
        """
        started, pause = time.monotonic(), 0.1
        while True:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=10)
                    self._connection.execute("SET synchronous_commit = on")
                job(self._connection)
                return
            except _PASSING as error:
                if time.monotonic() - started > self._retry_seconds:
                    raise
                log.warning("Postgres: %s; again in %.1f s", first_line(error), pause)
                self.close()
                time.sleep(pause)
                pause = min(pause * 2, 5.0)

    def close(self) -> None:
        """Drop the connection without committing."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def first_line(error: Exception) -> str:
    """What went wrong in one line: Postgres adds the statement and hints on others."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.AdminShutdown,
)


class Commits:
    """Commits writes; knows whether the flow is going over messages again whose rows are there already."""

    def __init__(self) -> None:
        self._again = False

    def __call__(self, connection: psycopg.Connection[Any], writes: list[Write]) -> None:
        """Write all of it in one transaction."""
        if not self._again:
            try:
                commit(connection, writes)
                return
            except psycopg.errors.UniqueViolation:
                self._again = True  # after a crash
        self._again = commit(connection, writes, again=True)


def commit(connection: psycopg.Connection[Any], writes: list[Write], *, again: bool = False) -> bool:
    """Write all of it, of each table at most one write, in one transaction of a connection in autocommit; says whether
    rows were found that are there already.

    Rows that are facts of a message are copied straight into their table; with `again`, by way of a staging table, as
    some may be there.

    Raises:
        psycopg.errors.UniqueViolation: without `again`, some are there.
    """
    found = False
    alone = len(writes) == 1 and not again and not writes[0].table.key  # one COPY is a transaction by itself
    with nullcontext() if alone else connection.transaction():
        for write in writes:
            if write.table.key:
                _upsert(connection, write)
            elif again:
                found |= _merge(connection, write, sql.SQL("DO NOTHING")) < write.frame.height
            else:
                _copy(connection, write, write.table.name)
        if any(write.table is tables.OUTBOX for write in writes):
            connection.execute(sql.SQL("NOTIFY {}").format(sql.Identifier(OUTBOX_CHANNEL)))
    return found


def _upsert(connection: psycopg.Connection[Any], write: Write) -> None:
    key = sql.SQL(", ").join(map(sql.Identifier, write.table.key))
    values = [c for c in write.table.columns if c not in write.table.key]
    assignments = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(c)) for c in values)
    touched = {"events": "last_updated", "pipeline_progress": "updated_at"}.get(write.table.name)
    if touched:
        assignments = sql.SQL("{}, {} = now()").format(assignments, sql.Identifier(touched))
    _merge(connection, write, sql.SQL("({}) DO UPDATE SET {}").format(key, assignments))


def _merge(connection: psycopg.Connection[Any], write: Write, on_conflict: sql.Composable) -> int:
    table, staging = sql.Identifier(write.table.name), f"staging_{write.table.name}"
    columns = sql.SQL(", ").join(map(sql.Identifier, write.table.columns))
    # ON COMMIT DELETE ROWS leaves it empty for the next transaction; to TRUNCATE it, too, took half of an upsert's time.
    connection.execute(
        sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier(staging), columns, table
        )
    )
    _copy(connection, write, staging)
    return connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT * FROM {} ON CONFLICT {}").format(
            table, columns, sql.Identifier(staging), on_conflict
        )
    ).rowcount


def _copy(connection: psycopg.Connection[Any], write: Write, into: str) -> None:
    # CSV that Polars writes outside the GIL: measured faster than binary rows built in Python, at a third of the
    # client's CPU (docs/decisions/0004). Its fixed price is that of some thirty rows written from Python (0016).
    frame = write.frame
    few = frame.height <= _FEW
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        sql.Identifier(into),
        sql.SQL(", ").join(map(sql.Identifier, write.table.columns)),
        sql.SQL("text" if few else "csv"),
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        if few:
            for row in frame.rows():
                copy.write_row(row)
        else:
            copy.write(frame.write_csv(None, include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
