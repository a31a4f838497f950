"""Tumbling windows, against a naive sort-and-group and against Bytewax's own `fold_window`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import bytewax.operators as op
import bytewax.operators.windowing as win
import polars as pl
import pytest
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower
from bytewax.testing import TestingSink, TestingSource, run_main
from msgspec import msgpack

from analytics.clock import NEVER, SharedClock
from analytics.rows import Rows
from analytics.windows import SIZES, Window, Windows, of_rows
from tests.support import naive
from tests.support.logs import LATENESS, NOON, at, event, frame, micros, random_log

MINUTE = 60_000_000
T = micros(NOON)


def minute_of(windows: list[Window], source: str = "seatgeek", section: str = "") -> list[Window]:
    return [w for w in windows if w.seconds == 60 and w.source == source and w.section == section]


class Run:
    """`Windows` with its clock, fed frame by frame; lateness is nothing, so that the watermark is the time given."""

    def __init__(self, partitions: int = 1) -> None:
        self.clock, self.windows, self.partitions = SharedClock(0), Windows(), partitions

    def add(self, *events: dict[str, Any], partition: int = 0) -> list[Window]:
        rows = frame(*events, part=partition)
        self.windows.expect(rows["event_id"].to_list(), partition)
        self.windows.add(Rows(rows))
        return self.windows.take(self.clock.watermark)

    def reach(self, seconds: float, partition: int = 0, idle_since: int | None = None) -> list[Window]:
        """The partition's watermark is now so many seconds after noon."""
        self.clock.advance(partition, self.partitions, T + round(seconds * 1e6), idle_since)
        return self.windows.close(self.clock)


# What is in a window


def test_a_window_tells_low_high_average_open_close_count_and_listings() -> None:
    rows = frame(
        event(price=30, timestamp=at(20), listing_id="A"),
        event(price=10, timestamp=at(40), listing_id="B"),
        event(price=20, timestamp=at(0), listing_id="A"),
        event(price=41, timestamp=at(59.999999), listing_id="A"),
        event(price=99, timestamp=at(60), listing_id="A"),
    )
    first, second = sorted(minute_of(of_rows(rows)), key=lambda w: w.start)
    assert first == Window(
        "e1", "seatgeek", "", "listing", "USD", 60, T, 10_000_000, 41_000_000, 25_250_000, 20_000_000, 41_000_000, 4, 2, True
    )  # fmt: skip
    assert (second.start, second.observations, second.low) == (T + MINUTE, 1, 99_000_000)


def test_a_row_is_in_six_windows_and_an_event_level_row_in_three() -> None:
    """A minute, an hour and a day, of its section and source and of the whole event; event level: of its source."""
    scopes = {(w.source, w.section, w.level, w.seconds) for w in of_rows(frame(event(section="101")))}
    assert scopes == {(s, c, "listing", n) for s, c in (("seatgeek", "101"), ("", "")) for n in SIZES}
    whole = of_rows(frame(event(section="101", level="event")))
    assert {(w.source, w.section, w.level, w.seconds) for w in whole} == {("seatgeek", "", "event", n) for n in SIZES}


def test_windows_start_at_full_minutes_hours_and_days_in_utc() -> None:
    made = {w.seconds: w.start for w in of_rows(frame(event(timestamp="2026-11-24T00:59:59.999999+01:00")))}
    starts = {60: (23, 59), 3600: (23, 0), 86400: (0, 0)}
    assert made == {n: micros(datetime(2026, 11, 23, *start, tzinfo=UTC)) for n, start in starts.items()}


def test_currencies_and_events_have_windows_of_their_own() -> None:
    rows = frame(event(), event(currency="EUR"), event(event_id="e2"))
    assert all(w.observations == 1 for w in of_rows(rows))


def test_rows_of_one_time_open_and_close_in_the_order_of_their_id() -> None:
    [window] = minute_of(of_rows(frame(event(price=3), event(price=1), event(price=2))))
    assert (window.open, window.close) == (3_000_000, 2_000_000)


def test_sums_are_exact_and_averages_rounded_once() -> None:
    """Thirty thousand prices near the quarantine limit: a sum beyond what a double holds."""
    total = 999_999_999_999
    rows = frame(event(price=999_999.999999)).select(pl.all().repeat_by(30_001).explode()).with_row_index("n")
    rows = rows.with_columns(id=pl.col("n").cast(pl.Int64), total_price=total - pl.col("n") % 2).drop("n")
    assert minute_of(of_rows(rows))[0].average == total, "-0.49998 on the average, rounded"
    assert minute_of(of_rows(rows[1:]))[0].average == total, "-0.5 on the average: halves go up"
    assert minute_of(of_rows(rows[1:-1]))[0].average == total - 1, "just over a half"


# Against the oracles


@pytest.mark.parametrize("seed", range(12))
def test_windows_of_a_frame_equal_a_naive_sort_and_group(seed: int) -> None:
    log = random_log(Random(seed))
    good = naive.tables(log, lateness=1 << 60)
    told = {m.off | m.part << 40 | 1 << 52: m for m in log.messages}
    messages = [told[id] for id in good["history"]]
    rows = pl.concat(
        frame(m.says).with_columns(id=pl.lit(id, dtype=pl.Int64))
        for id, m in zip(good["history"], messages, strict=True)
        if isinstance(m.says, dict)
    )
    for order in (rows, rows.reverse(), rows.sample(fraction=1, shuffle=True, seed=seed)):
        made = of_rows(order)
        assert {w[:7]: tuple(w[7:]) for w in made} == good["windows"]
        assert len(made) == len(good["windows"])


@pytest.mark.parametrize("seed", range(3))
def test_minutes_equal_the_stock_fold_window_on_ordered_input(seed: int) -> None:
    draw = Random(seed)
    times = sorted(draw.randrange(0, 300) for _ in range(60))
    events = [
        event(event_id=draw.choice(("e1", "e2")), source=draw.choice("ab"), section=draw.choice((None, "101")),
              price=draw.randrange(100, 9_999) / 100, timestamp=at(t))
        for t in times
    ]  # fmt: skip
    rows = frame(*events).select(
        key=pl.concat_str("event_id", "source", pl.col("section").fill_null(""), separator="|"),
        time="timestamp", price="total_price",
    )  # fmt: skip
    out: list[tuple[str, tuple[int, list[int]]]] = []
    flow = Dataflow("stock")
    keyed = op.input(
        "in", flow, TestingSource([(key, (time.replace(tzinfo=UTC), price)) for key, time, price in rows.iter_rows()])
    )
    folded = win.fold_window(
        "fold", keyed, EventClock(ts_getter=lambda v: v[0], wait_for_system_duration=timedelta(minutes=1)),
        TumblingWindower(align_to=NOON, length=timedelta(minutes=1)), list, lambda seen, v: [*seen, v[1]],
        lambda one, other: one + other,
    )  # fmt: skip
    op.output("out", folded.down, TestingSink(out))
    run_main(flow)
    stock = {
        (*key.split("|"), T + number * MINUTE): (
            min(p), max(p), (2 * sum(p) + len(p)) // (2 * len(p)), p[0], p[-1], len(p),
        )
        for key, (number, p) in out
    }  # fmt: skip
    ours = {
        (w[0], w[1], w[2], w.start): tuple(w[7:13]) for w in of_rows(frame(*events)) if w.seconds == 60 and w.source
    }
    assert ours == stock


@pytest.mark.parametrize("seed", range(5))
def test_batches_of_any_cut_and_order_make_the_same_windows(seed: int) -> None:
    draw = Random(seed)
    rows = frame(
        *(
            event(price=draw.randrange(1, 99), listing_id=draw.choice("AB"), timestamp=at(draw.randrange(400)))
            for _ in range(50)
        )
    )
    cuts = [0, *sorted(draw.sample(range(1, 50), 6)), 50]
    parts = [rows[a:b] for a, b in pairwise(cuts)]
    draw.shuffle(parts)
    state, last = Windows(), {}
    for part in parts:
        state.add(Rows(part))
        if draw.random() < 0.5:
            last |= {w[:7]: w[7:14] for w in state.take(NEVER)}
        state = Windows.load(state.dump(), NEVER)
    last |= {w[:7]: w[7:14] for w in state.take(NEVER)}
    assert last == {w[:7]: w[7:14] for w in of_rows(rows)}


# Open, closed, amended, dropped


def test_a_window_is_told_while_open_and_is_final_when_the_watermark_reaches_its_end() -> None:
    run = Run()
    assert [w.is_final for w in minute_of(run.add(event()))] == [False]
    assert minute_of(run.reach(59.999999)) == []
    [closed] = minute_of(run.reach(60))
    assert (closed.is_final, closed.observations) == (True, 1)
    assert run.reach(61) == []
    assert {w.seconds for w in run.reach(3600)} == {3600}


def test_a_window_without_news_is_not_told_again() -> None:
    run = Run()
    run.add(event())
    assert [w.start for w in minute_of(run.add(event(timestamp=at(61))))] == [T + MINUTE]
    assert all(w.start != T for w in minute_of(run.add(event(timestamp=at(62)))))


def test_a_row_in_time_amends_a_closed_window_which_stays_final() -> None:
    """Two partitions: the one that the event stands on was quiet while the other went on."""
    run = Run(partitions=2)
    run.add(event(price=10))
    run.reach(30)
    run.reach(50, partition=1)
    run.reach(30, idle_since=1)
    assert minute_of(run.reach(70, partition=1))[0].is_final, "the quiet partition no longer holds it back"
    [amended] = minute_of(run.add(event(price=5, timestamp=at(40))))
    assert (amended.is_final, amended.observations, amended.low, amended.open) == (True, 2, 5_000_000, 10_000_000)


def test_a_dropped_window_is_never_begun_again() -> None:
    """The stock operator discards a key with its windows, and a later row starts a closed window from nothing (W2)."""
    run = Run()
    run.add(event(price=10), event(price=20))
    run.reach(3600 * 48)
    assert run.add(event(price=1, timestamp=at(1))) == []
    assert run.windows.too_late == 6, "one row, six windows"
    assert run.add(event(price=1, timestamp=at(3600 * 48)))[0].observations == 1


def test_a_dropped_window_is_not_begun_again_after_a_restart() -> None:
    run = Run()
    run.add(event(price=10))
    run.reach(120)
    run.windows = Windows.load(run.windows.dump(), run.clock.watermark)
    assert minute_of(run.add(event(price=1, timestamp=at(1)))) == []
    [hour] = [w for w in run.add(event(price=2, timestamp=at(2))) if w.seconds == 3600 and w.source]
    assert (hour.observations, hour.open, hour.is_final) == (3, 10_000_000, False), "the open hour goes on"


def test_a_window_is_kept_until_every_partition_its_event_was_seen_on_has_passed_it() -> None:
    run = Run(partitions=2)
    run.add(event(price=10))
    run.add(event(price=20), partition=1)
    run.reach(10, partition=1)
    run.reach(10, partition=1, idle_since=1)
    run.reach(3600)
    [amended] = minute_of(run.add(event(price=5), partition=1))
    assert amended.observations == 3
    run.reach(3700, partition=1)
    run.reach(3700)
    assert minute_of(run.add(event(price=5), partition=1)) == []


def test_nothing_is_held_for_windows_that_are_past() -> None:
    run = Run()
    for minute in range(0, 200):
        run.add(event(timestamp=at(minute * 60)))
        run.reach(minute * 60)
    assert len(msgpack.decode(run.windows.dump())[0]) < 20


def test_an_idle_partition_lets_windows_close_and_all_idle_closes_the_last() -> None:
    run = Run(partitions=2)
    run.add(event())
    assert run.reach(500) == [], "partition 1 has said nothing yet"
    assert minute_of(run.reach(0, partition=1, idle_since=T))[0].is_final
    run.add(event(timestamp=at(500)))
    assert minute_of(run.reach(500, idle_since=T + 520_000_000)) == [], "both idle since before the minute's end"
    run.reach(500, idle_since=T + 600_000_000)
    assert minute_of(run.reach(0, partition=1, idle_since=T + 600_000_000))[0].start == T + 480_000_000


def test_a_snapshot_keeps_what_came_of_a_minute_that_was_dropped() -> None:
    """A partition that slept through a minute brings it once more: of a listing that is remembered, and of another."""
    run = Run(partitions=2)
    run.add(event(price=10, listing_id="known"))
    run.reach(120, partition=1)
    run.reach(120)
    rows = frame(event(price=20, listing_id="known"), event(price=30, listing_id="new"), part=1)
    run.windows.expect(rows["event_id"].to_list(), 1)
    run.windows.add(Rows(rows))
    again = Windows.load(run.windows.dump(), run.clock.watermark)
    taken, restored = (sorted(windows.take(run.clock.watermark)) for windows in (run.windows, again))
    assert taken == restored
    assert {w.observations for w in taken if w.seconds > 60} >= {3}, "the hour has all three"


def test_what_was_told_before_a_snapshot_is_not_told_again_after_it() -> None:
    run = Run()
    assert run.add(event())
    again = Windows.load(run.windows.dump(), run.clock.watermark)
    assert not again.changed
    assert again.take(run.clock.watermark) == []


def test_lateness_is_left_to_the_clock() -> None:
    """What the flow hands over is in time; LATENESS is the flow's affair. Nothing in, nothing out."""
    assert of_rows(frame(event()).clear()) == []
    assert LATENESS == MINUTE
