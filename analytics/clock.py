"""Event time: one watermark per source partition, a fact of that partition's log whatever else is read beside it."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from analytics.schema import full

NEVER = -(1 << 62)
"""A watermark before all time, in microseconds."""


@dataclass
class PartitionClock:
    """The newest event time of one partition, and what has been counted of its log so far.

    All times are microseconds since 1970 in UTC. The state is a function of the log up to `next_offset`.
    """

    lateness: int
    newest: int = NEVER
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("accepted", "quarantined", "dead", "late", "tombstones"), 0)
    )

    @property
    def watermark(self) -> int:
        """No row of this partition with an earlier event time is still in time."""
        return max(NEVER, self.newest - self.lateness)

    def stamp(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add `late`: whether the row came after the watermark had passed it. Rows must be in log order."""
        if not rows.height:
            return rows.hstack([pl.Series("late", [], dtype=pl.Boolean)])
        times = rows["timestamp"].cast(pl.Int64)
        newest: int = max(self.newest, times.max())  # type: ignore[type-var, assignment]
        if times.min() >= newest - self.lateness:  # type: ignore[operator]
            late = full(value=False, dtype=pl.Boolean, length=rows.height)
        else:
            late = times < times.cum_max().clip(lower_bound=self.newest) - self.lateness
        self.newest = newest
        return rows.hstack([late.alias("late")])


@dataclass
class SharedClock:
    """The watermark of a shard that several partitions feed: the least of theirs.

    A partition without news for a while stops holding it back (`idle_since` names the processing time at which it was
    seen to be at its end). When all are idle, processing time less the allowed lateness stands in, so that the last
    windows close too. Being ahead of a partition that wakes up never makes its rows late: lateness is each
    partition's own affair, and a closed window is amended.
    """

    lateness: int
    partitions: dict[int, int] = field(default_factory=dict)
    idle: dict[int, int] = field(default_factory=dict)
    watermark: int = NEVER

    def advance(self, partition: int, of: int, watermark: int, idle_since: int | None) -> int:
        """Take one partition's news; `of` is how many partitions there are. Returns the shared watermark."""
        self.partitions[partition] = max(watermark, self.partitions.get(partition, NEVER))
        if idle_since is None:
            self.idle.pop(partition, None)
        else:
            self.idle[partition] = idle_since
        active = [p for p in range(of) if p not in self.idle]
        if active:
            least = min(self.partitions.get(p, NEVER) for p in active)
        else:
            least = max(*self.partitions.values(), min(self.idle.values()) - self.lateness)
        self.watermark = max(self.watermark, least)
        return self.watermark

    def least_of(self, partitions: int) -> int:
        """The least watermark of a set of partitions (a bit mask), idle or not: nothing older can come from them."""
        return min(self.partitions.get(p, NEVER) for p in range(partitions.bit_length()) if partitions >> p & 1)
