"""Ticketmaster, Discovery API v2: the price ranges of one event a call.

Sources: developer.ticketmaster.com (Discovery API), recorded exchanges of Ticketmaster's own SDK (tests/data/ticketmaster).

- Looks go to `GET /events/{id}`: documented, and its 404 is a certain answer. The list has an `id` filter, too, but it
  is documented as one id ("ID(s) separated by comma" is said of `attractionId` and `venueId` only), and nothing was
  found that shows several at work; Ticketmaster's Android library takes a list of event ids, whose form is not shown.
- `locale=*`: an event is found in any language; without it, one that is not in English can be a 404.
- `priceRanges` tells bands of face value by type and currency, for the event as a whole; for most events in the United
  States it has been absent since 2025. "standard including fees" is the all-in band of "standard".
- The list goes no deeper than 1,000 (`size × page < 1000`).
- `Rate-Limit-Available` and `Rate-Limit-Reset` (epoch milliseconds) stand in the headers; a day has 5,000 calls, a
  second 2 to 5. Addresses hold the key, and so does the body of a 429.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import httpx

from connectors.budget import Ledger, Quota
from connectors.http import Http, Reply
from connectors.source import (
    Answer,
    Budget,
    Held,
    Listed,
    Missing,
    PriceEvent,
    Query,
    Refused,
    SourceError,
    Target,
    Unavailable,
)
from connectors.sources._common import (
    ask,
    count,
    day,
    dig,
    items,
    link,
    moment,
    money,
    observed,
    says,
    text,
    utcnow,
    within,
)
from settings import Settings

NAME = "ticketmaster"
PAGE = 200
DEPTH = 1000
QUOTA_HOLD = 3600.0
"""After a used-up quota whose end was not told."""

_WITH_FEES = " including fees"
_LONGEST_TYPE = 100  # with its currency it is the id of a listing, which has 200 characters at most
_CLOSED = {"offsale": "off sale", "postponed": "postponed"}


class _Unknown(Missing):
    """Ticketmaster knows no such event."""


def from_settings(settings: Settings) -> TicketmasterSource | None:
    """The source as it is configured; None without a key."""
    if settings.ticketmaster_api_key is None:
        return None
    key = settings.ticketmaster_api_key.get_secret_value()
    return TicketmasterSource(key, settings.ticketmaster_url, calls_a_day=settings.ticketmaster_calls_a_day)


class TicketmasterSource:
    """Ticketmaster; see `Source`. Prices are face value, in the currency that Ticketmaster names.

    The type "standard" is the event's own observation (`level` "event"): `price` its lowest, `total_price` and `fees`
    when the band with fees is given, `highest_price` the band's upper end. Every other type (VIP, platinum, resale …) is
    a listing of its own with the type as its `section`, so that its prices are never compared with the standard ones.

    Args:
        key: the API key.
        base_url: of the Discovery API.
        calls_a_day, calls_a_second: the budget.
        timeout, attempts, sleep: as of `Http`.
        now: the time, in UTC.
    """

    name = NAME
    searchable = True

    def __init__(
        self,
        key: str,
        base_url: str = "https://app.ticketmaster.com/discovery/v2",
        *,
        calls_a_day: int = 5000,
        calls_a_second: float = 2.0,
        timeout: float = 20.0,
        attempts: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self.budget = Budget(calls_a_day, calls_a_second)
        self.ledger = Ledger(self.budget, lambda: now().timestamp(), sleep)
        self._now = now
        self._http = Http(
            "Ticketmaster",
            self.ledger,
            base_url,
            secrets=(key,),
            judge=self._judge,
            on_headers=self._count,
            params={"apikey": key, "locale": "*"},
            timeout=timeout,
            attempts=attempts,
            sleep=sleep,
        )

    def look(self, targets: Sequence[Target]) -> Answer:
        """See `Source.look`."""
        answer = Answer()
        for target in targets:
            self._look(target.id, answer)
        return answer

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        """See `Source.search`; the soonest first. A venue costs one more call."""
        params: dict[str, str | int] = {"sort": "date,asc", "size": min(max(limit, 1), PAGE)}
        if query.text is not None:
            params["keyword"] = query.text
        if query.city is not None:
            params["city"] = query.city
        if query.venue is not None:
            body = ask(self._http, "/venues", {"keyword": query.venue, "size": PAGE}, "TICKETMASTER_URL")
            named = [v for v in items(body, "_embedded", "venues") if says(text(v.get("name")), query.venue)]
            if not (ids := [id for venue in named if (id := text(venue.get("id")))]):
                return []  # an empty filter would be none
            params["venueId"] = ",".join(ids)
        # The filter is in UTC, and the query in the venue's time: a day more on each side, and `within` decides.
        since = f"{query.since - timedelta(days=1)}T00:00:00Z" if query.since is not None else None
        if query.until is not None:
            params["endDateTime"] = f"{query.until + timedelta(days=2)}T00:00:00Z"
        found: dict[str, Listed] = {}
        for event in self._events(params, since):
            listed = _listed(event)
            if listed is not None and within(listed, query):
                found[listed.id] = listed
            if len(found) >= limit:
                break
        return list(found.values())[:limit]

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    def _look(self, id: str, answer: Answer) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", id):
            answer.gone[id] = "this is no id of Ticketmaster's"
            return
        try:
            event = self._http.get(f"/events/{id}")
        except _Unknown:
            answer.gone[id] = "Ticketmaster knows no such event"
            return
        found, listed = text(dig(event, "id")), _listed(event)
        if found is None:
            raise Unavailable("Ticketmaster: the answer holds no event")
        if found != id:
            answer.unpriced[id] = f"Ticketmaster answered with another event; follow {found} instead"
            return
        if listed is None:
            answer.unpriced[id] = "Ticketmaster gives it no name"
            return
        answer.listed.append(listed)
        prices = list(_prices(items(event, "priceRanges")))
        if listed.status in ("cancelled", "canceled"):
            answer.gone[id] = "cancelled"
        elif listed.status in _CLOSED:
            answer.unpriced[id] = _CLOSED[listed.status]
        elif not prices:
            answer.unpriced[id] = "Ticketmaster gives no price"
        else:
            now = self._now()
            answer.prices += [observed(listed, now, **price) for price in prices]

    def _events(self, params: dict[str, str | int], since: str | None) -> Iterator[dict[str, Any]]:
        """Every event of a search, soonest first. Beyond the deepest page the search begins anew at the last one's start."""
        seen: set[str] = set()
        size = int(params["size"])
        while True:
            window = params if since is None else {**params, "startDateTime": since}
            last = None
            for page in range(DEPTH // size):
                body = ask(self._http, "/events", {**window, "page": page}, "TICKETMASTER_URL")
                pages = count(dig(body, "page", "totalPages"))
                if pages is None:
                    raise Unavailable("Ticketmaster: the answer holds no page of events")
                events = items(body, "_embedded", "events")
                fresh = [event for event in events if text(event.get("id")) not in {None, *seen}]
                seen |= {str(event["id"]) for event in fresh}
                yield from fresh
                starts = [start for event in events if (start := moment(dig(event, "dates", "start", "dateTime")))]
                last = max([*starts, *([last] if last else [])], default=None)
                if not fresh or page + 1 >= pages:
                    return
            if last is None or (since := f"{last:%Y-%m-%dT%H:%M:%SZ}") == window.get("startDateTime"):
                return

    def _count(self, headers: httpx.Headers) -> None:
        reset = self._reset(headers)
        left = headers.get("Rate-Limit-Available", "")
        if reset is not None and re.fullmatch(r"-?[0-9]{1,9}", left):
            self.ledger.told(Quota(int(left), reset))

    def _reset(self, headers: httpx.Headers) -> float | None:
        """When the quota begins anew, in Unix seconds."""
        reset = headers.get("Rate-Limit-Reset", "")
        return int(reset) / 1000 if re.fullmatch(r"[0-9]{1,15}", reset) else None

    def _judge(self, reply: Reply) -> SourceError | None:
        fault = text(dig(reply.body, "fault", "detail", "errorcode")) or ""
        if reply.status == 401:
            return Refused("the key was refused (401); check TICKETMASTER_API_KEY")
        if reply.status == 429 and "QuotaViolation" in fault:
            reset, now = self._reset(reply.headers), self._now().timestamp()
            wait = QUOTA_HOLD if reset is None else min(max(reset - now, 60.0), 86_400.0)
            return Held("the day's quota is used up (429)", wait)
        if reply.status == 429 and "SpikeArrest" in fault:
            return Unavailable("too many requests at once (429)", 1.0)
        if reply.status == 404 and dig(reply.body, "errors", 0, "code") == "DIS1004":
            return _Unknown("there is no such event")
        return None


def _prices(ranges: list[dict[str, Any]]) -> Iterator[PriceEvent]:
    """The price fields of each type and currency."""
    bands: dict[tuple[str, str], dict[bool, tuple[float, float | None]]] = {}
    for band in ranges:
        kind, currency = (text(band.get("type")) or "other").lower(), band.get("currency")
        lowest, highest = money(band.get("min")), money(band.get("max"))
        if lowest is None or not isinstance(currency, str) or not re.fullmatch("[A-Z]{3}", currency):
            continue
        with_fees = kind.endswith(_WITH_FEES)
        band_of = bands.setdefault((kind.removesuffix(_WITH_FEES)[:_LONGEST_TYPE], currency), {})
        band_of.setdefault(with_fees, (lowest, highest if highest is not None and highest >= lowest else None))
    for (kind, currency), found in bands.items():
        (lowest, highest), (all_in, _) = found.get(False) or found[True], found.get(True) or (None, None)
        price: PriceEvent = {"price": lowest, "currency": currency, "highest_price": highest}
        if all_in is not None and all_in >= lowest:
            price |= {"total_price": all_in, "fees": round(all_in - lowest, 6) if False in found else None}
        if kind != "standard":
            price |= {"level": "listing", "section": kind, "listing_id": f"{kind}-{currency}"}
        yield price


def _listed(event: Any) -> Listed | None:
    id, name = text(dig(event, "id")), text(dig(event, "name"))
    if id is None or name is None:
        return None
    start, venue = dig(event, "dates", "start"), dig(event, "_embedded", "venues", 0)
    undated = any(dig(start, flag) for flag in ("dateTBD", "dateTBA"))
    untimed = undated or any(dig(start, flag) for flag in ("timeTBA", "noSpecificTime"))
    return Listed(
        NAME,
        id,
        name,
        venue=text(dig(venue, "name")),
        city=text(dig(venue, "city", "name")),
        state=text(dig(venue, "state", "stateCode")) or text(dig(venue, "state", "name")),
        local_date=None if undated else day(dig(start, "localDate")),
        starts=None if untimed else moment(dig(start, "dateTime")),
        performers=tuple(name for act in items(event, "_embedded", "attractions") if (name := text(act.get("name")))),
        url=link(dig(event, "url")),
        status=text(dig(event, "dates", "status", "code")),
    )
