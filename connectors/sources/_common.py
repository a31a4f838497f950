"""What connectors share: reading what a source says (every value is what it should be, or None), and telling of it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.http import Http
from connectors.source import Listed, Missing, PriceEvent, Query, Refused

LEAST, MOST = 1e-6, 999_999_999.0
"""Amounts that the decoder can tell from zero, and takes."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,18})?")


def utcnow() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def dig(value: Any, *path: str | int) -> Any:
    """What stands at `path` of decoded JSON, objects by name and arrays by position; None where the path breaks off."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def items(value: Any, *path: str | int) -> list[dict[str, Any]]:
    """The objects of the array at `path`."""
    found = dig(value, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(value: Any, most: int = 200) -> str | None:
    """Text without control characters and outer blanks, `most` characters of it; a whole number is text, too."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 1 << 63 else ""
    if not isinstance(value, str):
        return None
    return _UNPRINTABLE.sub(" ", value).strip()[:most].strip() or None


def money(value: Any) -> float | None:
    """An amount above zero, from a number or a decimal text. What is no price is none: never zero."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if LEAST <= value <= MOST else None


def count(value: Any) -> int | None:
    """A whole number, zero or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= 10**12 else None


def link(value: Any) -> str | None:
    """A web address; nothing that a browser would run."""
    address = text(value, 2000)
    return address if address and re.match(r"https?://[^\s/]", address, re.IGNORECASE) else None


def moment(value: Any) -> datetime | None:
    """A time of ISO 8601, between 1970 and 2200; one without an offset is UTC."""
    try:
        found = datetime.fromisoformat(value)
        found = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 1970 <= found.year < 2200 else None


def day(value: Any) -> date | None:
    """The date of a date or time of ISO 8601, as it stands there."""
    try:
        found = date.fromisoformat(value[:10])
    except (TypeError, ValueError):
        return None
    return found if 1970 <= found.year < 2200 else None


def says(value: str | None, wanted: str) -> bool:
    """Whether every word of `wanted` stands in a name, in any order, whatever its case and accents."""
    return set(_words(wanted)) <= set(_words(value or ""))


def _words(value: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", value)
    return re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)).casefold())


def within(listed: Listed, query: Query) -> bool:
    """Whether an event's local date is one that the query asks for."""
    if query.since is None and query.until is None:
        return True
    on = listed.local_date
    return on is not None and (query.since or on) <= on <= (query.until or on)


def ask(http: Http, path: str, params: Mapping[str, str | int], setting: str) -> Any:
    """The JSON of a list or a search, which is never `Missing`: what is not there then is the address.

    Args:
        setting: the environment variable that holds the address.

    Raises:
        Unavailable, Held, Refused: see there.
    """
    try:
        return http.get(path, params)
    except Missing as error:
        raise Refused(f"{error}; check {setting}") from None


def observed(listed: Listed, now: datetime, **prices: Any) -> PriceEvent:
    """A price event of an event as a whole, seen `now`."""
    return {
        "event_id": listed.id,
        "event_name": listed.name,
        "venue": listed.venue,
        "city": listed.city,
        "state": listed.state,
        "event_date": listed.starts.isoformat() if listed.starts is not None else None,
        "source": listed.source,
        "listing_url": listed.url,
        "timestamp": now.isoformat(),
        "level": "event",
        **prices,
    }
