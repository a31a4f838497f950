"""Tumbling event-time windows over all-in prices: one minute, one hour and one day.

Rows are first added up by the minute of each (event, source, section, level, currency). These sums are merged into the
six windows they belong to only when somebody wants to see them, which under load is far less often than rows come.
Merging is commutative, so a window's content depends on which rows are in it and on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern
from typing import NamedTuple

import msgspec
import polars as pl

from analytics.clock import NEVER, SharedClock
from analytics.rows import Rows

SECOND = 1_000_000
SIZES = (60, 3600, 86400)
WHOLE_EVENT = ""

_MINUTE = SIZES[0] * SECOND
_REMEMBERED = 50_000


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

_Key = tuple[str, str, str, str, str, int, int]
"""The first seven fields of a `Window`."""

_PartKey = tuple[str, str, str, str, str, int]
"""(event, source, section, level, currency, start of the minute)."""

_NOTHING: _Seen = (0, 0, 0)


class _Sums(msgspec.Struct, array_like=True, gc=False):
    """What some observations come to; without any, only `observations` says something.

    These are msgspec's structs, as it encodes them without asking Python for each, and the garbage collector, which has
    nothing to find in them, leaves them alone.
    """

    observations: int = 0
    total: int = 0
    low: int = 0
    high: int = 0
    first: _Seen = _NOTHING
    last: _Seen = _NOTHING

    def begin(self, time: int, identity: int, price: int) -> None:
        """Count in the first observation."""
        self.observations = 1
        self.total = self.low = self.high = price
        self.first = self.last = (time, identity, price)

    def add(self, time: int, identity: int, price: int) -> None:
        """Count in a further observation."""
        self.observations += 1
        self.total += price
        if price < self.low:
            self.low = price
        elif price > self.high:
            self.high = price
        last, first = self.last, self.first
        if time > last[0] or (time == last[0] and identity > last[1]):
            self.last = (time, identity, price)
        elif time < first[0] or (time == first[0] and identity < first[1]):
            self.first = (time, identity, price)

    def merge(self, other: _Sums) -> None:
        """Count in all that `other` counted, which is something."""
        if self.observations:
            self.observations += other.observations
            self.total += other.total
            if other.low < self.low:
                self.low = other.low
            if other.high > self.high:
                self.high = other.high
            if other.first < self.first:
                self.first = other.first
            if other.last > self.last:
                self.last = other.last
        else:
            self.observations, self.total = other.observations, other.total
            self.low, self.high = other.low, other.high
            self.first, self.last = other.first, other.last


class _Window(_Sums, kw_only=True, array_like=True, gc=False):
    """A window that can still change. `listings` are numbers; `changed` since it was last given to anybody."""

    key: _Key
    listings: set[int] = msgspec.field(default_factory=set)
    changed: bool = False
    dropped: bool = False

    def row(self, watermark: int) -> Window:
        """The window as the sinks write it."""
        return Window(
            *self.key,
            self.low,
            self.high,
            (2 * self.total + self.observations) // (2 * self.observations),
            self.first[2],
            self.last[2],
            self.observations,
            len(self.listings),
            self.key[6] + self.key[5] * SECOND <= watermark,
        )


class _Part(_Sums, kw_only=True, gc=False):
    """A minute's sums that are not merged into its `windows` yet, and the numbers of listings that are new to them.

    `missed`: of how many windows it would be, had they not been dropped before.
    """

    windows: list[_Window]
    missed: int
    listings: list[int] = msgspec.field(default_factory=list)


class _Dump(msgspec.Struct, array_like=True):
    """All that `Windows` knows, once it is merged."""

    windows: list[_Window]
    index: dict[str, int]
    seen: dict[str, bytes]
    dropped_to: dict[str, int]
    too_late: int


_LOADER = msgspec.msgpack.Decoder(_Dump)


class Windows:
    """The windows of one shard that can still change.

    A window is dropped once the watermark of every partition that its event was ever seen on has passed its end: from
    those, no row in time can still come, so a dropped window is never begun again from nothing. A row from a
    partition that the event was never seen on before, older than what was dropped, is not counted in
    (`too_late`, which needs producers that set no key and a partition that slept through the window).
    """

    def __init__(self) -> None:
        self._windows: dict[_Key, _Window] = {}
        self._open: dict[int, list[_Window]] = {}
        self._closed: dict[int, list[_Window]] = {}
        self._changed: list[_Window] = []
        self._parts: dict[_PartKey, _Part] = {}
        self._touched: list[_Part] = []  # parts with something to merge
        self._latest: dict[str, tuple[int, str | None, _Part]] = {}  # listing -> (minute, section, where it is counted)
        self._index: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self._dropped_to: dict[str, int] = {}
        self._swept = NEVER // _MINUTE
        self.too_late = 0

    @property
    def changed(self) -> bool:
        """Whether there is something that `take` has not given yet."""
        return bool(self._touched or self._changed)

    def expect(self, events: Iterable[str], partition: int) -> None:
        """`partition` has rows of these events, whenever they are added: it is asked before a window is dropped."""
        for event in events:
            self._seen[event] = self._seen.get(event, 0) | 1 << partition

    def add(self, rows: Rows) -> None:
        """Count in the rows that are not `late`; their order does not matter."""
        latest, touched = self._latest, self._touched
        if len(latest) > _REMEMBERED:
            latest.clear()
        late, sections = rows.column("late"), rows.column("section")
        for position, event, listing, time, _, price, _, identity in rows.facts:
            if late[position]:
                continue
            minute, section = time - time % _MINUTE, sections[position]
            known = latest.get(listing)
            if known is not None and known[0] == minute and known[1] == section:
                part = known[2]
            else:
                source, level, currency = (rows.column(name)[position] for name in ("source", "level", "currency"))
                within = section if section is not None and level == "listing" else WHOLE_EVENT
                part = self._part((event, source, within, level, currency, minute))
                part.listings.append(self._index.setdefault(listing, len(self._index)))
                latest[listing] = (minute, section, part)  # which source, level and currency it is, a listing says
            if part.observations:
                part.add(time, identity, price)
            else:
                part.begin(time, identity, price)
                touched.append(part)

    def _part(self, key: _PartKey) -> _Part:
        part = self._parts.get(key)
        if part is None:
            dropped_to = self._dropped_to.get(key[0], NEVER)
            key = (*_words(key), key[5])
            keys = list(_windows_of(key))
            lasting = [key for key in keys if _end(key) > dropped_to]
            part = self._parts[key] = _Part(windows=list(map(self._window, lasting)), missed=len(keys) - len(lasting))
        return part

    def _window(self, key: _Key) -> _Window:
        window = self._windows.get(key)
        if window is None:
            window = _Window(key=key)
            self._keep(window)
        return window

    def _keep(self, window: _Window) -> None:
        self._windows[window.key] = window
        end = _end(window.key)
        (self._open if end > self._swept * _MINUTE else self._closed).setdefault(end, []).append(window)

    def take(self, watermark: int) -> list[Window]:
        """The windows that changed since they were last taken."""
        self._merge()
        taken = []
        for window in self._changed:
            if window.changed:
                window.changed = False
                taken.append(window.row(watermark))
        self._changed.clear()
        return taken

    def close(self, clock: SharedClock) -> list[Window]:
        """Close what the watermark has passed and drop what can no longer change; returns the closed windows."""
        minute = clock.watermark // _MINUTE
        if minute == self._swept:
            return []
        self._swept = minute
        self._merge()
        final: list[Window] = []
        for end in [end for end in self._open if end <= clock.watermark]:
            windows = self._open.pop(end)
            self._closed.setdefault(end, []).extend(windows)
            for window in windows:
                window.changed = False
                final.append(window.row(clock.watermark))
        self._drop(clock)
        return final

    def _merge(self) -> None:
        """Bring what was added up by the minute into the windows."""
        for part in self._touched:
            self.too_late += part.missed * part.observations
            for window in part.windows:
                if window.dropped:
                    self.too_late += part.observations
                    continue
                window.merge(part)
                window.listings.update(part.listings)
                if not window.changed:
                    window.changed = True
                    self._changed.append(window)
            part.observations = 0
            part.listings.clear()
        self._touched.clear()

    def _drop(self, clock: SharedClock) -> None:
        safe: dict[str, int] = {}
        for end in list(self._closed):
            kept = []
            for window in self._closed.pop(end):
                event = window.key[0]
                if event not in safe:
                    safe[event] = min(clock.watermark, clock.least_of(self._seen[event]))
                if end > safe[event] or window.changed:
                    kept.append(window)
                    continue
                window.dropped = True
                del self._windows[window.key]
                if window.key[5] == SIZES[0]:
                    self._parts.pop((*window.key[:5], window.key[6]), None)
            if kept:
                self._closed[end] = kept
        for event, mark in safe.items():
            self._dropped_to[event] = max(mark, self._dropped_to.get(event, NEVER))

    def dump(self) -> bytes:
        """The state as msgpack."""
        self._merge()
        return msgspec.msgpack.encode(
            _Dump(
                list(self._windows.values()),
                self._index,
                {event: seen.to_bytes(-(-seen.bit_length() // 8)) for event, seen in self._seen.items()},
                self._dropped_to,
                self.too_late,
            )
        )

    @classmethod
    def load(cls, dumped: bytes, watermark: int) -> Windows:
        """The state that `dump` gave."""
        state = cls()
        state._swept = watermark // _MINUTE
        told = _LOADER.decode(dumped)
        state._index, state._dropped_to, state.too_late = told.index, told.dropped_to, told.too_late
        state._seen = {event: int.from_bytes(partitions) for event, partitions in told.seen.items()}
        for window in told.windows:
            window.key = (*_words(window.key), *window.key[5:])
            state._keep(window)
            if window.changed:
                state._changed.append(window)
        return state


def _words(key: _PartKey | _Key) -> tuple[str, str, str, str, str]:
    """The words of a key, as the same objects wherever they stand: each row brings its own."""
    event, source, section, level, currency = key[:5]
    return intern(event), intern(source), intern(section), intern(level), intern(currency)


def _end(key: _Key) -> int:
    return key[6] + key[5] * SECOND


def _windows_of(part: _PartKey) -> Iterator[_Key]:
    event, source, section, level, currency, minute = part
    scopes = [(source, section)]
    if level == "listing":
        scopes.append((WHOLE_EVENT, WHOLE_EVENT))
    for size in SIZES:
        start = minute - minute % (size * SECOND)
        for scope in scopes:
            yield (event, *scope, level, currency, size, start)


def of_rows(rows: pl.DataFrame) -> list[Window]:
    """The windows of a whole frame of price rows with `listing` and `late`, all final: the live flow's sums."""
    state = Windows()
    state.add(Rows(rows))
    return [window._replace(is_final=True) for window in state.take(NEVER)]
