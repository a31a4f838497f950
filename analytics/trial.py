"""A rule tried on stored history, before it is saved: how often it would have fired, when, and what that was worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import median_low
from typing import NamedTuple

import msgspec

from analytics.alerts import DAY, HOUR, Activation, Judge, Verdicts, concerns, in_scope, path
from analytics.changes import Last, Place
from analytics.rules import Known, Rule, amount
from analytics.schema import MICROS

_LONG_AGO = -(1 << 62)
MARGIN = 1.05
"""A target that was never met is answered with one that would have been: 5 % over the low."""


class Observed(NamedTuple):
    """A stored price. Money in micros, times in microseconds; `listing` tells listings of an event apart."""

    id: int
    event_id: str
    listing: str
    time: int
    price: int
    total: int
    quantity: int
    section: str | None
    row: str | None
    source: str
    currency: str
    level: str
    event_name: str | None
    venue: str | None
    starts: int | None


class Firing(NamedTuple):
    """One alert that there would have been. `stood`: at the next look the listing cost no more; None: not seen again."""

    price_id: int
    event_id: str
    time: int
    price: int
    old: int | None
    stood: bool | None
    saving: int | None


@dataclass(frozen=True)
class Trial:
    """What came of a trial. Prices are micros in the rule's terms.

    Args:
        rule: that was tried.
        firings: in their order.
        observations: prices in scope that it looked at; 0 means that the history says nothing.
        days: from the first to the last of them.
        lowest, typical: the lowest and the middle price among them.
    """

    rule: Rule
    firings: list[Firing]
    observations: int
    days: float
    lowest: int | None
    typical: int | None

    @property
    def within_reach(self) -> int | None:
        """For a target below all that was seen, one that would have been met: 5 % over the low."""
        if self.firings or self.rule.condition != "at_or_below" or self.lowest is None:
            return None
        return round(self.lowest * MARGIN) if self.lowest > (self.rule.target or 0) else None

    def summary(self) -> str:
        """The trial in a sentence or two."""
        span = _span(self.days)
        if not self.observations:
            return "There is no stored price in this rule's scope yet, so nothing can be said."
        if self.firings:
            last = self.firings[-1]
            seen = [f.stood for f in self.firings if f.stood is not None]
            times = "once" if len(self.firings) == 1 else f"{len(self.firings)} times"
            stood = f"; {sum(seen)} of {len(seen)} of those prices still stood at the next look" if seen else ""
            return f"Would have fired {times} in {span}, the last at {amount(last.price, self.rule.currency)}{stood}."
        if self.within_reach is not None and self.lowest is not None:
            return (
                f"Never in {span}: the lowest was {amount(self.lowest, self.rule.currency)}; "
                f"5 % over the low would be {amount(self.within_reach, self.rule.currency)}."
            )
        return f"Would not have fired in {span}."


def _span(days: float) -> str:
    number, unit = (days, "day") if days >= 2 else (days * 24, "hour") if days * 24 >= 1 else (days * 1440, "minute")
    whole = max(1, round(number))
    return f"{whole} {unit}" if whole == 1 else f"{whole} {unit}s"


def needs_history(rule: Rule) -> bool:
    """Whether a rule has to know prices from before it was made."""
    return rule.event_id is not None and not rule.each and (
        rule.condition == "new_low" or rule.reference in ("median", "lowest")
    )  # fmt: skip


def known(rule: Rule, observed: Iterable[Observed]) -> Known | None:
    """What stored prices say that a rule must know when it is made; None when there are none.

    Args:
        rule: one that `needs_history`.
        observed: prices of its event in the order of time.
    """
    looks = list(path(rule, _lasts(observed)))
    if not looks:
        return None
    lows: list[tuple[int, int]] = []  # (until when it stood, price): each lower than all that came after
    for (_, price), (until, _) in pairwise(looks):
        while lows and lows[-1][1] >= price:
            lows.pop()
        lows.append((until, price))
    hours = []
    if rule.reference == "median":
        for (time, price), (until, _) in pairwise(looks):
            hours += [(hour, price) for hour in range(time // HOUR, until // HOUR)]
    return Known(
        lowest=_units(min(price for _, price in looks)),
        lows=[(until, _units(price)) for until, price in lows] if rule.days is not None else [],
        hours=[(hour, _units(price)) for hour, price in hours],
    )


def lowest_path(rule: Rule, observed: Iterable[Observed]) -> list[tuple[int, int]]:
    """The lowest price in a rule's scope whenever it moved, and at the last look: (time, price), to draw a trial on.

    Args:
        rule: whichever way it watches.
        observed: prices of one event in the order of time.
    """
    looks = list(path(msgspec.structs.replace(rule, each=False), _lasts(observed)))
    moved = [look for before, look in pairwise(looks) if look[1] != before[1]]
    return [*looks[:1], *moved, *(looks[-1:] if looks[-1:] != (moved or looks)[-1:] else [])]


def _lasts(observed: Iterable[Observed]) -> Iterator[tuple[str, Last]]:
    for row in observed:
        place = Place(row.section, row.row, row.source, row.currency, row.level, row.time)
        yield row.listing, (row.time, row.price, row.total, row.quantity, place)


def _units(micros: int) -> Decimal:
    return Decimal(micros) / MICROS


def trial(rule: Rule, observed: Iterable[Observed]) -> Trial:
    """Judge stored prices by a rule as the flow would have.

    Args:
        rule: made "long ago": its `since` is not looked at.
        observed: prices in the order of time.
    """
    judge, verdicts = Judge(), Verdicts()
    events = None if rule.event_id is None else (rule.event_id,)
    free = msgspec.structs.replace(rule, version=1, since=_LONG_AGO, active=True, muted_until=None)
    judge.activate([Activation(1, 0, rule.id, free, events)])
    listings: dict[str, dict[str, Last]] = {}
    waiting: dict[tuple[str, str], list[int]] = {}
    stood: dict[int, bool] = {}
    totals: dict[int, int] = {}
    times: dict[int, int] = {}
    values: list[int] = []
    first = last = None
    for row in observed:
        known = listings.setdefault(row.event_id, {})
        before = known.get(row.listing)
        if before is not None and row.time < before[0]:
            continue
        place = before[4] if before is not None else Place(
            row.section, row.row, row.source, row.currency, row.level, row.time
        )  # fmt: skip
        for price_id in waiting.pop((row.event_id, row.listing), []):
            stood[price_id] = row.total <= totals[price_id]
        new = (row.time, row.price, row.total, row.quantity, place)
        fired = len(verdicts.alerts)
        judge.see(verdicts, row.event_id, known, row.listing, 0, new, lambda r=row: (r.event_name, r.venue, r.starts))  # type: ignore[misc]
        known[row.listing] = new
        if concerns(rule, row.event_id, row.event_name, row.venue) and in_scope(rule, place, row.quantity):
            values.append((row.price if rule.base else row.total) * rule.party)
            first, last = first or row.time, row.time
        for index in range(fired, len(verdicts.alerts)):
            verdicts.alerts[index] = verdicts.alerts[index]._replace(price_id=row.id)
            if verdicts.alerts[index].own:
                waiting.setdefault((row.event_id, row.listing), []).append(row.id)
            totals[row.id] = row.total
            times[row.id] = row.time
    typical = median_low(values) if values else None
    firings = [
        Firing(a.price_id, a.event_id, times[a.price_id], a.new, a.old, stood.get(a.price_id),
               None if typical is None else typical - a.new)
        for a in verdicts.alerts
    ]  # fmt: skip
    days = 0.0 if first is None or last is None else (last - first) / DAY
    return Trial(rule, firings, len(values), days, min(values, default=None), typical)
