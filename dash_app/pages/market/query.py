"""What a viewer wants to see of the market, as the address says it, and the rows that answer it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from dash_app.page import View

WHENS = ("upcoming", "7", "30", "90", "all")
# What can be sorted by, and the column that it is.
SORTS = {
    "name": "folded_name", "price": "price", "change": "change", "history": "against", "listings": "listings",
    "date": "date", "seen": "seen",
}  # fmt: skip
_UNDER_WAY = timedelta(hours=6)  # an event that has begun is still one to come for so long


@dataclass(frozen=True)
class Query:
    """One look at the market.

    Attributes:
        words: all of them stand in the name, the venue or the id, whatever their case and accents.
        when: one of `WHENS`; a number is days from now. Events whose date nobody told are always among them.
        sources: one of them at least offers the event; none means any.
        most: the get-in price is at most this, in the event's own currency.
        sort: one of `SORTS`, with "-" in front when the largest come first.
    """

    words: str = ""
    when: str = "upcoming"
    sources: tuple[str, ...] = ()
    most: float | None = None
    sort: str = "date"

    @classmethod
    def of(cls, view: View) -> Query:
        """The query of an address; what it does not know of counts as not said."""
        return cls(
            words=(view.one("q") or "")[:200],
            when=view.one("when", WHENS) or "upcoming",
            sources=tuple(view.many("source")),
            most=_number(view.one("most")),
            sort=view.one("sort", [sign + name for name in SORTS for sign in ("", "-")]) or "date",
        )


def folded(text: pl.Expr) -> pl.Expr:
    """Text in lower case and without accents."""
    return text.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()


def answer(market: pl.DataFrame, query: Query, now: datetime) -> pl.DataFrame:
    """The rows of `table.market` that the query asks for, in its order; what is not known comes last either way."""
    asked: list[pl.Expr] = []
    if query.words.strip():
        words = pl.select(folded(pl.lit(query.words))).item().split()
        asked += [pl.col("haystack").str.contains(word, literal=True) for word in words]
    if query.when != "all":
        asked.append(pl.col("date").is_null() | (pl.col("date") >= now - _UNDER_WAY))
    if query.when.isdigit():
        asked.append(pl.col("date").is_null() | (pl.col("date") < now + timedelta(days=int(query.when))))
    if query.sources:
        asked.append(pl.col("sources").list.eval(pl.element().is_in(query.sources)).list.any())
    if query.most is not None:
        asked.append(pl.col("price") <= query.most)
    found = market.filter(*asked) if asked else market
    down = query.sort.startswith("-")
    by = [SORTS[query.sort.removeprefix("-")], "folded_name", "event_id"]
    return found.sort(by, descending=[down, False, False], nulls_last=True)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
