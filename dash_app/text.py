"""Money, percentages, counts, places and times as words on the page. All pure."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from unicodedata import bidirectional
from urllib.parse import urlsplit

import polars as pl

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "CAD": "CA$", "AUD": "A$", "JPY": "¥", "CHF": "CHF "}
_SOURCES = {
    "seatgeek": "SeatGeek", "ticketmaster": "Ticketmaster", "stubhub": "StubHub", "viagogo": "viagogo",
    "mock": "Mock market", "vividseats": "Vivid Seats",
}  # fmt: skip
UNKNOWN = "—"


def symbol(currency: str) -> str:
    """What stands before an amount: "$" for USD, the code itself where no sign is common."""
    return _SYMBOLS.get(currency, f"{currency} ")


def money(amount: float | None, currency: str) -> str:
    """An amount with its currency: "$1,234.50"; cents are left out from 10,000 on."""
    if amount is None or not math.isfinite(amount):
        return UNKNOWN
    return f"{symbol(currency)}{amount:,.0f}" if abs(amount) >= 10_000 else f"{symbol(currency)}{amount:,.2f}"


def percent(change: float | None) -> str:
    """A signed percentage with an arrow, so that colour is never the only sign: "▼ −4.2%"."""
    if change is None or not math.isfinite(change):
        return UNKNOWN
    if abs(change) < 0.05:
        return "± 0.0%"
    return f"▲ +{change:,.1f}%" if change > 0 else f"▼ −{-change:,.1f}%"


def tone(change: float | None) -> str:
    """The style of a change: "down", "up" or "flat"."""
    if change is None or not math.isfinite(change) or abs(change) < 0.05:
        return "flat"
    return "up" if change > 0 else "down"


def count(number: float | None) -> str:
    """A whole number with separators, short from a million on: "1.2 M"."""
    if number is None or not math.isfinite(number):
        return UNKNOWN
    return f"{number / 1e6:,.1f} M" if abs(number) >= 1e6 else f"{number:,.0f}"


def duration(seconds: float | None) -> str:
    """A length of time in one unit: "0.4 s", "12 s", "3 min", "5 h", "2 d"."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    seconds = max(seconds, 0.0)
    for limit, size, unit in ((10, 1, "s"), (120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.1f} {unit}" if limit == 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} d"


def source_name(source: str) -> str:
    """A source as its owners write it."""
    return _SOURCES.get(source, source)


def isolated(name: str) -> str:
    """A name as part of a longer text: one that is written from the right keeps to itself, and turns nothing round."""
    return f"\u2068{name}\u2069" if any(bidirectional(sign) in {"R", "AL"} for sign in name) else name


def place(section: str | None, row: str | None = None, seat: str | None = None) -> str:
    """Where a seat is: "Sec 112 · Row F · Seats 4-5". What says itself what it is, as "Floor A", is left as it is."""
    parts = (("Sec", section), ("Row", row), ("Seats" if seat and re.search(r"\d\D+\d", seat) else "Seat", seat))
    named = [f"{name} {value}" if len(value) <= 4 or value[0].isdecimal() else value for name, value in parts if value]
    return " · ".join(named) or "No section"


def link(url: str | None) -> str | None:
    """The address if it is safe to follow: http or https with a host and nothing else; otherwise None."""
    if not url:
        return None
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    return url.strip() if parts.scheme.lower() in {"http", "https"} and parts.hostname else None


def local(times: pl.Series, zone: str) -> pl.Series:
    """Aware times as naive ones on the clock of `zone`; an unknown zone counts as UTC."""
    try:
        moved = times.dt.convert_time_zone(zone)
    except (pl.exceptions.PolarsError, ValueError):
        moved = times.dt.convert_time_zone("UTC")
    return moved.dt.replace_time_zone(None)


def clock(time: datetime | None, zone: str, form: str = "%H:%M:%S") -> str:
    """One aware time on the clock of `zone`."""
    return UNKNOWN if time is None else (time + _offset(int(time.timestamp()) // 900, zone)).strftime(form)


@lru_cache(maxsize=4096)
def _offset(quarter: int, zone: str) -> timedelta:
    """What a zone's clock is ahead of UTC in a quarter of an hour; clocks are turned at the start of one. Kept, as pages tell
    dozens of times at every tick."""
    moment = datetime.fromtimestamp(quarter * 900, UTC)
    moved: datetime = local(pl.Series([moment], dtype=pl.Datetime("us", "UTC")), zone)[0]
    return moved - moment.replace(tzinfo=None)
