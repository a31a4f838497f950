"""What an event offers now.

A listing is what the flow takes for one (`analytics.schema.listing_key`); observations of a whole event are none. Its
newest observation says what it costs. Nobody tells when a listing is gone, so that follows from who no longer sees it
(`still_there`).
"""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from weakref import WeakKeyDictionary

import polars as pl

from analytics.deals import Past, with_deals
from analytics.matching import same_seats
from analytics.schema import listing_key, to_units
from dash_app.database import Database, DatabaseAwayError, NotReadyError
from dash_app.loaders.schemas import TIME, Schema

SEEN: Schema = {
    "id": pl.Int64, "event_id": pl.String, "source": pl.String, "section": pl.String, "row": pl.String, "seat": pl.String,
    "price": pl.Int64, "fees": pl.Int64, "total_price": pl.Int64, "currency": pl.String, "quantity": pl.Int64,
    "timestamp": TIME, "listing_id": pl.String, "listing_url": pl.String, "delivery_method": pl.String,
    "seller_notes": pl.String, "level": pl.String, "first": TIME, "looks": pl.Int64,
}  # fmt: skip
"""The newest observation of each listing, money in micros; it was observed `looks` times since `first`."""
LOOKED: Schema = {"source": pl.String, "last": TIME, "patience": pl.Duration("us")}
PATH: Schema = {"time": TIME, "price": pl.Float64}

_DAY, _SHORTEST = timedelta(days=1), timedelta(minutes=2)
_DAYS_OF_HISTORY = 30
_WHOLE_SECONDS, _FORGET_SECONDS = 60.0, 30.0

# Ordered and limited, so that Postgres reads the index from its end, however many rows the event has. With `>=` it joins
# by the listings' names: by equal times it would compare all of one look with each other.
_SEEN = """
WITH recent AS MATERIALIZED (
    SELECT *, coalesce('#' || listing_id, concat_ws(chr(31), '@', coalesce(section, chr(29)), coalesce("row", chr(29)),
                                                    coalesce(seat, chr(29)))) AS own
    FROM price_history
    WHERE event_id = %(event)s AND level = 'listing'
      AND "timestamp" >= greatest((SELECT max("timestamp") FROM price_history WHERE event_id = %(event)s) - interval '1 day',
                                  %(since)s::timestamptz - interval '2 minutes')
    ORDER BY "timestamp" DESC LIMIT 100000
), newest AS MATERIALIZED (
    SELECT source, currency, own, max("timestamp") AS at, min("timestamp") AS first,
           count(*) FILTER (WHERE "timestamp" > coalesce(%(since)s::timestamptz, '-infinity')) AS looks
    FROM recent GROUP BY source, currency, own
)
SELECT id, event_id, source, section, "row", seat, (price * 1000000)::bigint, (fees * 1000000)::bigint,
       (total_price * 1000000)::bigint, currency, quantity, "timestamp", listing_id, listing_url, delivery_method, seller_notes,
       level, first, looks
FROM recent JOIN newest USING (source, currency, own) WHERE "timestamp" >= at
"""

# Hour by hour by the primary key: an event of many sections has many windows, and these are few of them.
_PAST = """
SELECT (avg_price * 1000000)::float8
FROM generate_series(date_trunc('hour', %(until)s::timestamptz) - %(span)s::interval, %(until)s, interval '1 hour') AS hour
JOIN price_windows ON event_id = %(event)s AND window_seconds = 3600 AND window_start = hour AND source = ''
    AND section = '' AND level = 'listing' AND currency = %(currency)s
"""

_PATH = """
SELECT previous_timestamp, old_price::float8, "timestamp", new_price::float8 FROM price_changes
WHERE event_id = %(event)s AND source = %(source)s AND currency = %(currency)s AND level = 'listing'
  AND listing_id IS NOT DISTINCT FROM %(listing_id)s
  AND (listing_id IS NOT NULL OR (section IS NOT DISTINCT FROM %(section)s AND "row" IS NOT DISTINCT FROM %(row)s
                                  AND seat IS NOT DISTINCT FROM %(seat)s))
ORDER BY "timestamp" DESC LIMIT 500
"""


@dataclass(frozen=True)
class Offers:
    """What an event offers, as of its newest observation.

    Attributes:
        listings: those still there, in `currency`, the cheapest first: `SEEN` with `listing`, `key` (a short name of it),
            `all_in`, `base` and `fee` in units, the percent that the fees are of the base price, and what
            `analytics.deals.with_deals` adds.
        currency: of most listings.
        left_out: how many listings are in each other currency.
        looked: `LOOKED`, of each source that has listings.
        past: the event's hourly averages of the last 30 days.
        as_of: when the newest observation was.
    """

    listings: pl.DataFrame
    currency: str
    left_out: dict[str, int]
    looked: pl.DataFrame
    past: Past | None
    as_of: datetime | None

    @cached_property
    def version(self) -> str:
        """When it was so, and after a slash a word that changes when a listing does; that it was seen again is no change."""
        told = self.listings.select(
            "listing", "total_price", "price", "quantity", "section", "row", "seat", pl.col("score").round()
        )
        at = int(self.as_of.timestamp() * 1e6) if self.as_of else 0
        return f"{at}/{told.hash_rows(seed=5).sum():x}" if told.height else f"{at}/"

    @cached_property
    def level(self) -> float | None:
        """The average all-in price, in units."""
        return self.listings["all_in"].mean()  # type: ignore[return-value] # a float column's mean

    @cached_property
    def pairs(self) -> pl.DataFrame:
        """`analytics.matching.same_seats` of the listings."""
        return same_seats(self.listings)


def still_there(seen: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The listings of `SEEN` that are still there, and `LOOKED`.

    A source comes back to a listing at its own rhythm: the median of its listings' mean times between two looks. A listing
    is gone when its source, by its last look at the event, had not seen it for twice that long: two minutes at least, and a
    day at most, or as long as the source has seen nothing twice.
    """
    between = (pl.col("timestamp") - pl.col("first")) / (pl.col("looks") - 1)
    looked = seen.group_by("source").agg(
        last=pl.col("timestamp").max(),
        patience=(2 * between.filter(pl.col("looks") > 1).median()).fill_null(_DAY).clip(_SHORTEST, _DAY),
    )
    looked = looked.select(pl.col(name).cast(kind) for name, kind in LOOKED.items()).sort("source")
    there = seen.join(looked, on="source").filter(pl.col("timestamp") >= pl.col("last") - pl.col("patience"))
    return there.select(seen.columns), looked


def observed(database: Database, event_id: str, before: pl.DataFrame | None = None) -> pl.DataFrame:
    """The listings of the event's last day in the columns of `SEEN`, and `listing`; of 100,000 observations at most.

    Args:
        before: what this gave before; then only what came since is asked for, and what came up to two minutes late.
    """
    since = None if before is None else before["timestamp"].max()
    came = database.frame(_SEEN, {"event": event_id, "since": since}, SEEN).with_columns(listing_key())
    if before is not None:
        came = pl.concat([before, came]).with_columns(
            pl.col("first").min().over("listing"), pl.col("looks").sum().over("listing")
        )
    # Of two observations of one moment the later of the log counts.
    return came.sort("timestamp", "id").unique("listing", keep="last", maintain_order=True)


def offers(database: Database, event_id: str) -> Offers:
    """What the event offers now."""
    return offered(database, event_id, observed(database, event_id))


def offered(database: Database, event_id: str, seen: pl.DataFrame) -> Offers:
    """What an event of which `observed` gave `seen` offers."""
    there, looked = still_there(seen)
    counts = there["currency"].value_counts().sort("count", "currency", descending=[True, False])
    currency = str(counts["currency"][0]) if counts.height else "USD"
    ours = there.filter(pl.col("currency") == currency)
    as_of: datetime | None = seen["timestamp"].max()  # type: ignore[assignment] # a time column's maximum
    past = _past(database, event_id, currency, as_of) if as_of else None
    priced = with_deals(ours, past).with_columns(
        to_units("total_price")[0].alias("all_in"),
        to_units("price")[0].alias("base"),
        fee=pl.when(pl.col("price") > 0).then(pl.col("fees") / pl.col("price") * 100),
        key=_keys(ours["listing"]),
    )
    return Offers(
        priced.sort("total_price", "listing"), currency, dict(counts.slice(1).iter_rows()), looked, past, as_of
    )


def path(database: Database, listing: dict[str, object]) -> pl.DataFrame:
    """What a listing of `Offers.listings` has cost: time and all-in price at each change, oldest first, until it was last
    seen. At most its last 500 changes."""
    names = ("source", "currency", "listing_id", "section", "row", "seat")
    asked = {"event": listing["event_id"], **{name: listing[name] for name in names}}
    changes = database.rows(_PATH, asked)[::-1]
    points = [(changes[0][0], changes[0][1])] if changes else [(listing["first"], listing["all_in"])]
    points += [(at, new) for _, _, at, new in changes]
    points.append((listing["timestamp"], listing["all_in"]))
    return pl.DataFrame(points, schema=PATH, orient="row").unique("time", keep="last").sort("time")


def _past(database: Database, event_id: str, currency: str, until: datetime) -> Past | None:
    asked = {"event": event_id, "currency": currency, "until": until, "span": f"{_DAYS_OF_HISTORY} days"}
    return Past.of(pl.Series([row[0] for row in database.rows(_PAST, asked)], dtype=pl.Float64))


def _keys(listings: pl.Series) -> pl.Series:
    digests = [hashlib.blake2b(name.encode(), digest_size=9).hexdigest() for name in listings]
    return pl.Series(digests, dtype=pl.String)


@dataclass
class _Kept:
    seen: pl.DataFrame
    offers: Offers
    due: float  # to be asked for again; times are of this process's clock
    whole: float  # when all of the day was asked for
    used: float


class SharedOffers:
    """Offers as all viewers of a process share them, from any thread.

    One thread asks for an event at a time, and while it does the others are given what there is: nobody waits but who comes
    first. An answer is kept for ten times as long as it took, two seconds at least. Once a minute the whole day is asked for
    again: what is late, or was released from quarantine or taken back, is seen by then.
    """

    def __init__(self, database: Database, most: int = 24) -> None:
        self._database, self._most = database, most
        self._kept: dict[str, _Kept] = {}
        self._asking: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, event_id: str, at_least: str | None = None) -> Offers:
        """An event's offers, at least as new as the version `at_least` (which another process may have shown).

        Raises:
            DatabaseAwayError, NotReadyError: they are not known, and the database does not answer.
        """
        with self._lock:
            asking = self._asking.setdefault(event_id, threading.Lock())
        kept = self._fit(event_id, at_least)
        if kept is None:
            with asking:
                kept = self._fit(event_id, at_least) or self._ask(event_id)  # another may have while we waited
        elif time.monotonic() >= kept.due and asking.acquire(blocking=False):
            threading.Thread(target=self._ask_again, args=(event_id, asking), daemon=True, name="offers").start()
        kept.used = time.monotonic()
        return kept.offers

    def _fit(self, event_id: str, at_least: str | None) -> _Kept | None:
        kept = self._kept.get(event_id)
        if kept is None or time.monotonic() - kept.due > _FORGET_SECONDS:
            return None
        return None if at_least and newer(at_least, kept.offers.version) else kept

    def _ask_again(self, event_id: str, asking: threading.Lock) -> None:
        try:
            self._ask(event_id)
        except (DatabaseAwayError, NotReadyError):
            pass  # the shell says so
        finally:
            asking.release()

    def _ask(self, event_id: str) -> _Kept:
        kept, began = self._kept.get(event_id), time.monotonic()
        before = kept if kept is not None and began - kept.whole < _WHOLE_SECONDS else None
        seen = observed(self._database, event_id, before.seen if before else None)
        found = offered(self._database, event_id, seen)
        ended = time.monotonic()
        due = ended + max(2.0, 10 * (ended - began))
        new = _Kept(seen, found, due, before.whole if before else began, ended)
        with self._lock:
            self._kept[event_id] = new
            while len(self._kept) > self._most:
                oldest = min(self._kept, key=lambda name: self._kept[name].used)
                del self._kept[oldest]
                self._asking.pop(oldest, None)
        return new


def differs(version: str, shown: str) -> bool:
    """Whether a version has to be drawn where another is shown: another process may have shown something newer."""
    return version.partition("/")[2] != shown.partition("/")[2] and not newer(shown, version)


def newer(version: str, than: str) -> bool:
    """Whether a version is of a later observation than another."""
    first, second = (one.partition("/")[0] for one in (version, than))
    return first.isdecimal() and second.isdecimal() and int(first) > int(second)


_shared: WeakKeyDictionary[Database, SharedOffers] = WeakKeyDictionary()
_sharing = threading.Lock()


def shared(database: Database) -> SharedOffers:
    """The one of this database in this process."""
    with _sharing:
        return _shared.setdefault(database, SharedOffers(database))
