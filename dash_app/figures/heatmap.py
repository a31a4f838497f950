"""Where the cheap tickets are: sections by rows."""

from __future__ import annotations

import html
import re
from typing import Any, NamedTuple

import plotly.graph_objects as go  # type: ignore[import-untyped]
import polars as pl

from dash_app import text
from dash_app.figures.theme import Scheme

MOST_SECTIONS, MOST_ROWS = 30, 40
NO_ROW, NO_SECTION = "no row", "No section"
_HEIGHT, _ROOM = 22, 308  # pixels of a row at least, and of all rows where few could be higher
_DIGITS = re.compile(r"(\d+)")
_SCALES = {  # the cheap stand out; the dear fade into the card
    "light": ["#3730a3", "#4f46e5", "#818cf8", "#c7d2fe", "#eef0fb"],
    "dark": ["#c7d2fe", "#a5a3ff", "#6d6ae0", "#3f3d86", "#26263f"],
}


class Places(NamedTuple):
    """What a heat map shows.

    Attributes:
        cells: section, row, price (the cheapest), count (of listings) and key (of the cheapest), one row a cell.
        sections, rows: those shown, in their order.
        all_sections, all_rows: how many there are.
    """

    cells: pl.DataFrame
    sections: list[str]
    rows: list[str]
    all_sections: int
    all_rows: int


def natural(name: str) -> tuple[tuple[int, int, int, str], ...]:
    """For sorting as people count: 9 before 10, A before B before AA, numbers before letters."""
    parts = [part for part in _DIGITS.split(name.casefold().strip()) if part.strip()]
    return tuple(
        (0, len(p.lstrip("0")), 0, p.lstrip("0")) if p.isdecimal() else (1, 0, _length(name), p) for p in parts
    )


def _length(name: str) -> int:
    """Rows of letters count on after Z: AA, BB. Longer names are words."""
    return len(name.strip()) if len(name.strip()) <= 2 else 1


def places(listings: pl.DataFrame) -> Places:
    """The cheapest listing of each row of the cheapest sections, from `Offers.listings` (the cheapest first).

    Sections of one name, however it is written, are one. Of more than 30 sections those with the cheapest tickets are kept,
    of more than 40 rows the first; what nobody names has a section or row of its own at the end.
    """
    named = listings.select(
        "all_in", "key", "area", row=pl.col("row").str.strip_chars().replace("", None).fill_null(NO_ROW),
        section=pl.col("section").first().over("area"),
    ).with_columns(pl.when(pl.col("area").is_null()).then(pl.lit(NO_SECTION)).otherwise("section").alias("section"))  # fmt: skip
    cheapest = named.group_by("section").agg(pl.col("all_in").min()).sort("all_in", "section")["section"]
    kept = sorted(cheapest.head(MOST_SECTIONS), key=lambda name: (name == NO_SECTION, natural(name), name))
    shown = named.filter(pl.col("section").is_in(kept))
    rows = sorted(shown["row"].unique(), key=lambda name: (name == NO_ROW, natural(name), name))
    first = [*rows[: MOST_ROWS - 1], rows[-1]] if len(rows) > MOST_ROWS else rows
    cells = (
        shown.filter(pl.col("row").is_in(first))
        .group_by("section", "row", maintain_order=True)
        .agg(price=pl.col("all_in").first(), count=pl.len(), key=pl.col("key").first())
    )
    return Places(cells, kept, first, cheapest.len(), len(rows))


def heatmap(where: Places, scheme: Scheme, currency: str, *, dark: bool) -> go.Figure:
    """The cheapest all-in price of each place; a click on a cell gives its listing's key (`customdata`)."""
    row_of = {name: n for n, name in enumerate(where.rows)}
    section_of = {name: n for n, name in enumerate(where.sections)}
    z: list[list[float | None]] = [[None] * len(where.rows) for _ in where.sections]
    keys: list[list[str | None]] = [[None] * len(where.rows) for _ in where.sections]
    said: list[list[str]] = [[""] * len(where.rows) for _ in where.sections]
    for section, row, price, count, key in where.cells.iter_rows():
        down, across = section_of[section], row_of[row]
        z[down][across], keys[down][across] = price, key
        listings = "1 listing" if count == 1 else f"{count} listings, the cheapest"
        said[down][across] = (
            f"{_label(section)} · {_label(row)}<br>{listings} {html.escape(text.money(price, currency))}"
        )
    prices = where.cells["price"]
    low, high = (prices.quantile(share) for share in (0.02, 0.9)) if prices.len() else (0.0, 1.0)
    tall = max(len(where.sections), 3)
    scale: Any = _SCALES["dark" if dark else "light"]
    figure = go.Figure(
        go.Heatmap(
            x=_labels(["–" if name == NO_ROW else name for name in where.rows]), y=_labels(where.sections), z=z, text=said,
            customdata=keys, colorscale=scale, zmin=low, zmax=high if high != low else (high or 0) + 1, xgap=2, ygap=2,
            hoverongaps=False, showscale=high != low, hovertemplate="%{text}<extra></extra>",
            colorbar={"thickness": 8, "len": 1, "outlinewidth": 0, "tickprefix": html.escape(text.symbol(currency)),
                      "tickformat": ",.0f", "nticks": 5, "tickfont": {"color": scheme.muted, "size": 11}, "orientation": "h",
                      "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "lenmode": "pixels"},
        )
    )  # fmt: skip
    figure.data[0].colorbar.len = 180
    figure.update_layout(
        template=scheme.template, height=80 + max(_HEIGHT * tall, min(2 * _HEIGHT * tall, _ROOM)), hovermode="closest",
        margin={"l": 0, "r": 0, "t": 40, "b": 0},
        xaxis={"type": "category", "fixedrange": True, "automargin": True, "side": "bottom", "tickangle": 0,
               "tickfont": {"size": 11}},
        yaxis={"type": "category", "fixedrange": True, "automargin": True, "autorange": "reversed", "showgrid": False,
               "tickfont": {"size": 11}, "ticklabelstandoff": 6, "dtick": 1},
    )  # fmt: skip
    return figure


def _labels(names: list[str]) -> list[str]:
    """Labels that differ, also where what differs is cut off: an axis takes the same label for the same place."""
    labels: list[str] = []
    for name in names:
        label = _label(name)
        while label in labels:
            label += "\u200b"
        labels.append(label)
    return labels


def _label(name: str) -> str:
    return html.escape(name if len(name) <= 18 else name[:17] + "…")
