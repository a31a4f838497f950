"""How good a price is: its percentile among comparable listings, and a score from 0 to 100.

A listing is compared with the others of its section when there are `ENOUGH` of them, else with those of the same kind of
place ("100s", "floor"), else with all of the event; never with itself. The score is

    score = 100 · (½ + ¾ · n / (n + 5) · (place - ½) + ¼ · h / (h + 24) · (time - ½))
    place = (rank + saving) / 2
    rank  = (dearer + ties / 2) / n
    saving = ½ + (middle - price) / middle, from 0 to 1

- n is how many others there are, `dearer` and `ties` how many of them cost more or the same, `middle` their median.
  The rank knows the order and not how far apart prices are; the saving knows that, and an outlier bends it little, as it
  ends at half the median and at one and a half of it. Each makes up for the other's weakness, hence their mean.
- `time` is where today's average price of the whole event lies in its own history: 1 at its lowest hour or under, ½ at the
  median hour, 0 at its highest or over, straight between. h is how many hours the history has. It is the same for all
  listings of an event: it tells a cheap day from a dear one, and the place counts thrice as much.
- Each part counts by its evidence: x / (x + k) is 0 for nothing known, ½ for k. What is not known is neither good nor
  bad: ½. So few listings or a short history give scores near 50 instead of loud ones.

A lower price never has a lower score, all else equal: rank, saving and time each only rise when a price falls. Among
listings that are compared with the same ones, the cheaper never has the lower score, either: without itself, the
cheaper one's others have a median at least as high.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from analytics.alerts import COMPARABLE
from analytics.rules import section_key

ENOUGH = COMPARABLE
"""So many others are no small sample; the same that a rule's `deal` needs."""

DEAL_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "among": pl.String,
    "others": pl.Int64,
    "cheaper": pl.Int64,
    "dearer": pl.Int64,
    "middle": pl.Float64,
    "percentile": pl.Float64,
    "score": pl.Float64,
}
"""What `with_deals` adds. `among` is what a listing is compared with: "section", "kind" or "event". `others` is how many
listings those are, `cheaper` and `dearer` how many of them cost less and more, `middle` their median in micros.
`percentile` is the share of them that cost less, from 0 to 1. `middle`, `percentile` and `score` are null without others."""

_HALF_PLACE = 5.0
_HALF_TIME = 24.0
_LADDER: tuple[tuple[str, list[str]], ...] = (("section", ["area"]), ("kind", ["kind"]), ("event", []))


@dataclass(frozen=True)
class Past:
    """Hourly average prices of an event, in micros: the lowest, the median and the highest, of so many hours."""

    low: float
    typical: float
    high: float
    hours: int

    @classmethod
    def of(cls, hourly: pl.Series) -> Past | None:
        """The history of hourly averages; None without any."""
        known = hourly.drop_nulls()
        if known.is_empty():
            return None
        low, typical, high = (float(value) for value in (known.min(), known.median(), known.max()))  # type: ignore[arg-type]
        return cls(low, typical, high, known.len())

    def place(self, level: float) -> float:
        """Where a price lies: 1 at the lowest or under, ½ at the median, 0 at the highest or over."""
        far = self.typical - (self.low if level < self.typical else self.high)
        if far == 0:  # the history never went that way
            return 0.5 + (level < self.typical) / 2 - (level > self.typical) / 2
        share = min((self.typical - level) / far, 1.0)
        return 0.5 + share / 2 if level < self.typical else 0.5 - share / 2


def area(section: str | None) -> str | None:
    """A section's name as it is compared: "Sec. 101", "Section 101" and "101" are one; None without a name."""
    return section_key(section or "") or None


def kind(section: str | None) -> str | None:
    """What kind of place a section is, by its name alone: "100s" for 101 to 199, "floor" for Floor A; else its name."""
    name = area(section)
    if name is None:
        return None
    if name.isascii() and name.isdigit():
        return f"{int(name[-9:]) // 100 * 100}s"
    first, _, rest = name.partition(" ")
    return first if rest else name


def with_deals(listings: pl.DataFrame, past: Past | None = None) -> pl.DataFrame:
    """Add the columns of `DEAL_SCHEMA`, and each listing's `area` and `kind` of place.

    Args:
        listings: what is for sale now of one event in one currency: `section` and `total_price` (micros, positive).
        past: the event's history, if there is one.

    Returns:
        The listings in the order given.
    """
    names = listings.get_column("section").unique()
    places = pl.DataFrame(
        {"section": names, "area": [area(name) for name in names], "kind": [kind(name) for name in names]},
        schema={"section": pl.String, "area": pl.String, "kind": pl.String},
    )
    known = listings.with_row_index("_n").join(
        places, on="section", how="left", nulls_equal=True, maintain_order="left"
    )
    found: pl.DataFrame | None = None
    left = known.select("_n", "area", "kind", "total_price")
    for among, by in _LADDER:
        compared = _compared(left, by).with_columns(among=pl.lit(among))
        if by:
            compared = compared.filter(pl.col(by[0]).is_not_null() & (pl.col("others") >= ENOUGH))
        compared = compared.drop("area", "kind", "total_price")
        fresh = compared if found is None else compared.join(found, on="_n", how="anti")
        found = fresh if found is None else pl.concat([found, fresh])
    assert found is not None
    level = listings["total_price"].mean()
    time = 0.0
    if past is not None and level is not None:
        time = _trust(past.hours, _HALF_TIME) * (past.place(float(level)) - 0.5)  # type: ignore[arg-type]
    others, price, middle = pl.col("others"), pl.col("total_price"), pl.col("middle")
    rank = (pl.col("dearer") + (others - pl.col("cheaper") - pl.col("dearer")) / 2) / others
    saving = (0.5 + (middle - price) / middle).clip(0.0, 1.0)
    place = others / (others + _HALF_PLACE) * ((rank + saving) / 2 - 0.5)
    scored = known.join(found, on="_n", how="left", maintain_order="left").with_columns(
        percentile=pl.when(others > 0).then(pl.col("cheaper") / others),
        score=pl.when(others > 0).then((100 * (0.5 + 0.75 * place + 0.25 * time)).clip(0.0, 100.0)),
    )
    return scored.select(
        *listings.columns, "area", "kind", *(pl.col(name).cast(kind) for name, kind in DEAL_SCHEMA.items())
    )


def _trust(known: float, half: float) -> float:
    """How much so many observations count: 0 for none, ½ for `half`, nearly 1 for many."""
    return known / (known + half)


def _compared(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """Each row against the others of its group: `others`, `cheaper`, `dearer` and `middle`."""
    price = pl.col("total_price")
    if not by:
        rows, by = rows.with_columns(_all=pl.lit(0)), ["_all"]
    ordered = rows.sort(*by, "total_price").with_row_index("_at").with_columns(
        others=pl.len().over(by).cast(pl.Int64) - 1,
        first=pl.col("_at").min().over(by).cast(pl.Int64),
        cheaper=price.rank("min").over(by).cast(pl.Int64) - 1,
        dearer=pl.len().over(by).cast(pl.Int64) - price.rank("max").over(by).cast(pl.Int64),
    )  # fmt: skip
    # In the sorted group without the row itself, the k-th price is the k-th, or the next one behind the row's place.
    own = pl.col("_at").cast(pl.Int64) - pl.col("first")
    middles = []
    for name, k in (("lower", (pl.col("others") - 1) // 2), ("upper", pl.col("others") // 2)):
        at = pl.col("first") + k + (k >= own).cast(pl.Int64)
        ordered = ordered.with_columns(price.gather(pl.when(pl.col("others") > 0).then(at)).alias(name))
        middles.append(pl.col(name))
    return ordered.with_columns(middle=(middles[0] + middles[1]) / 2).drop(
        "_at", "first", "lower", "upper", "_all", strict=False
    )
