"""A source, a watchlist and a clock for tests of polling: all in memory, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg

from connectors.budget import Ledger
from connectors.source import Answer, Budget, Listed, PriceEvent, Query, SourceError, Target
from connectors.watchlist import Link, Watched, own_event_id

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@dataclass
class Clock:
    """Unix seconds that pass when they are told to."""

    now: float = NOON.timestamp()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def price(target: str, amount: float = 100.0, source: str = "fake") -> PriceEvent:
    return {"event_id": target, "source": source, "price": amount, "timestamp": NOON.isoformat(), "level": "event"}


def listed(id: str, source: str = "fake") -> Listed:
    return Listed(source, id, f"Show {id}", venue="Grand Hall", local_date=NOON.date())


@dataclass
class FakeSource:
    """Answers each look with a price for every target, or as `answers` says, first for the targets and then for all.

    An entry of `answers` is an answer, an error to raise, or a function of the targets.
    """

    clock: Clock
    name: str = "fake"
    budget: Budget = field(default_factory=lambda: Budget(5000, 10.0, 4))
    searchable: bool = True
    answers: dict[str | None, Answer | Exception | Callable[[Sequence[Target]], Answer]] = field(default_factory=dict)
    found: list[Listed] | SourceError = field(default_factory=list)
    looks: list[list[str]] = field(default_factory=list)
    searches: list[Query] = field(default_factory=list)
    closed: bool = False

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.budget, self.clock, self.clock.sleep)

    def look(self, targets: Sequence[Target]) -> Answer:
        self.ledger.take()
        self.looks.append([target.id for target in targets])
        for key in (*(target.id for target in targets), None):
            if key in self.answers:
                answer = self.answers[key]
                if isinstance(answer, Exception):
                    raise answer
                return answer(targets) if callable(answer) else answer
        return Answer([price(target.id, source=self.name) for target in targets])

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        self.ledger.take()
        self.searches.append(query)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeWatch:
    """A watchlist in memory; while `away`, every method raises as when Postgres is away."""

    following: list[Watched] = field(default_factory=list)
    asked: list[tuple[int, Query]] = field(default_factory=list)
    away: bool = False
    linked: list[tuple[str, int | None]] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    gone: dict[str, str] = field(default_factory=dict)
    event_of: Callable[[Listed], str] = lambda one: own_event_id(one.source, one.id)

    def follow(self, *ids: str, event: str | None = "show-{}", days: float = 1.0) -> None:
        starts = NOON + timedelta(days=days)
        self.following += [Watched(Target(id, starts), event.format(id) if event else None) for id in ids]

    def targets(self, source: str, now: datetime) -> list[Watched]:
        self._reach()
        return [one for one in self.following if one.target.id not in self.gone]

    def queries(self, source: str) -> list[tuple[int, Query]]:
        self._reach()
        return self.asked

    def link(self, listed: Sequence[Listed], entry_id: int | None = None) -> list[Link]:
        self._reach()
        self.linked += [(one.id, entry_id) for one in listed]
        self.following += [Watched(Target(one.id, one.starts), self.event_of(one)) for one in listed]
        return self._links(listed)

    def update(self, listed: Sequence[Listed]) -> list[Link]:
        self._reach()
        self.updated += [one.id for one in listed]
        return self._links(listed)

    def mark_gone(self, source: str, source_id: str, why: str) -> None:
        self._reach()
        self.gone[source_id] = why

    def _links(self, listed: Sequence[Listed]) -> list[Link]:
        return [Link(one, self.event_of(one), 1.0, {}, "match", None) for one in listed]

    def _reach(self) -> None:
        if self.away:
            raise psycopg.OperationalError("the server is away")
