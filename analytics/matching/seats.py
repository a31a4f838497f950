"""Which listings of different sources offer the same physical seats.

The event, section, row and seat numbers identify; price and text only stand beside the pair. Listings are linked, never
merged: each keeps its own prices.
"""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl
from rapidfuzz import fuzz

from analytics.matching.words import plain

PolarsType = pl.DataType | type[pl.DataType]

PAIR_SCHEMA: dict[str, PolarsType] = {
    "event_id": pl.String,
    "listing": pl.String,
    "source": pl.String,
    "other_listing": pl.String,
    "other_source": pl.String,
    "score": pl.Float64,
    "section": pl.String,
    "row": pl.String,
    "seats": pl.List(pl.Int32),
    "price_gap": pl.Float64,
    "notes_alike": pl.Float64,
}
"""A pair: two listings (`analytics.schema.listing_key`) of one event, `source` before `other_source` in the alphabet.

`score` is the share of the seats of either that both offer, 1 for the same seats. `section` and `row` are as compared,
`seats` are those in common. `price_gap` is how much the dearer one's all-in price is above the cheaper one's, as a share
of it (null in two currencies), `notes_alike` how alike the sellers' notes are, 0 to 1 (null without notes): evidence to
look at, which decides nothing.
"""

_MOST_SEATS = 16  # more are a block of the hall, not what somebody sells
_MOST_OFFERS = 8  # a seat that more listings offer is a seller's placeholder ("row 1, seats 1-2")
_SEAT = ["event_id", "section", "row", "seat"]
_PLACE = ["section", "row", "seat", "quantity"]


def latest(prices: pl.DataFrame) -> pl.DataFrame:
    """The newest row of each listing, by time and then by its place in the log.

    Args:
        prices: `analytics.schema.PRICE_SCHEMA` with `listing`.
    """
    return prices.sort("timestamp", "id").unique("listing", keep="last", maintain_order=True)


def same_seats(listings: pl.DataFrame) -> pl.DataFrame:
    """Pairs of listings of one event on different sources that offer a seat in common.

    Args:
        listings: price rows, `analytics.schema.PRICE_SCHEMA` with `listing`; of each listing the newest row counts.
            Pass what is for sale now: a sold ticket's seats would pair with those of its next seller.

    Returns:
        `PAIR_SCHEMA`, sorted by event and listings; the order of the rows that came in is irrelevant. Section, row and
        seats must all be known on both sides, so general admission is never linked. A seat that more than eight
        listings offer links nothing, which also bounds the work: a few pairs for each seat.
    """
    rows = latest(listings.filter(pl.col("level") == "listing")).with_row_index("n")
    offers = rows.join(_read(rows.select(_PLACE).unique()), on=_PLACE, nulls_equal=True).select(
        "n", "event_id", "source", "seats", section="section_read", row="row_read", size=pl.col("seats").list.len()
    )
    seats = offers.explode("seats").rename({"seats": "seat"})
    seats = seats.filter(pl.len().over(_SEAT) <= _MOST_OFFERS)
    shared = (
        seats.join(seats, on=_SEAT, suffix="_other")
        .filter(pl.col("source") < pl.col("source_other"))
        .group_by("n", "n_other")
        .agg(pl.first("section", "row", "size", "size_other"), seats=pl.col("seat").sort())
    )
    about = rows.select("n", "event_id", "listing", "source", "total_price", "currency", "seller_notes")
    low, high = (
        pl.min_horizontal("total_price", "total_price_other"),
        pl.max_horizontal("total_price", "total_price_other"),
    )
    return (
        shared.join(about, on="n")
        .join(about.drop("event_id"), left_on="n_other", right_on="n", suffix="_other")
        .with_columns(
            other_listing="listing_other",
            other_source="source_other",
            score=pl.col("seats").list.len() / (pl.col("size") + pl.col("size_other") - pl.col("seats").list.len()),
            price_gap=pl.when((pl.col("currency") == pl.col("currency_other")) & (low > 0)).then((high - low) / low),
            notes_alike=pl.struct("seller_notes", "seller_notes_other").map_batches(_notes_alike, pl.Float64),
        )
        .select(pl.col(name).cast(kind) for name, kind in PAIR_SCHEMA.items())
        .sort("event_id", "listing", "other_listing")
    )


def _read(places: pl.DataFrame) -> pl.DataFrame:
    """Places with what is read from their texts, without those that do not name seats."""
    read = {
        "section_read": [_section(text) for text in places["section"]],
        "row_read": [_row(text) for text in places["row"]],
        "seats": [_seats(text, count) for text, count in places.select("seat", "quantity").iter_rows()],
    }
    kinds: dict[str, PolarsType] = {"section_read": pl.String, "row_read": pl.String, "seats": pl.List(pl.Int32)}
    return places.hstack(pl.DataFrame(read, schema=kinds)).drop_nulls(list(kinds))


_UNSEATED = re.compile(r"\b(ga\d*|general admission|standing|lawn|unreserved|unassigned|open seating|any|tbd|tba)\b")
_LABEL = re.compile(r"\b(section|sect|sec|row)\b")
_WORD = re.compile(r"\d+|[^\W\d_]+")
_SHORT = {
    "orch": "orchestra", "mezz": "mezzanine", "balc": "balcony", "bal": "balcony", "lwr": "lower", "upr": "upper",
    "ctr": "center", "cntr": "center", "centre": "center", "rt": "right", "lft": "left", "lvl": "level", "flr": "floor",
    "fl": "floor", "bx": "box",
}  # fmt: skip


@lru_cache(maxsize=1 << 14)
def _section(text: str | None) -> str | None:
    """A section without "Sec." or "Section"; its words spelt out and sorted, its numbers in their order."""
    words = [_SHORT.get(word, word) for word in _words(text)]
    named, numbers = sorted(w for w in words if not w.isdigit()), [w.lstrip("0") or "0" for w in words if w.isdigit()]
    return " ".join(named + numbers) or None


@lru_cache(maxsize=1 << 14)
def _row(text: str | None) -> str | None:
    """A row without "Row"."""
    return " ".join(word.lstrip("0") or "0" for word in _words(text)) or None


def _words(text: str | None) -> list[str]:
    """The words and numbers of a section's or row's text; none where it says that there are no numbered places."""
    name = plain(text)
    return [] if _UNSEATED.search(name) else _WORD.findall(_LABEL.sub(" ", name))


_SEAT_WORDS = re.compile(r"\b(seats?|nos?|numbers?)\b\.?|#")
_RANGE = re.compile(r"\s*(?:-|\bto\b|\bthru\b|\bthrough\b)\s*")
_GAP = re.compile(r"\s*(?:[,;/+&\s]|\band\b)\s*")
_NUMBERED = re.compile(r"\d{1,4}(-\d{1,4})?")


def _seats(text: str | None, quantity: int | None) -> list[int] | None:
    """The seat numbers of "12-13", "12,13", "Seats 12 & 13"; None for anything else than numbers and ranges of them.

    Two tickets for "12-14" are 12 and 14: one side of the house has the even numbers.
    """
    bare = _SEAT_WORDS.sub(" ", (text or "").casefold().replace("–", "-").replace("—", "-")).strip()
    parts = _GAP.split(_RANGE.sub("-", bare))
    seats: set[int] = set()
    for part in parts:
        if not _NUMBERED.fullmatch(part):
            return None
        first, last = sorted((int(part.partition("-")[0]), int(part.rpartition("-")[2])))
        if last - first > 2 * _MOST_SEATS:
            return None
        every_other = len(parts) == 1 and last - first == 2 * ((quantity or 1) - 1)
        seats.update(range(first, last + 1, 2 if every_other else 1))
    return sorted(seats) if len(seats) <= _MOST_SEATS else None


def _notes_alike(notes: pl.Series) -> pl.Series:
    pairs = ((plain(pair["seller_notes"]), plain(pair["seller_notes_other"])) for pair in notes)
    return pl.Series([fuzz.token_sort_ratio(*pair) / 100 if all(pair) else None for pair in pairs], dtype=pl.Float64)
