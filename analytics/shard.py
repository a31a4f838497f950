"""The state of one shard of events: last prices, windows, descriptions; pure, and replayed to the same end.

Rows whose message was keyed by event stand in one partition, whose log is their order: they are judged at once. Rows
without a key (the earlier version's producers) may stand in any partition; they wait until the shared watermark has
passed them and are then taken in the order (event time, id), which no interleaving can change. To judge a row is to
hold it in quarantine, or to compare it with its listing's previous one and add it to the windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import msgspec
import polars as pl

from analytics import alert_rows, changes
from analytics.alerts import Activation, Decision, DefaultRule, Judge, Standing, Verdicts
from analytics.clock import SharedClock
from analytics.windows import Window, Windows

_VERSION = 7
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
    """Price rows, each with its listing's previous one (`changes.with_changes` joins the two).

    `default_rule`: whether the default rule is in force for each; None when it is for all.
    """

    rows: pl.DataFrame
    previous: list[changes.Previous]
    default_rule: list[bool] | None


@dataclass(frozen=True, slots=True)
class ShardBatch:
    """One partition's news for one shard: its watermark, always, and rows, if there are any for this shard.

    `rows` are plausible price rows with `listing`, `keyed` and `late`, in log order. Times are microseconds. `rules` are
    the changes of rules that concern this shard, and `default_rule` says from which message on the default one is in force.
    """

    partition: int
    partitions: int
    watermark: int
    idle_since: int | None = None
    rows: pl.DataFrame | None = None
    rules: tuple[Activation, ...] = ()
    default_rule: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class ShardOutput:
    """What came of a batch, and of rows that had waited.

    Args:
        compared: accepted price rows, each once.
        held: rows in quarantine with their `reason`, each once.
        released: (id of a held row, id of the accepted row that showed it to be true).
        windows: those that changed.
        events: those that changed.
        alerts: of people's rules, of `alert_rows.ALERT_SCHEMA`.
        decisions: of people's rules.
        standings: what people's rules think of their events now.
    """

    compared: list[Compared] = field(default_factory=list)
    held: list[pl.DataFrame] = field(default_factory=list)
    released: list[tuple[int, int]] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    events: list[Description] = field(default_factory=list)
    alerts: list[pl.DataFrame] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)


class Shard:
    """The state of one shard of `of`; `step` decides, `dump` and `load` carry it through a restart."""

    def __init__(self, lateness: int, release_after: int, of: int = 1) -> None:
        self._release_after = release_after
        self._of = of
        self._clock = SharedClock(lateness)
        # Two chains, so that a listing fed in both ways still depends on nothing but the log.
        self._last: changes.State = {}
        self._last_unkeyed: changes.State = {}
        self._windows = Windows()
        self._events: dict[str, tuple[tuple[int, int], Description]] = {}
        self._judge, self._judge_unkeyed = Judge(), Judge()
        self._default = DefaultRule({})
        self._waiting: pl.DataFrame | None = None

    def step(self, batch: ShardBatch) -> ShardOutput:
        """Take one batch. What comes out in the end depends on each partition's log, not on how it was cut."""
        output = ShardOutput()
        for judge in (self._judge, self._judge_unkeyed):
            judge.activate(batch.rules)
        self._default.told(batch.default_rule)
        if batch.rows is not None:
            self._windows.expect(batch.rows["event_id"].to_list(), batch.partition)
            output.events.extend(self._describe(batch.rows))
            self._receive(batch.rows, output)
        watermark = self._clock.advance(batch.partition, batch.partitions, batch.watermark, batch.idle_since)
        self._take_waiting(watermark, output)
        output.windows.extend(self._windows.close(self._clock))
        return output

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

    def _receive(self, rows: pl.DataFrame, output: ShardOutput) -> None:
        if rows["keyed"].all():
            self._take(self._last, rows, output)
            return
        keyed, free = rows.filter("keyed"), rows.filter(~pl.col("keyed"))
        late, in_time = free.filter("late"), free.filter(~pl.col("late"))
        self._waiting = in_time if self._waiting is None else pl.concat([self._waiting, in_time])
        self._take(self._last, keyed, output)
        if late.height:  # they have no place in any order by which they could be judged
            output.compared.append(Compared(late, [changes.NOTHING] * late.height, None))

    def _take_waiting(self, watermark: int, output: ShardOutput) -> None:
        if self._waiting is None:
            return
        passed = pl.col("timestamp").dt.timestamp("us") < watermark
        ready = self._waiting.filter(passed).sort("timestamp", "id")
        if ready.height:
            waiting = self._waiting.filter(~passed)
            self._waiting = waiting if waiting.height else None
            self._take(self._last_unkeyed, ready, output)

    def _take(self, chain: changes.State, rows: pl.DataFrame, output: ShardOutput) -> None:
        """Take rows that are the next in their chain."""
        verdicts = Verdicts()
        judge = self._judge if chain is self._last else self._judge_unkeyed
        found = changes.detect(chain, rows, self._release_after, _shown(judge, verdicts, rows))
        output.released.extend(found.released)
        if found.held:
            reasons = dict(found.held)
            judged = rows.with_columns(reason=pl.Series([reasons.get(i) for i in range(rows.height)], dtype=pl.String))
            output.held.append(judged.filter(pl.col("reason").is_not_null()))
            rows = judged.filter(pl.col("reason").is_null()).drop("reason")
        if rows.height:
            self._windows.add(rows)
            output.compared.append(Compared(rows, found.previous, self._default.holds(rows["id"].to_list())))
        if verdicts.alerts:
            output.alerts.append(alert_rows.of_rules(rows, verdicts.alerts))
        output.decisions.extend(verdicts.decisions)
        output.standings.extend(verdicts.standings.values())

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
            (_VERSION, clock.lateness, self._release_after, self._of, clock.partitions, clock.watermark,
             changes.dump(self._last), changes.dump(self._last_unkeyed), self._windows.dump(), self._events, waiting,
             self._judge.dump(), self._judge_unkeyed.dump(), self._default.starts)
        )  # fmt: skip

    @classmethod
    def load(cls, dumped: bytes, lateness: int, release_after: int, of: int = 1) -> Shard:
        """The state that `dump` gave.

        Raises:
            ValueError: it was written by another version, with another allowed lateness or number of prices that end
                a quarantine, or by one of more or fewer shards, among which the events were spread otherwise.
        """
        dump = msgspec.msgpack.decode(dumped)
        written_by, values = tuple(dump[:4]), dump[4:]
        if written_by != (_VERSION, lateness, release_after, of):
            raise ValueError(
                "the recovery store was written with (version, allowed lateness in us, quarantine released after, "
                f"shards) = {written_by}, and this is {(_VERSION, lateness, release_after, of)}. Start with a new recovery "
                "store: the tables are rebuilt from the topic."
            )
        partitions, watermark, last, last_unkeyed, windows, events, waiting, judge, judge_unkeyed, default = values
        shard = cls(lateness, release_after, of)
        shard._clock = SharedClock(lateness, partitions, {}, watermark)
        shard._last, shard._last_unkeyed = changes.load(last), changes.load(last_unkeyed)
        shard._windows = Windows.load(windows, watermark)
        shard._events = {event: (tuple(order), Description(*told)) for event, (order, told) in events.items()}
        shard._waiting = None if waiting is None else pl.read_ipc(waiting, use_pyarrow=False)
        shard._judge = Judge.load(judge, lambda event: shard._last.get(event, {}))
        shard._judge_unkeyed = Judge.load(judge_unkeyed, lambda event: shard._last_unkeyed.get(event, {}))
        shard._default = DefaultRule(default)
        return shard


def _shown(judge: Judge, verdicts: Verdicts, rows: pl.DataFrame) -> changes.See | None:
    """What shows a frame's rows to a judge; None when it has nothing to judge by."""
    if judge.is_idle:
        return None
    ids, names, venues = (rows[name].to_list() for name in ("id", "event_name", "venue"))
    starts = rows["event_date"].cast(pl.Int64).to_list()

    def see(event: str, listings: dict[str, changes.Last], listing: str, index: int, new: changes.Last) -> None:
        judge.see(
            verdicts, event, listings, listing, ids[index], new, lambda: (names[index], venues[index], starts[index])
        )

    return see


def route(shards: int, cache: dict[str, int], event_ids: list[str]) -> list[int]:
    """The shard of each event: crc32 of its id, the same in every process and for ever."""
    for event in set(event_ids) - cache.keys():
        cache[event] = crc32(event.encode()) % shards
    return [cache[event] for event in event_ids]
