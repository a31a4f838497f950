"""One shard of events: what waits, what is released, what is told, and what a restart keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zlib import crc32

import msgspec
import polars as pl
import pytest

from analytics.rows import Rows
from analytics.schema import split_id
from analytics.shard import Description, Shard, ShardBatch, ShardOutput, join, route
from tests.support.logs import LATENESS, NOON, RELEASE_AFTER, at, event, frame, micros

T = micros(NOON)


class Run:
    """A shard with what it was fed; ids go on from batch to batch."""

    def __init__(self, partitions: int = 2) -> None:
        self.shard, self.partitions, self.offset = Shard(LATENESS, RELEASE_AFTER), partitions, 0

    def feed(
        self, *events: dict[str, Any], partition: int = 0, reach: float = -1e6, keyed: bool = False, late: bool = False
    ) -> list[tuple[Any, ...]]:
        """(id's offset, all-in price before, now) of the rows compared, in whole units; the partition's watermark is `reach`."""
        rows = frame(*events, part=partition, keyed=keyed, late=late).with_columns(pl.col("id") + self.offset)
        self.offset += rows.height
        output = self.step(rows, partition, reach)
        return [
            (split_id(id)[2], before and before // 1_000_000, now // 1_000_000)
            for compared in output.compared
            for (*_, now, _, id), (_, before, _) in zip(compared.rows.facts, compared.previous, strict=True)
        ]  # fmt: skip

    def step(self, rows: pl.DataFrame, partition: int, reach: float) -> ShardOutput:
        news = ShardBatch(partition, self.partitions, T + round(reach * 1e6), None, Rows(rows) if rows.height else None)
        output = self.shard.step(news)
        return replace(output, windows=[*output.windows, *self.shard.take_windows()])

    def reach(self, seconds: float, partition: int = 0) -> list[tuple[Any, ...]]:
        return self.feed(partition=partition, reach=seconds) if seconds is not None else []

    def restart(self) -> None:
        self.shard = Shard.load(self.shard.dump(), LATENESS, RELEASE_AFTER)


@pytest.fixture(params=[False, True], ids=["", "restarted"])
def run(request: pytest.FixtureRequest) -> Run:
    """A shard of two partitions; once as it is, once restarted before every step."""
    made = Run()
    if request.param:
        step = made.step
        made.step = lambda *given: (made.restart(), step(*given))[1]  # type: ignore[method-assign]
    return made


def test_keyed_rows_are_compared_at_once(run: Run) -> None:
    assert run.feed(event(price=10), event(price=9), keyed=True) == [(0, None, 10), (1, 10, 9)]


@pytest.mark.parametrize("ruled", [False, True])
def test_a_joined_frame_says_where_the_default_rule_holds_whether_there_was_ever_a_rule_or_not(ruled: bool) -> None:
    """Sinks concatenate the frames of many batches: one that comes before the first rule must look like one after it."""
    run = Run()
    rows = frame(event(price=10), event(price=9), keyed=True)
    told = ((rows["id"][1], False),) if ruled else ()
    batch = ShardBatch(0, 1, T, None, Rows(rows), (), told)
    joined = join(run.shard.step(batch).compared)
    assert joined is not None
    assert joined["default_rule"].to_list() == [True, not ruled]


def test_unkeyed_rows_wait_until_the_watermark_of_all_partitions_has_passed_them(run: Run) -> None:
    assert run.feed(event(price=10, timestamp=at(5)), reach=0) == []
    assert run.feed(event(price=8, timestamp=at(3)), partition=1, reach=0) == []
    assert run.reach(100) == [], "partition 1 might still send something"
    assert run.reach(4, partition=1) == [(1, None, 8)]
    assert run.reach(5, partition=1) == [], "one more row of this very time could come"
    assert run.reach(5.000001, partition=1) == [(0, 8, 10)]


def test_unkeyed_rows_of_one_time_are_taken_in_the_order_of_their_id(run: Run) -> None:
    run.feed(event(price=3), event(price=1), partition=1, reach=0)
    run.feed(event(price=2), reach=0)
    run.reach(1)
    assert run.reach(1, partition=1) == [(2, None, 2), (0, 2, 3), (1, 3, 1)], "partition 0 comes first"


def test_late_unkeyed_rows_are_told_at_once_and_compared_with_nothing(run: Run) -> None:
    run.feed(event(price=10), reach=1)
    run.reach(1, partition=1)
    assert run.feed(event(price=1, timestamp=at(-100)), reach=1, late=True) == [(1, None, 1)]
    run.feed(event(price=9, timestamp=at(2)), reach=3)
    assert run.reach(3, partition=1) == [(2, 10, 9)]


def test_keyed_and_unkeyed_rows_of_a_listing_are_two_chains(run: Run) -> None:
    run.feed(event(price=10), keyed=True, reach=1)
    assert run.feed(event(price=5), partition=1, reach=1) == [(1, None, 5)]
    assert run.feed(event(price=9, timestamp=at(2)), keyed=True, reach=2) == [(2, 10, 9)]


def test_an_event_s_listings_are_told_chain_by_chain(run: Run) -> None:
    run.feed(event(listing_id="A", price=10), event(listing_id="B", price=8), event(event_id="e2"), keyed=True)
    run.feed(event(listing_id="A", price=9, timestamp=at(1)), keyed=True)
    run.feed(event(listing_id="C", price=7))
    assert [price for _, price, *_ in run.shard.listings("e1").values()] == [9_000_000, 8_000_000]
    assert run.shard.listings("e1", keyed=False) == {}, "it waits"
    assert run.shard.listings("nobody's") == {}
    run.reach(9)
    run.reach(9, partition=1)
    assert [price for _, price, *_ in run.shard.listings("e1", keyed=False).values()] == [7_000_000]


def test_a_mixed_batch_tells_each_row_once(run: Run) -> None:
    rows = pl.concat(
        [
            frame(event(price=1), keyed=True),
            frame(event(price=2), keyed=False),
            frame(event(price=3), keyed=False, late=True),
        ]
    ).with_columns(id=pl.Series([0, 1, 2], dtype=pl.Int64))
    told = [run.step(rows, 0, 9), run.step(rows.clear(), 1, 9)]
    assert sorted(id for output in told for part in output.compared for id in part.rows.taken()["id"]) == [0, 1, 2]


def test_doubted_rows_are_held_and_in_no_window(run: Run) -> None:
    rows = frame(*(event(price=price, timestamp=at(n)) for n, price in enumerate((100, 1, 90, 0.5, 0.5, 0.5))))
    told = run.step(rows, 0, 0)
    assert [(id, reason) for part in told.held for id, reason in part.select("id", "reason").iter_rows()] == [
        (rows["id"][n], "hundredth") for n in (1, 3, 4)
    ]
    assert told.released == [(rows["id"][3], rows["id"][5]), (rows["id"][4], rows["id"][5])]
    [compared] = told.compared
    assert compared.rows.taken()["id"].to_list() == [rows["id"][n] for n in (0, 2, 5)]
    assert [before and before // 1_000_000 for _, before, _ in compared.previous] == [None, 100, 90]
    assert {(w.low, w.high, w.observations) for w in told.windows} == {(500_000, 100_000_000, 3)}


def test_a_batch_of_doubted_rows_only_tells_nothing_else(run: Run) -> None:
    run.feed(event(price=100), keyed=True)
    told = run.step(frame(event(price=1, timestamp=at(1))), 0, 0)
    assert [part.height for part in told.held] == [1]
    assert (told.compared, told.windows, told.released) == ([], [], [])


def test_unkeyed_rows_are_judged_and_counted_when_their_turn_comes(run: Run) -> None:
    """In the order of event time: which of two prices is the mistake does not depend on which came first."""
    run.feed(event(price=1, timestamp=at(5)), reach=0)
    told = run.step(frame(event(price=100, timestamp=at(3)), part=1, keyed=False), 1, 0)
    assert (told.held, told.compared, told.windows) == ([], [], []), "they wait"
    run.step(frame(event()).clear(), 1, 10)
    told = run.step(frame(event()).clear(), 0, 10)
    assert [part["reason"].to_list() for part in told.held] == [["hundredth"]]
    assert {(w.low, w.observations) for w in told.windows} == {(100_000_000, 1)}


def test_unkeyed_rows_that_wait_keep_their_window_open() -> None:
    """A partition that other events made idle wakes up: its row's minute is not dropped before the row is counted."""
    run = Run()
    run.feed(event(price=10, timestamp=at(30)), reach=0)
    run.feed(event(price=20, timestamp=at(40)), partition=1, reach=0)
    told = run.step(frame(event()).clear(), 0, 4000)
    assert told.windows == [], "partition 1 holds the watermark back"
    closed = run.step(frame(event()).clear(), 1, 4000).windows
    assert {(w.observations, w.is_final) for w in closed if w.seconds <= 3600} == {(2, True)}


def test_the_newest_description_of_an_event_stands(run: Run) -> None:
    def told(**fields: Any) -> list[tuple[str | None, str | None]]:
        row = frame(event(**fields)).with_columns(id=pl.lit(run.offset, dtype=pl.Int64))
        run.offset += 1
        return [(d.event_name, d.city) for d in run.step(row, 0, 0).events]

    assert told() == [(None, None)], "an event without a name exists, too"
    assert told(event_name="New", timestamp=at(10)) == [("New", None)]
    assert told(event_name="New", timestamp=at(11)) == [], "nothing has changed"
    assert told(event_name="Old", timestamp=at(5)) == []
    assert told(timestamp=at(20)) == [], "a row without a name says nothing of it"
    assert told(event_name="New", city="Rome", timestamp=at(20)) == [("New", "Rome")]
    assert told(event_name="Same time, later id", timestamp=at(20)) == [("Same time, later id", None)]


def test_a_batch_describes_each_event_once_by_its_newest_named_row(run: Run) -> None:
    rows = frame(
        event(event_name="A", timestamp=at(2), venue="Hall", event_date=at(9)), event(event_name="B", timestamp=at(1)),
        event(timestamp=at(3)), event(event_id="e2"), event(event_id="e3", event_name="C"),
    )  # fmt: skip
    found = {told.event_id: told for told in run.step(rows, 0, 0).events}
    assert found == {
        "e1": Description("e1", "A", "Hall", T + 9_000_000, None, None),
        "e2": Description("e2", None, None, None, None, None),
        "e3": Description("e3", "C", None, None, None, None),
    }


def test_windows_are_told_once_a_step_with_their_last_content(run: Run) -> None:
    """A window that a batch changes and closes is told as it is in the end."""
    rows = frame(event(price=10))
    run.step(rows.clear(), 1, 60)
    told = [w for w in run.step(rows, 0, 60).windows if w.seconds == 60 and w.source]
    assert [(w.observations, w.is_final) for w in told] == [(1, True)]


@pytest.mark.parametrize("partitions", [1, 4, 64, 65, 1000])
def test_a_restart_keeps_everything_with_any_number_of_partitions(partitions: int) -> None:
    run = Run(partitions)
    run.feed(event(price=10), partition=partitions - 1, keyed=True)
    run.feed(event(price=20), partition=partitions - 1)
    before = run.shard.dump()
    run.restart()
    assert run.shard.dump() == before
    assert run.feed(event(price=9), partition=partitions - 1, keyed=True) == [(2, 10, 9)]


def test_state_of_another_version_or_setting_is_refused_with_what_to_do() -> None:
    dumped = Shard(LATENESS, RELEASE_AFTER).dump()
    with pytest.raises(ValueError, match=r"60000000, 3, 1\), and this is .*30000000, 3, 1\).*new recovery store"):
        Shard.load(dumped, LATENESS // 2, RELEASE_AFTER)
    with pytest.raises(ValueError, match=r"60000000, 3, 1\), and this is .*60000000, 4, 1\)"):
        Shard.load(dumped, LATENESS, RELEASE_AFTER + 1)
    with pytest.raises(ValueError, match=r"60000000, 3, 1\), and this is .*60000000, 3, 8\)"):
        Shard.load(dumped, LATENESS, RELEASE_AFTER, of=8)
    other = msgspec.msgpack.encode([999, *msgspec.msgpack.decode(dumped)[1:]])
    with pytest.raises(ValueError, match=r"\(999, .*new recovery store"):
        Shard.load(other, LATENESS, RELEASE_AFTER)


def test_a_snapshot_does_not_change_with_the_live_state() -> None:
    run = Run()
    run.feed(event(price=10), keyed=True)
    dumped, copy = run.shard.dump(), bytes(run.shard.dump())
    run.feed(event(price=9), keyed=True)
    assert dumped == copy != run.shard.dump()


def test_routing_is_crc32_of_the_event_for_ever() -> None:
    """Never `hash()`, which is another in every process: snapshots would be looked for in other shards."""
    events = ["concert_123", "é", "mock_0001", ""]
    assert route(16, {}, events) == [crc32(e.encode()) % 16 for e in events] == [5, 14, 9, 0]
    assert route(16, {"mock_0001": 3}, ["mock_0001"]) == [3], "remembered"
    assert route(1, {}, events) == [0] * 4
