"""The plan of a source's calls: which targets are looked at next, and when. Pure: the time is passed in.

Every target has a weight, at least 1: the further away its event and the calmer its price, the heavier. A target is due
`scale × weight` seconds after its last look (never sooner than the poll interval), and `scale` is the smallest with
which the source's budget lasts. So an event in its last two days, which weighs 1, is looked at as often as any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import nsmallest

import msgspec

from connectors.budget import DAY, LedgerState
from connectors.source import Answer, Budget, Target

LOOKS, SEARCHES = 0.9, 0.08
"""Shares of the budget; the doctor and whatever else asks with the same key has the rest."""

_VERSION = 1
_PLANNED = 0.85  # of the budget; what is left of the looks' share gathers, for targets that are new
_BASES = ((2.0, 1.0), (7.0, 2.0), (31.0, 6.0))  # up to so many days before the show -> weight
_FAR = 24.0
_UNKNOWN = 6.0  # the date is not announced: as within a month
_OVER_DAYS = -0.5
_TYPICAL = 0.01  # a price that moves so much from look to look is neither lively nor calm
_MOST = 0.2  # more than that in one look is a mistake of the seller's as often as not
_MEMORY = 0.7
_BURST = 0.05  # share of what is left that may be spent at once, on what is new or has waited
_PLAN_SECONDS = 120.0
_AGAIN_SECONDS = 600.0
_ALMOST = 1e-3  # seconds that do not matter, and floats are good for


def pace(budget: Budget, ledger: LedgerState, now: float) -> float:
    """The fastest even pace, in calls a second, that never meets the end of the budget.

    What a source allows within any 24 hours comes back a day after it was spent; what it said itself is left (`quota`)
    has to last until it said.
    """
    best, room = budget.calls_a_second, budget.calls_a_day
    frees = sorted((minute * 60 + 60 + DAY, calls) for minute, calls in ledger.minutes.items())
    frees = [(at, calls) for at, calls in frees if at > now]
    room -= sum(calls for _, calls in frees)
    for at, calls in frees:
        best = min(best, room / (at - now))
        room += calls
    best = min(best, budget.calls_a_day / DAY)
    if ledger.quota is not None and ledger.quota.resets_at > now:
        best = min(best, ledger.quota.left / (ledger.quota.resets_at - now))
    return max(best, 0.0)


def weight(starts: float | None, liveliness: float, now: float) -> float:
    """How long, in comparison, a target can wait for its next look.

    Args:
        starts: when the show starts, Unix seconds.
        liveliness: average relative change of its price from look to look.
        now: Unix seconds.
    """
    base = _base(None if starts is None else (starts - now) / DAY)
    return base if base == 1 else max(base * min(max(_TYPICAL / max(liveliness, 1e-9), 0.5), 2.0), 1.0)


def _base(days: float | None) -> float:
    if days is None:
        return _UNKNOWN
    if days < _OVER_DAYS:
        return _FAR
    return next((base for limit, base in _BASES if days <= limit), _FAR)


def fit(weights: Iterable[float], calls_a_second: float, targets_a_call: int, interval: float) -> float:
    """The smallest scale with which looks at `max(interval, scale × weight)` need no more than so many calls.

    As many calls are needed as the targets fill, and one for each look at the lightest.
    """
    ordered = sorted(weights)
    if not ordered:
        return 0.0
    if calls_a_second <= 0:
        return math.inf
    looks = calls_a_second * targets_a_call
    rest, scale = math.fsum(1 / w for w in ordered), 0.0
    for at_interval, lightest in enumerate(ordered):  # the lightest so many are looked at once an interval
        spare = looks - at_interval / interval
        scale = rest / spare if spare > 0 else math.inf
        if scale * lightest >= interval:
            break
        rest -= 1 / lightest
        scale = 0.0
    if calls_a_second * interval < 1:
        scale = max(scale, 1 / calls_a_second / ordered[0])
    return scale


class _Bucket(msgspec.Struct):
    """Calls that may be made now; they come back at a rate, and as many as `capacity` can gather. A new one is full."""

    tokens: float = math.inf
    at: float = 0.0
    rate: float = 0.0
    capacity: float = math.inf

    def fill(self, now: float) -> float:
        self.tokens = min(self.capacity, self.tokens + self.rate * max(now - self.at, 0.0))
        self.at = now
        return self.tokens

    def full_at(self, now: float) -> float:
        """When there is a call to make."""
        missing = 1 - self.fill(now)
        return now if missing <= 0 else now + missing / self.rate if self.rate > 0 else math.inf


class _Seen(msgspec.Struct):
    """What is known of a target; times are Unix seconds.

    Args:
        since: when it came to be watched.
        looked: when it was last looked at.
        looks: how often it was.
        price: its lowest, when it last had one.
        liveliness: see `weight`.
        priced: whether it had a price when last looked at.
        failed: looks since then that gave no answer.
        deferred: it is not looked at before.
    """

    since: float
    looked: float | None = None
    looks: int = 0
    price: float | None = None
    liveliness: float = _TYPICAL
    priced: bool | None = None
    failed: int = 0
    deferred: float = 0.0


class _State(msgspec.Struct, array_like=True):
    version: int = _VERSION
    seen: dict[str, _Seen] = {}
    cost: float = 1.0
    looks: _Bucket = msgspec.field(default_factory=_Bucket)
    searches: _Bucket = msgspec.field(default_factory=_Bucket)
    searched: dict[str, float] = {}


class Planner:
    """Plans a source's looks and searches within its budget.

    Args:
        budget: of the source.
        interval: shortest seconds between two looks at one target.
        state: what `dump` gave; one that another version wrote is not read, and every target counts as new.
        not_before: the first call comes no sooner, for another process may have called a moment ago.
    """

    def __init__(self, budget: Budget, interval: float, state: bytes | None = None, not_before: float = 0.0) -> None:
        self._budget, self._interval = budget, interval
        self._targets: dict[str, Target] = {}
        self._starts: dict[str, float | None] = {}
        self._intervals: dict[str, float] = {}
        self._planned_at: float | None = None
        self._first_due: float | None = None
        self._not_before = not_before
        loaded = _load(state)
        self._known, self._searched, self._cost = loaded.seen, loaded.searched, loaded.cost
        self._seen: dict[str, _Seen] = {}
        self._looks, self._searches = loaded.looks, loaded.searches
        self.planned = 0.0
        """Calls that are planned for the next 24 hours."""

    def watch(self, targets: Sequence[Target], now: float) -> None:
        """Take the list of targets as it is now, to be planned anew; what was learned of those that stay is kept."""
        new = {target.id: target for target in targets}
        if new == self._targets:
            return
        self._targets = new
        self._starts = {t.id: t.starts.timestamp() if t.starts is not None else None for t in new.values()}
        known = self._known | self._seen
        self._seen, self._known = {name: known.get(name) or _Seen(now) for name in new}, {}
        self._planned_at = None

    def plan(self, ledger: LedgerState, now: float) -> None:
        """Fit the intervals to what is left of the budget."""
        calls = pace(self._budget, ledger, now)
        self._not_before = min(self._not_before, now + 1 / self._budget.calls_a_second)  # the clock was set back
        for seen in self._seen.values():
            seen.looked = None if seen.looked is None else min(seen.looked, now)
            seen.deferred = min(seen.deferred, now + DAY)
        weights = {name: weight(self._starts[name], seen.liveliness, now) for name, seen in self._seen.items()}
        looks = _PLANNED * calls / self._cost
        scale = fit(weights.values(), looks, self._budget.targets_a_call, self._interval)
        self._intervals = {name: max(self._interval, scale * w) for name, w in weights.items()}
        left = self._budget.calls_a_day - sum(ledger.minutes.values())
        for bucket, share in ((self._looks, LOOKS), (self._searches, SEARCHES)):
            bucket.fill(now)
            bucket.rate, bucket.capacity = share * calls, max(_BURST * share * left, 1.0)
        filled = math.fsum(1 / i for i in self._intervals.values()) / self._budget.targets_a_call
        lightest = 1 / min(self._intervals.values()) if self._intervals else 0.0
        self.planned = DAY * max(filled, lightest) * self._cost
        self._planned_at, self._first_due = now, None

    def stale(self, now: float) -> bool:
        """Whether it is time to `plan`."""
        return self._planned_at is None or not 0 <= now - self._planned_at < _PLAN_SECONDS

    def due(self, now: float) -> list[Target]:
        """The targets of the next call, if one is to be made now: those that are most overdue. Needs a `plan`.

        What is handed out counts as called; it counts as looked at when `looked` says so.
        """
        if self.next_call(now) > now + _ALMOST:
            return []
        ready = [(-late, self._seen[name].looks, name) for name, late in self._lateness(now)]
        self._called(self._looks, now)
        chosen = [name for *_, name in nsmallest(self._budget.targets_a_call, ready)]
        most = max(self._budget.targets_a_call >> self._seen[chosen[0]].failed, 1)
        return [self._targets[name] for name in chosen[:most]]

    def _lateness(self, now: float) -> Iterable[tuple[str, float]]:
        """How late each target is that may be looked at, in its own intervals: from 1 on it is due."""
        for name, seen in self._seen.items():
            if now < seen.deferred - _ALMOST:
                continue
            if seen.looked is None:
                yield name, 1 + max(now - seen.since, 0.0) / self._intervals[name]
            elif (since := now - seen.looked) >= self._interval - _ALMOST:
                yield name, since / self._intervals[name]

    def search_due(self, queries: Iterable[str], now: float) -> str | None:
        """The query to be searched for now: a new one, or one that was searched for a day ago (more, if they are many)."""
        known = list(queries)
        if not known:
            return None
        self._searched = {query: self._searched[query] for query in known if query in self._searched}
        if now < self._not_before or self._searches.full_at(now) > now:
            return None
        every = max(1.0, len(known) / (SEARCHES * self._budget.calls_a_day)) * DAY
        oldest = min(known, key=lambda query: self._searched.get(query, -math.inf))
        if now - self._searched.get(oldest, -math.inf) < every:
            return None
        self._called(self._searches, now)
        return oldest

    def searched(self, query: str, calls: int, now: float) -> None:
        """A search was answered, and took so many calls."""
        self._searched[query] = now
        self._searches.tokens -= calls - 1

    def search_failed(self, query: str, now: float) -> None:
        """A search gave no answer: looks go on, and it is made again in a while."""
        self._searched[query] = now - DAY + _AGAIN_SECONDS

    def _called(self, bucket: _Bucket, now: float) -> None:
        bucket.tokens -= 1
        self._not_before = now + 1 / self._budget.calls_a_second

    def looked(self, targets: Sequence[Target], answer: Answer, calls: int, now: float) -> None:
        """Learn from what a look gave.

        Args:
            targets: those that were looked at, each of which counts as looked at now.
            answer: what it gave.
            calls: that it took: with retries, pages, a log-in.
            now: Unix seconds.
        """
        lowest: dict[str, float] = {}
        for event in answer.prices:
            name, price = str(event["event_id"]), float(event["price"])
            lowest[name] = min(price, lowest.get(name, math.inf))
        if len(targets) == 1 and lowest:
            lowest.setdefault(targets[0].id, min(lowest.values()))  # a feed: one target, and the events it tells of
        for target in targets:
            if (seen := self._seen.get(target.id)) is not None:
                _learn(seen, lowest.get(target.id), now)
        self._looks.tokens -= calls - 1
        self._cost = max(_MEMORY * self._cost + (1 - _MEMORY) * calls, 1.0)
        self._first_due = None

    def failed(self, targets: Sequence[Target], now: float) -> None:
        """A look at these gave no answer: others come first, and next time fewer of them at once.

        So one that the source stumbles over is soon asked for alone, and keeps no other waiting.
        """
        for target in targets:
            if (seen := self._seen.get(target.id)) is not None:
                seen.failed = min(seen.failed + 1, 16)
                seen.deferred = now + max(self._interval, self._intervals[target.id] / 10)
        self._first_due = None

    def next_call(self, now: float) -> float:
        """When `due` will give something, in Unix seconds; infinite when nothing is watched or nothing is left."""
        if self._first_due is None:
            self._first_due = min((self._due_at(name, seen) for name, seen in self._seen.items()), default=math.inf)
        return max(self._first_due, self._not_before, self._looks.full_at(now))

    def _due_at(self, name: str, seen: _Seen) -> float:
        return max(seen.since if seen.looked is None else seen.looked + self._intervals[name], seen.deferred)

    def counts(self) -> tuple[int, int, int]:
        """(watched, of these with a price when last looked at, without one)."""
        found = [seen.priced for seen in self._seen.values()]
        return len(found), found.count(True), found.count(False)

    def dump(self) -> bytes:
        """The state as version-tagged msgpack."""
        return msgspec.msgpack.encode(
            _State(_VERSION, self._known | self._seen, self._cost, self._looks, self._searches, self._searched)
        )


def _learn(seen: _Seen, price: float | None, now: float) -> None:
    change = 0.0
    if price is not None and seen.price:
        change = min(abs(price / seen.price - 1), _MOST)
    if seen.price is not None:
        seen.liveliness = _MEMORY * seen.liveliness + (1 - _MEMORY) * change
    seen.looked, seen.looks, seen.priced = now, seen.looks + 1, price is not None
    seen.failed = 0
    seen.price = seen.price if price is None else price


def _load(state: bytes | None) -> _State:
    if state is not None and msgspec.msgpack.decode(state)[0] == _VERSION:
        return msgspec.msgpack.decode(state, type=_State)
    return _State()
