"""The status sink: each source's newest status, and the readings of metrics, into Postgres.

**Delivery**: best effort, and outside the barrier. A price that is not asked for now is gone, a status only until the
next one: so no price waits for this sink while Postgres is away. Then the newest status of each source is kept, and the
newest readings.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import psycopg
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from sinks import postgres, tables
from sinks.tables import Metric, SourceStatus
from sinks.writer import Writer

log = logging.getLogger(__name__)

Item = SourceStatus | list[Metric]

_PAUSE_SECONDS = 5.0
_MOST_READINGS = 10_000


@dataclass(frozen=True)
class StatusSink(FixedPartitionedSink[Item, None]):
    """Write `Item`s to `source_status` and `system_metrics`.

    Args:
        dsn: libpq connection string.
    """

    dsn: str = field(repr=False)

    def list_parts(self) -> list[str]:
        """One partition."""
        return ["status"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:
        """Start the writer; it connects by itself."""
        return _Partition(self.dsn)


def calls_spent(dsn: str, source: str) -> int:
    """How many calls a source had made in 24 hours when its status was last written; 0 when that was longer ago."""
    with psycopg.connect(dsn, connect_timeout=10) as connection:
        row = connection.execute(
            "SELECT calls_spent FROM source_status WHERE source = %s AND updated_at > now() - interval '24 hours'",
            (source,),
        ).fetchone()
    return int(row[0]) if row is not None else 0


class _Partition(StatefulSinkPartition[Item, None]):
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: psycopg.Connection[Any] | None = None
        self._newest: dict[str, SourceStatus] = {}
        self._readings: deque[Metric] = deque(maxlen=_MOST_READINGS)
        self._not_before = 0.0
        self._closed = False
        self._writer: Writer[Item] = Writer("status", self._write)

    def write_batch(self, values: list[Item]) -> None:
        for value in values:
            self._writer.put(value)

    def snapshot(self) -> None:
        return None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # What waits is written if Postgres is there: at the end, the page should say what was last.
        self._not_before = 0.0
        self._writer.barrier()
        self._writer.stop()
        if self._connection is not None:
            self._connection.close()

    def _write(self, items: list[Item], _barrier: bool) -> None:
        for item in items:
            if isinstance(item, SourceStatus):
                self._newest[item.source] = item
            else:
                self._readings.extend(item)
        if (self._newest or self._readings) and time.monotonic() >= self._not_before:
            self._commit()

    def _commit(self) -> None:
        writes = []
        if self._newest:
            writes.append(tables.source_status(list(self._newest.values())))
        if self._readings:
            writes.append(tables.metrics(list(self._readings)))
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=5)
            postgres.commit(self._connection, writes)
        except psycopg.Error as error:
            log.warning("Postgres: %s; the sources' status waits", postgres.first_line(error))
            self._not_before = time.monotonic() + _PAUSE_SECONDS
            return
        self._newest.clear()
        self._readings.clear()
