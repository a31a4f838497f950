"""Tumbling event-time windows over all-in prices: one minute, one hour and one day.

A batch is first reduced to one partial for each (event, source, section, level, currency, minute); partials are merged
into the accumulators of the six windows they belong to. Merging is commutative and idempotent per row, so a window's
content depends on which rows are in it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from analytics.clock import NEVER, SharedClock

SECOND = 1_000_000
SIZES = (60, 3600, 86400)
WHOLE_EVENT = ""

_KEY = ["event_id", "source", "section", "level", "currency"]


class Window(NamedTuple):
    """One window's row, as the sinks write it. Prices are micros, `start` is microseconds since 1970."""

    event_id: str
    source: str
    section: str
    level: str
    currency: str
    seconds: int
    start: int
    low: int
    high: int
    average: int
    open: int
    close: int
    observations: int
    listings: int
    is_final: bool


class Partial(NamedTuple):
    """What one batch adds to one minute of one (event, source, section, level, currency)."""

    event_id: str
    source: str
    section: str
    level: str
    currency: str
    minute: int
    observations: int
    total: int
    low: int
    high: int
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    listings: list[str]


class _Accumulator:
    __slots__ = ("first", "high", "last", "listings", "low", "observations", "total")

    def __init__(
        self,
        observations: int = 0,
        total: int = 0,
        low: int = 1 << 62,
        high: int = -(1 << 62),
        first: tuple[int, int, int] | None = None,
        last: tuple[int, int, int] | None = None,
        listings: Iterable[int] = (),
    ) -> None:
        self.observations = observations
        self.total = total
        self.low = low
        self.high = high
        self.first = tuple(first) if first else (1 << 62, 0, 0)
        self.last = tuple(last) if last else (NEVER, 0, 0)
        self.listings = set(listings)

    def dump(self) -> tuple[object, ...]:
        return (self.observations, self.total, self.low, self.high, self.first, self.last, sorted(self.listings))


_Key = tuple[str, str, str, str, str, int, int]


def partials(rows: pl.DataFrame) -> list[Partial]:
    """Reduce price rows (with `listing`) to partials. Order of the rows does not matter."""
    if not rows.height:
        return []
    time = pl.col("timestamp").dt.timestamp("us")
    minute = SIZES[0] * SECOND
    grouped = (
        rows.lazy()
        .select(*_KEY, "id", "listing", "total_price", time=time, minute=time - time % minute)
        .with_columns(pl.col("section").fill_null(""))
        .sort("time", "id")
        .group_by(*_KEY, "minute", maintain_order=True)
        .agg(
            n=pl.len(),
            total=pl.col("total_price").sum(),
            low=pl.col("total_price").min(),
            high=pl.col("total_price").max(),
            first=pl.concat_list(pl.col("time", "id", "total_price").first()),
            last=pl.concat_list(pl.col("time", "id", "total_price").last()),
            listings=pl.col("listing").unique(),
        )
        .collect()
    )
    return [Partial._make((*row[:10], tuple(row[10]), tuple(row[11]), row[12])) for row in grouped.iter_rows()]


class Windows:
    """The open windows of one shard.

    A window is dropped once the watermark of every partition that its event was ever seen on has passed its end: from
    those, no row in time can still come, so a dropped window is never begun again from nothing. A row from a
    partition that the event was never seen on before, older than what was dropped, is not counted in
    (`too_late`, which needs producers that set no key and a partition that slept through the window).
    """

    def __init__(self) -> None:
        self._open: dict[int, list[_Key]] = {}
        self._closed: dict[int, list[_Key]] = {}
        self._accumulators: dict[_Key, _Accumulator] = {}
        self._index: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._dropped_to: dict[str, int] = {}
        self._swept = NEVER
        self.too_late = 0

    def add(self, parts: list[Partial], partition: int, watermark: int) -> list[Window]:
        """Merge partials that came from `partition`; returns the windows they changed."""
        changed: dict[_Key, _Accumulator] = {}
        for part in parts:
            self._seen[part.event_id] = self._seen.get(part.event_id, 0) | 1 << partition
            dropped_to = self._dropped_to.get(part.event_id, NEVER)
            listings = [self._index.setdefault(name, len(self._index)) for name in part.listings]
            for key in _windows_of(part):
                end = key[6] + key[5] * SECOND
                if end <= dropped_to:
                    self.too_late += part.observations
                    continue
                accumulator = changed.get(key) or self._accumulators.get(key)
                if accumulator is None:
                    accumulator = self._accumulators[key] = _Accumulator()
                    (self._open if end > watermark else self._closed).setdefault(end, []).append(key)
                changed[key] = accumulator
                accumulator.observations += part.observations
                accumulator.total += part.total
                accumulator.low = min(accumulator.low, part.low)
                accumulator.high = max(accumulator.high, part.high)
                accumulator.first = min(accumulator.first, part.first)
                accumulator.last = max(accumulator.last, part.last)
                accumulator.listings.update(listings)
        return [_row(key, accumulator, watermark) for key, accumulator in changed.items()]

    def close(self, clock: SharedClock) -> list[Window]:
        """Close what the watermark has passed and drop what can no longer change; returns the closed windows."""
        minute = clock.watermark // (SIZES[0] * SECOND)
        if minute == self._swept:
            return []
        self._swept = minute
        final: list[Window] = []
        for end in [end for end in self._open if end <= clock.watermark]:
            keys = self._open.pop(end)
            final += [_row(key, self._accumulators[key], clock.watermark) for key in keys]
            self._closed.setdefault(end, []).extend(keys)
        safe: dict[str, int] = {}
        for end in list(self._closed):
            kept = []
            for key in self._closed.pop(end):
                event = key[0]
                if event not in safe:
                    safe[event] = min(clock.watermark, clock.least_of(self._seen[event]))
                if end <= safe[event]:
                    del self._accumulators[key]
                else:
                    kept.append(key)
            if kept:
                self._closed[end] = kept
        for event, mark in safe.items():
            self._dropped_to[event] = max(mark, self._dropped_to.get(event, NEVER))
        return final

    def dump(self) -> list[object]:
        """The state as plain values; it shares nothing with the live state."""
        return [
            [(key, accumulator.dump()) for key, accumulator in self._accumulators.items()],
            dict(self._index),
            {event: seen.to_bytes(-(-seen.bit_length() // 8)) for event, seen in self._seen.items()},
            dict(self._dropped_to),
            self.too_late,
        ]

    @classmethod
    def load(cls, dumped: list[object], watermark: int) -> Windows:
        """The state that `dump` gave."""
        state = cls()
        accumulators, state._index, seen, state._dropped_to, state.too_late = dumped  # type: ignore[assignment]
        state._seen = {event: int.from_bytes(partitions) for event, partitions in seen.items()}  # type: ignore[attr-defined]
        for key, values in accumulators:  # type: ignore[attr-defined]
            key = tuple(key)
            state._accumulators[key] = _Accumulator(*values)
            end = key[6] + key[5] * SECOND
            (state._open if end > watermark else state._closed).setdefault(end, []).append(key)
        return state


def _windows_of(part: Partial) -> Iterator[_Key]:
    scopes = [(part.source, part.section if part.level == "listing" else WHOLE_EVENT)]
    if part.level == "listing":
        scopes.append((WHOLE_EVENT, WHOLE_EVENT))
    for source, section in scopes:
        for seconds in SIZES:
            start = part.minute - part.minute % (seconds * SECOND)
            yield (part.event_id, source, section, part.level, part.currency, seconds, start)


def _row(key: _Key, window: _Accumulator, watermark: int) -> Window:
    return Window(
        *key,
        window.low,
        window.high,
        (2 * window.total + window.observations) // (2 * window.observations),
        window.first[2],
        window.last[2],
        window.observations,
        len(window.listings),
        key[6] + key[5] * SECOND <= watermark,
    )


def of_rows(rows: pl.DataFrame) -> list[Window]:
    """The windows of a whole frame of price rows with `listing`, all final: the same sums as the live flow's."""
    state = Windows()
    state.add(partials(rows), 0, NEVER)
    return [_row(key, accumulator, 1 << 62) for key, accumulator in state._accumulators.items()]
