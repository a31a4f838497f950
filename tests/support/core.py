"""The price flow without Bytewax, Kafka and sinks: the logic classes of `flows.operators`, driven by hand.

What Bytewax does between them is imitated: cuts into batches, any interleaving of partitions, snapshots of everything
at once, crashes that lose all but the last snapshot, tables that are written over when rows come again.
"""

from __future__ import annotations

from random import Random
from typing import Any

import polars as pl

from analytics import alert_rows
from analytics.decode import decode
from analytics.schema import row_id
from flows.operators import Decoded, _ClockLogic, _join_compared, _ShardLogic, _to_shards
from sinks.tables import DeadLetter
from tests.support.logs import LATENESS, NOON, RELEASE_AFTER, Log, batch, micros

Snapshot = tuple[list[int], list[bytes], list[bytes]]
_HISTORY = (
    "id", "event_id", "source", "section", "row", "seat", "listing_id", "price", "fees", "total_price", "currency",
    "level", "time", "late",
)  # fmt: skip
_LONG_AFTER = micros(NOON) + 30 * 86_400 * 1_000_000


class Core:
    """A running flow over `log`. `tables` outlives crashes, as databases do."""

    def __init__(self, log: Log, shards: int, lateness: int = LATENESS) -> None:
        self._log, self._shards, self._lateness = log, shards, lateness
        self._partitions = [log.of(p) for p in range(log.partitions)]
        self.tables: dict[str, dict[Any, Any]] = {
            name: {} for name in ("history", "quarantine", "releases", "dead", "windows", "changes", "alerts", "events")
        }
        self.progress: dict[int, Any] = {}
        self.restore(([0] * log.partitions, [None] * log.partitions, [None] * shards))  # type: ignore[list-item]

    def restore(self, snapshot: Snapshot) -> None:
        """Be a new process that resumes from `snapshot`."""
        position, clocks, shards = snapshot
        self._position = list(position)
        self._clocks = [_ClockLogic(self._lateness, state) for state in clocks]
        self._logics = [_ShardLogic(self._lateness, RELEASE_AFTER, state) for state in shards]
        self._cache: dict[str, int] = {}

    def snapshot(self) -> Snapshot:
        return list(self._position), [c.snapshot() for c in self._clocks], [s.snapshot() for s in self._logics]

    @property
    def left(self) -> list[int]:
        """The partitions with messages still to be read."""
        return [p for p, log in enumerate(self._partitions) if self._position[p] < len(log)]

    def take(self, partition: int, count: int, idle_since: int | None = None) -> None:
        """Read the partition's next `count` messages through to the tables."""
        begin = self._position[partition]
        found = self._partitions[partition][begin : begin + count]
        self._position[partition] += len(found)
        raw = batch(found, partition, self._log.partitions, idle_since)
        ids = [row_id(raw.stream, raw.partition, offset) for offset in raw.offsets]
        result = decode(raw.values, raw.keys, raw.log_times, ids)
        dead = [
            DeadLetter(ids[r.position], "raw_prices", partition, raw.offsets[r.position], r.reason, r.detail,
                       raw.values[r.position] or b"")
            for r in result.rejects
        ]  # fmt: skip
        [clocked], _ = self._clocks[partition].on_batch([Decoded(raw, result.rows, dead, result.tombstones)])
        outputs = []
        for shard, news in _to_shards(clocked, self._shards, self._cache):
            outputs += self._logics[int(shard)].on_batch([news])[0]
        if clocked.progress is not None:
            self.progress[partition] = clocked.progress
        self._append("dead", {letter.id: letter.payload for letter in clocked.dead})
        for held in (clocked.held, *(frame for output in outputs for frame in output.held)):
            self._append("quarantine", _by_id(held, "id", "event_id", "total_price", "late", "reason"))
        for output in outputs:
            self._append("releases", dict(output.released))
            self.tables["windows"] |= {window[:7]: tuple(window[7:]) for window in output.windows}
            self.tables["events"] |= {told.event_id: tuple(told[:4]) for told in output.events}
        for rows in _join_compared(outputs):
            self._append("history", _by_id(rows, *_HISTORY))
            seen = _by_id(rows, "id", "previous_total", "total_price", "change", "change_percent", "before")
            self._append("changes", {key: row for key, row in seen.items() if row[2]})
            drops = alert_rows.price_drops(rows, 5).select("alert_id", "id", drop="drop_percent")
            self._append("alerts", {key: (price, drop) for key, price, drop in drops.iter_rows()})

    def _append(self, table: str, rows: dict[Any, Any]) -> None:
        """A row that is a fact of one message may come again, but never with other content."""
        for key, row in rows.items():
            assert self.tables[table].setdefault(key, row) == row, (
                f"{table} {key}: {self.tables[table][key]} then {row}"
            )

    def notify(self) -> None:
        """Let the windows that wait in the shards leave them, as a timer does."""
        for logic in self._logics:
            for output in logic.on_notify()[0]:
                self.tables["windows"] |= {window[:7]: tuple(window[7:]) for window in output.windows}

    def finish(self) -> None:
        """Read on to the end, and let every partition say that it is idle."""
        for partition in self.left:
            self.take(partition, 1 << 30)
        for partition in range(self._log.partitions):
            self.take(partition, 0, _LONG_AFTER)
        self.notify()


def _by_id(rows: pl.DataFrame, *columns: str) -> dict[int, tuple[Any, ...]]:
    times = {"time": "timestamp", "before": "previous_timestamp"}
    taken = rows.select(pl.col(times[c]).dt.timestamp("us").alias(c) if c in times else c for c in columns)
    return {row[0]: row[1:] for row in taken.iter_rows()}


def random_run(log: Log, draw: Random, shards: int) -> Core:
    """Run the log to its end with random batch cuts, interleaving, snapshots and crashes."""
    core = Core(log, shards)
    saved, most = core.snapshot(), draw.choice((4, 15, 40))
    crashes = draw.choice((0, 1, 2))
    while core.left or crashes:
        what = draw.random()
        if what < 0.2:
            saved = core.snapshot()
        elif crashes and (what < 0.35 or not core.left):
            core.restore(saved)
            crashes -= 1
        elif what < 0.38:
            core.notify()
        elif what < 0.43:
            core.take(draw.randrange(log.partitions), 0)  # a partition that starts says so with an empty batch
        elif core.left:
            # Idle marks before the end are harmless where an event has one partition, which is what keys are for.
            early = micros(NOON) + draw.randrange(100_000) * 1_000_000 if log.keyed and draw.random() < 0.2 else None
            core.take(draw.choice(core.left), draw.randint(1, most) if early is None else 0, early)
    core.finish()
    return core
