"""A source's poller: what it asks for, what it hands over, and what it does when a source or Postgres does not answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from connectors.poller import Outcome, Poller, Status
from connectors.source import Answer, Budget, Held, Missing, Query, Refused, Unavailable
from connectors.sources.feed import Feed
from tests.support.polled import Clock, FakeSource, FakeWatch, listed, price
from tests.support.sites import Page, Site


@dataclass
class Bench:
    """A poller on a clock of its own."""

    clock: Clock = field(default_factory=Clock)
    watch: FakeWatch = field(default_factory=FakeWatch)
    outcomes: list[Outcome] = field(default_factory=list)
    interval: float = 60.0

    def __post_init__(self) -> None:
        self.source = FakeSource(self.clock)
        self.poller = self.make()

    def make(self, state: bytes | None = None) -> Poller:
        return Poller(self.source, self.watch, self.interval, state, self.clock, lambda: 1.0)

    def run(self, seconds: float) -> None:
        """Let so many seconds pass."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            outcome, wait = self.poller.turn()
            if outcome is not None:
                self.outcomes.append(outcome)
            self.clock.now = min(self.clock.now + max(wait, 1e-3), until)

    @property
    def status(self) -> Status:
        return self.outcomes[-1].status

    @property
    def events(self) -> list[str]:
        return [str(event["event_id"]) for outcome in self.outcomes for event in outcome.events]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_prices_come_under_conscopes_event_ids_and_nothing_else_is_changed(bench: Bench) -> None:
    bench.watch.follow("a", "b")
    bench.run(1)
    (outcome,) = [outcome for outcome in bench.outcomes if outcome.events]
    assert outcome.events == [{**price(id), "event_id": f"show-{id}"} for id in ("a", "b")]
    assert (bench.status.state, bench.status.watched, bench.status.priced) == ("polling", 2, 2)


def test_every_question_is_noted_before_and_after_it(bench: Bench) -> None:
    noted: list[tuple[bool, int]] = []
    bench.poller = Poller(
        bench.source,
        bench.watch,
        60.0,
        clock=bench.clock,
        draw=lambda: 1.0,
        note=lambda asking: noted.append((asking, bench.source.ledger.spent)),
    )
    bench.watch.follow("a")
    bench.watch.asked = [(7, Query("Nora Vale"))]
    bench.source.answers = {None: Held("stop", 600)}
    bench.run(30)
    assert noted == [(True, 0), (False, 1), (True, 1), (False, 2)], "a search and a look"


def test_the_first_call_waits_for_its_time(bench: Bench) -> None:
    bench.source.budget = Budget(5000, 1 / 30)
    bench.source.__post_init__()
    bench.watch.follow("a")
    bench.poller = Poller(
        bench.source, bench.watch, 60.0, clock=bench.clock, draw=lambda: 1.0, not_before=bench.clock.now + 30
    )
    bench.run(29)
    assert bench.source.looks == []
    bench.run(3)
    assert bench.source.looks == [["a"]]


def test_what_is_added_to_the_watchlist_is_looked_at_within_seconds(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.run(30)
    bench.watch.follow("b")
    bench.run(12)
    assert "show-b" in bench.events
    bench.watch.following = bench.watch.following[1:]
    bench.run(12)
    before = len(bench.events)
    bench.run(300)
    assert set(bench.events[before:]) == {"show-b"}


def test_no_price_is_counted_and_never_made_up(bench: Bench) -> None:
    bench.watch.follow("a", "b", "c")
    bench.source.answers = {None: lambda targets: Answer([price("a")], {"b": "no price", "c": "no price"})}
    bench.run(1)
    assert bench.events == ["show-a"]
    assert (bench.status.watched, bench.status.priced, bench.status.unpriced) == (3, 1, 2)


def test_what_a_source_passes_over_in_silence_is_not_asked_for_again_and_again(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: Answer()}
    bench.run(59)
    assert len(bench.source.looks) == 1


def test_what_is_gone_is_marked_and_looked_at_no_more(bench: Bench) -> None:
    bench.watch.follow("a", "b")
    bench.source.answers = {"b": lambda targets: Answer([price("a")], gone={"b": "cancelled"})}
    bench.run(300)
    assert bench.watch.gone == {"b": "cancelled"}
    assert [look for look in bench.source.looks if "b" in look] == [["a", "b"]]


def test_events_that_are_known_by_their_id_alone_are_linked_before_their_prices_are_published(bench: Bench) -> None:
    bench.watch.follow("a", event=None)
    bench.watch.event_of = lambda one: "other-77"
    bench.source.answers = {None: Answer([price("a")], listed=[listed("a")])}
    bench.run(1)
    assert bench.events == ["other-77"]


def test_an_event_that_the_source_does_not_describe_gets_an_id_of_its_own(bench: Bench) -> None:
    bench.watch.follow("a", event=None)
    bench.run(1)
    assert bench.events == ["fake-a"]


def test_a_price_that_cannot_be_linked_now_waits_for_another_look(bench: Bench) -> None:
    """Under a guessed id it would stay for ever an event of its own."""
    bench.watch.follow("a", event=None)
    bench.watch.event_of = lambda one: "other-77"
    bench.source.answers = {None: Answer([price("a")], listed=[listed("a")])}
    bench.poller._reload(bench.clock.now)
    bench.watch.away = True
    bench.run(5)
    assert bench.events == []
    bench.watch.away = False
    bench.run(70)
    assert bench.events == ["other-77"]


def test_what_a_source_says_of_events_reaches_the_watchlist(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: Answer([price("a")], listed=[listed("a")])}
    bench.run(15)
    assert bench.watch.updated == ["a"]


def test_with_postgres_away_it_goes_on_with_the_list_it_has(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.watch.follow("a", "b")
    bench.run(5)
    bench.watch.away = True
    bench.source.answers = {"b": lambda targets: Answer([price("a")], gone={"b": "over"})}
    with caplog.at_level(logging.WARNING):
        bench.run(600)
    assert bench.events.count("show-a") >= 9
    assert len(caplog.records) == 1, "said once, not every ten seconds"
    bench.watch.away = False
    bench.run(15)
    assert bench.watch.gone == {"b": "over"}


def test_a_start_while_postgres_is_away_waits_for_the_list_and_forgets_nothing(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.watch.asked = [(7, Query("Nora Vale"))]
    bench.run(30)
    bench.watch.away = True
    bench.poller = bench.make(bench.outcomes[-1].state)
    bench.run(15)
    assert (bench.status.state, bench.status.detail) == ("idle", "the watchlist cannot be read: Postgres is away")
    bench.poller = bench.make(bench.outcomes[-1].state)
    bench.watch.away = False
    bench.run(10)
    assert (len(bench.source.looks), len(bench.source.searches)) == (1, 1), "asked again before the time"
    bench.run(30)
    assert len(bench.source.looks) == 2


# --- searches


def test_a_new_query_is_searched_for_at_once_and_what_it_finds_is_followed(bench: Bench) -> None:
    bench.run(30)
    assert (bench.status.state, "watchlist" in str(bench.status.detail)) == ("idle", True)
    query = Query("Nora Vale", city="Chicago")
    bench.source.found = [listed("x"), listed("y")]
    bench.watch.asked = [(7, query)]
    bench.run(25)
    assert bench.source.searches == [query]
    assert bench.watch.linked == [("x", 7), ("y", 7)]
    assert set(bench.events) == {"fake-x", "fake-y"}


def test_a_query_is_searched_for_again_the_next_day_and_what_was_known_is_kept_over_a_restart(bench: Bench) -> None:
    bench.watch.asked = [(7, Query("Nora Vale"))]
    bench.run(3600)
    bench.poller = bench.make(bench.outcomes[-1].state)
    bench.run(3600)
    assert len(bench.source.searches) == 1
    bench.clock.now += 86_400
    bench.run(60)
    assert len(bench.source.searches) == 2


def test_a_search_that_finds_nothing_says_so(bench: Bench) -> None:
    bench.watch.asked = [(7, Query("Nobody"))]
    bench.run(30)
    assert bench.status.detail == "nothing was found yet by 1 searches of the watchlist"


def test_what_a_search_found_is_followed_when_postgres_is_back(bench: Bench) -> None:
    bench.watch.asked = [(7, Query("Nora Vale"))]
    bench.source.found = [listed("x")]
    bench.poller._reload(bench.clock.now)
    bench.watch.away = True
    bench.run(60)
    assert bench.watch.linked == []
    bench.watch.away = False
    bench.run(30)
    assert bench.watch.linked == [("x", 7)]
    assert len(bench.source.searches) == 1, "searched for again, though the answer was there"


def test_a_search_that_always_fails_keeps_no_look_waiting(bench: Bench) -> None:
    bench.watch.asked = [(7, Query("Nora Vale"))]
    bench.watch.follow("a")
    bench.source.found = Unavailable("the server answered 500")
    bench.run(3600)
    assert 4 <= len(bench.source.searches) <= 8
    assert bench.events.count("show-a") > 40


def test_a_source_that_cannot_be_searched_is_not(bench: Bench) -> None:
    bench.source.searchable = False
    bench.watch.asked = [(7, Query("Nora Vale"))]
    bench.run(30)
    assert bench.source.searches == []


def test_a_feed_is_one_target_whose_events_are_linked_as_any_others(bench: Bench, site: Site) -> None:
    feed = Feed(
        {
            "name": "partner", "url": f"{site.url}/prices", "allow_private": True, "every": 60, "items": "rows",
            "fields": {"event_id": "id", "event_name": "name", "price": "price",
                       "event_date": {"from": "at", "time_zone": "UTC"}},
        },
        lambda name: None,
        now=lambda: datetime.fromtimestamp(bench.clock(), UTC), sleep=bench.clock.sleep,
    )  # fmt: skip
    rows = [{"id": "7", "name": "Nora Vale", "at": "2027-06-01T20:00:00", "price": 12}, {"id": "8", "price": 13}]
    site.play(Page(body={"rows": rows}))
    bench.watch.event_of = lambda one: "other-77"
    bench.poller = Poller(feed, bench.watch, 60.0, clock=bench.clock, draw=lambda: 1.0)
    bench.run(130)
    assert bench.events == ["other-77", "partner-8"] * 3, "one that is described is matched, another is its own event"
    assert (bench.status.source, bench.status.watched, bench.status.priced) == ("partner", 1, 1)
    bench.watch.event_of = lambda one: "relinked-1"
    bench.run(70)
    assert bench.events[-2:] == ["relinked-1", "partner-8"], "a user's word on a link was not heard"
    bench.watch.away, before = True, len(bench.events)
    bench.run(70)
    assert bench.events[before:] == ["relinked-1", "partner-8"]
    feed.close()


# --- sources that do not answer


def test_a_source_that_is_away_is_asked_more_and_more_rarely_until_it_is_back(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: Unavailable("the server answered 503")}
    bench.run(1)
    assert (bench.status.state, bench.status.detail) == ("waiting", "the server answered 503")
    assert bench.status.next_look is not None
    bench.run(6 * 3600)
    assert 20 < len(bench.source.looks) < 60
    bench.source.answers = {}
    bench.run(700)
    assert bench.events
    assert (bench.status.state, bench.status.detail) == ("polling", None)


def test_a_source_that_says_when_to_come_back_is_left_alone_until_then(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: Unavailable("too many requests", 900)}
    bench.run(890)
    assert len(bench.source.looks) == 1


def test_a_source_that_holds_us_off_is_left_alone_also_after_a_restart(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: Held("a page for people came instead of data", 7200)}
    bench.run(60)
    assert (bench.status.state, bench.status.detail) == ("held", "a page for people came instead of data")
    bench.poller = bench.make(bench.outcomes[-1].state)
    bench.source.answers = {}
    bench.run(6000)
    assert len(bench.source.looks) == 1
    assert bench.status.state == "held"
    bench.run(1500)
    assert bench.status.state == "polling"
    assert len(bench.source.looks) > 1


def test_a_refused_key_is_tried_again_in_an_hour_and_at_a_restart(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: Refused("the key was refused; check SEATGEEK_API_KEY")}
    bench.run(3500)
    assert len(bench.source.looks) == 1
    assert (bench.status.state, bench.status.detail) == ("refused", "the key was refused; check SEATGEEK_API_KEY")
    bench.poller = bench.make(bench.outcomes[-1].state)
    bench.source.answers = {}
    bench.run(5)
    assert bench.events == ["show-a"]


def test_a_spent_budget_is_said(bench: Bench) -> None:
    bench.source.budget = Budget(3, 10.0)
    bench.source.__post_init__()
    for _ in range(3):
        bench.source.ledger.take()
    bench.poller = bench.make()
    bench.watch.follow("a")
    bench.run(30)
    assert bench.source.looks == []
    assert (bench.status.state, bench.status.calls_left, bench.status.next_look) == ("held", 0, None)
    assert "budget" in str(bench.status.detail)


def test_one_that_cannot_be_read_does_not_spoil_its_batch(bench: Bench) -> None:
    bench.watch.follow("a", "b", "c", "d")
    bench.source.answers = {"c": Missing("there is no such thing there")}
    bench.run(2)
    assert sorted(bench.events) == ["show-a", "show-b", "show-d"]
    assert (bench.status.priced, bench.status.unpriced) == (3, 1)


def test_what_was_seen_before_a_failure_is_handed_over(bench: Bench) -> None:
    def broken(targets: object) -> Answer:
        raise Missing("whole") if len(bench.source.looks) == 1 else Held("stop", 60)

    bench.watch.follow("a", "b", "c", "d")
    bench.source.answers = {"c": broken}
    bench.run(1)
    assert sorted(bench.events) == ["show-a", "show-b"]
    assert bench.status.state == "held"


def test_a_connector_with_a_mistake_is_a_source_that_does_not_answer(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.watch.follow("a")
    bench.source.answers = {None: KeyError("canary-secret")}
    bench.run(5)
    assert bench.status.state == "waiting"
    assert "KeyError" in caplog.text
    assert "canary-secret" not in caplog.text + str(bench.status)


def test_looks_stay_within_the_budget_and_the_calls_that_retries_took_are_counted(bench: Bench) -> None:
    def dear(targets: object) -> Answer:
        for _ in range(4):
            bench.source.ledger.take()
        return Answer([price("a")])

    bench.source.budget = Budget(240, 10.0)
    bench.source.__post_init__()
    bench.source.answers = {None: dear}
    bench.poller = bench.make()
    bench.watch.follow("a")
    bench.run(12 * 3600)
    assert 15 <= len(bench.source.looks) <= 26
    assert bench.source.ledger.left > 100


# --- what it says


def test_a_quiet_source_says_how_it_is_every_few_seconds(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.interval = 600.0
    bench.poller = bench.make()
    bench.run(60)
    times = [outcome.status.updated_at / 1e6 for outcome in bench.outcomes]
    assert max(b - a for a, b in pairwise(times)) <= 7
    assert len(times) < 20
    assert sum(outcome.measured for outcome in bench.outcomes) <= 2


@pytest.mark.parametrize("change", [lambda state: state[:1] + bytes([99]) + state[2:]])
def test_a_state_of_another_version_is_left_alone(bench: Bench, change: Callable[[bytes], bytes]) -> None:
    bench.watch.follow("a")
    bench.run(5)
    bench.poller = bench.make(change(bench.outcomes[-1].state))
    bench.run(5)
    assert len(bench.source.looks) == 2


def test_a_target_is_not_looked_at_again_after_a_restart_before_it_is_due(bench: Bench) -> None:
    bench.watch.follow("a")
    bench.run(30)
    bench.poller = bench.make(bench.outcomes[-1].state)
    bench.run(25)
    assert len(bench.source.looks) == 1
    assert bench.status.watched == 1
