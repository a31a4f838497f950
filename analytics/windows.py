"""Tumbling event-time windows over all-in prices: one minute, one hour and one day.

Rows are first added up by the minute of each (event, source, section, level, currency). These sums are merged into the
six windows they belong to only when somebody wants to see them, which under load is far less often than rows come.
Merging is commutative, so a window's content depends on which rows are in it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import polars as pl

from analytics.clock import NEVER, SharedClock

SECOND = 1_000_000
SIZES = (60, 3600, 86400)
WHOLE_EVENT = ""

_MINUTE = SIZES[0] * SECOND


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


_Seen = tuple[int, int, int]
"""(event time, id, all-in price) of an observation: the first two order them."""


class _Accumulator:
    __slots__ = ("first", "high", "last", "listings", "low", "observations", "total")

    def __init__(
        self, observations: int, total: int, low: int, high: int, first: _Seen, last: _Seen, listings: set[int]
    ) -> None:
        self.observations = observations
        self.total = total
        self.low = low
        self.high = high
        self.first = first
        self.last = last
        self.listings = listings

    @classmethod
    def of(cls, seen: _Seen, listing: int) -> _Accumulator:
        """What one observation comes to."""
        price = seen[2]
        return cls(1, price, price, price, seen, seen, {listing})

    @classmethod
    def load(cls, dumped: Any) -> _Accumulator:
        """What `dump` gave."""
        observations, total, low, high, first, last, listings = dumped
        return cls(observations, total, low, high, tuple(first), tuple(last), set(listings))

    def copy(self) -> _Accumulator:
        """The same, to go on from."""
        return _Accumulator(
            self.observations, self.total, self.low, self.high, self.first, self.last, self.listings.copy()
        )

    def add(self, seen: _Seen, listing: int) -> None:
        """Count in one observation."""
        price = seen[2]
        self.observations += 1
        self.total += price
        if price < self.low:
            self.low = price
        if price > self.high:
            self.high = price
        if seen < self.first:
            self.first = seen
        if seen > self.last:
            self.last = seen
        self.listings.add(listing)

    def merge(self, other: _Accumulator) -> None:
        """Count in all that `other` counted."""
        self.observations += other.observations
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.listings |= other.listings

    def dump(self) -> tuple[object, ...]:
        return (self.observations, self.total, self.low, self.high, self.first, self.last, sorted(self.listings))


_Part = tuple[str, str, str, str, str, int]
"""(event, source, section, level, currency, start of the minute)."""

_Key = tuple[str, str, str, str, str, int, int]
"""The first seven fields of a `Window`."""


class Windows:
    """The windows of one shard that can still change.

    A window is dropped once the watermark of every partition that its event was ever seen on has passed its end: from
    those, no row in time can still come, so a dropped window is never begun again from nothing. A row from a
    partition that the event was never seen on before, older than what was dropped, is not counted in
    (`too_late`, which needs producers that set no key and a partition that slept through the window).
    """

    def __init__(self) -> None:
        self._parts: dict[_Part, _Accumulator] = {}
        self._open: dict[int, list[_Key]] = {}
        self._closed: dict[int, list[_Key]] = {}
        self._accumulators: dict[_Key, _Accumulator] = {}
        self._dirty: set[_Key] = set()
        self._index: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._dropped_to: dict[str, int] = {}
        self._swept = NEVER
        self.too_late = 0

    @property
    def changed(self) -> bool:
        """Whether there is something that `take` has not given yet."""
        return bool(self._parts or self._dirty)

    def expect(self, events: Iterable[str], partition: int) -> None:
        """`partition` has rows of these events, whenever they are added: it is asked before a window is dropped."""
        for event in set(events):
            self._seen[event] = self._seen.get(event, 0) | 1 << partition

    def add(self, rows: pl.DataFrame) -> None:
        """Count in the rows that are not `late`; their order does not matter."""
        facts = zip(
            rows["event_id"].to_list(),
            rows["source"].to_list(),
            rows["section"].to_list(),
            rows["level"].to_list(),
            rows["currency"].to_list(),
            rows["timestamp"].cast(pl.Int64).to_list(),
            rows["id"].to_list(),
            rows["total_price"].to_list(),
            rows["listing"].to_list(),
            rows["late"].to_list(),
            strict=True,
        )
        parts, index = self._parts, self._index
        for event, source, section, level, currency, time, identity, price, listing, late in facts:
            if late:
                continue
            key = (event, source, section or "", level, currency, time - time % _MINUTE)
            part = parts.get(key)
            number = index.setdefault(listing, len(index))
            if part is None:
                parts[key] = _Accumulator.of((time, identity, price), number)
            else:
                part.add((time, identity, price), number)

    def take(self, watermark: int) -> list[Window]:
        """The windows that changed since they were last taken."""
        self._merge(watermark)
        taken = [_row(key, self._accumulators[key], watermark) for key in self._dirty]
        self._dirty.clear()
        return taken

    def close(self, clock: SharedClock) -> list[Window]:
        """Close what the watermark has passed and drop what can no longer change; returns the closed windows."""
        minute = clock.watermark // _MINUTE
        if minute == self._swept:
            return []
        self._swept = minute
        self._merge(clock.watermark)
        final: list[Window] = []
        for end in [end for end in self._open if end <= clock.watermark]:
            keys = self._open.pop(end)
            final += [_row(key, self._accumulators[key], clock.watermark) for key in keys]
            self._dirty.difference_update(keys)
            self._closed.setdefault(end, []).extend(keys)
        self._drop(clock)
        return final

    def _merge(self, watermark: int) -> None:
        """Bring what was added up by the minute into the windows."""
        for part, sums in self._parts.items():
            dropped_to = self._dropped_to.get(part[0], NEVER)
            for key in _windows_of(part):
                end = key[6] + key[5] * SECOND
                if end <= dropped_to:
                    self.too_late += sums.observations
                    continue
                accumulator = self._accumulators.get(key)
                if accumulator is None:
                    self._accumulators[key] = sums.copy()
                    (self._open if end > watermark else self._closed).setdefault(end, []).append(key)
                else:
                    accumulator.merge(sums)
                self._dirty.add(key)
        self._parts.clear()

    def _drop(self, clock: SharedClock) -> None:
        safe: dict[str, int] = {}
        for end in list(self._closed):
            kept = []
            for key in self._closed.pop(end):
                event = key[0]
                if event not in safe:
                    safe[event] = min(clock.watermark, clock.least_of(self._seen[event]))
                if end <= safe[event] and key not in self._dirty:
                    del self._accumulators[key]
                else:
                    kept.append(key)
            if kept:
                self._closed[end] = kept
        for event, mark in safe.items():
            self._dropped_to[event] = max(mark, self._dropped_to.get(event, NEVER))

    def dump(self) -> list[object]:
        """The state as plain values; it shares nothing with the live state."""
        return [
            [(key, accumulator.dump()) for key, accumulator in self._accumulators.items()],
            [(part, accumulator.dump()) for part, accumulator in self._parts.items()],
            list(self._dirty),
            dict(self._index),
            {event: seen.to_bytes(-(-seen.bit_length() // 8)) for event, seen in self._seen.items()},
            dict(self._dropped_to),
            self.too_late,
        ]

    @classmethod
    def load(cls, dumped: list[object], watermark: int) -> Windows:
        """The state that `dump` gave."""
        state = cls()
        accumulators, parts, dirty, state._index, seen, state._dropped_to, state.too_late = dumped  # type: ignore[assignment]
        state._parts = {tuple(part): _Accumulator.load(sums) for part, sums in parts}  # type: ignore[attr-defined]
        state._dirty = {tuple(key) for key in dirty}  # type: ignore[attr-defined]
        state._seen = {event: int.from_bytes(partitions) for event, partitions in seen.items()}  # type: ignore[attr-defined]
        for key, values in accumulators:  # type: ignore[attr-defined]
            key = tuple(key)
            state._accumulators[key] = _Accumulator.load(values)
            end = key[6] + key[5] * SECOND
            (state._open if end > watermark else state._closed).setdefault(end, []).append(key)
        return state


def _windows_of(part: _Part) -> Iterator[_Key]:
    event, source, section, level, currency, minute = part
    scopes = [(source, section if level == "listing" else WHOLE_EVENT)]
    if level == "listing":
        scopes.append((WHOLE_EVENT, WHOLE_EVENT))
    for size in SIZES:
        start = minute - minute % (size * SECOND)
        for scope in scopes:
            yield (event, *scope, level, currency, size, start)


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
    """The windows of a whole frame of price rows with `listing` and `late`, all final: the live flow's sums."""
    state = Windows()
    state.add(rows)
    return [window._replace(is_final=True) for window in state.take(NEVER)]
