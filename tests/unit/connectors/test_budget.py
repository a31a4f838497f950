"""The ledger: no call beyond the day's budget, none too soon after the last, and the source's own word counts."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.budget import DAY, Ledger, LedgerState, Quota
from connectors.source import Budget, Held

NOON = 1_800_000_000.0


class Clock:
    """A clock that moves when it is told to, or slept on."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def ledger(clock: Clock, a_day: int = 100, a_second: float = 1000.0) -> Ledger:
    return Ledger(Budget(a_day, a_second), clock, clock.sleep)


def test_a_call_is_counted_and_not_delayed() -> None:
    clock = Clock()
    calls = ledger(clock)
    calls.take()
    assert (calls.spent, calls.left, clock.slept) == (1, 99, [])


def test_calls_keep_their_distance() -> None:
    clock = Clock()
    calls = ledger(clock, a_second=0.5)
    for _ in range(4):
        calls.take()
    assert clock.slept == [2.0, 2.0, 2.0]
    clock.now += 60
    calls.take()
    assert clock.slept == [2.0, 2.0, 2.0], "whoever has waited already need not wait again"


def test_a_clock_that_is_set_back_delays_nobody_for_long() -> None:
    clock = Clock()
    calls = ledger(clock, a_second=0.5)
    calls.take()
    clock.now -= 3600
    calls.take()
    assert clock.slept == [2.0]


def test_a_spent_budget_says_when_there_is_more() -> None:
    clock = Clock(NOON)
    calls = ledger(clock, a_day=2)
    calls.take()
    clock.now += 3600
    calls.take()
    with pytest.raises(Held, match="the day's budget of 2 calls is spent") as held:
        calls.take()
    assert calls.spent == 2, "a call that was refused is not one"
    assert DAY - 3600 <= held.value.seconds <= DAY - 3600 + 60, "the first call's place frees after 24 hours"
    clock.now += held.value.seconds
    calls.take()
    with pytest.raises(Held):
        calls.take()


@pytest.mark.parametrize("second", [0, 1, 59])
def test_a_place_in_the_budget_is_free_after_24_hours_and_not_before(second: int) -> None:
    clock = Clock(NOON + second)
    calls = ledger(clock, a_day=1)
    calls.take()
    clock.now += DAY - 1e-3
    assert calls.left == 0
    clock.now += 61
    assert calls.left == 1, "a minute too careful at most"


def test_the_sources_own_word_counts_until_its_reset() -> None:
    clock = Clock()
    calls = ledger(clock)
    calls.told(Quota(2, NOON + 500))
    assert calls.left == 2
    calls.take()
    assert calls.left == 1, "our calls use up what the source said is left"
    calls.take()
    with pytest.raises(Held, match="the source's own quota is spent") as held:
        calls.take()
    assert held.value.seconds == pytest.approx(500, abs=0.01)
    clock.now += 500
    assert calls.left == 98
    calls.take()


def test_the_source_cannot_allow_more_than_the_budget() -> None:
    calls = ledger(Clock(), a_day=3)
    calls.told(Quota(5000, NOON + 500))
    assert calls.left == 3


@pytest.mark.parametrize("resets_at", [NOON + 1e12, float("inf"), float("nan")])
def test_an_absurd_reset_holds_for_a_day_at_most(resets_at: float) -> None:
    clock = Clock()
    calls = ledger(clock)
    calls.told(Quota(0, resets_at))
    clock.now += DAY
    calls.take()


def test_a_less_than_empty_quota_is_empty() -> None:
    calls = ledger(Clock())
    calls.told(Quota(-5, NOON + 10))
    assert calls.left == 0


def test_a_ledger_goes_on_from_its_state() -> None:
    clock = Clock()
    before = ledger(clock)
    for _ in range(5):
        before.take()
    before.told(Quota(40, NOON + 500))
    after = ledger(clock)
    after.load(before.dump(), unseen_seconds=0)
    assert (after.spent, after.left) == (5, 40)


def test_calls_of_a_crash_are_counted_as_made() -> None:
    clock = Clock()
    calls = ledger(clock, a_day=1000, a_second=2.0)
    calls.load(LedgerState(NOON - 3600, {int(NOON // 60) - 60: 7}, None), unseen_seconds=30)
    assert calls.spent == 7 + 60
    calls.load(LedgerState(NOON - 10, {}, None), unseen_seconds=30)
    assert calls.spent == 20, "since the state was made, no more can have been made than in that time"
    calls.load(LedgerState(NOON + 3600, {}, None), unseen_seconds=30)
    assert calls.spent == 0, "a state from the future, after the clock was set back"


def test_threads_share_a_ledger() -> None:
    calls = Ledger(Budget(1000, 1e9))
    threads = [threading.Thread(target=lambda: [calls.take() for _ in range(100)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls.spent == 800


@given(
    a_day=st.integers(1, 20),
    steps=st.lists(st.floats(0, DAY / 3) | st.integers(DAY - 200, DAY + 5), min_size=1, max_size=80),
)
def test_no_24_hours_hold_more_calls_than_the_budget(a_day: int, steps: list[float]) -> None:
    clock = Clock()
    calls, made = ledger(clock, a_day), []
    for step in steps:
        clock.now += step
        try:
            calls.take()
        except Held:
            continue
        made.append(clock.now)
    assert made
    for i, first in enumerate(made):
        assert sum(first <= when < first + DAY for when in made[i:]) <= a_day


@given(a_second=st.floats(0.01, 50), steps=st.lists(st.floats(0, 5), min_size=2, max_size=60))
def test_no_two_calls_are_nearer_than_the_rate_allows(a_second: float, steps: list[float]) -> None:
    clock = Clock()
    calls, made = ledger(clock, 1000, a_second), []
    for step in steps:
        clock.now += step
        calls.take()
        made.append(clock.now)
    gaps = [after - before for before, after in pairwise(made)]
    assert all(gap >= 1 / a_second - 1e-5 for gap in gaps)
