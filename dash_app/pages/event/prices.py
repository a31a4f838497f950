"""What the chart is of: from what the controls, or the address, ask for to frames and a sentence about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from dash_app.database import Database
from dash_app.figures import SCHEMES
from dash_app.figures.price import MOST_LINES, Look, Metric, Other, Prices
from dash_app.lake import Lake
from dash_app.loaders import (
    alert_marks,
    currencies,
    doubt_marks,
    event_series,
    extent,
    find_event,
    history,
    line_series,
)
from dash_app.loaders.history import Basis
from dash_app.loaders.schemas import SERIES
from dash_app.page import View
from dash_app.pages.event.span import SIZES, USUAL, Reach, Span, reach

NO_SECTION = "(none)"
MOST_EVENTS = 6
_SIZE_WORDS = {60: "1-minute windows", 3600: "1-hour windows", 86400: "1-day windows"}


@dataclass(frozen=True)
class Asked:
    """What a person wants to see. Whatever an address may hold has been made one of the choices."""

    event: str
    span: str = USUAL
    size: int | None = None
    metric: Metric = "low"
    basis: Basis = "total"
    sections: Sequence[str] = ()
    sources: Sequence[str] = ()
    compare: Sequence[str] = ()
    aligned: bool = False
    currency: str | None = None
    zone: str = "UTC"
    scheme: str = "light"

    @classmethod
    def of(
        cls, event: str, *, span: str | None = None, window: str | None = None, metric: str | None = None,
        basis: str | None = None, sections: Sequence[str] | None = None, sources: Sequence[str] | None = None,
        compare: Sequence[str] | None = None, align: str | None = None, currency: str | None = None,
        zone: str | None = None, scheme: str | None = None,
    ) -> Asked:  # fmt: skip
        """What the controls' values come to."""
        return cls(
            event=event, span=span or USUAL, size={str(size): size for size in SIZES}.get(window or ""),
            metric="average" if metric == "average" else "low", basis="base" if basis == "base" else "total",
            sections=["" if name == NO_SECTION else name for name in sections or []], sources=list(sources or []),
            compare=[other for other in compare or [] if other != event][: MOST_EVENTS - 1],
            aligned=align == "days", currency=currency, zone=zone or "UTC",
            scheme="dark" if scheme == "dark" else "light",
        )  # fmt: skip

    @classmethod
    def in_view(cls, view: View) -> Asked | None:
        """What an address asks for; None when it names no event."""
        event = view.one("event")
        return event and cls.of(  # type: ignore[return-value] # '' is no event either
            event, span=view.one("range"), sections=view.many("section"), sources=view.many("source"),
            align=view.one("align"), currency=view.one("currency"),
        )  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What the chart shows and, in a sentence, what that is; `away` when it would have more, did the lake answer."""

    prices: Prices
    look: Look
    note: str
    away: bool = False


def shown(database: Database, lake: Lake, asked: Asked) -> Shown | None:
    """What to draw; None for an event without a price. Raises what loaders raise."""
    money, ends = currencies(database, asked.event), extent(database, asked.event)
    if not money or ends is None:
        return None
    currency = asked.currency if asked.currency in money else money[0]
    own = _event(database, asked.event)
    aligned = asked.aligned and own["date"] is not None
    within, theirs = _reaches(database, asked, own["date"] if aligned else None, ends)
    words = [_money_words(asked, currency), "days before the event" if aligned else f"{asked.zone.replace('_', ' ')} time",
             _SIZE_WORDS[within.seconds] + (", as smaller ones would be too many" if within.coarser else "")]  # fmt: skip
    if asked.aligned and not aligned:
        words.append("this event's date is not known, so there are no days to count")
    if len(money) > 1:
        words.append(f"prices in {', '.join(code for code in money if code != currency)} are left out")
    event, lines, source = _windows(database, lake, asked, asked.event, within, currency)
    others, left_out = _others(database, lake, asked, theirs, currency, aligned=aligned)
    if (count := lines.select("source", "section", "level").n_unique()) > MOST_LINES:
        words.append(f"the {MOST_LINES} busiest of {count} lines")
    words += [*left_out, *([source] if source else [])]
    prices = Prices(event, lines, name=own["name"] or asked.event, others=others)
    if not asked.compare:
        marked = (asked.event, currency, within.since, within.to, asked.basis)
        prices = replace(prices, alerts=alert_marks(database, *marked), doubts=doubt_marks(database, *marked))
    elif not asked.sections:
        prices = replace(prices, lines=lines.clear())  # an event is a line
    look = Look(
        scheme=SCHEMES[asked.scheme], currency=currency, zone=asked.zone, seconds=within.seconds, metric=asked.metric,
        revision=f"{asked.event}/{currency}/{aligned}", placed=asked.span, shown=within.shown,
        starts=own["date"] if aligned else None,
    )  # fmt: skip
    return Shown(prices, look, " · ".join(words), away=source == history.AWAY)


def observations(database: Database, lake: Lake, asked: Asked) -> pl.DataFrame:
    """Every price in what is shown, in the columns of `history.OBSERVATIONS`: of the chosen time, sections and sources,
    in every currency unless one was chosen. Raises what loaders raise."""
    ends = extent(database, asked.event)
    if ends is None:
        return pl.DataFrame(schema=history.OBSERVATIONS)
    starts = _event(database, asked.event)["date"]
    within = reach(Span.of(asked.span, aligned=asked.aligned and starts is not None), *ends, None, starts)
    since, to = within.shown or (within.since, within.to)
    return history.observations(
        database, lake, asked.event, since, to, sections=asked.sections, sources=asked.sources, currency=asked.currency
    )


def _windows(
    database: Database, lake: Lake, asked: Asked, event: str, within: Reach, currency: str
) -> tuple[pl.DataFrame, pl.DataFrame, str | None]:
    """The whole event's windows, those of its places, and what is to be said of them."""
    ours = event == asked.event
    sections, sources = (asked.sections, asked.sources) if ours else ((), ())
    if asked.basis == "base":
        span = {"since": within.since, "to": within.to, "seconds": within.seconds, "currency": currency}
        every, note = history.counted(database, lake, event, **span)  # type: ignore[arg-type]
        listings = every.filter(pl.col("level") == "listing")
        lines = every
        if sections or sources:
            lines, _ = history.counted(database, lake, event, **span, sections=sections, sources=sources)  # type: ignore[arg-type]
        return history.together(listings if listings.height else every), lines, note
    whole = event_series(database, event, within.seconds, currency, within.since, within.to)
    lines = pl.DataFrame(schema=SERIES)
    if ours or whole.is_empty():
        lines = line_series(database, event, within.seconds, currency, sections, sources, within.since, within.to)
    if whole.is_empty() and not ours:
        whole = history.together(lines)  # its sources tell of the event only, not of listings
    return whole, lines, None


def _reaches(
    database: Database, asked: Asked, starts: datetime | None, ends: tuple[datetime, datetime]
) -> tuple[Reach, dict[str, Reach]]:
    """What to load of the event and, by their ids, of those to compare with: the same times, or on an axis of days each
    event's own, in windows of one size."""
    span = Span.of(asked.span, aligned=starts is not None)
    if starts is None:
        within = reach(span, *ends, asked.size)
        return within, dict.fromkeys(asked.compare, within)
    known = {event: (extent(database, event), _event(database, event)["date"]) for event in asked.compare}
    spans = {asked.event: (*ends, starts)} | {e: (*there, date) for e, (there, date) in known.items() if there and date}
    size = max(reach(span, first, last, asked.size, date).seconds for first, last, date in spans.values())
    found = {event: reach(span, first, last, size, date) for event, (first, last, date) in spans.items()}
    return found.pop(asked.event), found


def _others(
    database: Database, lake: Lake, asked: Asked, reaches: dict[str, Reach], currency: str, *, aligned: bool
) -> tuple[list[Other], list[str]]:
    """The events to compare with, and which of them cannot be."""
    found, left_out = [], []
    for event in asked.compare:
        row = _event(database, event)
        name = row["name"] or event
        if currency not in currencies(database, event):
            left_out.append(f"{name} has no prices in {currency}")
        elif aligned and row["date"] is None:
            left_out.append(f"the date of {name} is not known")
        elif event in reaches:
            whole, _, _ = _windows(database, lake, asked, event, reaches[event], currency)
            found.append(Other(event, name, whole, row["date"]))
    return found, left_out


def _event(database: Database, event: str) -> dict[str, Any]:
    rows = find_event(database, event)
    return rows.row(0, named=True) if rows.height else {"event_id": event, "name": None, "venue": None, "date": None}


def _money_words(asked: Asked, currency: str) -> str:
    if asked.basis == "total":
        return f"All-in price per ticket in {currency}"
    return f"Price without fees per ticket in {currency}, counted from each observation, anew every 15 seconds"
