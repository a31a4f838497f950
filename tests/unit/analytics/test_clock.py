"""Event time: lateness is a fact of a partition's log; a shard's watermark is the least of its partitions'."""

from __future__ import annotations

import polars as pl
import pytest

from analytics.clock import NEVER, PartitionClock, SharedClock
from tests.support.logs import LATENESS, NOON, at, event, frame, micros

T = micros(NOON)


def rows(*seconds: float) -> pl.DataFrame:
    return frame(*(event(timestamp=at(s)) for s in seconds)).drop("late")


def late(clock: PartitionClock, *seconds: float) -> list[bool]:
    return clock.stamp(rows(*seconds))["late"].to_list()


def test_a_row_is_late_when_it_is_further_behind_its_partition_s_newest_than_allowed() -> None:
    assert late(PartitionClock(LATENESS), 100, 40, 39.999999, 101, 40, 41) == [False, False, True, False, True, False]


def test_the_newest_row_goes_on_from_batch_to_batch() -> None:
    clock = PartitionClock(LATENESS)
    assert late(clock, 100) + late(clock, 39) + late(clock, 40) == [False, True, False]
    assert clock.watermark == T + 40_000_000


@pytest.mark.parametrize("cut", range(7))
def test_lateness_does_not_depend_on_the_cut(cut: int) -> None:
    times = (0, 90, 20, 30, 200, 139, 140)
    clock = PartitionClock(LATENESS)
    assert late(clock, *times[:cut]) + late(clock, *times[cut:]) == late(PartitionClock(LATENESS), *times)


def test_before_any_row_the_watermark_is_before_all_time() -> None:
    assert PartitionClock(LATENESS).watermark == NEVER
    assert PartitionClock(LATENESS).stamp(rows(0).clear())["late"].to_list() == []


def test_the_shared_watermark_is_the_least_of_all_partitions() -> None:
    clock = SharedClock(LATENESS)
    assert clock.advance(0, 3, 100, None) == NEVER
    assert clock.advance(1, 3, 50, None) == NEVER
    assert clock.advance(2, 3, 70, None) == 50
    assert clock.advance(1, 3, 200, None) == 70


def test_no_watermark_goes_back() -> None:
    clock = SharedClock(LATENESS)
    clock.advance(0, 1, 100, None)
    assert clock.advance(0, 1, 50, None) == 100
    assert clock.partitions == {0: 100}


def test_an_idle_partition_holds_nothing_back_until_it_wakes_up() -> None:
    clock = SharedClock(LATENESS)
    clock.advance(0, 2, 100, None)
    assert clock.advance(1, 2, 10, 1) == 100
    assert clock.advance(0, 2, 150, None) == 150
    assert clock.advance(1, 2, 20, None) == 150, "awake again, and behind: what was reached stays"
    assert clock.advance(0, 2, 300, None) == 150, "and it is waited for"


def test_when_all_are_idle_time_itself_stands_in() -> None:
    clock = SharedClock(LATENESS)
    clock.advance(0, 2, T, T + 100_000_000)
    assert clock.advance(1, 2, T - 5, T + 90_000_000) == T + 30_000_000, "the first to fall idle, less the lateness"


def test_all_idle_never_falls_behind_what_partitions_reached() -> None:
    clock = SharedClock(LATENESS)
    assert clock.advance(0, 1, T, T - 10**12) == T


def test_the_least_of_some_partitions() -> None:
    clock = SharedClock(LATENESS)
    for partition, mark in ((0, 30), (1, 20), (70, 10)):
        clock.advance(partition, 71, mark, None)
    assert clock.least_of(0b11) == 20
    assert clock.least_of(1 | 1 << 70) == 10
    assert clock.least_of(0b100) == NEVER, "a partition that has said nothing"
