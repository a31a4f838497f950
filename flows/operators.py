"""The steps of the price flow as Bytewax operators, named in the field's words.

Each is a thin coat over a pure function or class of `analytics`. Step ids are constants: renaming one loses its state.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import bytewax.operators as op
import msgspec
import polars as pl
from bytewax.dataflow import Stream, operator
from bytewax.operators import KeyedStream, StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink
from typing_extensions import override

from analytics import alert_rows, quality
from analytics.alerts import Activation, Decision, Standing
from analytics.clock import PartitionClock
from analytics.decode import decode
from analytics.rows import Rows
from analytics.schema import row_id
from analytics.seal import seal, unseal
from analytics.shard import Description, Shard, ShardBatch, ShardOutput, join, route
from analytics.windows import Window
from connectors.kafka import RawBatch
from sinks.tables import DeadLetter, Metric, Progress
from sinks.writer import timings

X = TypeVar("X")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded batch: every message of `raw` is a row, a dead letter or a counted tombstone."""

    raw: RawBatch
    rows: pl.DataFrame
    dead: list[DeadLetter]
    tombstones: int


_TOGETHER = 5_000


@operator
def decode_prices(step_id: str, up: Stream[RawBatch], topic: str) -> Stream[Decoded]:
    """Decode batches of messages; none is lost, and none fails its neighbours.

    What partitions give at the same moment is decoded together: of a thin batch, nearly all of the price is fixed.
    """

    def decode_batches(batches: list[RawBatch]) -> Iterable[Decoded]:
        some: list[RawBatch] = []
        for batch in batches:
            some.append(batch)
            if sum(len(taken.offsets) for taken in some) >= _TOGETHER:
                yield from _decode(topic, some)
                some = []
        if some:
            yield from _decode(topic, some)

    return op.flat_map_batch("decode", up, decode_batches)


def _decode(topic: str, batches: list[RawBatch]) -> Iterable[Decoded]:
    ids = [row_id(raw.stream, raw.partition, 0) + offset for raw in batches for offset in raw.offsets]
    found = decode(
        [value for raw in batches for value in raw.values],
        [key for raw in batches for key in raw.keys],
        [time for raw in batches for time in raw.log_times],
        ids,
    )
    rejects, first, taken = iter([*found.rejects, None]), 0, 0
    refused = next(rejects)
    for raw in batches:
        dead = []
        while refused is not None and refused.position < first + len(raw.offsets):
            place = refused.position - first
            dead.append(
                DeadLetter(
                    ids[refused.position], topic, raw.partition, raw.offsets[place], refused.reason, refused.detail,
                    raw.values[place] or b"",
                )
            )  # fmt: skip
            refused = next(rejects)
        tombstones = raw.values.count(None)
        accepted = len(raw.offsets) - len(dead) - tombstones
        yield Decoded(raw, found.rows.slice(taken, accepted), dead, tombstones)
        first, taken = first + len(raw.offsets), taken + accepted


@dataclass(frozen=True, slots=True)
class Clocked:
    """A batch with its partition's watermark (microseconds).

    `rows` are those that may be true and `held` those that cannot (with `reason`); both have `late`. There is no
    `progress` in the greeting of a partition that starts: what it has read is not known yet.
    """

    raw: RawBatch
    rows: pl.DataFrame
    held: pl.DataFrame
    dead: list[DeadLetter]
    watermark: int
    progress: Progress | None


class _ClockLogic(StatefulBatchLogic[Decoded, Clocked, bytes]):
    def __init__(self, lateness: int, state: bytes | None) -> None:
        self._clock = PartitionClock(lateness)
        if state is not None:
            self._clock.newest, self._clock.counts = msgspec.msgpack.decode(unseal(state))

    @override
    def on_batch(self, values: list[Decoded]) -> tuple[Iterable[Clocked], bool]:
        return [self._stamp(value) for value in values], StatefulBatchLogic.RETAIN

    def _stamp(self, batch: Decoded) -> Clocked:
        raw, clock = batch.raw, self._clock
        rows, held = quality.split(clock.stamp(batch.rows))
        counts = clock.counts
        counts["accepted"] += rows.height
        counts["quarantined"] += held.height
        counts["dead"] += len(batch.dead)
        counts["late"] += int(rows["late"].sum())
        counts["tombstones"] += batch.tombstones
        greeting = not raw.offsets and raw.idle_since is None
        progress = None if greeting else Progress(
            raw.stream, raw.partition, raw.offsets[-1] + 1 if raw.offsets else raw.log_end, raw.log_end,
            clock.newest - clock.lateness if batch.rows.height or clock.newest > 0 else None, **counts,
        )  # fmt: skip
        return Clocked(raw, rows, held, batch.dead, clock.watermark, progress)

    @override
    def snapshot(self) -> bytes:
        return seal(msgspec.msgpack.encode((self._clock.newest, self._clock.counts)))


@operator
def watch_the_clock(step_id: str, up: Stream[Decoded], lateness: timedelta) -> Stream[Clocked]:
    """Advance each partition's watermark, mark late rows by it, and hold impossible prices apart."""
    keyed = op.key_on("key", up, lambda batch: f"{batch.raw.stream}-{batch.raw.partition}")
    stamped = op.stateful_batch("clock", keyed, lambda state: _ClockLogic(_micros(lateness), state))
    return op.key_rm("unkey", stamped)


@dataclass(frozen=True)
class Tracked:
    """What the shards found.

    Args:
        prices: accepted rows with their listing's previous price.
        held: doubted rows with their `reason`.
        released: (id of a held row, id of the accepted row that showed it to be true).
        windows: those that changed.
        events: those that changed.
        alerts: of people's rules, of `alert_rows.ALERT_SCHEMA`.
        decisions: of people's rules: fired or not, and why.
        standings: what people's rules think of their events now.
    """

    prices: Stream[pl.DataFrame]
    held: Stream[pl.DataFrame]
    released: Stream[list[tuple[int, int]]]
    windows: Stream[list[Window]]
    events: Stream[list[Description]]
    alerts: Stream[pl.DataFrame]
    decisions: Stream[list[Decision]]
    standings: Stream[list[Standing]]


class _ShardLogic(StatefulBatchLogic[ShardBatch, ShardOutput, bytes]):
    """A shard. Open windows leave it at most every so often: between two rows of a window lies often less than that,
    and under load so many change that to write them each time would take longer than all else.

    Processing time decides when they leave, never what is in them; those that wait are part of the snapshot.
    """

    def __init__(self, lateness: int, release_after: int, state: bytes | None, of: int = 1) -> None:
        settings = (lateness, release_after, of)
        self._of = of
        self._pause = _WINDOWS_EVERY
        self._spent = timedelta()
        self._shard = Shard(*settings) if state is None else Shard.load(unseal(state), *settings)
        self._due: datetime | None = datetime.now(UTC) if self._shard.has_windows else None

    @override
    def on_batch(self, values: list[ShardBatch]) -> tuple[Iterable[ShardOutput], bool]:
        outputs = [self._shard.step(value) for value in values]
        if self._due is None and self._shard.has_windows:
            self._due = datetime.now(UTC) + self._pause
        return outputs, StatefulBatchLogic.RETAIN

    @override
    def on_notify(self) -> tuple[Iterable[ShardOutput], bool]:
        self._due = None
        began = time.thread_time()
        output = ShardOutput(windows=self._shard.take_windows())
        spent = timedelta(seconds=time.thread_time() - began)
        # One large take, of a backlog or after a restart, says nothing of the next.
        lasting, self._spent = min(spent, self._spent), spent
        self._pause = min(max(_WINDOWS_EVERY, lasting * self._of * _WINDOWS_SHARE), _WINDOWS_AT_LATEST)
        return [output], StatefulBatchLogic.RETAIN

    @override
    def on_eof(self) -> tuple[Iterable[ShardOutput], bool]:
        return self.on_notify()

    @override
    def notify_at(self) -> datetime | None:
        return self._due

    @override
    def snapshot(self) -> bytes:
        return seal(self._shard.dump())


_WINDOWS_EVERY = timedelta(milliseconds=300)
_WINDOWS_AT_LATEST = timedelta(seconds=300)  # a minute's is told when it closes; of an hour, somebody sees the rest
_WINDOWS_SHARE = 100  # of the flow's time, one part in so many goes into taking windows; to write them costs some more


@operator
def track_listings(step_id: str, up: Stream[Clocked], shards: int, lateness: timedelta, release_after: int) -> Tracked:
    """Hold doubtful prices, detect each listing's changes and aggregate tumbling windows, in shards of events.

    Every batch tells every shard its partition's watermark, with rows or without.
    """
    cache: dict[str, int] = {}

    def to_shards(batch: Clocked) -> list[tuple[str, ShardBatch]]:
        return list(_to_shards(batch, shards, cache))

    def logic(state: bytes | None) -> _ShardLogic:
        return _ShardLogic(_micros(lateness), release_after, state, shards)

    spread = op.flat_map("shard", up, to_shards)
    outputs = op.key_rm("unkey", op.stateful_batch("track", spread, logic))
    return Tracked(
        prices=op.flat_map_batch("prices", outputs, _join_compared),
        held=op.flat_map("held", outputs, lambda output: output.held),
        released=op.filter_map("released", outputs, lambda output: output.released or None),
        windows=op.filter_map("windows", outputs, lambda output: output.windows or None),
        events=op.filter_map("events", outputs, lambda output: output.events or None),
        alerts=op.flat_map("alerts", outputs, lambda output: output.alerts),
        decisions=op.filter_map("decisions", outputs, lambda output: output.decisions or None),
        standings=op.filter_map("standings", outputs, lambda output: output.standings or None),
    )


def _to_shards(batch: Clocked, shards: int, cache: dict[str, int]) -> Iterable[tuple[str, ShardBatch]]:
    raw, rows = batch.raw, batch.rows
    if len(cache) > 1_000_000:
        cache.clear()
    whole = Rows(rows)
    parts = whole.split(route(shards, cache, whole.column("event_id")))
    rules: dict[int, list[Activation]] = {}
    for told in raw.rules:
        concerned = range(shards) if told.events is None else sorted(set(route(shards, cache, list(told.events))))
        for shard in concerned:
            rules.setdefault(shard, []).append(told)
    default_rule = tuple((told.from_id, told.idle) for told in raw.rules)
    for shard in range(shards):
        yield str(shard), ShardBatch(
            raw.partition, raw.partitions, batch.watermark, raw.idle_since, parts.get(shard),
            tuple(rules.get(shard, ())), default_rule,
        )  # fmt: skip


def _join_compared(outputs: list[ShardOutput]) -> list[pl.DataFrame]:
    rows = join([part for output in outputs for part in output.compared])
    return [] if rows is None else [rows]


@operator
def default_rule(step_id: str, up: Stream[pl.DataFrame], min_drop_percent: float) -> Stream[pl.DataFrame]:
    """Alerts of the default rule, a drop of at least so many percent, where no rule of people's is active."""

    def fired(rows: pl.DataFrame) -> pl.DataFrame | None:
        if not rows["default_rule"].all():
            rows = rows.filter("default_rule")
        drops = alert_rows.price_drops(rows, min_drop_percent)
        return drops if drops.height else None

    return op.filter_map("fire", up, fired)


_EVERY = timedelta(seconds=5)
_SINKS = ("postgres", "lake", "kafka")  # their writers, as far as they run in the process that measures


class _MeterLogic(StatefulBatchLogic[Progress | pl.DataFrame, list[Metric], dict[str, int]]):
    """Readings every few seconds. Processing time, kept out of everything that is computed from the log.

    What is in quarantine is counted by reason, and the counts are kept: they are those of the log.
    """

    def __init__(self, state: dict[str, int] | None = None) -> None:
        self._held = Counter(state)
        self._newest: dict[tuple[int, int], Progress] = {}
        self._before = 0
        self._last = time.monotonic()
        self._due = datetime.now(UTC) + _EVERY

    @override
    def on_batch(self, values: list[Progress | pl.DataFrame]) -> tuple[Iterable[list[Metric]], bool]:
        for value in values:
            if isinstance(value, pl.DataFrame):
                self._held.update(value["reason"].to_list())
                continue
            if not self._newest:
                self._before = _taken(value)
            elif value[:2] not in self._newest:
                self._before += _taken(value)
            self._newest[value[:2]] = value
        return [], StatefulBatchLogic.RETAIN

    @override
    def on_notify(self) -> tuple[Iterable[list[Metric]], bool]:
        now, total = time.monotonic(), sum(map(_taken, self._newest.values()))
        rate = (total - self._before) / max(now - self._last, 1e-3)
        self._before, self._last, self._due = total, now, datetime.now(UTC) + _EVERY
        partitions = self._newest.values()
        readings = {
            "events_per_second": rate,
            "consumer_lag": sum(p.log_end - p.next_offset for p in partitions),
            "dead_letters_total": sum(p.dead for p in partitions),
            "quarantined_total": self._held.total(),
            **{f"quarantined_{reason}_total": count for reason, count in self._held.items()},
            "late_total": sum(p.late for p in partitions),
            "tombstones_total": sum(p.tombstones for p in partitions),
        }
        stamp = time.time_ns() // 1000
        if marks := [p.watermark for p in partitions if p.watermark is not None]:
            readings["watermark_delay_seconds"] = (stamp - min(marks)) / 1e6
        sinks = {name: timing for name, timing in timings().items() if name in _SINKS}
        readings |= {f"sink_write_seconds_{name}": t.longest for name, t in sinks.items() if t.longest is not None}
        if sinks and all(timing.since_barrier is not None for timing in sinks.values()):
            # What all sinks have made durable is what the flow would go on from.
            readings["recovery_age_seconds"] = max(timing.since_barrier or 0.0 for timing in sinks.values())
        return [[Metric(name, float(value), stamp) for name, value in readings.items()]], StatefulBatchLogic.RETAIN

    @override
    def notify_at(self) -> datetime | None:
        return self._due

    @override
    def snapshot(self) -> dict[str, int]:
        return dict(self._held)


def _taken(progress: Progress) -> int:
    return progress.accepted + progress.quarantined + progress.dead + progress.tombstones


@operator
def measure(step_id: str, up: Stream[Progress | pl.DataFrame]) -> Stream[list[Metric]]:
    """Pipeline metrics from the progress of all partitions and the rows in quarantine, every five seconds."""
    keyed: KeyedStream[Progress | pl.DataFrame] = op.key_on("key", up, lambda _: "pipeline")
    return op.key_rm("unkey", op.stateful_batch("meter", keyed, _MeterLogic))


def write(step_id: str, up: Stream[X], sink: FixedPartitionedSink[X, Any]) -> None:
    """Write a stream through one partition of a sink, in the commit barrier."""
    op.output(step_id, op.key_on(f"{step_id}-partition", up, lambda _: step_id), sink)


def _micros(span: timedelta) -> int:
    return round(span.total_seconds() * 1_000_000)
