"""The Ticketmaster connector: its contract, recorded exchanges, and every state its API is known to have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from connectors.source import Answer, Held, Listed, Missing, Query, Refused, SourceError, Target, Unavailable
from connectors.sources import ticketmaster
from connectors.sources.ticketmaster import QUOTA_HOLD, TicketmasterSource
from settings import Settings
from tests.support.sites import Page, Site
from tests.unit.connectors.sources.contract import (
    KEY,
    NOW,
    ConnectorContract,
    check_answer,
    check_error,
    check_listed,
    check_prices,
)

RECORDED = Path(__file__).parents[3] / "data/ticketmaster"
STANDARD = {"type": "standard", "currency": "USD", "min": 49.5, "max": 250.0}
WITH_FEES = {"type": "standard including fees", "currency": "USD", "min": 61.25, "max": 299.0}
PLATINUM = {"type": "official platinum", "currency": "USD", "min": 300.0, "max": 900.0}


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
        "priceRanges": [STANDARD, WITH_FEES, PLATINUM],
        "_embedded": {
            "venues": [
                {"name": "Grand Hall", "city": {"name": "Chicago"}, "state": {"name": "Illinois", "stateCode": "IL"}}
            ],
            "attractions": [{"name": "Nora Vale"}, {"name": "Midnight Ferry"}],
        },
        **fields,
    }


def results(*events: Any, pages: int = 1) -> Page:
    page = {"size": 200, "totalElements": len(events) * pages, "totalPages": pages, "number": 0}
    return Page(body={"_embedded": {"events": list(events)}, "page": page} if events else {"page": page})


class TestContract(ConnectorContract):
    ids = ("vvG1iZKU5jIxKX", "17AZv8G6CnMcD1x")
    expected: ClassVar = {"price": 49.5, "total_price": 61.25, "fees": 11.75, "currency": "USD", "level": "event"}
    currencies = frozenset()

    def make(self, url: str, **options: Any) -> TicketmasterSource:
        return TicketmasterSource(KEY, url, **options)

    def page(self, *events: Any) -> Any:
        return events[0]

    def results(self, *events: Any) -> Any:
        return results(*events).body

    def priced(self, id: str) -> Any:
        return event(id)

    def unpriced(self, id: str) -> Iterator[Any]:
        yield {name: value for name, value in event(id).items() if name != "priceRanges"}
        for ranges in (None, [], {}, [None], [{}], [{"type": "standard", "currency": "USD", "min": 0.0, "max": 0.0}]):
            yield event(id, priceRanges=ranges)


Make = Callable[..., TicketmasterSource]


@pytest.fixture
def make(site: Site) -> Iterator[Make]:
    made: list[TicketmasterSource] = []

    def source(**options: Any) -> TicketmasterSource:
        given = {"calls_a_second": 1e6, "sleep": lambda _: None, "now": lambda: NOW, **options}
        made.append(TicketmasterSource(KEY, f"{site.url}/discovery/v2", **given))
        return made[-1]

    yield source
    for one in made:
        one.close()


def look(make: Make, *ids: str) -> Answer:
    return make().look([Target(id) for id in ids])


def failure(make: Make, id: str = "E1") -> SourceError:
    with pytest.raises(SourceError) as caught:
        look(make, id)
    check_error(caught.value, 1)
    return caught.value


def prices(make: Make, site: Site, *ranges: Any) -> list[dict[str, Any]]:
    site.play(Page(body=event("E1", priceRanges=list(ranges))))
    answer = look(make, "E1")
    check_answer(answer, {"E1"}, "ticketmaster")
    return answer.prices


def fields(price: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(price.get(name) for name in names)


# --- prices


def test_a_price_event_says_all_that_is_known(make: Make, site: Site) -> None:
    (found,) = prices(make, site, STANDARD)
    assert found == {
        "event_id": "E1",
        "event_name": "Nora Vale",
        "venue": "Grand Hall",
        "city": "Chicago",
        "state": "IL",
        "event_date": "2027-06-02T00:00:00+00:00",
        "source": "ticketmaster",
        "listing_url": "https://www.ticketmaster.com/event/E1",
        "timestamp": NOW.isoformat(),
        "level": "event",
        "price": 49.5,
        "currency": "USD",
        "highest_price": 250.0,
    }
    (asked,) = site.asked
    assert (asked.path, asked.query) == ("/discovery/v2/events/E1", {"apikey": KEY, "locale": "*"})


@pytest.mark.parametrize("order", [(STANDARD, WITH_FEES), (WITH_FEES, STANDARD)])
def test_the_band_with_fees_is_the_all_in_price_of_the_same_observation(make: Make, site: Site, order: Any) -> None:
    (found,) = prices(make, site, *order)
    assert fields(found, "price", "fees", "total_price", "level") == (49.5, 11.75, 61.25, "event")


def test_a_band_with_fees_alone_is_price_and_all_in_price(make: Make, site: Site) -> None:
    (found,) = prices(make, site, WITH_FEES)
    assert fields(found, "price", "fees", "total_price") == (61.25, None, 61.25)


def test_a_band_with_fees_below_the_one_without_is_not_believed(make: Make, site: Site) -> None:
    (found,) = prices(make, site, STANDARD, {**WITH_FEES, "min": 40.0})
    assert fields(found, "price", "fees", "total_price") == (49.5, None, None)


def test_other_types_are_listings_of_their_own(make: Make, site: Site) -> None:
    found = prices(make, site, PLATINUM, STANDARD, {**PLATINUM, "type": "VIP"}, {"currency": "USD", "min": 7})
    names = ("level", "section", "listing_id", "price", "highest_price")
    assert [fields(price, *names) for price in found] == [
        ("listing", "official platinum", "official platinum-USD", 300.0, 900.0),
        ("event", None, None, 49.5, 250.0),
        ("listing", "vip", "vip-USD", 300.0, 900.0),
        ("listing", "other", "other-USD", 7, None),
    ]


def test_a_type_as_long_as_any_text_makes_a_listing_that_is_taken(make: Make, site: Site) -> None:
    found = prices(make, site, {**PLATINUM, "type": "x" * 300})
    check_prices(found, "ticketmaster")
    assert len(found[0]["section"] or "") == 100, "cut, and kept"


def test_another_type_with_fees_is_joined_with_its_own(make: Make, site: Site) -> None:
    (found,) = prices(make, site, PLATINUM, {**PLATINUM, "type": "official platinum including fees", "min": 330.0})
    assert fields(found, "section", "price", "fees", "total_price") == ("official platinum", 300.0, 30.0, 330.0)


def test_without_a_standard_band_nothing_stands_for_the_event(make: Make, site: Site) -> None:
    assert [price["level"] for price in prices(make, site, PLATINUM)] == ["listing"]


def test_currencies_are_kept_apart(make: Make, site: Site) -> None:
    found = prices(make, site, STANDARD, {**STANDARD, "currency": "CAD", "min": 70.0}, {**WITH_FEES, "currency": "CAD"})
    assert [fields(price, "currency", "price", "total_price") for price in found] == [
        ("USD", 49.5, None),
        ("CAD", 70.0, None),
    ], "an all-in price in another currency belongs to another band"


def test_of_a_band_that_comes_twice_the_first_counts(make: Make, site: Site) -> None:
    (found,) = prices(make, site, STANDARD, {**STANDARD, "min": 1.0})
    assert found["price"] == 49.5


@pytest.mark.parametrize(
    "band",
    [
        {**STANDARD, "min": 0}, {**STANDARD, "min": None}, {**STANDARD, "min": -1}, {**STANDARD, "currency": None},
        {**STANDARD, "currency": "usd"}, {**STANDARD, "currency": "US"}, {"min": 5}, {"max": 5, "currency": "USD"},
        {**STANDARD, "min": 1e12}, {**STANDARD, "currency": ["USD"]},
    ],
)  # fmt: skip
def test_a_band_without_an_amount_or_a_currency_is_no_price(make: Make, site: Site, band: Any) -> None:
    site.play(Page(body=event("E1", priceRanges=[band])))
    found = look(make, "E1")
    assert (found.prices, found.unpriced) == ([], {"E1": "Ticketmaster gives no price"})
    assert prices(make, site, band, STANDARD)[0]["price"] == 49.5, "one bad band must not hide another"


@pytest.mark.parametrize("highest", [49.0, None, "x", 0])
def test_an_upper_end_below_the_lower_is_left_out(make: Make, site: Site, highest: Any) -> None:
    (found,) = prices(make, site, {**STANDARD, "max": highest})
    assert fields(found, "price", "highest_price") == (49.5, None)


# --- what becomes of an event


def dated(status: str = "onsale", **start: Any) -> dict[str, Any]:
    return event("E1", dates={"start": start, "status": {"code": status}})


@pytest.mark.parametrize("status", ["cancelled", "canceled"])
def test_a_cancelled_event_is_gone(make: Make, site: Site, status: str) -> None:
    site.play(Page(body=dated(status)))
    found = look(make, "E1")
    assert (found.prices, found.gone) == ([], {"E1": "cancelled"})


@pytest.mark.parametrize(("status", "reason"), [("offsale", "off sale"), ("postponed", "postponed")])
def test_an_event_off_sale_has_no_price_now(make: Make, site: Site, status: str, reason: str) -> None:
    site.play(Page(body=dated(status)))
    found = look(make, "E1")
    assert (found.prices, found.unpriced) == ([], {"E1": reason})
    assert found.listed[0].status == status


@pytest.mark.parametrize("status", ["onsale", "rescheduled", "moved"])
def test_another_status_keeps_its_price(make: Make, site: Site, status: str) -> None:
    site.play(Page(body=dated(status)))
    assert look(make, "E1").prices[0]["price"] == 49.5


@pytest.mark.parametrize(
    ("start", "local_date", "starts"),
    [
        ({"localDate": "2027-06-01", "dateTime": "2027-06-02T00:00:00Z"}, date(2027, 6, 1), datetime(2027, 6, 2, tzinfo=UTC)),
        ({"localDate": "2027-06-01", "timeTBA": True, "dateTime": "2027-06-01T05:00:00Z"}, date(2027, 6, 1), None),
        ({"localDate": "2027-06-01", "noSpecificTime": True}, date(2027, 6, 1), None),
        ({"localDate": "2027-06-01"}, date(2027, 6, 1), None),
        ({"localDate": "2027-12-31", "dateTBA": True}, None, None),
        ({"localDate": "2027-12-31", "dateTBD": True, "dateTime": "2027-12-31T05:00:00Z"}, None, None),
        ({}, None, None),
    ],
)  # fmt: skip
def test_a_time_that_is_not_announced_is_none(
    make: Make, site: Site, start: Any, local_date: date | None, starts: datetime | None
) -> None:
    site.play(Page(body=dated(**start)))
    found = look(make, "E1")
    assert (found.listed[0].local_date, found.listed[0].starts) == (local_date, starts)
    assert found.prices[0]["event_date"] == (starts.isoformat() if starts else None)


def test_another_event_than_the_one_asked_for_gives_no_price(make: Make, site: Site) -> None:
    site.play(Page(body=event("E2")))
    found = look(make, "E1")
    assert (found.prices, found.listed) == ([], [])
    assert "E2" in found.unpriced["E1"]


def test_an_event_without_a_name_has_no_price(make: Make, site: Site) -> None:
    site.play(Page(body=event("E1", name=None)))
    assert set(look(make, "E1").unpriced) == {"E1"}


def test_several_are_looked_at_one_by_one(make: Make, site: Site) -> None:
    site.play(Page(body=event("E1")), path="/discovery/v2/events/E1")
    site.play(Page(body=event("E2", priceRanges=[])), path="/discovery/v2/events/E2")
    found = look(make, "E1", "E2", "../venues")
    assert ({price["event_id"] for price in found.prices}, set(found.unpriced)) == ({"E1"}, {"E2"})
    assert set(found.gone) == {"../venues"}
    assert make().budget.targets_a_call == 1


# --- errors


def test_a_bad_key_says_which_setting_to_mend(make: Make, site: Site) -> None:
    site.play(
        Page(401, {"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}})
    )
    error = failure(make)
    assert isinstance(error, Refused)
    assert "TICKETMASTER_API_KEY" in str(error)


def violation(kind: str, headers: dict[str, str] | None = None) -> Page:
    said = f"Rate limit quota violation. Quota limit exceeded. Identifier : {KEY}"
    return Page(
        429, {"fault": {"faultstring": said, "detail": {"errorcode": f"policies.ratelimit.{kind}"}}}, headers or {}
    )


def milliseconds(seconds_from_now: float) -> str:
    return str(int((NOW + timedelta(seconds=seconds_from_now)).timestamp() * 1000))


@pytest.mark.parametrize(
    ("reset", "wait"),
    [
        (milliseconds(5400), 5400), (milliseconds(-10), 60), (milliseconds(9e6), 86_400), (None, QUOTA_HOLD),
        ("soon", QUOTA_HOLD), ("9" * 30, QUOTA_HOLD), ("-1", QUOTA_HOLD),
    ],
)  # fmt: skip
def test_a_used_up_quota_holds_until_its_reset(make: Make, site: Site, reset: str | None, wait: float) -> None:
    site.play(violation("QuotaViolation", {"Rate-Limit-Reset": reset} if reset else {}))
    error = failure(make)
    assert isinstance(error, Held)
    assert error.seconds == wait
    assert len(site.asked) == 1, "a used-up quota is not tried again"


def test_too_many_at_once_waits_a_second(make: Make, site: Site) -> None:
    slept: list[float] = []
    site.play(violation("SpikeArrestViolation"), Page(body=event("E1")))
    assert make(sleep=slept.append).look([Target("E1")]).prices
    assert slept[0] == 1.0, slept
    site.play(violation("SpikeArrestViolation"))
    error = failure(make)
    assert isinstance(error, Unavailable)
    assert error.retry_after == 1.0


@pytest.mark.parametrize("page", [Page(404, {}), Page(404, "<html>", {"Content-Type": "text/html"}), Page(404)])
def test_only_ticketmasters_own_word_makes_an_event_gone(make: Make, site: Site, page: Page) -> None:
    site.play(page)
    assert type(failure(make)) is Missing


def test_an_address_that_leads_nowhere_names_its_setting(make: Make, site: Site) -> None:
    site.play(Page(404, {}))
    with pytest.raises(Refused, match="TICKETMASTER_URL"):
        make().search(Query("Nora Vale"))


# --- the quota


@pytest.mark.parametrize("status", [200, 404, 500])
def test_the_ledger_is_told_what_is_left(make: Make, site: Site, status: int) -> None:
    headers = {"Rate-Limit": "5000", "Rate-Limit-Available": "17", "Rate-Limit-Over": "0"}
    site.play(Page(status, event("E1"), {**headers, "Rate-Limit-Reset": milliseconds(3600)}))
    source = make(attempts=1)
    try:
        source.look([Target("E1")])
    except SourceError:
        assert status != 200
    assert source.ledger.left == 17
    quota = source.ledger.dump().quota
    assert quota is not None
    assert quota.resets_at == NOW.timestamp() + 3600, "the reset is told in milliseconds"


def test_with_nothing_left_no_call_is_made(make: Make, site: Site) -> None:
    headers = {"Rate-Limit-Available": "0", "Rate-Limit-Reset": milliseconds(3600)}
    site.play(Page(200, event("E1"), headers))
    source = make()
    assert source.look([Target("E1")]).prices
    with pytest.raises(Held) as held:
        source.look([Target("E1")])
    assert held.value.seconds == pytest.approx(3600, abs=1)
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Rate-Limit-Available": "0"}, {"Rate-Limit-Reset": milliseconds(60)},
        {"Rate-Limit-Available": "none", "Rate-Limit-Reset": milliseconds(60)},
        {"Rate-Limit-Available": "0", "Rate-Limit-Reset": "tomorrow"},
        {"Rate-Limit-Available": "0", "Rate-Limit-Reset": str(int(NOW.timestamp()) + 60)},  # seconds: long past
    ],
)  # fmt: skip
def test_headers_that_say_nothing_change_nothing(make: Make, site: Site, headers: dict[str, str]) -> None:
    site.play(Page(200, event("E1"), headers))
    source = make(calls_a_day=100)
    assert source.look([Target("E1")]).prices
    assert source.ledger.left == 99


# --- search


def test_a_search_asks_for_every_part(make: Make, site: Site) -> None:
    site.play(results(event("E1"), event("E2", dates={"start": {"localDate": "2027-06-04"}})))
    query = Query("Nora Vale", city="Chicago", since=date(2027, 6, 1), until=date(2027, 6, 3))
    assert make().search(query) == [
        Listed(
            "ticketmaster",
            "E1",
            "Nora Vale",
            "Grand Hall",
            "Chicago",
            "IL",
            date(2027, 6, 1),
            datetime(2027, 6, 2, tzinfo=UTC),
            ("Nora Vale", "Midnight Ferry"),
            "https://www.ticketmaster.com/event/E1",
            "onsale",
        )
    ], "the second is on another day where it takes place"
    (asked,) = site.asked
    assert asked.query == {
        "apikey": KEY,
        "locale": "*",
        "keyword": "Nora Vale",
        "city": "Chicago",
        "startDateTime": "2027-05-31T00:00:00Z",
        "endDateTime": "2027-06-05T00:00:00Z",
        "sort": "date,asc",
        "size": "50",
        "page": "0",
    }


def test_a_venue_is_found_by_its_name_first(make: Make, site: Site) -> None:
    venues = [
        {"id": "V1", "name": "Grand Hall"},
        {"id": "V2", "name": "Grand Central"},
        {"id": "V3", "name": "GRAND HALL"},
    ]
    site.play(Page(body={"_embedded": {"venues": venues}}), path="/discovery/v2/venues")
    site.play(results(event("E1")))
    assert [listed.id for listed in make().search(Query(venue="Grand Hall"))] == ["E1"]
    assert [asked.query.get("venueId") for asked in site.asked] == [None, "V1,V3"]


@pytest.mark.parametrize("venues", [[], [{"id": "V1", "name": "Elsewhere"}], [{"name": "Nowhere"}], None])
def test_a_venue_that_is_unknown_has_no_events(make: Make, site: Site, venues: Any) -> None:
    site.play(Page(body={"_embedded": {"venues": venues}, "page": {"totalPages": 1}}))
    assert make().search(Query("Nora Vale", venue="Nowhere")) == []
    assert len(site.asked) == 1


def test_no_hits_are_no_error(make: Make, site: Site) -> None:
    site.play(results(pages=0))
    assert make().search(Query("Nora Vale")) == []


def numbered(first: int, count: int) -> list[dict[str, Any]]:
    """Shows an hour apart."""
    at = [NOW + timedelta(hours=first + i) for i in range(count)]
    dates = [{"start": {"localDate": f"{t:%Y-%m-%d}", "dateTime": f"{t:%Y-%m-%dT%H:%M:%SZ}"}} for t in at]
    return [event(f"E{first + i}", dates=dates[i]) for i in range(count)]


def test_beyond_the_deepest_page_the_search_goes_on_by_date(make: Make, site: Site) -> None:
    first = [results(*numbered(page * 200, 200), pages=7) for page in range(5)]
    rest = [results(*numbered(999, 200), pages=2), results(*numbered(1199, 101), pages=2)]
    site.play(*first, *rest)
    found = make().search(Query("Nora Vale"), limit=2000)
    assert [listed.id for listed in found] == [f"E{i}" for i in range(1300)]
    asked = [(a.query["page"], a.query["size"], a.query.get("startDateTime")) for a in site.asked]
    assert all(int(page) * int(size) < 1000 for page, size, _ in asked), "Ticketmaster refuses to go deeper"
    window = f"{NOW + timedelta(hours=999):%Y-%m-%dT%H:%M:%SZ}"
    assert asked == [(str(i), "200", None) for i in range(5)] + [("0", "200", window), ("1", "200", window)]


def test_a_search_ends_with_its_limit(make: Make, site: Site) -> None:
    site.play(results(*numbered(0, 30), pages=50), results(*numbered(30, 30), pages=50))
    assert len(make().search(Query("Nora Vale"), limit=30)) == 30
    assert len(site.asked) == 1


def test_a_list_that_goes_round_in_a_circle_ends(make: Make, site: Site) -> None:
    site.play(results(*numbered(0, 3), pages=10_000))
    assert len(make().search(Query("Nora Vale"), limit=500)) == 3
    assert len(site.asked) == 2


# --- recorded exchanges


def recorded(name: str) -> tuple[str, Page]:
    """(path, answer) of an exchange. Its length is not that of the body as it was kept."""
    (exchange,) = json.loads((RECORDED / f"ticketmaster_sdk_{name}_2016.json").read_text("utf-8"))
    headers = {n: v for n, v in exchange["headers"].items() if n not in ("Content-Length", "Connection")}
    return urlsplit(exchange["path"]).path, Page(exchange["status"], exchange["response"], headers)


def replayed(make: Make, site: Site, name: str, id: str) -> Answer:
    path, page = recorded(name)
    site.play(page, path=path)
    answer = look(make, id)
    check_answer(answer, {id}, "ticketmaster")
    assert [asked.path for asked in site.asked] == [path], "it asks as Ticketmaster's own library does"
    return answer


def test_recorded_an_event_off_sale(make: Make, site: Site) -> None:
    found = replayed(make, site, "discovery_v2_event_find-200", "vv17FZfdGkSrrMju")
    assert (found.prices, found.unpriced) == ([], {"vv17FZfdGkSrrMju": "off sale"})
    assert found.listed == [
        Listed(
            "ticketmaster",
            "vv17FZfdGkSrrMju",
            "Susquehanna Breakdown RV Pass",
            "The  Pavilion at Montage Mountain",
            "Scranton",
            "PA",
            date(2016, 5, 20),
            datetime(2016, 5, 20, 21, tzinfo=UTC),
            ("Susquehanna Breakdown Music Festival",),
            "http://concerts.livenation.com/event/0200503CDE7B770D",
            "offsale",
        )
    ]


def test_recorded_the_same_event_as_it_was_on_sale(make: Make, site: Site) -> None:
    path, page = recorded("discovery_v2_event_find-200")
    page.body["dates"]["status"]["code"] = "onsale"
    site.play(page, path=path)
    (price,) = look(make, "vv17FZfdGkSrrMju").prices
    assert fields(price, "price", "highest_price", "currency", "level") == (125.0, 150.0, "USD", "event")


def test_recorded_an_unknown_event(make: Make, site: Site) -> None:
    assert set(replayed(make, site, "discovery_v2_event_find-404", "unknown-id").gone) == {"unknown-id"}


def test_recorded_a_list(make: Make, site: Site) -> None:
    path, page = recorded("discovery_v2_event_all-200-options")
    site.play(page, path=path)
    found = make().search(Query("Nueva York"), limit=5)
    assert len(found) == 5
    assert {listed.venue for listed in found} == {"Teatro Benito Juárez"}
    assert found[0].name.startswith("¿Qué tan altos")
    assert len({listed.starts for listed in found}) == 5
    for listed in found:
        check_listed(listed, "ticketmaster")


def test_recorded_prices_in_pesos(make: Make, site: Site) -> None:
    _, page = recorded("discovery_v2_event_all-200-options")
    for one in page.body["_embedded"]["events"]:
        site.play(Page(body=one))
        answer = look(make, one["id"])
        check_answer(answer, {one["id"]}, "ticketmaster")
        (price,) = answer.prices
        assert fields(price, "price", "highest_price", "currency") == (136.0, 136.0, "MXN")


def test_recorded_a_venue_makes_no_price(make: Make, site: Site) -> None:
    path, page = recorded("discovery_v2_venue_find-200")
    site.play(page)
    found = look(make, path.rpartition("/")[2])
    assert (found.prices, len(found.unpriced)) == ([], 1)


def test_recorded_offers_make_no_price(make: Make, site: Site) -> None:
    """The Commerce API's shape, of which Discovery's reader knows nothing."""
    _, page = recorded("commerce_v2_offer_find-200")
    site.play(page)
    assert isinstance(failure(make, page.body["metadata"]["eventMapping"]["id"]), Unavailable)


def test_recorded_a_server_error(make: Make, site: Site) -> None:
    """The Commerce API says with a 500 that it does not know an event: to Discovery's reader any 500 may pass."""
    _, page = recorded("commerce_v2_offer_find-500")
    site.play(page)
    assert isinstance(failure(make), Unavailable)
    assert len(site.asked) == 3


def test_a_body_shorter_than_its_length_is_not_taken_for_whole(make: Make, site: Site) -> None:
    """As the recordings would be, replayed with the length that was recorded."""
    site.play(Page(body=event("E1"), cut=True))
    assert isinstance(failure(make), Unavailable)


# --- settings


def test_without_a_key_there_is_no_source() -> None:
    assert ticketmaster.from_settings(Settings(_env_file=None, ticketmaster_api_key=None)) is None


def test_the_source_is_made_as_it_is_configured(site: Site) -> None:
    site.play(Page(body=event("E1")))
    configured = Settings(
        _env_file=None, ticketmaster_api_key=KEY, ticketmaster_url=f"{site.url}/other", ticketmaster_calls_a_day=7
    )
    source = ticketmaster.from_settings(configured)
    assert source is not None
    assert source.budget.calls_a_day == 7
    assert source.look([Target("E1")]).prices
    assert site.asked[0].path == "/other/events/E1"
    assert KEY not in repr(source)
    source.close()
