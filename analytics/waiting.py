"""Rows that wait until the watermark has passed them, to be taken in the order of event time."""

from __future__ import annotations

from bisect import bisect_left
from heapq import heapify, heappop, heappush

import polars as pl

from analytics.rows import Rows

_SECOND = 1_000_000
_ORDER = ("timestamp", "id")
_MANY = 32  # frames of a second: each is a dozen allocations, whatever it holds


class Waiting:
    """Rows by the second of their event time, so that only those whose turn has come are looked at.

    After an outage one partition may be read far ahead of another: then a great many wait, and the watermark creeps.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, list[pl.DataFrame]] = {}
        self._next: list[int] = []  # a heap of these seconds
        self._first: int | None = None  # the second that is one frame, in order, of which these are the times
        self._times: list[int] = []

    def add(self, rows: Rows) -> None:
        """Let rows wait."""
        seconds: dict[int, list[tuple[int, ...]]] = {}
        for fact in rows.facts:
            seconds.setdefault(fact[3] // _SECOND, []).append(fact)
        for second, facts in seconds.items():
            self._put(second, rows.pick(facts).taken())

    def _put(self, second: int, rows: pl.DataFrame) -> None:
        if second in self._seconds:
            frames = self._seconds[second]
            frames.append(rows)
            if len(frames) == _MANY:
                frames[:] = [pl.concat(frames, rechunk=True)]
                self._first = None
        else:
            self._seconds[second] = [rows]
            heappush(self._next, second)

    def take(self, watermark: int) -> pl.DataFrame | None:
        """The rows that the watermark has passed, in the order (event time, id); None when there are none."""
        passed: list[pl.DataFrame] = []
        while self._next and (self._next[0] + 1) * _SECOND <= watermark:
            passed += self._seconds.pop(heappop(self._next))
        if passed:
            self._first = None
            passed = [pl.concat(passed).sort(_ORDER)]
        if self._next and self._next[0] * _SECOND < watermark:
            passed += self._begin(self._next[0], watermark)
        return pl.concat(passed) if passed else None

    def _begin(self, second: int, watermark: int) -> list[pl.DataFrame]:
        """What is due of a second that the watermark is in, to which batch after batch comes back."""
        frames = self._seconds[second]
        if second != self._first or len(frames) > 1:
            frames[:] = [pl.concat(frames).sort(_ORDER)]
            self._first, self._times = second, frames[0]["timestamp"].cast(pl.Int64).to_list()
        due = bisect_left(self._times, watermark)
        if not due:
            return []
        passed, frames[0] = frames[0][:due], frames[0][due:]
        del self._times[:due]
        if not self._times:
            self._first = None
            del self._seconds[heappop(self._next)]
        return [passed]

    def dump(self) -> bytes | None:
        """All of them as Arrow IPC; None when nothing waits."""
        frames = [frame for frames in self._seconds.values() for frame in frames]
        return pl.concat(frames).write_ipc(None).getvalue() if frames else None

    @classmethod
    def load(cls, dumped: bytes | None) -> Waiting:
        """What `dump` gave."""
        waiting = cls()
        if dumped is not None:
            rows = pl.read_ipc(dumped, use_pyarrow=False)
            seconds = rows["timestamp"].cast(pl.Int64) // _SECOND
            groups = rows.with_columns(_second=seconds).partition_by("_second", as_dict=True, include_key=False)
            waiting._seconds = {second: [frame] for (second,), frame in groups.items()}
            waiting._next = list(waiting._seconds)
            heapify(waiting._next)
        return waiting
