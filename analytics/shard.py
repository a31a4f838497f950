"""The state of one shard of events: last prices, windows, descriptions; pure, and replayed to the same end.

Rows whose message was keyed by event stand in one partition, whose log is their order: they are compared at once. Rows
without a key (the earlier version's producers) may stand in any partition; they wait until the shared watermark has
passed them and are then taken in the order (event time, id), which no interleaving can change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import msgspec
import polars as pl

from analytics import changes
from analytics.clock import SharedClock
from analytics.windows import Window, Windows

_VERSION = 5
_BEFORE_ALL = (-(1 << 62), 0)


class Description(NamedTuple):
    """What is known of an event, from the newest row that named it."""

    event_id: str
    event_name: str | None
    venue: str | None
    event_date: int | None
    city: str | None
    state: str | None


class Compared(NamedTuple):
    """Price rows, each with its listing's previous one (`changes.with_changes` joins the two)."""

    rows: pl.DataFrame
    previous: list[changes.Previous]


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """One partition's news for one shard: its watermark, always, and rows, if there are any for this shard.

    `rows` are plausible price rows with `listing`, `keyed` and `late`, in log order. Times are microseconds.
    """

    partition: int
    partitions: int
    watermark: int
    idle_since: int | None = None
    rows: pl.DataFrame | None = None


@dataclass(frozen=True, slots=True)
class ShardOutput:
    """Price rows compared, each once; and the windows and events that changed."""

    compared: list[Compared]
    windows: list[Window]
    events: list[Description]


class Shard:
    """The state of one shard of `of`; `step` decides, `dump` and `load` carry it through a restart."""

    def __init__(self, lateness: int, of: int = 1) -> None:
        self._of = of
        self._clock = SharedClock(lateness)
        # Two chains, so that a listing fed in both ways still depends on nothing but the log.
        self._last: changes.State = {}
        self._last_unkeyed: changes.State = {}
        self._windows = Windows()
        self._events: dict[str, tuple[tuple[int, int], Description]] = {}
        self._waiting: pl.DataFrame | None = None

    def step(self, batch: ShardBatch) -> ShardOutput:
        """Take one batch. What comes out in the end depends on each partition's log, not on how it was cut."""
        compared: list[Compared] = []
        events: list[Description] = []
        if batch.rows is not None:
            compared = self._compare(batch.rows)
            events = self._describe(batch.rows)
            self._windows.add(batch.rows, batch.partition)
        watermark = self._clock.advance(batch.partition, batch.partitions, batch.watermark, batch.idle_since)
        closed = self._windows.close(self._clock)
        return ShardOutput(compared + self._release(watermark), closed, events)

    @property
    def has_windows(self) -> bool:
        """Whether windows have changed that `take_windows` has not given yet."""
        return self._windows.changed

    def take_windows(self) -> list[Window]:
        """The windows that changed and have not been given yet; `dump` keeps account of those that have not."""
        return self._windows.take(self._clock.watermark)

    def listings(self, event: str, keyed: bool = True) -> Mapping[str, changes.Last]:
        """An event's listings and each one's newest row, in the chain of the keyed rows or of the others."""
        return (self._last if keyed else self._last_unkeyed).get(event, {})

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

    def _describe(self, rows: pl.DataFrame) -> list[Description]:
        """Keep each event's description from its newest row with a name; returns those that are new or changed."""
        changed: dict[str, Description] = {}
        facts = zip(
            rows["timestamp"].cast(pl.Int64).to_list(), rows["id"].to_list(), rows["event_id"].to_list(),
            rows["event_name"].to_list(), rows["venue"].to_list(), rows["event_date"].cast(pl.Int64).to_list(),
            rows["city"].to_list(), rows["state"].to_list(), strict=True,
        )  # fmt: skip
        for time, identity, event, name, *more in facts:
            known = self._events.get(event)
            if known is not None and (name is None or (time, identity) <= known[0]):
                continue
            order = (time, identity) if name is not None else _BEFORE_ALL
            told = Description(event, name, *more) if name is not None else Description(event, *[None] * 5)
            self._events[event] = (order, told)
            if known is None or known[1] != told:
                changed[event] = told
        return list(changed.values())

    def dump(self) -> bytes:
        """The state as version-tagged msgpack."""
        waiting = None if self._waiting is None else self._waiting.write_ipc(None).getvalue()
        clock = self._clock
        return msgspec.msgpack.encode(
            (_VERSION, clock.lateness, self._of, clock.partitions, clock.watermark, self._last, self._last_unkeyed,
             self._windows.dump(), self._events, waiting)
        )  # fmt: skip

    @classmethod
    def load(cls, dumped: bytes, lateness: int, of: int = 1) -> Shard:
        """The state that `dump` gave.

        Raises:
            ValueError: it was written by another version, with another allowed lateness, or by one of more or fewer
                shards, among which the events were spread otherwise.
        """
        dump = msgspec.msgpack.decode(dumped)
        written_by, values = tuple(dump[:3]), dump[3:]
        if written_by != (_VERSION, lateness, of):
            raise ValueError(
                f"the recovery store was written with (version, allowed lateness in us, shards) = {written_by}, and "
                f"this is {(_VERSION, lateness, of)}. Start with a new recovery store: the tables are rebuilt from the topic."
            )
        partitions, watermark, last, last_unkeyed, windows, events, waiting = values
        shard = cls(lateness, of)
        shard._clock = SharedClock(lateness, partitions, {}, watermark)
        shard._last, shard._last_unkeyed = changes.load(last), changes.load(last_unkeyed)
        shard._windows = Windows.load(windows, watermark)
        shard._events = {event: (tuple(order), Description(*told)) for event, (order, told) in events.items()}
        shard._waiting = None if waiting is None else pl.read_ipc(waiting, use_pyarrow=False)
        return shard


def route(shards: int, cache: dict[str, int], event_ids: list[str]) -> list[int]:
    """The shard of each event: crc32 of its id, the same in every process and for ever."""
    for event in set(event_ids) - cache.keys():
        cache[event] = crc32(event.encode()) % shards
    return [cache[event] for event in event_ids]
