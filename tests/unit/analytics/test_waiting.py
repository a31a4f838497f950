"""What waits for the watermark comes out once, in the order of event time, however it went in."""

from __future__ import annotations

from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from analytics.rows import Rows
from analytics.waiting import Waiting
from tests.support.logs import at, event, frame


def rows(times: list[float], first_id: int) -> Rows:
    """Rows of these seconds, numbered from `first_id`."""
    made = frame(*(event(timestamp=at(time)) for time in times))
    return Rows(made.with_columns(id=pl.Series(range(first_id, first_id + len(times)), dtype=pl.Int64)))


def taken(waiting: Waiting, watermark: int) -> list[tuple[int, int]]:
    found = waiting.take(watermark)
    return [] if found is None else list(zip(found["timestamp"].cast(pl.Int64), found["id"], strict=True))


BEGIN = rows([0], 0).facts[0][3]
"""Microseconds of second 0."""


@given(st.randoms(use_true_random=False))
def test_rows_come_in_order_when_the_watermark_has_passed_them(dice: Random) -> None:
    waiting, outside, number, watermark = Waiting(), list[tuple[int, int]](), 0, BEGIN
    for _ in range(dice.randrange(1, 25)):
        if dice.random() < 0.5:
            since = (watermark - BEGIN) / 1e6
            # A partition that wakes up may bring rows that the watermark has passed long ago.
            times = [max(0.0, since + round(dice.random() * 8 - 2, 3)) for _ in range(dice.randrange(1, 6))]
            added = rows(times, number)
            number += len(added)
            waiting.add(added)
            outside += [(fact[3], fact[7]) for fact in added.facts]
        if dice.random() < 0.3:
            waiting = Waiting.load(waiting.dump())
        watermark += dice.choice((0, 1, 1000, 200_000, 1_000_000, 5_000_000))
        due = sorted(one for one in outside if one[0] < watermark)
        assert taken(waiting, watermark) == due
        outside = [one for one in outside if one[0] >= watermark]
    assert taken(waiting, 1 << 62) == sorted(outside)
    assert waiting.dump() is None, "nothing is left"


def test_only_rows_whose_turn_has_come_are_looked_at() -> None:
    """A watermark that creeps leaves what waits for a later second as it is."""
    waiting = Waiting()
    for second in range(5):
        waiting.add(rows([second + 0.5], second))
    before = {second: frames[0] for second, frames in waiting._seconds.items()}
    assert taken(waiting, BEGIN + 600_000) == [(BEGIN + 500_000, 0)]
    assert all(waiting._seconds[second][0] is before[second] for second in waiting._seconds)
    assert len(waiting._seconds) == 4
