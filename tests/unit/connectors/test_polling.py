"""The planner: the budget's laws over simulated days, and what its parts promise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.budget import DAY, Ledger, LedgerState, Quota
from connectors.polling import LOOKS, Planner, fit, pace, weight
from connectors.source import Answer, Budget, Held, Target

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
INTERVAL = 60.0
UNSEEN = 40.0
"""Seconds before a crash of which a restored ledger knows nothing."""


def target(number: int, days: float | None, now: float = NOON) -> Target:
    starts = None if days is None else datetime.fromtimestamp(now, UTC) + timedelta(days=days)
    return Target(f"t{number:03}", starts)


def spread(events: int, draw: Random) -> list[Target]:
    """Events from today to half a year out, some without a date."""
    near = [target(i, draw.uniform(1.01, 1.99)) for i in range(events // 10)]  # stay near all day long
    far = [target(i, draw.choice((None, draw.uniform(2.1, 8), draw.uniform(8, 180)))) for i in range(len(near), events)]
    return near + far


@dataclass
class Simulation:
    """A source, its ledger and its planner on a clock of their own. `looks`: (time, targets) of each call."""

    budget: Budget
    targets: list[Target]
    now: float = NOON
    told: Callable[[float, int], Quota | None] = lambda now, calls: None
    calls: list[float] = field(default_factory=list)
    looks: list[tuple[float, list[str]]] = field(default_factory=list)
    held: int = 0
    calls_a_look: int = 1
    poison: str | None = None
    draw: Random = field(default_factory=lambda: Random(1))

    def __post_init__(self) -> None:
        self.ledger = self._ledger()
        self.planner = Planner(self.budget, INTERVAL)
        self._prices: dict[str, float] = {}

    def _ledger(self) -> Ledger:
        return Ledger(self.budget, lambda: self.now, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def run(self, until: float) -> None:
        """Poll until then."""
        self.planner.watch(self.targets, self.now)
        while self.now < until:
            if self.planner.stale(self.now):
                self.planner.plan(self.ledger.dump(), self.now)
            due = self.planner.due(self.now)
            if due:
                self._look(due, until)
            else:
                wake = min(self.planner.next_call(self.now), self.now + 60.0, until)
                self.now = max(wake, self.now + 1e-3)

    def _look(self, due: list[Target], until: float) -> None:
        for _ in range(self.calls_a_look):
            try:
                self.ledger.take()
            except Held as error:
                self.held += 1
                self.now = min(self.now + error.seconds, until)
                return
            self.calls.append(self.now)
        if self.poison in [t.id for t in due]:
            self.planner.failed(due, self.now)
            self.now += 10
            return
        self.looks.append((self.now, [t.id for t in due]))
        if (quota := self.told(self.now, len(self.calls))) is not None:
            self.ledger.told(quota)
        self.planner.looked(due, Answer([self._event(t.id) for t in due]), self.calls_a_look, self.now)

    def _event(self, name: str) -> dict[str, object]:
        lively = int(name[1:]) % 3
        price = self._prices.get(name, 100.0) * math.exp(self.draw.gauss(0, (0, 0.005, 0.08)[lively]))
        self._prices[name] = price
        return {"event_id": name, "price": price}

    def snapshot(self) -> tuple[LedgerState, bytes]:
        return self.ledger.dump(), self.planner.dump()

    def restore(self, state: tuple[LedgerState, bytes]) -> None:
        """A crash now, and a start from an earlier snapshot."""
        self.ledger = self._ledger()
        self.ledger.load(state[0], UNSEEN)
        self.planner = Planner(self.budget, INTERVAL, state[1], self.now + 1 / self.budget.calls_a_second)

    def counts(self, names: set[str] | None = None) -> Counter[str]:
        return Counter(name for _, looked in self.looks for name in looked if names is None or name in names)


def most_in(calls: list[float], seconds: float) -> int:
    """The most calls in any window of that length."""
    most, first = 0, 0
    for last, at in enumerate(calls):
        while calls[first] <= at - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def keeps_the_budget(simulation: Simulation) -> None:
    calls, budget = simulation.calls, simulation.budget
    assert most_in(calls, DAY) <= budget.calls_a_day, "the day's budget is overrun"
    least = min((b - a for a, b in pairwise(calls)), default=math.inf)
    assert least >= 1 / budget.calls_a_second - 1e-4, f"two calls are {least:.3f} s apart"
    assert all(len(looked) <= budget.targets_a_call for _, looked in simulation.looks)


def gaps(simulation: Simulation, name: str) -> Iterator[float]:
    yield from (b - a for a, b in pairwise([at for at, looked in simulation.looks if name in looked]))


SITES = [Budget(5000, 2.0), Budget(2000, 1.0, 50), Budget(100, 1.0), Budget(480, 0.05, 10)]


@pytest.mark.parametrize("budget", SITES, ids=lambda b: f"{b.calls_a_day}x{b.targets_a_call}")
def test_a_day_of_500_events_stays_within_the_budget_and_starves_none(budget: Budget) -> None:
    simulation = Simulation(budget, spread(500, Random(3)))
    simulation.run(NOON + DAY)
    keeps_the_budget(simulation)
    assert simulation.held == 0, "the plan ran into the end of the budget"
    counts = simulation.counts()
    near = [counts[t.id] for t in simulation.targets[:50]]
    others = [counts[t.id] for t in simulation.targets[50:]]
    assert min(near) >= max(others) - 1, f"an event in its last two days: {min(near)} looks, another: {max(others)}"
    assert max(near) - min(near) <= 1, f"events in their last two days: {min(near)} to {max(near)} looks"
    assert len(simulation.calls) > 0.7 * LOOKS * budget.calls_a_day, "much of the budget was left unused"
    if budget.calls_a_day * budget.targets_a_call > 1000:
        assert set(counts) == {t.id for t in simulation.targets}, "an event was never looked at"


def test_events_wait_in_proportion_to_their_weight() -> None:
    calm = [target(0, 1.5), target(3, 5), target(6, 20), target(9, 100)]
    simulation = Simulation(Budget(5000, 2.0), calm + [target(i, 60) for i in range(10, 120)])
    simulation.run(NOON + DAY)
    near, week, month, far = (simulation.counts()[t.id] for t in calm)
    assert near > week > month > far > 1


def test_all_targets_are_looked_at_every_interval_when_the_budget_is_ample() -> None:
    simulation = Simulation(Budget(50_000, 5.0), [target(i, days) for i, days in enumerate((1, 5, 20, 100, None))])
    simulation.run(NOON + 3600)
    assert {name: count for name, count in simulation.counts().items() if not 57 <= count <= 61} == {}


def test_no_target_is_looked_at_again_before_the_interval_has_passed() -> None:
    simulation = Simulation(Budget(2000, 1.0, 50), [target(i, 1) for i in range(30)])
    simulation.run(NOON + 7200)
    shortest = min(gap for t in simulation.targets for gap in gaps(simulation, t.id))
    assert shortest >= INTERVAL - 1e-3


def test_targets_that_come_and_go_at_noon_are_taken_up_and_dropped_at_once() -> None:
    budget = Budget(2000, 1.0)
    simulation = Simulation(budget, spread(300, Random(4)))
    simulation.run(NOON + 12 * 3600)
    new = [target(i, 1.5, simulation.now) for i in range(900, 905)]
    gone = {t.id for t in simulation.targets[::2]}
    simulation.targets = [t for t in simulation.targets if t.id not in gone] + new
    before = len(simulation.looks)
    simulation.run(NOON + DAY)
    keeps_the_budget(simulation)
    after = Counter(name for _, looked in simulation.looks[before:] for name in looked)
    assert not gone & set(after)
    first = {t.id: next(at for at, looked in simulation.looks if t.id in looked) for t in new}
    assert max(first.values()) - (NOON + 12 * 3600) < 300, "a new event waited for more than five minutes"


def test_a_crash_at_any_time_overruns_nothing() -> None:
    simulation = Simulation(Budget(400, 1.0), spread(200, Random(5)))
    draw = Random(6)
    for _ in range(14):
        simulation.run(simulation.now + draw.uniform(0.2, 3) * 3600)
        state = simulation.snapshot()
        simulation.run(simulation.now + draw.uniform(0, 30))
        simulation.restore(state)
    simulation.run(NOON + 2 * DAY)
    keeps_the_budget(simulation)
    assert min(simulation.counts().values()) >= 1


def test_a_crash_while_everything_is_overdue_overruns_nothing() -> None:
    """After it, the state says that nothing was looked at, and all the calls were made."""
    simulation = Simulation(Budget(100, 2.0), [target(i, 1) for i in range(400)])
    for _ in range(40):
        state = simulation.snapshot()
        simulation.run(simulation.now + 30)
        simulation.restore(state)
    simulation.run(NOON + DAY)
    keeps_the_budget(simulation)


def test_a_quota_that_the_source_tells_is_made_to_last() -> None:
    """Somebody else uses the same key: the source says that 300 calls are left until midnight."""
    midnight = NOON + 12 * 3600
    simulation = Simulation(
        Budget(5000, 2.0), spread(500, Random(7)), told=lambda now, calls: Quota(300 - calls, midnight)
    )
    simulation.run(midnight - 1)
    assert 200 < len(simulation.calls) <= 300
    last_hour = sum(at > midnight - 3600 for at in simulation.calls)
    assert last_hour > 5, "the quota was used up long before its reset"


def test_after_two_hours_of_being_held_all_goes_on_without_a_rush() -> None:
    simulation = Simulation(Budget(2000, 1.0), spread(500, Random(8)))
    simulation.run(NOON + 6 * 3600)
    simulation.now += 2 * 3600
    simulation.run(NOON + DAY)
    keeps_the_budget(simulation)
    after = [at for at in simulation.calls if at >= NOON + 8 * 3600]
    assert len([at for at in after if at < NOON + 9 * 3600]) < 2000 / 24 * 2.5
    assert set(simulation.counts()) == {t.id for t in simulation.targets}


@settings(max_examples=60)
@given(st.data())
def test_the_laws_hold_whatever_happens(data: st.DataObject) -> None:
    budget = Budget(
        data.draw(st.integers(1, 60)), data.draw(st.sampled_from([0.01, 0.3, 1.0, 5.0])), data.draw(st.integers(1, 4))
    )
    days = st.one_of(st.none(), st.floats(-3, 40))
    targets = [target(i, data.draw(days)) for i in range(data.draw(st.integers(0, 7)))]
    simulation = Simulation(budget, targets)
    snapshot = simulation.snapshot()
    for _ in range(data.draw(st.integers(1, 6))):
        simulation.run(simulation.now + data.draw(st.floats(1, DAY / 2)))
        match data.draw(st.sampled_from(["add", "remove", "crash", "hold", "quota"])):
            case "add":
                simulation.targets = [*simulation.targets, target(100 + len(simulation.calls), data.draw(days))]
            case "remove":
                simulation.targets = simulation.targets[1:]
            case "crash":
                snapshot = simulation.snapshot()
                simulation.run(simulation.now + data.draw(st.floats(0, 30)))
                simulation.restore(snapshot)
            case "hold":
                simulation.now += data.draw(st.floats(0, 2 * DAY))
            case "quota":
                simulation.ledger.told(
                    Quota(data.draw(st.integers(0, 30)), simulation.now + data.draw(st.floats(0, DAY)))
                )
    keeps_the_budget(simulation)


@settings(max_examples=40)
@given(st.lists(st.floats(0, 60), min_size=1, max_size=6), st.integers(20, 3000), st.integers(1, 3))
def test_an_event_in_its_last_two_days_is_never_behind_another(days: list[float], calls: int, batch: int) -> None:
    simulation = Simulation(
        Budget(calls, 1.0, batch), [target(0, 1.0), *(target(i + 1, d) for i, d in enumerate(days))]
    )
    counts: Counter[str] = Counter()
    simulation.run(NOON + 0.9 * DAY)
    for _, looked in simulation.looks:
        counts.update(looked)
        others = max((count for name, count in counts.items() if name != "t000"), default=0)
        near = [t.id for t in simulation.targets if t.starts is not None and t.starts.timestamp() - NOON < 2.9 * DAY]
        assert counts["t000"] >= others - (1 if len(near) > 1 else 0), f"after {looked}: {dict(counts)}"


# --- the parts


def test_an_even_pace_uses_the_budget_and_no_more() -> None:
    budget = Budget(2400, 1.0)
    fresh = LedgerState(NOON, {}, None)
    assert pace(budget, fresh, NOON) == pytest.approx(2400 / DAY)
    spent = LedgerState(NOON, {int(NOON // 60): 2400}, None)
    assert pace(budget, spent, NOON) == 0
    half_free_soon = LedgerState(NOON, {int((NOON - DAY + 3600) // 60): 1200, int(NOON // 60): 1200}, None)
    assert pace(budget, half_free_soon, NOON) == 0, "nothing is left until the first half comes back"
    assert pace(budget, half_free_soon, NOON + 3700) == pytest.approx(1200 / (DAY - 3700), rel=0.01)
    assert pace(Budget(2400, 0.001), fresh, NOON) == 0.001
    quota = LedgerState(NOON, {}, Quota(10, NOON + 1000))
    assert pace(budget, quota, NOON) == pytest.approx(0.01)
    assert pace(budget, quota, NOON + 1001) == pytest.approx(2400 / DAY)


@given(st.lists(st.floats(1, 48), min_size=1, max_size=30), st.floats(1e-5, 2), st.integers(1, 50), st.floats(1, 3600))
def test_the_scale_is_the_smallest_that_the_calls_allow(
    weights: list[float], calls: float, batch: int, interval: float
) -> None:
    def needed(scale: float) -> float:
        looks = [1 / max(interval, scale * w) for w in weights]
        return max(math.fsum(looks) / batch, max(looks))

    scale = fit(weights, calls, batch, interval)
    assert needed(scale) <= calls * (1 + 1e-6), "more calls are planned than there are"
    if scale > 0:
        assert needed(scale * 0.99) >= calls * 0.985 or needed(0) <= calls, "looks are rarer than the calls allow"


def test_nothing_to_weigh_and_nothing_left() -> None:
    assert fit([], 1.0, 1, INTERVAL) == 0
    assert fit([1.0], 0.0, 1, INTERVAL) == math.inf


@given(st.one_of(st.none(), st.floats(-100, 400)), st.floats(0, 10), st.floats(0, 10))
def test_weights(days: float | None, liveliness: float, more: float) -> None:
    starts = None if days is None else NOON + days * DAY
    calm, lively = weight(starts, liveliness, NOON), weight(starts, liveliness + more, NOON)
    assert 1 <= lively <= calm <= 48
    if days is not None and 0 <= days <= 2:
        assert calm == 1


def test_a_lively_price_is_looked_at_more_often() -> None:
    simulation = Simulation(Budget(300, 1.0), [target(i, 20) for i in range(9)])
    simulation.run(NOON + DAY)
    counts = simulation.counts()
    calm, lively = counts["t003"], counts["t005"]
    assert lively > 1.5 * calm, f"{lively} looks at a price that jumps, {calm} at one that stands"


def test_what_has_no_price_is_counted_and_not_forgotten() -> None:
    planner = Planner(Budget(1000, 1.0, 3), INTERVAL)
    planner.watch([target(i, 1) for i in range(3)], NOON)
    planner.plan(LedgerState(NOON, {}, None), NOON)
    due = planner.due(NOON)
    assert len(due) == 3
    planner.looked(
        [*due[:2], Target("stranger")], Answer([{"event_id": "t000", "price": 5}], {"t001": "none"}), 1, NOON
    )
    assert planner.counts() == (3, 1, 1)
    assert planner.next_call(NOON) == pytest.approx(NOON + 1), "the third is still to be looked at"


def test_decimal_text_is_a_price_too() -> None:
    planner = Planner(Budget(1000, 1.0), INTERVAL)
    planner.watch([target(0, 1)], NOON)
    planner.looked([target(0, 1)], Answer([{"event_id": "t000", "price": "12.50"}]), 1, NOON)
    assert planner.counts() == (1, 1, 0)


def test_a_feed_is_one_target_that_tells_of_many_events() -> None:
    planner = Planner(Budget(1000, 1.0), INTERVAL)
    planner.watch([Target("feed")], NOON)
    planner.looked([Target("feed")], Answer([{"event_id": "a", "price": 5}, {"event_id": "b", "price": 6}]), 1, NOON)
    assert planner.counts() == (1, 1, 0)


def test_looks_that_take_many_calls_come_as_rarely_as_the_budget_asks() -> None:
    """A feed of twelve pages: the day's 600 calls are 50 looks."""
    simulation = Simulation(Budget(600, 5.0), [target(0, 1)])
    simulation.calls_a_look = 12
    simulation.run(NOON + DAY)
    keeps_the_budget(simulation)
    assert simulation.held == 0
    assert 30 <= len(simulation.looks) <= 50
    assert max(gaps(simulation, "t000")) < 1.3 * DAY / 40
    assert simulation.planner.planned <= 600


@pytest.mark.parametrize("batch", [1, 16])
def test_a_target_that_the_source_stumbles_over_starves_no_other(batch: int) -> None:
    simulation = Simulation(Budget(2000, 1.0, batch), [target(i, 1) for i in range(40)])
    simulation.poison = "t007"
    simulation.run(NOON + DAY)
    keeps_the_budget(simulation)
    counts = simulation.counts()
    assert "t007" not in counts
    assert min(counts[t.id] for t in simulation.targets if t.id != "t007") > 25
    assert max(gap for t in simulation.targets if t.id != "t007" for gap in gaps(simulation, t.id)) < 2 * 3600


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    simulation = Simulation(Budget(5000, 1.0), [target(0, 1)])
    simulation.run(NOON + 3600)
    simulation.now -= 1800
    before = len(simulation.looks)
    simulation.run(NOON + 1800 + 600)
    assert len(simulation.looks) - before > 5


def test_searches_come_at_once_when_new_and_daily_after_that() -> None:
    planner = Planner(Budget(2000, 10.0), INTERVAL)
    planner.watch([], NOON)
    asked: list[tuple[str, float]] = []
    for minute in range(2 * 24 * 60):
        now = NOON + minute * 60
        if planner.stale(now):
            planner.plan(LedgerState(now, {}, None), now)
        queries = ["a", "b"] if minute < 600 else ["a", "b", "new"]
        if (query := planner.search_due(queries, now)) is not None:
            planner.searched(query, 1, now)
            asked.append((query, minute))
    assert Counter(query for query, _ in asked) == {"a": 2, "b": 2, "new": 2}
    assert next(minute for query, minute in asked if query == "new") == 600


def test_many_searches_leave_the_looks_their_share() -> None:
    planner = Planner(Budget(100, 10.0), INTERVAL)
    planner.watch([], NOON)
    made = 0
    for minute in range(24 * 60):
        now = NOON + minute * 60
        if planner.stale(now):
            planner.plan(LedgerState(now, {}, None), now)
        if (query := planner.search_due([f"q{i}" for i in range(1000)], now)) is not None:
            planner.searched(query, 1, now)
            made += 1
    assert 5 <= made <= 10


def test_state_survives_and_that_of_another_version_is_left_alone() -> None:
    simulation = Simulation(Budget(5000, 2.0), spread(20, Random(9)))
    simulation.run(NOON + 3600)
    dumped = simulation.planner.dump()
    assert Planner(simulation.budget, INTERVAL, dumped).dump() == dumped
    other = msgspec.msgpack.encode((999, "anything"))
    assert Planner(simulation.budget, INTERVAL, other).counts() == (0, 0, 0)
