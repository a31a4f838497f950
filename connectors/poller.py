"""Polling one source: take its targets from the watchlist, plan, look, and say what was seen and how the source is.

`connectors.ingest` runs a poller in a thread of its own for each source.
"""

from __future__ import annotations

import logging
import math
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import psycopg

from connectors.polling import Planner
from connectors.source import (
    Answer,
    Held,
    Listed,
    Missing,
    PriceEvent,
    Query,
    Refused,
    Target,
    Unavailable,
)
from connectors.sources import Polled
from connectors.sources.feed import Feed
from connectors.watchlist import Link, Watched, own_event_id

log = logging.getLogger(__name__)

X = TypeVar("X")

_RELOAD_SECONDS = 10.0
_STATUS_SECONDS = 5.0
_MEASURE_SECONDS = 60.0
_REFUSED_SECONDS = 3600.0
_PAUSES = (10.0, 600.0)  # the first and the longest after a source did not answer
_VERSION = 1


class Status(NamedTuple):
    """A source as its poller sees it, in the columns of `source_status`; times in microseconds or None."""

    source: str
    state: str
    detail: str | None
    watched: int
    priced: int
    unpriced: int
    calls_a_day: int
    calls_spent: int
    calls_left: int
    calls_planned: int
    last_answer: int | None
    next_look: int | None
    updated_at: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn gave: price events under ConScope's event ids, the poller's state after them, and the status.

    `measured`, about once a minute, says that the status is to be kept as metrics.
    """

    events: list[PriceEvent]
    state: bytes
    status: Status
    measured: bool


class Watch(Protocol):
    """Where a poller learns what to follow, and says what it found: `connectors.watchlist.Watchlist`.

    Every method may raise psycopg.Error: then what was known stays, and what was to be said is said later.
    """

    def targets(self, source: str, now: datetime) -> list[Watched]:
        """What is to be looked at."""
        ...

    def queries(self, source: str) -> list[tuple[int, Query]]:
        """What is to be searched for, with the number of the watchlist's entry."""
        ...

    def link(self, listed: Sequence[Listed], entry_id: int | None = None) -> list[Link]:
        """An entry's search found events."""
        ...

    def update(self, listed: Sequence[Listed]) -> list[Link]:
        """What a source says of the events that were looked at; those that are new are linked."""
        ...

    def mark_gone(self, source: str, source_id: str, why: str) -> None:
        """An event will not come back."""
        ...


class _State(msgspec.Struct, array_like=True):
    version: int
    planner: bytes
    held_until: float
    detail: str | None


class Poller:
    """Polls one source, a turn at a time. Used by one thread.

    Args:
        source: what is polled.
        watch: says what to look at.
        interval: shortest seconds between two looks at one target.
        state: that of an earlier `Outcome`, to go on from.
        clock: Unix seconds.
        draw: random numbers from 0 to 1, for the jitter of pauses.
        not_before: the first call comes no sooner.
        note: called with True before each question to the source, and with False after it.
    """

    def __init__(
        self,
        source: Polled,
        watch: Watch,
        interval: float,
        state: bytes | None = None,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        not_before: float = 0.0,
        note: Callable[[bool], None] = lambda asking: None,
    ) -> None:
        self._source, self._watch, self._clock, self._draw, self._note = source, watch, clock, draw, note
        self._held_until = self._resume_at = 0.0
        self._state: str = "starting"
        self._detail: str | None = None
        before = _load(state)
        self._planner = Planner(source.budget, interval, None if before is None else before.planner, not_before)
        if before is not None and before.held_until > clock():
            self._held_until = self._resume_at = before.held_until
            self._state, self._detail = "held", before.detail
        self._event_ids: dict[str, str] = {}
        self._queries: dict[str, tuple[int, Query]] = {}
        self._listed: dict[str, Listed] = {}
        self._owed: list[Callable[[], object]] = []
        self._away = False
        self._reload_at = self._tell_at = self._measure_at = 0.0
        self._failures = 0
        self._last_answer: float | None = None
        self._told: tuple[str, str | None] | None = None

    def turn(self) -> tuple[Outcome | None, float]:
        """Make at most one look or search, if it is time: (what came of it, seconds to wait for the next turn)."""
        now = self._clock()
        if not self._reload_at - _RELOAD_SECONDS <= now < self._reload_at:
            self._reload(now)
        if self._planner.stale(now):
            self._planner.plan(self._source.ledger.dump(), now)
        events: list[PriceEvent] = []
        if now >= self._resume_at:
            if (query := self._planner.search_due(self._queries, now)) is not None:
                self._search(query)
            elif targets := self._planner.due(now):
                events = self._look(targets)
            else:
                self._rest(now)
        outcome = self._outcome(events)
        wake = max(self._resume_at, self._planner.next_call(self._clock()))
        return outcome, min(max(wake - self._clock(), 0.0), 1.0)

    # --- what to follow

    def _reload(self, now: float) -> None:
        """Take the watchlist as it is now; when Postgres is away, the last one stays."""
        self._reload_at = now + _RELOAD_SECONDS
        name = self._source.name
        try:
            self._settle()
            watched = self._watch.targets(name, datetime.fromtimestamp(now, UTC))
            queries = self._watch.queries(name) if self._source.searchable else []
        except psycopg.Error as error:
            if not self._away:
                log.warning("%s goes on with the watchlist it has: Postgres, %s", name, type(error).__name__)
            self._away = True
            return
        self._away = False
        if isinstance(self._source, Feed):
            self._planner.watch(self._source.targets, now)
        else:
            self._event_ids = {one.target.id: one.event_id for one in watched if one.event_id is not None}
            self._planner.watch([one.target for one in watched], now)
        self._queries = {f"{entry} {query}": (entry, query) for entry, query in queries}

    def _settle(self) -> None:
        """Say to the watchlist what is owed to it."""
        if self._listed:
            self._owed.append(partial(self._watch.update, list(self._listed.values())))
            self._listed = {}
        while self._owed:
            try:
                self._owed[0]()
            except (psycopg.OperationalError, psycopg.InterfaceError):
                raise
            except psycopg.Error:
                log.exception("%s: the watchlist did not take what was found", self._source.name)
            self._owed.pop(0)

    def _named(self, answer: Answer) -> list[PriceEvent]:
        """The price events under ConScope's event ids. What is not linked yet, and cannot be now, waits for another look."""
        ids = self._event_ids
        listed = {one.id: one for one in answer.listed}
        strange = {event["event_id"] for event in answer.prices if event["event_id"] not in ids}
        # A feed's events stand in no list of targets; asked every time, so that a user's word on a link is heard.
        if strange & listed.keys() or (listed and isinstance(self._source, Feed)):
            try:
                for link in self._watch.update(answer.listed):
                    ids[link.listed.id] = link.event_id
            except psycopg.Error as error:
                log.warning("%s: what is new was not linked: Postgres, %s", self._source.name, type(error).__name__)
        else:
            self._listed |= listed
        own = {name: own_event_id(self._source.name, name) for name in strange - listed.keys()}
        return [
            {**event, "event_id": event_id}
            for event in answer.prices
            if (event_id := ids.get(event["event_id"]) or own.get(event["event_id"])) is not None
        ]

    # --- asking

    def _look(self, targets: list[Target]) -> list[PriceEvent]:
        """Look at targets: their price events. A batch that cannot be read is halved until what is at fault is alone."""
        answer, looked, before = Answer(), list[Target](), self._source.ledger.spent
        parts = [targets]
        while parts:
            part = parts.pop()
            try:
                found = self._ask(lambda part=part: self._source.look(part))  # type: ignore[misc]
            except Missing as error:
                if len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                found = Answer()
                self._detail = str(error)
            if found is None:
                if self._state == "waiting":
                    self._planner.failed(part, self._clock())
                break
            looked += part
            answer.prices += found.prices
            answer.gone |= found.gone
            answer.listed += found.listed
        self._planner.looked(looked, answer, max(self._source.ledger.spent - before, 1), self._clock())
        for name, why in answer.gone.items():
            self._owed.append(partial(self._watch.mark_gone, self._source.name, name, why))
            self._reload_at = 0.0
        return self._named(answer)

    def _search(self, key: str) -> None:
        entry, query = self._queries[key]
        before = self._source.ledger.spent
        try:
            found = self._ask(lambda: self._source.search(query))
        except Missing as error:
            found, self._detail = [], str(error)
        if found is None:
            self._planner.search_failed(key, self._clock())
        else:
            self._planner.searched(key, max(self._source.ledger.spent - before, 1), self._clock())
            self._owed.append(partial(self._watch.link, found, entry))
            self._reload_at = 0.0

    def _ask(self, ask: Callable[[], X]) -> X | None:
        """The source's answer, or None when it gave none: then the source rests.

        Raises:
            Missing: what was asked for is not there.
        """
        self._note(True)
        try:
            answer = ask()
        except (Unavailable, Held, Refused) as error:
            self._failed(error)
            return None
        except Missing:
            self._answered()
            raise
        except Exception as error:  # a connector's own mistake must end no other source
            place = traceback.extract_tb(error.__traceback__)[-1]
            # Not the error's text: nobody knows what it holds.
            log.error("%s: %s in %s, line %s", self._source.name, type(error).__name__, place.filename, place.lineno)
            self._failed(Unavailable(f"the connector failed ({type(error).__name__}); the log says where"))
            return None
        finally:
            self._note(False)
        self._answered()
        return answer

    def _answered(self) -> None:
        self._failures, self._last_answer = 0, self._clock()
        self._state, self._detail = "polling", self._source.incomplete if isinstance(self._source, Feed) else None

    def _failed(self, error: Unavailable | Held | Refused) -> None:
        now = self._clock()
        self._detail = str(error)
        match error:
            case Held():
                self._state, pause = "held", error.seconds
                self._held_until = now + pause
            case Refused():
                self._state, pause = "refused", _REFUSED_SECONDS
            case Unavailable():
                self._state, self._failures = "waiting", self._failures + 1
                growing = min(_PAUSES[0] * 2 ** (self._failures - 1), _PAUSES[1]) * (0.5 + self._draw() / 2)
                pause = max(growing, error.retry_after or 0.0)
        self._resume_at = now + pause
        log.warning("%s: %s; asked again in %.0f s", self._source.name, error, pause)

    # --- saying

    def _rest(self, now: float) -> None:
        """There is nothing to ask for now."""
        watched, *_ = self._planner.counts()
        if not watched:
            self._state = "idle"
            if self._away:
                self._detail = "the watchlist cannot be read: Postgres is away"
            elif self._queries:
                self._detail = f"nothing was found yet by {len(self._queries)} searches of the watchlist"
            else:
                self._detail = "nothing is watched: add an event or a search to the watchlist"
        elif self._planner.next_call(now) == math.inf:
            self._state, self._detail = "held", "the budget of calls is spent; it goes on as calls come back"
        elif self._state != "polling":
            self._state, self._detail = "polling", None

    def _outcome(self, events: list[PriceEvent]) -> Outcome | None:
        """What there is to say: prices, a state that changed, and how the source is every few seconds."""
        now, said = self._clock(), (self._state, self._detail)
        if not events and said == self._told and 0 <= self._tell_at - now <= _STATUS_SECONDS:
            return None
        self._told, self._tell_at = said, now + _STATUS_SECONDS
        state = msgspec.msgpack.encode(_State(_VERSION, self._planner.dump(), self._held_until, self._detail))
        measured = not 0 <= self._measure_at - now <= _MEASURE_SECONDS
        self._measure_at = now + _MEASURE_SECONDS if measured else self._measure_at
        return Outcome(events, state, self._status(now), measured)

    def _status(self, now: float) -> Status:
        ledger = self._source.ledger
        following = max(self._resume_at, self._planner.next_call(now))
        return Status(
            self._source.name, self._state, self._detail, *self._planner.counts(), self._source.budget.calls_a_day,
            ledger.spent, ledger.left, round(self._planner.planned), _micros(self._last_answer), _micros(following),
            round(now * 1e6),
        )  # fmt: skip


def _micros(time: float | None) -> int | None:
    return None if time is None or math.isinf(time) else round(time * 1e6)


def _load(state: bytes | None) -> _State | None:
    """An earlier state, unless another version wrote it."""
    if state is None or msgspec.msgpack.decode(state)[0] != _VERSION:
        return None
    return msgspec.msgpack.decode(state, type=_State)
