"""What an event offers now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from dash import html

from dash_app import text
from dash_app.loaders.listings import Offers
from dash_app.views.aria import DECORATION, named
from dash_app.views.cards import figure_tile, nothing
from dash_app.views.deal import deal_pill, explanation, verdict

MOST_TOGETHER, MOST_SAME = 7, 20
_HOUR = 3600.0


def summary(found: Offers, zone: str) -> str:
    """What is on sale, who sells it, and what is left out, in a sentence or two."""
    there = found.listings
    if there.is_empty():
        return "No listing is on sale."
    sources = [text.source_name(name) for name in sorted(there["source"].unique())]
    parts = [f"{_listings(there.height)} at {_joined(sources)}", f"all-in per ticket in {found.currency}",
             f"as of {text.clock(found.as_of, zone, '%H:%M')}"]  # fmt: skip
    if found.left_out:
        parts.append("left out: " + ", ".join(f"{count:,} in {name}" for name, count in found.left_out.items()))
    late = [
        f"{text.source_name(source)} last looked at {text.clock(last, zone, '%H:%M')}"
        for source, last, _ in found.looked.iter_rows()
        if found.as_of is not None and (found.as_of - last).total_seconds() > _HOUR
    ]
    return " · ".join(parts + late)


def together_list(listings: pl.DataFrame, number: int, currency: str) -> Any:
    """The cheapest of the listings that have `number` tickets, with what the party pays."""
    if listings.is_empty():
        return nothing("No listing on sale." if number == 1 else f"No listing has {number} tickets together.")
    return html.Ol(
        [_offer(row, number, currency) for row in listings.head(MOST_TOGETHER).iter_rows(named=True)],
        className="offers",
    )


def _offer(row: Mapping[str, Any], number: int, currency: str) -> html.Li:
    total = text.money(row["all_in"] * number, currency)
    each = f"{text.money(row['all_in'], currency)} each" if number > 1 else "per ticket, all-in"
    where = text.place(row["section"], row["row"], row["seat"])
    return html.Li(
        html.Button(
            [
                html.Span([html.Strong(total), html.Span(each, className="each")], className="cost"),
                html.Span([html.Span(where, className="where", dir="auto"),
                           html.Span(f"{text.source_name(row['source'])} · {_tickets(row['quantity'])}", className="who")],
                          className="what"),
                deal_pill(row["score"]),
            ],
            type="button", className="offer", **{"data-listing": row["key"]},
        )
    )  # fmt: skip


def same_groups(found: Offers) -> pl.DataFrame:
    """The seats that several sources offer, those with most to save first.

    Columns: section, row, seats (in common), offers (keys, the cheapest first), low, high, save (high - low).
    """
    prices = found.listings.select("listing", "key", "all_in")
    place = ["section", "row", "seats"]
    ends = pl.concat([found.pairs.select(*place, listing=name) for name in ("listing", "other_listing")])
    return (
        ends.unique()
        .join(prices, on="listing")
        .sort("all_in", "key")
        .group_by(place, maintain_order=True)
        .agg(offers=pl.col("key"), low=pl.col("all_in").min(), high=pl.col("all_in").max())
        .with_columns(save=pl.col("high") - pl.col("low"))
        .sort("save", *place[:2], "low", descending=[True, False, False, False])
    )


def same_list(groups: pl.DataFrame, found: Offers) -> Any:
    """The seats of `same_groups`, each with its offers, the cheapest first."""
    if groups.is_empty():
        return nothing(
            "No seats are on sale at more than one source. Seats are told apart by section, row and numbers."
        )
    shown = groups.head(MOST_SAME)
    offered = found.listings.filter(pl.col("key").is_in(shown["offers"].explode().implode()))
    rows = {row["key"]: row for row in offered.iter_rows(named=True)}
    return html.Ol([_same(group, rows, found.currency) for group in shown.iter_rows(named=True)], className="same")


def _same(group: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], currency: str) -> html.Li:
    offers = [rows[key] for key in group["offers"] if key in rows]
    first = offers[0]
    seats = group["seats"]
    numbers = (
        f"{seats[0]}–{seats[-1]}"
        if seats == list(range(seats[0], seats[-1] + 1)) and len(seats) > 1
        else ", ".join(map(str, seats))
    )
    saved = group["save"]
    note = f"save {text.money(saved, currency)} a ticket" if saved >= 0.005 else "same price"
    return html.Li(
        [
            html.Div([html.Span(text.place(first["section"], first["row"], numbers), className="where", dir="auto"),
                      html.Span(note, className=f"pill {'down' if saved >= 0.005 else 'flat'}")], className="head"),
            html.Ul([_seller(row, first, currency) for row in offers]),
        ]
    )  # fmt: skip


def _seller(row: Mapping[str, Any], best: Mapping[str, Any], currency: str) -> html.Li:
    price = text.money(row["all_in"], currency)
    more = row["all_in"] - best["all_in"]
    return html.Li(
        html.Button(
            [html.Span(text.source_name(row["source"]), className="who"),
             html.Span("" if row["quantity"] == best["quantity"] else _tickets(row["quantity"]), className="more"),
             html.Span(f"+{text.money(more, currency)}" if more >= 0.005 else "", className="more"),
             html.Strong(price)],
            type="button", className="seller" if more >= 0.005 else "seller best", **{"data-listing": row["key"]},
        )
    )  # fmt: skip


def target_note(prices: pl.Series, target: float | None, currency: str) -> str:
    """Where the viewer's price lies among the listings."""
    if prices.is_empty():
        return "No listing is on sale."
    if target is None:
        return "Type your price to see how many tickets it buys."
    fits = int((prices <= target).sum())
    if not fits:
        short = text.money(float(prices.min()) - target, currency)  # type: ignore[arg-type] # a float column's minimum
        return f"Nothing at {text.money(target, currency)} or less: the cheapest is {short} more."
    return (
        f"{fits:,} of {_listings(prices.len())} at {text.money(target, currency)} or less ({fits / prices.len():.0%})."
    )


def grid_rows(listings: pl.DataFrame, currency: str, zone: str) -> list[dict[str, Any]]:
    """Rows of the table, all of it words; links only such as are safe to follow."""
    return [_grid_row(row, currency, zone) for row in listings.iter_rows(named=True)]


def _grid_row(row: Mapping[str, Any], currency: str, zone: str) -> dict[str, Any]:
    word, tone = verdict(row["score"])
    return {
        "id": row["key"],
        "score": "" if row["score"] is None else f"{row['score']:.0f}",
        "word": word,
        "tone": tone,
        "price": text.money(row["all_in"], currency),
        "section": row["section"] or text.UNKNOWN,
        "row": row["row"] or text.UNKNOWN,
        "seat": row["seat"] or text.UNKNOWN,
        "place": text.place(row["section"], row["row"], row["seat"]),
        "tickets": row["quantity"],
        "fees": text.UNKNOWN if row["fee"] is None else f"{row['fee']:.0f}%",
        "than": text.UNKNOWN if row["percentile"] is None else f"{row['dearer'] / row['others']:.0%}",
        "sample": f"of {row['others']:,}",
        "source": text.source_name(row["source"]),
        "seen": text.clock(row["timestamp"], zone, "%H:%M"),
        "href": text.link(row["listing_url"]),
    }


def detail(
    row: Mapping[str, Any], found: Offers, elsewhere: Sequence[Mapping[str, Any]], zone: str, chart: Any
) -> list[Any]:
    """One listing: its price and why it is good or not, its price path, the same seats elsewhere, and the way to it."""
    currency, url = found.currency, text.link(row["listing_url"])
    said = explanation(row, currency, found.level, found.past)
    source = text.source_name(row["source"])
    base = f"{text.money(row['base'], currency)} + {text.money(row['all_in'] - row['base'], currency)} fees"
    facts = [
        figure_tile(
            "Tickets", str(row["quantity"]), f"{text.money(row['all_in'] * row['quantity'], currency)} for all"
        ),
        figure_tile(
            "Fees", text.UNKNOWN if row["fee"] is None else f"{row['fee']:.0f}%", "of the price" if row["fee"] else ""
        ),
        figure_tile("Seen", text.clock(row["timestamp"], zone, "%H:%M"), _date(row["timestamp"], zone)),
    ]
    others = [
        html.H3("The same seats elsewhere"),
        html.Ul([_seller(one, row, currency) for one in elsewhere], className="sellers"),
    ]
    words = [("Seller’s notes", row["seller_notes"]), ("Delivery", row["delivery_method"])]
    return [
        html.Div([html.Strong(text.money(row["all_in"], currency), className="amount"), deal_pill(row["score"])],
                 className="price"),
        html.P(base if row["fees"] is not None else "all-in, per ticket", className="base"),
        html.Ul([html.Li(sentence) for sentence in said], className="why"),
        html.H3("Its price so far"),
        chart,
        html.Dl(facts, className="tiles facts"),
        *(others if elsewhere else []),
        *[html.P([html.Span(f"{label}: ", className="label"), html.Span(value, dir="auto")], className="words")
          for label, value in words if value],
        html.A([f"Open at {source}", html.Span(" ↗", **DECORATION)], href=url, target="_blank", rel="noopener noreferrer",
               className="go", **named(f"Open this listing at {source}, in a new tab"))
        if url else html.P(f"{source} gave no link to this listing.", className="base"),
    ]  # fmt: skip


def gone() -> Any:
    """What stands where a listing was that is no longer there."""
    return nothing("This listing is gone: its source no longer sees it. Close this and look at what is on sale now.")


def _date(moment: datetime, zone: str) -> str:
    return text.clock(moment, zone, "%b %-d")


def _tickets(number: int) -> str:
    return f"{number} ticket{'s' * (number != 1)}"


def _listings(number: int) -> str:
    return f"{number:,} listing{'s' * (number != 1)}"


def _joined(names: Sequence[str]) -> str:
    return (
        names[0]
        if len(names) == 1
        else f"{', '.join(names[:-1])} and {names[-1]}"
        if len(names) < 5
        else f"{len(names)} sources"
    )
