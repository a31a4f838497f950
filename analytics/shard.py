"""The state of one shard of events: last prices, windows, descriptions; pure, and replayed to the same end.

Rows whose message was keyed by event stand in one partition, whose log is their order: they are judged at once. Rows
without a key (the earlier version's producers) may stand in any partition; they wait until the shared watermark has
passed them and are then taken in the order (event time, id), which no interleaving can change. To judge a row is to
hold it in quarantine, or to compare it with its listing's previous one and add it to the windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import polars as pl

from analytics import alert_rows, changes
from analytics.alerts import Activation, Decision, DefaultRule, Judge, Standing, Verdicts
from analytics.clock import SharedClock
from analytics.rows import Rows
from analytics.schema import full
from analytics.waiting import Waiting
from analytics.windows import Window, Windows

_VERSION = 9
_BEFORE_ALL = (-(1 << 62), 0)
_OTHERS = ("event_name", "venue", "city", "state")


class Description(NamedTuple):
    """What is known of an event, from the newest row that named it."""

    event_id: str
    event_name: str | None
    venue: str | None
    event_date: int | None
    city: str | None
    state: str | None


class Compared(NamedTuple):
    """Price rows, each with its listing's previous one (`join` makes frames of them).

    `default_rule`: whether the default rule is in force for each; None when it is for all.
    """

    rows: Rows
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
    rows: Rows | None = None
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
        self._waiting = Waiting()

    def step(self, batch: ShardBatch) -> ShardOutput:
        """Take one batch. What comes out in the end depends on each partition's log, not on how it was cut."""
        output = ShardOutput()
        if batch.rules:
            for judge in (self._judge, self._judge_unkeyed):
                judge.activate(batch.rules)
        self._default.told(batch.default_rule)
        if batch.rows is not None:
            events = {fact[1] for fact in batch.rows.facts}
            self._windows.expect(events, batch.partition)
            output.events.extend(self._describe(batch.rows, events))
            self._receive(batch.rows, output)
        watermark = self._clock.advance(batch.partition, batch.partitions, batch.watermark, batch.idle_since)
        if (ready := self._waiting.take(watermark)) is not None:
            self._take(self._last_unkeyed, Rows(ready), output)
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

    def _receive(self, rows: Rows, output: ShardOutput) -> None:
        keyed = rows.column("keyed")
        free = [fact for fact in rows.facts if not keyed[fact[0]]]
        if not free:
            self._take(self._last, rows, output)
            return
        self._take(self._last, rows.pick([fact for fact in rows.facts if keyed[fact[0]]]), output)
        late = rows.column("late")
        self._waiting.add(rows.pick([fact for fact in free if not late[fact[0]]]))
        if without := [fact for fact in free if late[fact[0]]]:
            # They have no place in any order by which they could be judged.
            output.compared.append(Compared(rows.pick(without), [changes.NOTHING] * len(without), None))

    def _take(self, chain: changes.State, rows: Rows, output: ShardOutput) -> None:
        """Take rows that are the next in their chain."""
        verdicts = Verdicts()
        judge = self._judge if chain is self._last else self._judge_unkeyed
        found = changes.detect(chain, rows, self._release_after, _shown(judge, verdicts, rows))
        output.released.extend(found.released)
        if found.held:
            reasons = dict(found.held)
            held = rows.pick([fact for fact in rows.facts if fact[0] in reasons]).taken()
            output.held.append(held.with_columns(reason=pl.Series(list(reasons.values()), dtype=pl.String)))
            rows = rows.pick([fact for fact in rows.facts if fact[0] not in reasons])
        if rows:
            self._windows.add(rows)
            output.compared.append(Compared(rows, found.previous, self._default.holds([f[-1] for f in rows.facts])))
        if verdicts.alerts:
            output.alerts.append(alert_rows.of_rules(rows.taken(), verdicts.alerts))
        output.decisions.extend(verdicts.decisions)
        output.standings.extend(verdicts.standings.values())

    def _describe(self, rows: Rows, events: set[str]) -> list[Description]:
        """Keep each event's description from its newest row with a name; returns those that are new or changed."""
        told = rows.once(_descriptions)
        changed = []
        for event in events:
            known, (order, now) = self._events.get(event), told[event]
            if known is None or order > known[0]:
                self._events[event] = (order, now)
                if known is None or known[1] != now:
                    changed.append(now)
        return changed

    def dump(self) -> bytes:
        """The state as version-tagged msgpack."""
        clock = self._clock
        return msgspec.msgpack.encode(
            (_VERSION, clock.lateness, self._release_after, self._of, clock.partitions, clock.watermark,
             changes.dump(self._last), changes.dump(self._last_unkeyed), self._windows.dump(), self._events, self._waiting.dump(),
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
        shard._waiting = Waiting.load(waiting)
        shard._judge = Judge.load(judge, lambda event: shard._last.get(event, {}))
        shard._judge_unkeyed = Judge.load(judge_unkeyed, lambda event: shard._last_unkeyed.get(event, {}))
        shard._default = DefaultRule(default)
        return shard


def _descriptions(rows: Rows) -> dict[str, tuple[tuple[int, int], Description]]:
    """Each event's newest description in a batch: (event time and id of the row that gave it, the description)."""
    newest: dict[str, int] = {}
    times, names = rows.column("timestamp"), rows.column("event_name")
    for position, (event, name) in enumerate(zip(rows.column("event_id"), names, strict=True)):
        best = newest.get(event)
        if best is None or (name is not None and (names[best] is None or times[position] >= times[best])):
            newest[event] = position  # of two that were observed at once, the later message
    dates = rows.column("event_date")
    positions = pl.Series(list(newest.values()), dtype=pl.UInt32)
    # Column by column, as to take rows of a frame is a query of Polars (docs/decisions/0016).
    found = zip(*(rows.frame[column][positions].to_list() for column in ("id", *_OTHERS)), strict=True)
    told = {}
    for (event, position), (identity, name, venue, city, state) in zip(newest.items(), found, strict=True):
        if name is None:
            told[event] = (_BEFORE_ALL, Description(event, None, None, None, None, None))
        else:
            told[event] = ((times[position], identity), Description(event, name, venue, dates[position], city, state))
    return told


def _shown(judge: Judge, verdicts: Verdicts, rows: Rows) -> changes.See | None:
    """What shows a frame's rows to a judge; None when it has nothing to judge by."""
    if judge.is_idle:
        return None
    ids, names, venues, starts = (rows.column(name) for name in ("id", "event_name", "venue", "event_date"))

    def see(event: str, listings: dict[str, changes.Last], listing: str, position: int, new: changes.Last) -> None:
        judge.see(
            verdicts, event, listings, listing, ids[position], new,
            lambda: (names[position], venues[position], starts[position]),
        )  # fmt: skip

    return see


def join(compared: list[Compared]) -> pl.DataFrame | None:
    """One frame, with the columns of `changes.CHANGE_SCHEMA`, of what many shards compared; None when that is nothing.

    A frame for each shard would cost more than what is in it. `default_rule` says for which rows that rule is in force.
    """
    if not compared:
        return None
    batches: dict[int, list[Compared]] = {}
    for part in compared:
        batches.setdefault(id(part.rows.frame), []).append(part)
    frames = [_join_batch(parts) for parts in batches.values()]
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _join_batch(parts: list[Compared]) -> pl.DataFrame:
    frame = parts[0].rows.frame
    before: list[Any] = [None] * frame.height
    for part in parts:
        for fact, previous in zip(part.rows.facts, part.previous, strict=True):
            before[fact[0]] = previous
    frame = frame.hstack([_default_rule(parts, frame.height).alias("default_rule")])
    if None in before:  # held, or still waiting
        frame = frame.filter(pl.Series([previous is not None for previous in before], dtype=pl.Boolean))
        before = [previous for previous in before if previous is not None]
    return changes.with_changes(frame, before)


def _default_rule(parts: list[Compared], height: int) -> pl.Series:
    if all(part.default_rule is None for part in parts):
        return full(value=True, dtype=pl.Boolean, length=height)
    holds = [True] * height
    for part in parts:
        if part.default_rule is not None:
            for fact, holding in zip(part.rows.facts, part.default_rule, strict=True):
                holds[fact[0]] = holding
    return pl.Series(holds, dtype=pl.Boolean)


def route(shards: int, cache: dict[str, int], event_ids: list[str]) -> list[int]:
    """The shard of each event: crc32 of its id, the same in every process and for ever."""
    for event in set(event_ids) - cache.keys():
        cache[event] = crc32(event.encode()) % shards
    return [cache[event] for event in event_ids]
