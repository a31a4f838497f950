"""Which prices are doubted, and which of them turn out to be true: what a price is worth beside those before it.

A price is doubted beside another when it is under a quarter of it, or fifty times as much and more (a cent for a dollar,
and a dollar for a cent, and what comes near). It is put beside the listing's last price, and beside the usual one of
its neighbours: the listings of the event of the same section, currency and level. Hour by hour, theirs is the median of
their last prices, if of that hour; the usual one is the median of the last 24 hours'.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

HOUR = 3_600_000_000
MOST_LISTINGS = 50_000

ROWS = """
    SELECT id, event_id, keyed, listing, source, currency,
           level || CASE WHEN level = 'listing' THEN coalesce(section, '') ELSE '' END, time, total
    FROM plausible WHERE keyed OR NOT late
    ORDER BY event_id, keyed, CASE WHEN keyed THEN part ELSE time END, id
"""
"""The rows in the order in which they are judged: each event's keyed ones, and the others that are not late."""


class Row(NamedTuple):
    """A price row; `place` is its level and section."""

    id: int
    event: str
    keyed: bool
    listing: str
    source: str
    currency: str
    place: str
    time: int
    total: int


def doubted(rows: Iterable[Row], enough: int) -> tuple[list[tuple[int, str]], list[tuple[int, int]]]:
    """(id, reason) of the rows held, and (id, by which row) of those that `enough` in agreement released."""
    held: list[tuple[int, str]] = []
    released: list[tuple[int, int]] = []
    for _, chain in groupby(rows, key=lambda row: (row.event, row.keyed)):
        believed: dict[str, Row] = {}  # each listing's newest
        places: dict[str, tuple[str, str]] = {}
        currencies: dict[str, set[str]] = {}
        waiting: dict[str, list[Row]] = {}
        medians: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        hour = -1
        for row in chain:
            if row.time // HOUR > hour:
                seen = defaultdict(list)
                for last in believed.values():
                    if last.time // HOUR == hour:
                        seen[places[last.listing]].append(last.total)
                for place, prices in seen.items():
                    medians[place][hour] = _median(prices)
                hour = row.time // HOUR
            before = believed.get(row.listing)
            if before is None and row.listing not in waiting and len(believed) + len(waiting) >= MOST_LISTINGS:
                held.append((row.id, "too_many_listings"))
                continue
            place = places.get(row.listing, (row.place, row.currency))
            theirs = currencies.setdefault(row.source, {row.currency})
            if row.currency not in theirs:
                reason = "another_currency"
            elif before is not None and before.total / 4 <= row.total <= before.total * 4:
                reason = ""
            else:
                hours = [price for past, price in medians[place].items() if hour - 24 <= past < hour]
                beside = [before.total] if before is not None else []
                beside += [_median(hours)] if hours else []
                reason = next(filter(None, (_reason(row.total, price) for price in beside)), "")
            if reason and not (before is not None and row.time < before.time):
                run = waiting.setdefault(row.listing, [])
                if not run or row.time > run[-1].time:
                    if run and abs(row.total - run[0].total) * 5 > run[0].total:
                        run.clear()
                    run.append(row)
                    if len(run) >= enough:
                        released += [(one.id, row.id) for one in run[:-1]]
                        theirs.add(row.currency)
                        reason = ""
            if reason:
                held.append((row.id, reason))
            elif before is None or row.time >= before.time:
                believed[row.listing] = row
                places[row.listing] = place
                waiting.pop(row.listing, None)
    return held, released


def _median(prices: list[int]) -> int:
    return sorted(prices)[(len(prices) - 1) // 2]


def _reason(price: int, beside: int) -> str:
    if price >= beside * 50:
        return "hundred_times"
    if price * 50 <= beside:
        return "hundredth"
    return "under_quarter" if price * 4 < beside else ""
