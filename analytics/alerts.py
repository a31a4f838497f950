"""The rule engine: judges every price by the rules that hold for it, and remembers what each rule needs to.

Pure and exact: what fires is a function of the log, in its order, and of the rules' versions with the message from which
each judges (`Activation`). Not of batches, restarts or shards. An event's rows must come in one order (a shard's chain).

A rule looks at a *path* of prices: with `watch = lowest` the lowest price of the listings in scope (the k-th lowest when
k listings must qualify), with `each` the price of every listing for itself. A listing not seen for a day counts no
more. Most rows change no path, and most changes of a path lie between the prices at which any rule would think again
(`_Span`), which is why many rules cost little.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from analytics.changes import Last, Place
from analytics.rules import PERCENT, Rule, row_rank, section_key
from analytics.schema import MICROS

HOUR = 3600 * MICROS
DAY = 24 * HOUR
STALE = DAY
"""A listing that has not been seen for so long is taken to be gone."""
SETTLE = 10 * 60 * MICROS
"""So long after the first sight of an event its lowest price is not compared: its listings are still coming in."""
A_MINUTE = 10
"""Alerts of one rule on one event (or listing) in a minute, at most."""
COMPARABLE = 10
"""So many other listings a percentile needs."""

_FAR = 1 << 62
_WHOLE = 100 * PERCENT


Listings = dict[str, Last]


class Activation(msgspec.Struct, frozen=True, array_like=True):
    """From message `from_id` on, in its partition, this version of a rule judges; `rule` is None when it was deleted.

    Args:
        version: over all rules; a later change has a higher number.
        from_id: the identity of the first message that it judges, in that message's partition.
        events: the events that this version or the one before it is about; None when that can be any.
        idle: no rule is active any more once this version holds; then the default rule does.
    """

    version: int
    from_id: int
    rule_id: int
    rule: Rule | None
    events: tuple[str, ...] | None
    idle: bool = False


class Alert(NamedTuple):
    """A rule has fired. Prices are micros in the rule's terms (all-in or base, of the party); times microseconds.

    Args:
        own: whether the row that caused it is itself at the new price; else it only made way for another listing.
        old: what the price is measured against; None when there is nothing.
        reference: what `old` is.
        percentile: share of comparable listings that cost less, in ten-thousandths of a percent; None under ten.
        sample: how many listings were compared.
    """

    rule: Rule
    price_id: int
    event_id: str
    own: bool
    new: int
    old: int | None
    reference: str
    percentile: int | None
    lowest: int
    sample: int


class Decision(NamedTuple):
    """What a rule decided on a row, and why."""

    rule: Rule
    price_id: int
    event_id: str
    fired: bool
    reason: str
    price: int
    threshold: int | None
    reference: int | None
    time: int


class Standing(NamedTuple):
    """What a rule thinks of an event now."""

    rule: Rule
    event_id: str
    state: str
    reason: str
    price: int
    threshold: int | None
    reference: int | None
    lowest: int | None
    sample: int
    time: int
    alerts: int
    last_alert_at: int | None


@dataclass(slots=True)
class Verdicts:
    """What came of some rows: `standings` holds the newest of each (rule id, event)."""

    alerts: list[Alert] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    standings: dict[tuple[int, str], Standing] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.standings)


class Memory(msgspec.Struct, array_like=True):
    """What a rule remembers of one path."""

    state: str = "armed"
    reason: str = ""
    first: int | None = None
    lowest: int | None = None
    last_alert: int | None = None
    fired_at: int | None = None
    alerts: int = 0
    minute: int = 0
    in_minute: int = 0
    held: int = 0
    held_at: tuple[int, int | None] | None = None  # (threshold, reference) frozen while a price is being held
    lows: list[tuple[int, int]] = []  # (until when, price): former lows of the last days, the latest and highest last
    hours: list[tuple[int, int, int]] = []  # (hour, how many hours from it on, price at their end)
    hour: int | None = None  # the last one that `hours` has been told of
    noted: str = ""  # why it last fired, or was suppressed


class _Look(NamedTuple):
    """One point of a path: its value `before` and `now`, at `time`."""

    before: int | None
    now: int
    time: int
    own: bool  # this row is at the path's value, so it says that the price stands
    unseen: int  # how long nothing of the path had been seen before


class _Span(NamedTuple):
    """A rule thinks again when the path goes to `low` or under, over `high`, at the time `wake`, when it has not been
    seen for `gone`, or `at_every` look."""

    low: int
    high: int
    wake: int
    at_every: bool
    gone: int = _FAR

    def broken(self, look: _Look) -> bool:
        """Whether the rule must think about this look."""
        return (
            look.now <= self.low or look.now > self.high or look.time >= self.wake or self.at_every
            or look.unseen >= self.gone
        )  # fmt: skip

    def and_also(self, other: _Span) -> _Span:
        """The span outside of which one of the two is broken."""
        return _Span(
            max(self.low, other.low), min(self.high, other.high), min(self.wake, other.wake),
            self.at_every or other.at_every, min(self.gone, other.gone),
        )  # fmt: skip


_NEVER = _Span(-1, _FAR, _FAR, False)


class _Member:
    """A rule on one event. `memories` has one entry for `lowest` (under ""), or one a listing."""

    __slots__ = ("memories", "rule", "spans")

    def __init__(self, rule: Rule, memories: dict[str, Memory] | None = None) -> None:
        self.rule = rule
        self.memories = memories if memories is not None else {}
        self.spans: dict[str, _Span] = {}

    def memory(self, path: str) -> Memory:
        found = self.memories.get(path)
        if found is None:
            rule = self.rule
            found = self.memories[path] = Memory()
            if not rule.each:
                found.lowest, found.lows = rule.lowest, list(rule.lows)
                found.hours = [(hour, 1, price) for hour, price in rule.hours]
                found.hour = found.hours[-1][0] if found.hours else None
        return found


class _Scope(NamedTuple):
    """Which listings a group of rules looks at, and how."""

    sections: tuple[str, ...]
    max_row: str | None
    source: str | None
    quantity: int
    currency: str
    base: bool
    party: int
    each: bool
    listings: int

    @classmethod
    def of(cls, rule: Rule) -> _Scope:
        return cls(rule.sections, rule.max_row, rule.source, rule.quantity, rule.currency, rule.base, rule.party,
                   rule.each, rule.listings)  # fmt: skip

    def takes(self, place: Place, quantity: int) -> bool:
        if place.currency != self.currency or (self.source is not None and place.source != self.source):
            return False
        if place.level == "event":  # it says nothing of where the seats are, nor of how many are together
            return not self.sections and self.max_row is None and self.quantity == 1
        if quantity < self.quantity:
            return False
        if self.sections and (place.section is None or section_key(place.section) not in self.sections):
            return False
        if self.max_row is not None:
            most, here = row_rank(self.max_row), row_rank(place.row)
            return most is not None and here is not None and most[0] == here[0] and here[1] <= most[1]
        return True

    def value(self, price: int, total: int) -> int:
        return (price if self.base else total) * self.party


class _Group:
    """The rules of one event that look at the same listings in the same way."""

    def __init__(self, scope: _Scope) -> None:
        self.scope = scope
        self.members: list[_Member] = []
        self.prices: dict[str, int] = {}
        self.sorted: list[int] = []
        self.value: int | None = None  # of the path, with `lowest`
        self.hour = -_FAR
        self.last_seen: int | None = None
        self.spans: dict[str, _Span] = {}

    def seed(self, listings: Listings, time: int) -> None:
        """Take what is known of the event's listings when the first rule of the group comes: as it was last seen."""
        seen = [last[0] for last in listings.values() if self.scope.takes(last[4], last[3])]
        self.last_seen = max(seen, default=None)
        self.hour = (time if self.last_seen is None else self.last_seen) // HOUR
        self.take(listings)
        self.value = self._lowest()

    def take(self, listings: Listings) -> None:
        """Fill in the prices of the listings in scope that were seen lately."""
        for listing, (seen, price, total, quantity, place) in listings.items():
            if seen >= self.hour * HOUR - STALE and self.scope.takes(place, quantity):
                self.put(listing, self.scope.value(price, total))

    def put(self, listing: str, value: int) -> int | None:
        """Set a listing's price; returns the one before."""
        before = self.prices.get(listing)
        if before != value:
            self.prices[listing] = value
            if not self.scope.each:
                if before is not None:
                    del self.sorted[bisect_left(self.sorted, before)]
                insort(self.sorted, value)
        return before

    def drop(self, listing: str) -> None:
        """Forget a listing that is gone or out of scope."""
        before = self.prices.pop(listing, None)
        if self.scope.each:
            self.spans.pop(listing, None)
            for member in self.members:
                member.memories.pop(listing, None)
                member.spans.pop(listing, None)
        elif before is not None:
            del self.sorted[bisect_left(self.sorted, before)]

    def leave(self, listing: str, listings: Listings, time: int) -> None:
        """A listing is seen to be out of scope; that says something of the path, too."""
        self.forget_stale(listings, time)
        self.drop(listing)
        self._move(time, seen=False)

    def forget_stale(self, listings: Listings, time: int) -> None:
        """At the first look of an hour, drop what has not been seen for a day."""
        if time // HOUR <= self.hour:
            return
        self.hour = time // HOUR
        for listing in [x for x in self.prices if listings[x][0] < self.hour * HOUR - STALE]:
            self.drop(listing)

    def look(self, listing: str, value: int, time: int) -> tuple[str, _Look] | None:
        """Take a price; what the rules have to think about, if any of them has to: (path, look)."""
        before = self.put(listing, value)
        unseen = 0 if self.last_seen is None else time - self.last_seen
        if self.scope.each:
            path, now, own = listing, value, True
        else:
            self.last_seen = max(time, self.last_seen or time)
            before, lowest = self.value, self._move(time)
            if lowest is None:
                return None
            path, now, own = "", lowest, value == lowest
        look = _Look(before, now, time, own, unseen)
        span = self.spans.get(path)
        if span is not None and not span.broken(look):
            return None
        return path, look

    def think_again(self) -> None:
        """Let every rule think at its next look."""
        self.spans.clear()
        for member in self.members:
            member.spans.clear()

    def _move(self, time: int, *, seen: bool = True) -> int | None:
        """Where the path is now; None when fewer listings are there than the rules want, and the path pauses.

        Unless the rules get to see it now, they are told how long it has stood where it was.
        """
        lowest = self._lowest()
        if self.value is not None and lowest != self.value and (lowest is None or not seen):
            self.think_again()
            for member in self.members:
                if (memory := member.memories.get("")) is not None:
                    _stood(member.rule, memory, self.value, time)
        self.value = lowest
        return lowest

    def _lowest(self) -> int | None:
        k = self.scope.listings
        return self.sorted[k - 1] if len(self.sorted) >= k else None


def path(rule: Rule, rows: Iterable[tuple[str, Last]]) -> Iterator[tuple[int, int]]:
    """(time, price) of every look at the path that a rule on one event watches.

    Args:
        rule: with watch `lowest`.
        rows: (listing, its newest row) of the event, in the order of time.
    """
    listings: Listings = {}
    group = _Group(_Scope.of(rule))
    for listing, last in rows:
        time, price, total, quantity, place = last
        known = listings.get(listing)
        if group.scope.takes(place, quantity):
            group.forget_stale(listings, time)
            group.look(listing, group.scope.value(price, total), time)
            if group.value is not None:
                yield time, group.value
        elif known is not None and group.scope.takes(place, known[3]):
            group.leave(listing, listings, time)
        listings[listing] = last


class _Desk:
    """All rules of one event. `applied` is the last version that has been looked at for it."""

    def __init__(self, born: int) -> None:
        self.applied = 0
        self.born = born
        self.name: str | None = None
        self.venue: str | None = None
        self.starts: int | None = None
        self.groups: dict[_Scope, _Group] = {}
        self.seats: dict[int, tuple[_Group, _Member]] = {}  # rule id -> where it is
        self.parked: dict[int, _Member] = {}  # rules that are off, with what they remember
        self.unnamed: list[Rule] = []  # wide rules that the event's name or venue did not match so far
        self.takers: dict[tuple[str, int], tuple[_Group, ...]] = {}

    def join(self, member: _Member, listings: Listings, time: int) -> None:
        """Seat a rule with those that look at the same listings in the same way."""
        scope = _Scope.of(member.rule)
        group = self.groups.get(scope)
        if group is None:
            group = self.groups[scope] = _Group(scope)
            group.seed(listings, time)
        self.seat(group, member)

    def seat(self, group: _Group, member: _Member) -> None:
        insort(group.members, member, key=lambda m: m.rule.id)
        group.spans.clear()
        self.seats[member.rule.id] = (group, member)
        self.takers.clear()

    def leave(self, rule_id: int) -> _Member | None:
        """Take a rule away, if it is here."""
        group, member = self.seats.pop(rule_id, (None, None))
        if group is None or member is None:
            return None
        group.members.remove(member)
        group.spans.clear()
        if not group.members:
            del self.groups[group.scope]
        self.takers.clear()
        return member


class Judge:
    """The rules of one chain of one shard.

    Args:
        settle: see `SETTLE`; microseconds.
    """

    def __init__(self, settle: int = SETTLE) -> None:
        self._settle = settle
        self._rules: dict[int, Activation] = {}  # version -> how it was first told
        self._of_event: dict[str, list[int]] = {}  # versions, ascending
        self._wide: list[int] = []
        self._starts: dict[int, tuple[list[int], list[int]]] = {}  # partition -> (from ids, versions), both ascending
        self._desks: dict[str, _Desk] = {}

    @property
    def is_idle(self) -> bool:
        """Whether there has never been a rule: nothing need be shown to it."""
        return not self._starts

    def activate(self, activations: Iterable[Activation]) -> None:
        """Learn from which message on versions judge. Telling again what is known changes nothing."""
        for told in sorted(activations, key=lambda a: (a.version, a.from_id)):
            ids, versions = self._starts.setdefault(told.from_id >> 40, ([], []))
            if versions and told.version <= versions[-1]:
                continue
            ids.append(max(told.from_id, ids[-1] if ids else 0))
            versions.append(told.version)
            if told.version not in self._rules:
                self._rules[told.version] = told
                for where in (
                    [self._wide]
                    if told.events is None
                    else [self._of_event.setdefault(event, []) for event in told.events]
                ):
                    insort(where, told.version)

    def _version_at(self, price_id: int) -> int:
        starts = self._starts.get(price_id >> 40)
        if starts is None:
            return 0
        place = bisect_right(starts[0], price_id)
        return starts[1][place - 1] if place else 0

    def see(
        self, verdicts: Verdicts, event: str, listings: Listings, listing: str, price_id: int, new: Last,
        facts: Callable[[], tuple[str | None, str | None, int | None]],
    ) -> None:  # fmt: skip
        """Judge one accepted row that is its listing's newest. Call it before `listings` has the row.

        Args:
            verdicts: what comes of it is added there.
            event: the event's id.
            listings: the event's listings as they stand before this row.
            listing: this row's key among them.
            price_id: this row's.
            new: this row's facts.
            facts: gives the row's (event name, venue, event date in microseconds), asked for only when needed.
        """
        desk = self._desks.get(event)
        if desk is None:
            if event not in self._of_event and not self._wide:
                return
            born = min((known[4].first_seen for known in listings.values()), default=new[0])
            desk = self._desks[event] = _Desk(born)
        version = self._version_at(price_id)
        if version > desk.applied:
            self._apply(desk, event, listings, new[0], version)
        if desk.groups or desk.unnamed:
            self._note(desk, event, listings, new[0], facts())
        self._price(desk, verdicts, event, listings, listing, price_id, new)

    def _apply(self, desk: _Desk, event: str, listings: Listings, time: int, version: int) -> None:
        due = [
            number
            for known in (self._of_event.get(event, []), self._wide)
            for number in known[bisect_right(known, desk.applied) : bisect_right(known, version)]
        ]
        for number in sorted(due):
            told = self._rules[number]
            self._replace(desk, event, told.rule_id, told.rule, listings, time)
        desk.applied = version

    def _replace(self, desk: _Desk, event: str, rule_id: int, rule: Rule | None, listings: Listings, time: int) -> None:
        """Put a rule's new version in place of the one before; what is remembered stays when it judges alike."""
        desk.unnamed = [r for r in desk.unnamed if r.id != rule_id]
        former = desk.parked.pop(rule_id, None) or desk.leave(rule_id)
        if rule is None or (rule.event_id is not None and rule.event_id != event):
            return
        kept = former.memories if former is not None and former.rule.same_judgement(rule) else None
        member = _Member(rule, kept)
        if not rule.active:
            desk.parked[rule_id] = member
        elif concerns(rule, event, desk.name, desk.venue):
            desk.join(member, listings, time)
        else:
            desk.unnamed.append(rule)

    def _note(
        self, desk: _Desk, event: str, listings: Listings, time: int, facts: tuple[str | None, str | None, int | None]
    ) -> None:
        name, venue, starts = facts
        if starts is not None and starts != desk.starts:
            revived = desk.starts is not None and desk.starts <= time < starts
            desk.starts = starts
            for group in desk.groups.values() if revived else ():
                group.think_again()
        if (name is not None and name != desk.name) or (venue is not None and venue != desk.venue):
            desk.name, desk.venue = name or desk.name, venue or desk.venue
            found = [rule for rule in desk.unnamed if concerns(rule, event, desk.name, desk.venue)]
            desk.unnamed = [rule for rule in desk.unnamed if rule not in found]
            for rule in found:
                desk.join(_Member(rule), listings, time)

    def _price(
        self, desk: _Desk, verdicts: Verdicts, event: str, listings: Listings, listing: str, price_id: int, new: Last
    ) -> None:
        known = listings.get(listing)
        time, price, total, quantity, place = new
        if len(desk.takers) > 100 + 2 * len(listings):
            desk.takers.clear()
        takers = self._takers(desk, listing, quantity, place)
        if known is not None and known[3] != quantity:
            for group in self._takers(desk, listing, known[3], place):
                if group not in takers:
                    group.leave(listing, listings, time)
        for group in takers:
            group.forget_stale(listings, time)
            if group.scope.each:
                group.last_seen = known[0] if known is not None and group.scope.takes(place, known[3]) else None
            found = group.look(listing, group.scope.value(price, total), time)
            if found is not None:
                path, look = found
                merged, comparable = _NEVER, _Comparable(listings, listing, new)
                for member in group.members:
                    span = member.spans.get(path)
                    if span is None or span.broken(look):
                        span = member.spans[path] = self._think(
                            desk, member, path, look, verdicts, event, listings, listing, price_id, comparable
                        )
                    merged = merged.and_also(span)
                group.spans[path] = merged

    @staticmethod
    def _takers(desk: _Desk, listing: str, quantity: int, place: Place) -> tuple[_Group, ...]:
        found = desk.takers.get((listing, quantity))
        if found is None:
            found = tuple(group for group in desk.groups.values() if group.scope.takes(place, quantity))
            desk.takers[listing, quantity] = found
        return found

    def _think(
        self, desk: _Desk, member: _Member, path: str, look: _Look, verdicts: Verdicts, event: str,
        listings: Listings, listing: str, price_id: int, comparable: _Comparable,
    ) -> _Span:  # fmt: skip
        rule = member.rule
        if look.time < rule.since:
            return _Span(-1, _FAR, rule.since, False)
        if not rule.each and rule.condition not in ("at_or_below", "back") and look.time < desk.born + self._settle:
            return _Span(-1, _FAR, desk.born + self._settle, False)
        memory = member.memory(path)
        others: list[int] | None = None
        if rule.condition == "deal":
            others = comparable.prices(rule)
        lowest = memory.lowest
        end = min(rule.expires if rule.expires is not None else _FAR, desk.starts if desk.starts is not None else _FAR)
        ruling = decide(rule, memory, look, end, others)
        lowest = min(look.now, lowest if lowest is not None else look.now)
        if ruling.reason == "fired":
            others = comparable.prices(rule)
            verdicts.alerts.append(
                Alert(rule, price_id, event, look.own, look.now, ruling.old, ruling.kind,
                      _percentile(others, look.now), lowest, len(others))
            )  # fmt: skip
        if ruling.reason == "fired" or (ruling.met and ruling.reason != memory.noted):
            memory.noted = ruling.reason
            verdicts.decisions.append(
                Decision(rule, price_id, event, ruling.reason == "fired", ruling.reason, look.now, ruling.threshold,
                         ruling.reference, look.time)
            )  # fmt: skip
        verdicts.standings[rule.id, event] = Standing(
            rule, event, "muted" if ruling.reason == "muted" else memory.state, ruling.reason, look.now,
            ruling.threshold, ruling.reference, lowest, len(listings) + (listing not in listings), look.time,
            memory.alerts, memory.fired_at,
        )  # fmt: skip
        return _span(rule, memory, look.now, ruling, end)

    def dump(self) -> bytes:
        """The state, without what the listings themselves say."""
        desks = {
            event: (
                desk.applied, desk.born, desk.name, desk.venue, desk.starts,
                [(m.rule.version, m.memories) for _, m in desk.seats.values()],
                [(m.rule.version, m.memories) for m in desk.parked.values()],
                [rule.version for rule in desk.unnamed],
                [(tuple(g.scope), g.value, g.hour, g.last_seen) for g in desk.groups.values()],
            )
            for event, desk in self._desks.items()
        }  # fmt: skip
        return _encoder.encode((list(self._rules.values()), self._starts, desks))

    @classmethod
    def load(cls, dumped: bytes, listings: Callable[[str], Listings], settle: int = SETTLE) -> Judge:
        """The state that `dump` gave; `listings` gives an event's, as they stood then."""
        rules, starts, desks = _decoder.decode(dumped)
        judge = cls(settle)
        judge._starts = {partition: (list(ids), list(versions)) for partition, (ids, versions) in starts.items()}
        for told in rules:
            judge._rules[told.version] = told
            for where in (
                [judge._wide]
                if told.events is None
                else [judge._of_event.setdefault(event, []) for event in told.events]
            ):
                insort(where, told.version)
        for event, (applied, born, name, venue, begins, members, parked, unnamed, groups) in desks.items():
            desk = judge._desks[event] = _Desk(born)
            desk.applied, desk.name, desk.venue, desk.starts = applied, name, venue, begins
            for values, value, hour, last_seen in groups:
                scope = _Scope(tuple(values[0]), *values[1:])
                group = desk.groups[scope] = _Group(scope)
                group.hour, group.value, group.last_seen = hour, value, last_seen
                group.take(listings(event))
            for version, memories in members:
                member = _Member(judge._rule(version), memories)
                desk.seat(desk.groups[_Scope.of(member.rule)], member)
            for version, memories in parked:
                desk.parked[judge._rule(version).id] = _Member(judge._rule(version), memories)
            desk.unnamed = [judge._rule(version) for version in unnamed]
        return judge

    def _rule(self, version: int) -> Rule:
        rule = self._rules[version].rule
        assert rule is not None
        return rule


class DefaultRule:
    """Where the default rule is in force: while no rule of people's is active.

    Args:
        starts: partition -> (from which messages on, whether it is), both ascending.
    """

    def __init__(self, starts: dict[int, tuple[list[int], list[bool]]]) -> None:
        self.starts = starts

    def told(self, changes: Iterable[tuple[int, bool]]) -> None:
        """Learn where it comes into force or goes out of it. Telling again what is known changes nothing."""
        for from_id, holds in changes:
            ids, states = self.starts.setdefault(from_id >> 40, ([], []))
            if (states[-1] if states else True) != holds and (not ids or from_id >= ids[-1]):
                ids.append(from_id)
                states.append(holds)

    def holds(self, price_ids: list[int]) -> list[bool] | None:
        """Whether it is in force for each message; None when it is for all."""
        if not self.starts:
            return None
        return [self._holds(price_id) for price_id in price_ids]

    def _holds(self, price_id: int) -> bool:
        ids, states = self.starts.get(price_id >> 40, ([], []))
        place = bisect_right(ids, price_id)
        return states[place - 1] if place else True


class Ruling(NamedTuple):
    """`met`: the condition holds; `reason`: "fired", or why not; `old` of kind `kind` is what an alert compares with."""

    met: bool
    reason: str
    threshold: int | None = None
    reference: int | None = None
    old: int | None = None
    kind: str = ""


def decide(rule: Rule, memory: Memory, look: _Look, end: int, comparable: list[int] | None) -> Ruling:
    """Judge one point of a path, and remember.

    Args:
        rule: by which.
        memory: of this path; is changed.
        look: the point.
        end: when the rule ends, in microseconds of event time.
        comparable: for a deal, the prices of the other comparable listings, ascending.
    """
    if look.time >= end:
        memory.state = memory.reason = "expired"
        return Ruling(False, "expired")
    if memory.state == "expired":
        memory.state = "armed"  # the event was put off
    newly = memory.first is None
    if memory.first is None:
        memory.first = look.now if look.before is None else look.before
        if look.before is not None:
            memory.lowest = look.before if memory.lowest is None else min(memory.lowest, look.before)
            if rule.skip_if_true and look.before <= (rule.target or 0):
                memory.state, memory.last_alert, memory.fired_at = _fired(rule), look.before, look.time
    if rule.reference == "median":
        _fill_hours(rule, memory, look.before, look.time)
    threshold, reference, kind = _threshold(rule, memory, look, comparable)
    met = _met(rule, look, threshold)
    if look.before is not None:
        _stood(rule, memory, look.before, look.time)
    memory.lowest = look.now if memory.lowest is None else min(memory.lowest, look.now)
    _rearm(rule, memory, look)
    reason = _reason(rule, memory, look, met, newly, threshold, reference)
    if reason == "fired":
        memory.state, memory.last_alert, memory.fired_at = _fired(rule), look.now, look.time
        memory.alerts += 1
    if reason != "holding":
        memory.held, memory.held_at = 0, None
        if memory.state == "holding":
            memory.state = "armed"
    memory.reason = reason
    old = reference if rule.condition in ("drop", "rise", "new_low") else look.before
    return Ruling(met, reason, threshold, reference, old, kind if old is not None else "")


def _fired(rule: Rule) -> str:
    """The state after an alert."""
    return {"always": "armed", "cooldown": "cooling"}.get(rule.rearm, "fired")


def _threshold(
    rule: Rule, memory: Memory, look: _Look, comparable: list[int] | None
) -> tuple[int | None, int | None, str]:
    """(price at which the rule fires, what it is measured from, what that is)."""
    if memory.held_at is not None:
        return *memory.held_at, _kind(rule)
    match rule.condition:
        case "at_or_below":
            return rule.target, None, "previous"
        case "back":
            return None, None, "previous"
        case "deal":
            assert comparable is not None
            assert rule.percentile is not None
            enough = len(comparable) >= COMPARABLE
            return comparable[(len(comparable) * rule.percentile - 1) // 100] if enough else None, None, "previous"
        case "new_low":
            low = _low(rule, memory, look)
            return None if low is None else low - 1, low, "lowest"
    reference = _reference(rule, memory, look)
    if reference is None:
        return None, None, _kind(rule)
    step = rule.amount if rule.amount is not None else -(-(rule.percent or 0) * reference // _WHOLE)
    return reference - step if rule.condition == "drop" else reference + step, reference, _kind(rule)


def _kind(rule: Rule) -> str:
    return (
        rule.reference
        if rule.condition in ("drop", "rise")
        else "lowest"
        if rule.condition == "new_low"
        else "previous"
    )


def _reference(rule: Rule, memory: Memory, look: _Look) -> int | None:
    match rule.reference:
        case "last_alert":
            return memory.last_alert if memory.last_alert is not None else memory.first
        case "previous":
            return look.before
        case "first_seen":
            return memory.first
        case "lowest":
            return memory.lowest
    return _median(rule, memory, look)


def _met(rule: Rule, look: _Look, threshold: int | None) -> bool:
    if rule.condition == "back":
        return look.unseen >= rule.gone
    if threshold is None:
        return False
    return look.now >= threshold if rule.condition == "rise" else look.now <= threshold


def _low(rule: Rule, memory: Memory, look: _Look) -> int | None:
    """The lowest price of the path before this point: ever, or within the last days."""
    if rule.days is None:
        return memory.lowest
    oldest = look.time - rule.days * DAY
    values = [price for until, price in memory.lows if until >= oldest]
    if look.before is not None:
        values.append(look.before)
    return min(values, default=None)


def _median(rule: Rule, memory: Memory, look: _Look) -> int | None:
    """The lower median of the path at the ends of the last days' whole hours."""
    assert rule.days is not None
    oldest = look.time // HOUR - rule.days * 24
    found = sorted((price, min(count, hour + count - oldest)) for hour, count, price in memory.hours
                   if hour + count > oldest)  # fmt: skip
    half = (sum(count for _, count in found) + 1) // 2
    for price, count in found:
        half -= count
        if half <= 0:
            return price
    return None


def _stood(rule: Rule, memory: Memory, price: int, time: int) -> None:
    """Write down that the path has stood at this price until now."""
    if rule.reference == "median":
        _fill_hours(rule, memory, price, time)
    if rule.condition == "new_low" and rule.days is not None:
        while memory.lows and memory.lows[-1][1] >= price:
            memory.lows.pop()
        memory.lows.append((time, price))
        while memory.lows[0][0] < time - rule.days * DAY:
            memory.lows.pop(0)


def _fill_hours(rule: Rule, memory: Memory, price: int | None, time: int) -> None:
    """Write down the price at which the path has stood (None: it paused) at the end of each hour since the last time."""
    hour = time // HOUR
    if memory.hour is None:
        memory.hour = hour - 1
    if price is not None and hour - 1 > memory.hour:
        memory.hours.append((memory.hour + 1, hour - 1 - memory.hour, price))
    memory.hour = max(memory.hour, hour - 1)
    oldest = hour - (rule.days or 0) * 24
    while memory.hours and memory.hours[0][0] + memory.hours[0][1] <= oldest:
        memory.hours.pop(0)


def _rearm(rule: Rule, memory: Memory, look: _Look) -> None:
    if memory.state not in ("fired", "cooling"):
        return
    assert memory.last_alert is not None
    assert memory.fired_at is not None
    rise = rule.condition == "rise"
    if rule.rearm == "cooldown":
        again = look.time >= memory.fired_at + rule.cooldown
    elif rule.rearm == "margin":
        again = look.now < _beyond(rule, memory) if rise else look.now > _beyond(rule, memory)
    elif rule.rearm == "lower":
        step = rule.step
        again = look.now >= memory.last_alert + step if rise else look.now <= memory.last_alert - step
    else:
        again = False
    if again:
        memory.state = "armed"


def _beyond(rule: Rule, memory: Memory) -> int:
    """The price past which a rule with a margin is armed again."""
    at = rule.target if rule.target is not None else memory.last_alert
    assert at is not None
    return at - at * rule.margin // _WHOLE if rule.condition == "rise" else at + at * rule.margin // _WHOLE


def _reason(
    rule: Rule, memory: Memory, look: _Look, met: bool, newly: bool, threshold: int | None, reference: int | None
) -> str:
    if not met:
        return "not_met" if threshold is not None or rule.condition == "back" else "nothing_to_compare"
    if memory.state in ("fired", "cooling"):
        if newly:
            return "already_true"
        return {"once": "once", "cooldown": "cooling", "margin": "not_rearmed"}.get(rule.rearm, "not_lower")
    if rule.muted_until is not None and look.time < rule.muted_until:
        return "muted"
    if rule.observations > 1 and memory.held + look.own < rule.observations:
        memory.held += look.own
        memory.held_at = (threshold, reference) if threshold is not None else None
        memory.state = "holding"
        return "holding"
    minute = look.time // (60 * MICROS)
    if minute != memory.minute:
        memory.minute, memory.in_minute = minute, 0
    if memory.in_minute >= A_MINUTE:
        return "too_many"
    memory.in_minute += 1
    return "fired"


def _span(rule: Rule, memory: Memory, now: int, ruling: Ruling, end: int) -> _Span:
    """When a rule has to think again; between its bounds nothing that it would remember or decide can change."""
    if memory.state == "expired":
        return _NEVER
    wake = end
    if memory.state == "cooling" and memory.fired_at is not None:
        wake = min(wake, memory.fired_at + rule.cooldown)
    if ruling.reason == "muted" and rule.muted_until is not None:
        wake = min(wake, rule.muted_until)
    by_change = rule.condition in ("new_low", "deal") or rule.reference in ("previous", "median") or (
        rule.rearm == "lower"
    )  # fmt: skip
    gone = rule.gone if rule.condition == "back" else _FAR
    if by_change:
        return _Span(now - 1, now, wake, memory.state == "holding" or ruling.met or rule.condition == "deal", gone)
    bounds = [memory.lowest - 1] if memory.lowest is not None else []
    # What will be compared at the next look: a new alert or a hold has moved it.
    threshold, _, _ = _threshold(rule, memory, _Look(now, now, 0, False, 0), None)
    for edge in (
        threshold,
        _beyond(rule, memory) if memory.last_alert is not None and rule.rearm == "margin" else None,
    ):
        if edge is not None:
            bounds += [edge - 1, edge]
    ordered = sorted(bounds)
    place = bisect_left(ordered, now)
    low = ordered[place - 1] if place else -1
    high = ordered[place] if place < len(ordered) else _FAR
    every = memory.state == "holding" or ruling.reason in ("fired", "too_many", "already_true")
    return _Span(low, high, wake, every or (rule.condition == "back" and ruling.met), gone)


def concerns(rule: Rule, event_id: str, name: str | None, venue: str | None) -> bool:
    """Whether the rule is about this event, as far as its id, name and venue tell."""
    if rule.event_id not in (None, event_id) or (rule.venue is not None and (venue or "").casefold() != rule.venue):
        return False
    return not rule.words or set(rule.words) <= set((name or "").casefold().split())


def in_scope(rule: Rule, place: Place, quantity: int) -> bool:
    """Whether the rule looks at this listing of an event that it is about."""
    return _Scope.of(rule).takes(place, quantity)


class _Comparable:
    """The other listings that a row is compared with: of its section, or of its event when there are few."""

    def __init__(self, listings: Listings, listing: str, new: Last) -> None:
        self._listings, self._listing, self._new = listings, listing, new
        self._found: dict[tuple[bool, int], list[int]] = {}

    def prices(self, rule: Rule) -> list[int]:
        """Their prices in the rule's terms, ascending."""
        terms = (rule.base, rule.party)
        if terms not in self._found:
            self._found[terms] = self._gather(*terms)
        return self._found[terms]

    def _gather(self, base: bool, party: int) -> list[int]:
        own, oldest = self._new[4], self._new[0] // HOUR * HOUR - STALE
        here, everywhere = [], []
        for key, (seen, price, total, _, place) in self._listings.items():
            if (
                key == self._listing or place.currency != own.currency or place.level == "event" or seen < oldest
            ):  # fmt: skip
                continue
            value = (price if base else total) * party
            everywhere.append(value)
            if place.section == own.section:
                here.append(value)
        return sorted(here if len(here) >= COMPARABLE and own.section is not None else everywhere)


def _percentile(others: list[int], value: int) -> int | None:
    return bisect_left(others, value) * _WHOLE // len(others) if len(others) >= COMPARABLE else None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(
    tuple[
        list[Activation],
        dict[int, tuple[list[int], list[int]]],
        dict[
            str,
            tuple[
                int, int, str | None, str | None, int | None,
                list[tuple[int, dict[str, Memory]]],
                list[tuple[int, dict[str, Memory]]],
                list[int],
                list[tuple[tuple[tuple[str, ...], str | None, str | None, int, str, bool, int, bool, int],
                           int | None, int, int | None]],
            ],
        ],
    ]
)  # fmt: skip
