"""SeatGeek Platform v2: event-level prices, many events a call."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from connectors.budget import Ledger
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
from connectors.sources._common import count, day, dig, items, link, moment, money, text, utcnow
from settings import Settings

NAME = "seatgeek"


def from_settings(settings: Settings) -> SeatGeekSource | None:
    """The source as configured; None without a key."""
    if settings.seatgeek_api_key is None:
        return None
    return SeatGeekSource(
        settings.seatgeek_api_key.get_secret_value(), settings.seatgeek_url, calls_a_day=settings.seatgeek_calls_a_day
    )


class SeatGeekSource:
    """SeatGeek."""

    name = NAME
    searchable = True

    def __init__(
        self,
        client_id: str,
        base_url: str = "https://api.seatgeek.com/2",
        *,
        calls_a_day: int = 2000,
        calls_a_second: float = 1.0,
        timeout: float = 20.0,
        attempts: int = 3,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self.budget = Budget(calls_a_day, calls_a_second, targets_a_call=50)
        self.ledger = Ledger(self.budget, sleep=sleep)
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
            sleep=sleep,
        )

    def look(self, targets: Sequence[Target]) -> Answer:
        """See `Source.look`."""
        answer = Answer()
        asked = {target.id: target for target in targets if re.fullmatch(r"[0-9]{1,18}", target.id)}
        answer.gone = {target.id: "SeatGeek's ids are numbers" for target in targets if target.id not in asked}
        if not asked:
            return answer
        events, total = self._events({"id": ",".join(asked), "per_page": len(asked)})
        now = self._now()
        for event in events:
            target = asked.pop(text(event.get("id")) or "", None)
            if target is None:
                continue
            _read(event, target.id, now, answer)
        for target in asked.values():
            if total is None or total > len(events):
                answer.unpriced[target.id] = "SeatGeek's answer was not complete"
            elif target.starts is not None and target.starts > now:
                answer.unpriced[target.id] = "SeatGeek left it out, although the show is still to come"
            else:
                answer.gone[target.id] = "SeatGeek does not list it: it is over, or was never there"
        return answer

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        """See `Source.search`."""
        events, _ = self._events({"q": query.text or "", "per_page": limit})
        return [listed for event in events if (listed := _listed(event)) is not None]

    def close(self) -> None:
        """Let connections go."""
        self._http.close()

    def _events(self, params: dict[str, str | int]) -> tuple[list[dict[str, Any]], int | None]:
        try:
            body = self._http.get("/events", params)
        except Missing as error:
            raise Held(f"{error}; check SEATGEEK_URL", 3600) from None
        if not isinstance(dig(body, "events"), list):
            raise Unavailable("SeatGeek: the answer holds no list of events")
        return items(body, "events"), count(dig(body, "meta", "total"))


def _read(event: dict[str, Any], id: str, now: datetime, answer: Answer) -> None:
    listed = _listed(event)
    if listed is not None:
        answer.listed.append(listed)
    stats = event.get("stats")
    all_in, base = money(dig(stats, "lowest_price")), money(dig(stats, "lowest_sg_base_price"))
    if text(event.get("status")) in ("cancelled", "canceled"):
        answer.gone[id] = "cancelled"
    elif all_in is None:
        answer.unpriced[id] = "SeatGeek gives no price"
    else:
        price = base if base is not None and base <= all_in else None
        found: PriceEvent = {
            "event_id": id,
            "event_name": listed.name if listed else None,
            "venue": listed.venue if listed else None,
            "city": listed.city if listed else None,
            "state": listed.state if listed else None,
            "event_date": listed.starts.isoformat() if listed and listed.starts else None,
            "source": NAME,
            "price": all_in if price is None else price,
            "fees": None if price is None else round(all_in - price, 6),
            "total_price": all_in,
            "currency": "USD",
            "listing_url": listed.url if listed else None,
            "timestamp": now.isoformat(),
            "level": "event",
            "average_price": money(dig(stats, "average_price")),
            "median_price": money(dig(stats, "median_price")),
            "highest_price": money(dig(stats, "highest_price")),
            "listing_count": count(dig(stats, "listing_count")),
        }
        answer.prices.append(found)


def _listed(event: dict[str, Any]) -> Listed | None:
    id, name = text(event.get("id")), text(event.get("title"))
    if id is None or name is None:
        return None
    unknown = any(event.get(flag) for flag in ("time_tbd", "datetime_tbd", "date_tbd"))
    return Listed(
        NAME,
        id,
        name,
        venue=text(dig(event, "venue", "name")),
        city=text(dig(event, "venue", "city")),
        state=text(dig(event, "venue", "state")),
        local_date=day(event.get("datetime_local")),
        starts=None if unknown else moment(event.get("datetime_utc")),
        performers=tuple(name for p in items(event, "performers") if (name := text(p.get("name")))),
        url=link(event.get("url")),
        status=text(event.get("status")),
    )


def _judge(reply: Reply) -> SourceError | None:
    if reply.status == 403 and isinstance(reply.body, dict):
        return Refused("the key was refused; check SEATGEEK_API_KEY")
    return None
