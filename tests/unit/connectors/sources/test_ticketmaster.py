"""The Ticketmaster connector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from connectors.sources.ticketmaster import TicketmasterSource
from tests.unit.connectors.sources.contract import KEY, ConnectorContract


def event(id: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": "Nora Vale",
        "type": "event",
        "test": False,
        "url": f"https://www.ticketmaster.com/event/{id}",
        "locale": "en-us",
        "dates": {
            "start": {
                "localDate": "2027-06-01",
                "localTime": "19:00:00",
                "dateTime": "2027-06-02T00:00:00Z",
                "dateTBD": False,
                "dateTBA": False,
                "timeTBA": False,
                "noSpecificTime": False,
            },
            "timezone": "America/Chicago",
            "status": {"code": "onsale"},
        },
        "priceRanges": [
            {"type": "standard", "currency": "USD", "min": 49.5, "max": 250.0},
            {"type": "standard including fees", "currency": "USD", "min": 61.25, "max": 299.0},
            {"type": "official platinum", "currency": "USD", "min": 300.0, "max": 900.0},
        ],
        "_embedded": {
            "venues": [
                {"name": "Grand Hall", "city": {"name": "Chicago"}, "state": {"name": "Illinois", "stateCode": "IL"}}
            ],
            "attractions": [{"name": "Nora Vale"}, {"name": "Midnight Ferry"}],
        },
        **fields,
    }


class TestContract(ConnectorContract):
    ids = ("vvG1iZKU5jIxKX", "17AZv8G6CnMcD1x")
    expected: ClassVar = {"price": 49.5, "total_price": 61.25, "fees": 11.75, "currency": "USD", "level": "event"}
    currencies = frozenset()

    def make(self, url: str, **options: Any) -> TicketmasterSource:
        return TicketmasterSource(KEY, url, **options)

    def page(self, *events: Any) -> Any:
        return events[0]

    def results(self, *events: Any) -> Any:
        return {
            "_embedded": {"events": list(events)},
            "page": {"size": 20, "totalElements": len(events), "totalPages": 1, "number": 0},
        }

    def priced(self, id: str) -> Any:
        return event(id)

    def unpriced(self, id: str) -> Iterator[Any]:
        yield {name: value for name, value in event(id).items() if name != "priceRanges"}
        for ranges in (None, [], {}, [None], [{}], [{"type": "standard", "currency": "USD", "min": 0.0, "max": 0.0}]):
            yield event(id, priceRanges=ranges)
