"""Which listings a viewer wants to see, as the address says it, and those that answer it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from dash_app.figures.heatmap import natural
from dash_app.page import View

MOST_TOGETHER = 8
# What can be sorted by, and the columns that it is.
SORTS = {
    "price": ["total_price"], "deal": ["score"], "section": ["_section", "_row"], "row": ["_row", "_section"],
    "tickets": ["quantity"], "fees": ["fee"], "than": ["percentile"], "source": ["source"], "seen": ["timestamp"],
}  # fmt: skip
_LARGEST_FIRST = {"deal"}  # what a low value is no good of: the best come first


@dataclass(frozen=True)
class Query:
    """One look at an event's listings.

    Attributes:
        words: each stands in the section, row, seat, source, notes or delivery, whatever its case.
        sources: one of them sells it; none means any.
        most: the all-in price of a ticket is at most this.
        party: so many tickets at least.
        sort: one of `SORTS`, with "-" in front when the largest come first.
    """

    words: str = ""
    sources: tuple[str, ...] = ()
    most: float | None = None
    party: int = 1
    sort: str = "price"

    @classmethod
    def of(cls, view: View) -> Query:
        """The query of an address; what it does not know of counts as not said."""
        return cls(
            words=(view.one("q") or "")[:200],
            sources=tuple(view.many("at")),
            most=amount(view.one("most")),
            party=party(view.one("party")),
            sort=view.one("by", [sign + name for name in SORTS for sign in ("", "-")]) or "price",
        )


def amount(text: object) -> float | None:
    """A positive amount of money, or None."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def party(text: object) -> int:
    """How many go together: 1 to `MOST_TOGETHER`."""
    return int(str(text)) if str(text) in [str(number) for number in range(1, MOST_TOGETHER + 1)] else 1


def together(listings: pl.DataFrame, number: int) -> pl.DataFrame:
    """The listings that have so many tickets, in their order."""
    return listings.filter(pl.col("quantity") >= number)


def answer(listings: pl.DataFrame, query: Query) -> pl.DataFrame:
    """The listings that the query asks for, in its order; what is not known comes last either way."""
    asked = [pl.col("quantity") >= query.party]
    told = pl.concat_str(
        "section", "row", "seat", "source", "seller_notes", "delivery_method", separator=" ", ignore_nulls=True
    ).str.to_lowercase()
    asked += [told.str.contains(word, literal=True) for word in query.words.lower().split()]
    if query.sources:
        asked.append(pl.col("source").is_in(query.sources))
    if query.most is not None:
        asked.append(pl.col("all_in") <= query.most)
    found = listings.filter(*asked)
    by = SORTS[query.sort.removeprefix("-")]
    for name in ("section", "row"):
        if f"_{name}" in by:
            found = found.with_columns(_rank(found[name]).alias(f"_{name}"))
    down = query.sort.startswith("-")
    rest = ["total_price", "listing"]
    ordered = found.sort([*by, *rest], descending=[down] * len(by) + [False, False], nulls_last=True)
    return ordered.select(listings.columns)


def _rank(names: pl.Series) -> pl.Series:
    """Where each name stands among all of them, as people count."""
    ranks = {name: rank for rank, name in enumerate(sorted(names.drop_nulls().unique(), key=natural))}
    return names.replace_strict(ranks, default=None, return_dtype=pl.Int64)
