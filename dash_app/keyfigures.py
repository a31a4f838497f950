"""The figures at the top of an event, worked out from snapshots of its minute windows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

_PLACE = ["source", "section", "level"]


@dataclass(frozen=True)
class KeyFigures:
    """What an event costs now. Amounts are all-in per ticket, changes in percent; None where nothing is known.

    Attributes:
        get_in: the cheapest ticket, with the section ('' for none) and source that have it.
        typical: average over the places' latest windows, weighted by listings.
        hour_change: of the typical price, over the places that had prices an hour ago too.
        start_change: the same since the first prices.
        listings: distinct listings in the last minute window.
        sources: who offers it now, in order.
    """

    get_in: float | None
    get_in_section: str | None
    get_in_source: str | None
    typical: float | None
    highest: float | None
    hour_change: float | None
    start_change: float | None
    listings: int | None
    sources: tuple[str, ...]


def key_figures(now: pl.DataFrame, hour_ago: pl.DataFrame, start: pl.DataFrame) -> KeyFigures:
    """The figures from three `loaders.snapshot` frames."""
    places, whole = now.filter(pl.col("source") != ""), now.filter(pl.col("source") == "")
    cheapest = places.sort("low").row(0, named=True) if places.height else {}
    return KeyFigures(
        get_in=cheapest.get("low"),
        get_in_section=cheapest.get("section"),
        get_in_source=cheapest.get("source"),
        typical=_typical(places),
        highest=places["high"].max() if places.height else None,  # type: ignore[arg-type] # a float column's maximum
        hour_change=_change(hour_ago, places),
        start_change=_change(start, places),
        listings=int(whole["listings"][0]) if whole.height else None,
        sources=tuple(sorted(set(places["source"].to_list()))),
    )


def _typical(places: pl.DataFrame, column: str = "average") -> float | None:
    weight = places["listings"].clip(lower_bound=1)
    return float((places[column] * weight).sum()) / float(weight.sum()) if places.height else None


def _change(before: pl.DataFrame, places: pl.DataFrame) -> float | None:
    """Only places seen at both times count: new, dearer sections must not look like a rise."""
    both = places.join(before.select(*_PLACE, before="average"), on=_PLACE, how="inner")
    old, new = _typical(both, "before"), _typical(both)
    return (new - old) / old * 100 if old and new is not None else None
