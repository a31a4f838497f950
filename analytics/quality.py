"""Quarantine: prices that cannot be true, or must be doubted, are kept and shown, and held out of all that is computed.

What a row says of itself is judged before the shards (`split`). What only its past and its neighbours tell is judged in
the shard, row by row in the order of an event's chain (`Listings`). A doubted price that stays is true after all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from analytics.clock import NEVER
from analytics.schema import MICROS

if TYPE_CHECKING:
    from analytics.changes import Last, Place

HIGHEST_PLAUSIBLE = 1_000_000 * MICROS
"""No ticket costs more than a million; a limit below which sums over a day stay exact in 64 bits."""

HOUR = 3600 * MICROS
_HOURS = 24


def _says(*alternatives: str) -> str:
    """A pattern for any of these as whole words; "Parker Hall" says nothing of parking."""
    return f"(?:^|[^0-9a-z])(?:{'|'.join(alternatives)})(?:[^0-9a-z]|$)"


# What is sold beside tickets. A section or row of that name is for cars. Names of events and sellers' notes speak of it
# for many reasons ("Parking Lot Festival", "near the garage", "parking not included"), so they must say more.
_PLACE = _says("parking", "car ?parks?", "garages?", "shuttles?", "valet", "park (?:and|&) ride", "hotel packages?")
_NAME = (
    _says("(?:parking|car ?park|shuttle|valet) (?:pass(?:es)?|permits?|vouchers?|tickets?|only)", "hotel packages?")
    + "|^(?:parking|car ?park) ?[:(-]|[:(-] ?(?:parking|car ?park)[)]?\\Z"
)
_NOTES = _says(
    "(?:parking|car ?park|garage|shuttle|valet)(?: pass(?:es)?| permits?)? only",
    "not an? (?:event |concert |game |show )?(?:ticket|admission)",
    "(?:not|no|[a-z]+n't) (?:valid for|include|includes|including) (?:any )?(?:event )?(?:admission|entry|(?:a )?tickets?)",
)
_NOT_A_TICKET = {
    name: re.compile(says, re.IGNORECASE)
    for name, says in (("section", _PLACE), ("row", _PLACE), ("event_name", _NAME), ("seller_notes", _NOTES))
}
_INNOCENT: dict[str, set[str | None]] = {name: {None} for name in _NOT_A_TICKET}
_REMEMBERED, _SHORT = 50_000, 200
_SOME = 500  # below, to find the distinct ones costs more than to read all


def _not_a_ticket(rows: pl.DataFrame) -> dict[str, list[str]]:
    """The values, column by column, that say that no ticket is sold here. Few are new: each is read once."""
    found = {}
    for name, says in _NOT_A_TICKET.items():
        innocent = _INNOCENT[name]
        texts = rows[name] if rows.height < _SOME else rows[name].unique()
        news = {value for value in texts.to_list() if value is not None} - innocent
        if guilty := [value for value in news if says.search(value)]:
            found[name] = guilty
        if len(innocent) > _REMEMBERED:
            innocent.clear()
        innocent.update(value for value in news.difference(guilty) if len(value) <= _SHORT)
    return found


def _reason(not_a_ticket: dict[str, list[str]]) -> pl.Expr:
    all_in, base = pl.col("total_price"), pl.col("price")
    return (
        pl.when(base < 0).then(pl.lit("negative_price"))
        .when(base == 0).then(pl.lit("zero_price"))
        .when(pl.col("fees") < 0).then(pl.lit("negative_fees"))
        .when(all_in <= 0).then(pl.lit("total_not_positive"))
        .when(pl.max_horizontal(all_in, base) > HIGHEST_PLAUSIBLE).then(pl.lit("implausibly_high"))
        .when(pl.any_horizontal(pl.lit(False), *(pl.col(name).is_in(values) for name, values in not_a_ticket.items())))
        .then(pl.lit("not_a_ticket"))
        .alias("reason")
    )  # fmt: skip


def _plausible(rows: pl.DataFrame) -> bool:
    """Whether the prices of all rows may be true, as far as each says itself."""
    base, all_in, fees = (rows[name] for name in ("price", "total_price", "fees"))
    least: Any = (base.min(), all_in.min(), fees.min() or 0)
    most: Any = (base.max(), all_in.max())
    return bool(least[0] > 0 and least[1] > 0 and least[2] >= 0 and max(most) <= HIGHEST_PLAUSIBLE)


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(rows that may be true, rows that cannot with their `reason`: a fact of the row alone), each in the order given."""
    not_a_ticket = _not_a_ticket(rows)
    if not rows.height or (not not_a_ticket and _plausible(rows)):
        return rows, rows.clear().hstack([pl.Series("reason", [], dtype=pl.String)])
    judged = rows.with_columns(_reason(not_a_ticket))
    return judged.filter(pl.col("reason").is_null()).drop("reason"), judged.filter(pl.col("reason").is_not_null())


MOST_LISTINGS = 50_000
"""Listings that an event may have in one chain, those that are doubted among them. Arenas have at most twice as many seats;
past it, a new listing is held and nothing of it is remembered, so that no event can fill the memory."""


class Run(NamedTuple):
    """Doubted prices of one listing that agree: within a fifth of the `first`, each observed later than the one before."""

    first: int
    newest: int
    ids: tuple[int, ...]


Group = tuple[str, str, str]
"""(section, currency, level) of listings that are neighbours. An event-level price has no section."""


class Listings(dict[str, "Last"]):
    """An event's listings in one chain, each with its newest accepted row; and what the next row is doubted by.

    The usual price of a group is the median of its last 24 hourly medians; an hour's median is that of the listings
    whose newest accepted price was observed in it, when the chain's first row of a later hour ends it. A median is the
    lower of the two in the middle. All of it is whole numbers and follows from the chain's order alone.
    """

    __slots__ = ("_currencies", "_hourly", "_usual", "runs", "until")

    def __init__(self) -> None:
        self.until = NEVER
        """When the hour ends that the chain's rows are in."""
        self.runs: dict[str, Run] = {}
        self._hourly: dict[Group, list[tuple[int, int]]] = {}
        self._usual: dict[Group, int] = {}
        self._currencies: dict[str, list[str]] = {}

    def end_hour(self, time: int) -> None:
        """End the hour: `time`, of the row to be judged next, lies in a later one."""
        began, prices = self.until - HOUR, defaultdict[Group, list[int]](list)
        for observed, _, total, _, place in self.values():
            if observed >= began:
                prices[_group(place)].append(total)
        for group, totals in prices.items():
            self._hourly.setdefault(group, []).append((began, _median(totals)))
        self.until = time - time % HOUR + HOUR
        self._settle()

    def _settle(self) -> None:
        oldest = self.until - (_HOURS + 1) * HOUR
        kept = {group: [one for one in medians if one[0] >= oldest] for group, medians in self._hourly.items()}
        self._hourly = {group: medians for group, medians in kept.items() if medians}
        self._usual = {group: _median([price for _, price in medians]) for group, medians in self._hourly.items()}

    @property
    def is_full(self) -> bool:
        """Whether the event may have no other listing."""
        return len(self) + len(self.runs) >= MOST_LISTINGS

    def doubt(self, place: Place, last: Last | None, total: int) -> str | None:
        """Why a listing's new price is doubted, or None. One within four times its last price never is."""
        known = self._currencies.setdefault(place.source, [place.currency])
        if place.currency not in known:
            return "another_currency"
        own = None if last is None else _beside(last[2], total)
        return own or _beside(self._usual.get(_group(place)), total)

    def persists(self, listing: str, place: Place, time: int, total: int, price_id: int, enough: int) -> Run | None:
        """Count a doubted price; when it is the last of `enough` that agree, the run is over and returned.

        With it, the currency is one that the source uses for this event.
        """
        run = self.runs.get(listing)
        if run is not None and time <= run.newest:
            return None
        if run is not None and 5 * abs(total - run.first) <= run.first:
            run = Run(run.first, time, (*run.ids, price_id))
        else:
            run = Run(total, time, (price_id,))
        if len(run.ids) < enough:
            self.runs[listing] = run
            return None
        self.runs.pop(listing, None)
        if place.currency not in self._currencies[place.source]:
            self._currencies[place.source].append(place.currency)
        return run

    def dump(self) -> tuple[object, ...]:
        """Everything, as plain values for msgpack; it shares them with the live state."""
        return self.until, self, self.runs, list(self._hourly.items()), self._currencies

    @classmethod
    def load(cls, dumped: Any, last: Any) -> Listings:
        """What `dump` gave; `last` makes a listing's newest row of its plain values."""
        listings = cls()
        listings.until, rows, runs, hourly, listings._currencies = dumped
        listings.update((listing, last(values)) for listing, values in rows.items())
        listings.runs = {listing: Run(first, newest, tuple(ids)) for listing, (first, newest, ids) in runs.items()}
        listings._hourly = {tuple(group): [tuple(one) for one in medians] for group, medians in hourly}
        listings._settle()
        return listings


def _group(place: Place) -> Group:
    return ((place.section or "") if place.level == "listing" else "", place.currency, place.level)


def _median(prices: list[int]) -> int:
    return sorted(prices)[(len(prices) - 1) // 2]


def _beside(usual: int | None, total: int) -> str | None:
    """Why a price is doubted beside another one."""
    if usual is None or usual <= 4 * total < 200 * usual:
        return None
    if total >= 50 * usual:
        return "hundred_times"
    return "hundredth" if 50 * total <= usual else "under_quarter"
