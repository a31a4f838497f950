"""SeatGeek, Platform API v2: one price an event, many events a call.

Sources: platform.seatgeek.com, and what SeatGeek's staff and users found (github.com/seatgeek/api-support/issues).

- `GET /events?id=1,2,3` is a filter. A page holds 50 events at most (#158), although 1,000 were allowed once (#29).
  Whether `per_page` is heeded beside `id` is not documented: what a short page left out is asked for again.
- The list cannot be taken at its word. It was seen empty where there were events (#58, #63), and to answer with what
  another request had asked for (#162). An event that it leaves out is `gone` only when nothing speaks against it.
- `stats.lowest_price` includes fees, `stats.lowest_sg_base_price` does not: inferred from recorded pairs (187 and 141,
  15 and 5), not documented. Amounts are whole and without a currency: taken as US dollars, in which SeatGeek sells.
- Since May 2024 an ordinary key gets every price as null. That is no error: such an event is without a price.
- There is no endpoint for single listings (#70, #101).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from connectors.budget import Ledger
from connectors.http import Http, Reply
from connectors.source import Answer, Budget, Listed, PriceEvent, Query, Refused, SourceError, Target, Unavailable
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

NAME = "seatgeek"
PAGE = 50
_ROUNDS = 5  # a page of ten, the documented default, would need so many
_LOOK_SECONDS = 20.0
_PAGES = 20


def from_settings(settings: Settings) -> SeatGeekSource | None:
    """The source as it is configured; None without a key."""
    if settings.seatgeek_api_key is None:
        return None
    key = settings.seatgeek_api_key.get_secret_value()
    return SeatGeekSource(key, settings.seatgeek_url, calls_a_day=settings.seatgeek_calls_a_day)


class SeatGeekSource:
    """SeatGeek; see `Source`. Price events are of `level` "event", in US dollars.

    `total_price` is what the cheapest ticket costs with fees. `price` is that of the cheapest without, and `fees` the
    difference, when SeatGeek gives it; else `price` is the all-in price, too.

    Args:
        client_id: the key.
        base_url: of the API.
        calls_a_day, calls_a_second: the budget. SeatGeek publishes no limit, but has one (#161): be slow.
        timeout, attempts, sleep: as of `Http`.
        now: the time, in UTC.
    """

    name = NAME
    searchable = True

    def __init__(
        self,
        client_id: str,
        base_url: str = "https://api.seatgeek.com/2",
        *,
        calls_a_day: int = 2000,
        calls_a_second: float = 0.5,
        timeout: float = 20.0,
        attempts: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self.budget = Budget(calls_a_day, calls_a_second, targets_a_call=PAGE)
        self.ledger = Ledger(self.budget, lambda: now().timestamp(), sleep)
        self._now = now
        self._http = Http(
            "SeatGeek",
            self.ledger,
            base_url,
            secrets=(client_id,),
            judge=_judge,
            params={"client_id": client_id},
            timeout=timeout,
            attempts=attempts,
            within=_LOOK_SECONDS,
            sleep=sleep,
        )

    def look(self, targets: Sequence[Target]) -> Answer:
        """See `Source.look`."""
        left = {target.id: target for target in targets if re.fullmatch(r"[0-9]{1,18}", target.id)}
        answer = Answer(gone={t.id: "SeatGeek's ids are numbers" for t in targets if t.id not in left})
        doubtful, began = True, time.monotonic()
        for _ in range(_ROUNDS if left else 0):
            asked = len(left)
            events, total = self._events({"id": ",".join(left), "per_page": PAGE})
            now = self._now()
            for event in events:
                target = left.pop(text(event.get("id")) or "", None)
                if target is not None:
                    _read(event, target.id, now, answer)
            found, short = asked - len(left), total is None or total > len(events)
            doubtful = short or found != len(events) or (found == 0 and asked > 1)
            if not (left and found and short) or time.monotonic() - began > _LOOK_SECONDS:
                break
        for target in left.values():
            if target.starts is not None and target.starts > self._now():
                answer.unpriced[target.id] = "SeatGeek left it out, although the show is still to come"
            elif doubtful and target.starts is None:
                answer.unpriced[target.id] = "SeatGeek left it out of an answer that was not complete"
            else:
                answer.gone[target.id] = "SeatGeek lists it no more: it is over, or never was"
        return answer

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        """See `Source.search`; the soonest first. A venue costs one more call."""
        params: dict[str, str | int] = {"sort": "datetime_local.asc", "per_page": PAGE}
        if query.text is not None:
            params["q"] = query.text
        if query.city is not None:
            params["venue.city"] = query.city
        if query.since is not None:
            params["datetime_local.gte"] = query.since.isoformat()
        if query.until is not None:
            params["datetime_local.lte"] = f"{query.until}T23:59:59"
        if query.venue is not None:
            venues = items(ask(self._http, "/venues", {"q": query.venue, "per_page": PAGE}, "SEATGEEK_URL"), "venues")
            named = [venue for venue in venues if says(text(venue.get("name")), query.venue)]
            if not (ids := [id for venue in named if (id := text(venue.get("id")))]):
                return []  # an empty filter would be none
            params["venue.id"] = ",".join(ids)
        found: dict[str, Listed] = {}
        for page in range(1, _PAGES + 1):
            events, total = self._events({**params, "page": page})
            before = len(found)
            found |= {listed.id: listed for event in events if (listed := _listed(event)) is not None}
            if len(found) == before or len(found) >= limit or total is None or page * PAGE >= total:
                break
        return [listed for listed in found.values() if within(listed, query)][:limit]

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    def _events(self, params: dict[str, str | int]) -> tuple[list[dict[str, Any]], int | None]:
        """A page of events, and how many there are in all."""
        body = ask(self._http, "/events", params, "SEATGEEK_URL")
        if not isinstance(dig(body, "events"), list):
            raise Unavailable("SeatGeek: the answer holds no list of events")
        return items(body, "events"), count(dig(body, "meta", "total"))


def _read(event: dict[str, Any], id: str, now: datetime, answer: Answer) -> None:
    listed = _listed(event)
    if listed is None:
        answer.unpriced[id] = "SeatGeek gives it no name"
        return
    answer.listed.append(listed)
    if listed.status in ("cancelled", "canceled"):
        answer.gone[id] = "cancelled"
        return
    prices = _prices(event.get("stats"))
    if isinstance(prices, str):
        answer.unpriced[id] = prices
    else:
        answer.prices.append(observed(listed, now, **prices))


def _prices(stats: Any) -> PriceEvent | str:
    """The price fields, or why there are none."""
    all_in, base = money(dig(stats, "lowest_price")), money(dig(stats, "lowest_sg_base_price"))
    listings = count(dig(stats, "listing_count"))
    if listings == 0:
        return "no tickets are listed"
    if all_in is None:  # a price before fees alone would look like a drop beside the all-in prices of other looks
        return "SeatGeek gives no price" if base is None else "SeatGeek gives only a price before fees"
    prices = {
        "price": all_in,
        "total_price": all_in,
        "currency": "USD",
        "average_price": money(dig(stats, "average_price")),
        "median_price": money(dig(stats, "median_price")),
        "highest_price": money(dig(stats, "highest_price")),
        "listing_count": listings,
    }
    return prices if base is None or base > all_in else {**prices, "price": base, "fees": round(all_in - base, 6)}


def _listed(event: dict[str, Any]) -> Listed | None:
    id, name = text(event.get("id")), text(event.get("title")) or text(event.get("short_title"))
    if id is None or name is None:
        return None
    # While the time is not announced it stands there as 03:30.
    untimed = any(event.get(flag) for flag in ("time_tbd", "datetime_tbd", "date_tbd"))
    return Listed(
        NAME,
        id,
        name,
        venue=text(dig(event, "venue", "name")),
        city=text(dig(event, "venue", "city")),
        state=text(dig(event, "venue", "state")),
        local_date=None if event.get("date_tbd") else day(event.get("datetime_local")),
        starts=None if untimed else moment(event.get("datetime_utc")),
        performers=tuple(name for performer in items(event, "performers") if (name := text(performer.get("name")))),
        url=link(event.get("url")),
        status=text(event.get("status")),
    )


def _judge(reply: Reply) -> SourceError | None:
    if reply.status in (401, 403) and isinstance(reply.body, dict):
        code = text(dig(reply.body, "errors", 0, "code"))
        return Refused(
            f"the key was refused ({code or reply.status}); check SEATGEEK_API_KEY: it is the client id, and its account's "
            "e-mail address must be confirmed (seatgeek.com/account/develop)"
        )
    return None
