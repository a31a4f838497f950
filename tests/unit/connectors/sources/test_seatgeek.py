"""The SeatGeek connector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from connectors.source import Refused
from connectors.sources.seatgeek import SeatGeekSource
from tests.unit.connectors.sources.contract import KEY, ConnectorContract

STATS = {
    "listing_count": 312,
    "average_price": 187,
    "lowest_price": 120,
    "lowest_price_good_deals": 125,
    "highest_price": 960,
    "visible_listing_count": 301,
    "median_price": 164,
    "lowest_sg_base_price": 95,
    "ticket_count": 901,
    "dq_bucket_counts": [1, 2, 3],
}


def event(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": int(id),
        "title": "Nora Vale",
        "short_title": "Nora Vale",
        "type": "concert",
        "status": "normal",
        "datetime_utc": "2027-06-02T00:00:00",
        "datetime_local": "2027-06-01T19:00:00",
        "time_tbd": False,
        "date_tbd": False,
        "datetime_tbd": False,
        "url": f"https://seatgeek.com/nora-vale/{id}",
        "venue": {"id": 12, "name": "Grand Hall", "city": "Chicago", "state": "IL", "country": "US"},
        "performers": [{"id": 7, "name": "Nora Vale", "slug": "nora-vale", "primary": True}],
        "stats": STATS,
        **fields,
    }


class TestContract(ConnectorContract):
    ids = ("6109451", "6109452", "6109453")
    expected: ClassVar = {
        "price": 95,
        "total_price": 120,
        "fees": 25,
        "currency": "USD",
        "level": "event",
        "listing_count": 312,
    }
    outcomes: ClassVar = {"404": (Refused,), "400": (Refused,)}

    def make(self, url: str, **options: Any) -> SeatGeekSource:
        return SeatGeekSource(KEY, url, **options)

    def page(self, *events: Any) -> Any:
        return {"events": list(events), "meta": {"total": len(events), "took": 3, "page": 1, "per_page": 50}}

    def priced(self, id: str) -> Any:
        return event(id)

    def unpriced(self, id: str) -> Iterator[Any]:
        for stats in (dict.fromkeys(STATS), {}, None, [], {**STATS, "lowest_price": 0}):
            yield event(id, stats=stats)
        yield {name: value for name, value in event(id).items() if name != "stats"}
