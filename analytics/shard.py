"""The state of one shard of events: last prices, windows, descriptions; pure, and replayed to the same end.

Rows whose message was keyed by event stand in one partition, whose log is their order: they are compared at once. Rows
without a key (the earlier version's producers) may stand in any partition; they wait until the shared watermark has
passed them and are then taken in the order (event time, id), which no interleaving can change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import msgspec
import polars as pl

from analytics import changes
from analytics.clock import SharedClock
from analytics.windows import Partial, Window, Windows

_VERSION = 2


class Description(NamedTuple):
    """What is known of an event, from the newest row that named it."""

    event_id: str
    event_name: str | None
    venue: str | None
    event_date: int | None
    city: str | None
    state: str | None


Naming = tuple[tuple[int, int], Description]
"""A description with the order (event time, id) of the row that gave it."""


class Compared(NamedTuple):
    """Price rows, each with its listing's previous one (`changes.with_changes` joins the two)."""

    rows: pl.DataFrame
    previous: list[changes.Previous]


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """One partition's news for one shard: its watermark, always, and rows, if there are any for this shard.

    `rows` are plausible price rows with `listing`, `keyed` and `late`, in log order; `parts` the window partials of
    those in time. Times are microseconds.
    """

    partition: int
    partitions: int
    watermark: int
    idle_since: int | None = None
    rows: pl.DataFrame | None = None
    parts: list[Partial] = field(default_factory=list)
    named: list[Naming] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ShardOutput:
    """Price rows compared, each once; and the windows and events that changed."""

    compared: list[Compared]
    windows: list[Window]
    events: list[Description]


class Shard:
    """The state of one shard; `step` decides, `dump` and `load` carry it through a restart."""

    def __init__(self, lateness: int) -> None:
        self._clock = SharedClock(lateness)
        # Two chains, so that a listing fed in both ways still depends on nothing but the log.
        self._last: dict[str, changes.Last] = {}
        self._last_unkeyed: dict[str, changes.Last] = {}
        self._windows = Windows()
        self._events: dict[str, tuple[tuple[int, int], Description]] = {}
        self._waiting: pl.DataFrame | None = None

    def step(self, batch: ShardBatch) -> ShardOutput:
        """Take one batch. The output depends on the log of each partition, not on how it was cut into batches."""
        compared: list[Compared] = []
        windows: dict[tuple[object, ...], Window] = {}
        if batch.rows is not None:
            compared = self._compare(batch.rows)
            for window in self._windows.add(batch.parts, batch.partition, self._clock.watermark):
                windows[window[:7]] = window
        watermark = self._clock.advance(batch.partition, batch.partitions, batch.watermark, batch.idle_since)
        for window in self._windows.close(self._clock):
            windows[window[:7]] = window
        compared += self._release(watermark)
        return ShardOutput(compared, list(windows.values()), self._describe(batch.named))

    def _compare(self, rows: pl.DataFrame) -> list[Compared]:
        if rows["keyed"].all():
            return [Compared(rows, changes.detect(self._last, rows))]
        keyed, free = rows.filter("keyed"), rows.filter(~pl.col("keyed"))
        late, in_time = free.filter("late"), free.filter(~pl.col("late"))
        self._waiting = in_time if self._waiting is None else pl.concat([self._waiting, in_time])
        return [
            Compared(frame, previous)
            for frame, previous in (
                (keyed, changes.detect(self._last, keyed)),
                (late, [changes.NOTHING] * late.height),
            )
            if frame.height
        ]

    def _release(self, watermark: int) -> list[Compared]:
        if self._waiting is None:
            return []
        passed = pl.col("timestamp").dt.timestamp("us") < watermark
        ready = self._waiting.filter(passed).sort("timestamp", "id")
        if not ready.height:
            return []
        waiting = self._waiting.filter(~passed)
        self._waiting = waiting if waiting.height else None
        return [Compared(ready, changes.detect(self._last_unkeyed, ready))]

    def _describe(self, named: list[Naming]) -> list[Description]:
        """Keep each event's newest description; returns those that are new or changed."""
        changed = []
        for order, told in named:
            known = self._events.get(told.event_id)
            if known is None or order > known[0]:
                self._events[told.event_id] = (order, told)
                if known is None or known[1] != told:
                    changed.append(told)
        return changed

    def dump(self) -> bytes:
        """The state as version-tagged msgpack."""
        waiting = None if self._waiting is None else self._waiting.write_ipc(None).getvalue()
        clock = self._clock
        return msgspec.msgpack.encode(
            (_VERSION, clock.lateness, clock.partitions, clock.watermark, self._last, self._last_unkeyed,
             self._windows.dump(), self._events, waiting)
        )  # fmt: skip

    @classmethod
    def load(cls, dumped: bytes, lateness: int) -> Shard:
        """The state that `dump` gave.

        Raises:
            ValueError: it was written by another version, or with another allowed lateness.
        """
        version, old_lateness, *values = msgspec.msgpack.decode(dumped)
        if version != _VERSION or old_lateness != lateness:
            raise ValueError(
                f"the recovery store holds state of version {version} with an allowed lateness of {old_lateness / 1e6} s; "
                f"this is version {_VERSION} with {lateness / 1e6} s. Start with a new recovery store: the tables are "
                "rebuilt from the topic."
            )
        partitions, watermark, last, last_unkeyed, windows, events, waiting = values
        shard = cls(lateness)
        shard._clock = SharedClock(lateness, partitions, {}, watermark)
        shard._last = {listing: tuple(facts) for listing, facts in last.items()}
        shard._last_unkeyed = {listing: tuple(facts) for listing, facts in last_unkeyed.items()}
        shard._windows = Windows.load(windows, watermark)
        shard._events = {event: (tuple(order), Description(*told)) for event, (order, told) in events.items()}
        shard._waiting = None if waiting is None else pl.read_ipc(waiting, use_pyarrow=False)
        return shard


def descriptions(rows: pl.DataFrame) -> list[Naming]:
    """What a batch tells of its events: for each, its newest row with a name, or that it exists."""
    time = pl.col("timestamp").dt.timestamp("us")
    named = (
        rows.lazy()
        .filter(pl.col("event_name").is_not_null())
        .sort("timestamp", "id")
        .group_by("event_id")
        .last()
        .select(time, "id", "event_id", "event_name", "venue", pl.col("event_date").dt.timestamp("us"), "city", "state")
        .collect()
    )
    found = [((row[0], row[1]), Description(*row[2:])) for row in named.iter_rows()]
    nameless = rows["event_id"].unique().to_list()
    if len(nameless) > len(found):
        known = {told.event_id for _, told in found}
        before_all = (-(1 << 62), 0)
        found += [
            (before_all, Description(event, None, None, None, None, None)) for event in nameless if event not in known
        ]
    return found


def route(shards: int, cache: dict[str, int], event_ids: list[str]) -> list[int]:
    """The shard of each event: crc32 of its id, the same in every process and for ever."""
    for event in set(event_ids) - cache.keys():
        cache[event] = crc32(event.encode()) % shards
    return [cache[event] for event in event_ids]
