"""The SeatGeek connector: its contract, every state its API is known to have, and what it may conclude from a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import pytest

from connectors.source import Answer, Held, Listed, Query, Refused, Target, Unavailable
from connectors.sources import seatgeek
from connectors.sources.seatgeek import PAGE, SeatGeekSource
from settings import Settings
from tests.support.sites import Page, Site
from tests.unit.connectors.sources.contract import KEY, NOW, ConnectorContract

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


def answer(*events: Any, total: int | None = None, **meta: Any) -> Page:
    known = {"total": len(events) if total is None else total, "took": 3, "page": 1, "per_page": PAGE, **meta}
    return Page(body={"events": list(events), "meta": known})


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
        return answer(*events).body

    def priced(self, id: str) -> Any:
        return event(id)

    def unpriced(self, id: str) -> Iterator[Any]:
        for stats in (dict.fromkeys(STATS), {}, None, [], {**STATS, "lowest_price": 0}, {**STATS, "listing_count": 0}):
            yield event(id, stats=stats)
        yield {name: value for name, value in event(id).items() if name != "stats"}


Make = Callable[..., SeatGeekSource]


@pytest.fixture
def make(site: Site) -> Iterator[Make]:
    made: list[SeatGeekSource] = []

    def source(**options: Any) -> SeatGeekSource:
        given = {"calls_a_second": 1e6, "sleep": lambda _: None, "now": lambda: NOW, **options}
        made.append(SeatGeekSource(KEY, f"{site.url}/2", **given))
        return made[-1]

    yield source
    for one in made:
        one.close()


def look(make: Make, *ids: str) -> Answer:
    return make().look([Target(id) for id in ids])


def price(make: Make, site: Site, **stats: Any) -> dict[str, Any]:
    site.play(answer(event("1", stats=stats)))
    (found,) = look(make, "1").prices
    return {name: found.get(name) for name in ("price", "fees", "total_price")}


# --- prices


def test_a_price_event_says_all_that_is_known(make: Make, site: Site) -> None:
    site.play(answer(event("6109451")))
    assert look(make, "6109451").prices == [
        {
            "event_id": "6109451",
            "event_name": "Nora Vale",
            "venue": "Grand Hall",
            "city": "Chicago",
            "state": "IL",
            "event_date": "2027-06-02T00:00:00+00:00",
            "source": "seatgeek",
            "listing_url": "https://seatgeek.com/nora-vale/6109451",
            "timestamp": NOW.isoformat(),
            "level": "event",
            "price": 95,
            "fees": 25,
            "total_price": 120,
            "currency": "USD",
            "average_price": 187,
            "median_price": 164,
            "highest_price": 960,
            "listing_count": 312,
        }
    ]


def test_without_a_base_price_the_all_in_price_is_the_price(make: Make, site: Site) -> None:
    assert price(make, site, lowest_price=120) == {"price": 120, "fees": None, "total_price": 120}


def test_a_base_price_above_the_all_in_price_is_not_believed(make: Make, site: Site) -> None:
    found = price(make, site, lowest_price=120, lowest_sg_base_price=121)
    assert found == {"price": 120, "fees": None, "total_price": 120}


def test_without_fees_the_two_are_the_same(make: Make, site: Site) -> None:
    found = price(make, site, lowest_price=50, lowest_sg_base_price=50)
    assert found == {"price": 50, "fees": 0, "total_price": 50}


@pytest.mark.parametrize(
    ("stats", "reason"),
    [
        (dict.fromkeys(STATS), "no price"),
        ({}, "no price"),
        (None, "no price"),
        ({**STATS, "lowest_price": None}, "only a price before fees"),
        ({**STATS, "lowest_price": None, "lowest_sg_base_price": None}, "no price"),
        ({**STATS, "listing_count": 0}, "no tickets"),
    ],
)
def test_no_price_has_its_reason(make: Make, site: Site, stats: Any, reason: str) -> None:
    site.play(answer(event("1", stats=stats)))
    found = look(make, "1")
    assert (found.prices, found.gone) == ([], {})
    assert reason in found.unpriced["1"]
    assert found.listed[0].id == "1", "what is known of the event is told all the same"


def test_a_cancelled_event_is_gone(make: Make, site: Site) -> None:
    site.play(answer(event("1", status="cancelled")))
    found = look(make, "1")
    assert (found.prices, found.gone) == ([], {"1": "cancelled"})


@pytest.mark.parametrize("status", ["postponed", "rescheduled", "contingent", None])
def test_another_status_keeps_its_price(make: Make, site: Site, status: str | None) -> None:
    site.play(answer(event("1", status=status)))
    assert look(make, "1").prices[0]["price"] == 95


# --- times


@pytest.mark.parametrize("flag", ["time_tbd", "datetime_tbd"])
def test_a_time_that_is_not_announced_is_none_and_the_date_stays(make: Make, site: Site, flag: str) -> None:
    untimed = {"datetime_local": "2027-06-01T03:30:00", "datetime_utc": "2027-06-01T08:30:00", flag: True}
    site.play(answer(event("1", **untimed)))
    found = look(make, "1")
    assert (found.listed[0].starts, found.listed[0].local_date) == (None, date(2027, 6, 1))
    assert found.prices[0]["event_date"] is None


def test_a_date_that_is_not_announced_is_none(make: Make, site: Site) -> None:
    site.play(answer(event("1", date_tbd=True)))
    assert (look(make, "1").listed[0].starts, look(make, "1").listed[0].local_date) == (None, None)


# --- what a list says, and does not say


def test_many_events_are_asked_for_in_one_call(make: Make, site: Site) -> None:
    ids = [str(id) for id in range(1, PAGE + 1)]
    site.play(answer(*[event(id) for id in ids]))
    assert len(look(make, *ids).prices) == PAGE == make().budget.targets_a_call
    (asked,) = site.asked
    assert asked.path == "/2/events"
    assert asked.query == {"client_id": KEY, "id": ",".join(ids), "per_page": str(PAGE)}


def test_an_event_that_a_whole_list_leaves_out_is_gone(make: Make, site: Site) -> None:
    site.play(answer(event("1")))
    found = look(make, "1", "2")
    assert (len(found.prices), set(found.gone), found.unpriced) == (1, {"2"}, {})


def test_a_single_event_that_is_not_there_is_gone(make: Make, site: Site) -> None:
    site.play(answer())
    assert set(look(make, "2").gone) == {"2"}


@pytest.mark.parametrize(
    "page",
    [
        answer(),  # seen where there were events: seatgeek/api-support#58
        answer(event("8"), event("9")),  # the answer to another's request: #162
        answer(event("1"), event("9")),
        answer(event("1"), total=2),
        Page(body={"events": [event("1")]}),
        Page(body={"events": [event("1")], "meta": {"total": None}}),
    ],
    ids=["empty", "another's", "partly another's", "short", "no total", "null total"],
)
def test_a_list_that_is_in_doubt_gives_up_no_event(make: Make, site: Site, page: Page) -> None:
    site.play(page)
    found = look(make, "1", "2")
    assert found.gone == {}
    assert "2" in found.unpriced
    assert len(site.asked) <= 2


@pytest.mark.parametrize(("hours", "place"), [(1, "unpriced"), (-1, "gone")])
def test_an_event_to_come_is_not_given_up_and_one_that_was_is(make: Make, site: Site, hours: int, place: str) -> None:
    for page in (answer(event("1")), answer()):
        site.play(page)
        found = make().look([Target("1"), Target("2", NOW + timedelta(hours=hours))])
        assert set(getattr(found, place)) >= {"2"}


def test_what_a_short_page_left_out_is_asked_for_again(make: Make, site: Site) -> None:
    """Whether `per_page` is heeded beside `id` is not documented; the default is 10."""
    ids = [str(id) for id in range(1, PAGE + 1)]
    pages = [ids[start : start + 10] for start in range(0, PAGE, 10)]
    left = range(PAGE, 0, -10)
    site.play(*[answer(*map(event, page), total=total) for page, total in zip(pages, left, strict=True)])
    source = make()
    found = source.look([Target(id) for id in ids])
    assert {one["event_id"] for one in found.prices} == set(ids)
    assert [len(asked.query["id"].split(",")) for asked in site.asked] == list(left)
    assert source.ledger.spent == 5


def test_a_page_that_stays_short_is_not_asked_for_without_end(make: Make, site: Site) -> None:
    site.play(*[answer(event(str(id)), total=50) for id in range(1, 51)])
    found = look(make, *[str(id) for id in range(1, 51)])
    assert len(site.asked) == len(found.prices) == 5
    assert len(found.unpriced) == 45


def test_one_id_asked_for_twice_is_one(make: Make, site: Site) -> None:
    site.play(answer(event("1")))
    assert len(look(make, "1", "1").prices) == 1


def test_what_is_no_id_is_not_asked_for(make: Make, site: Site) -> None:
    assert set(look(make, "1,2", "x").gone) == {"1,2", "x"}
    assert site.asked == []


def test_an_event_without_a_name_has_no_price(make: Make, site: Site) -> None:
    site.play(answer(event("1", title=None, short_title="\x00")))
    assert set(look(make, "1").unpriced) == {"1"}


# --- errors


def test_a_bad_key_says_which_setting_to_mend(make: Make, site: Site) -> None:
    said = {"status": 403, "message": f"Sorry, {KEY} is no client", "errors": [{"code": 40307}]}
    site.play(Page(403, said))
    with pytest.raises(Refused, match=r"40307.*SEATGEEK_API_KEY") as caught:
        look(make, "1")
    assert KEY not in str(caught.value)
    assert len(site.asked) == 1


def test_a_flood_and_a_captcha_hold_the_source(make: Make, site: Site) -> None:
    html = {"Content-Type": "text/html"}
    for page in (Page(406), Page(200, "<html>", html), Page(403, "<html>", html)):
        site.play(page)
        with pytest.raises(Held):
            look(make, "1")
    assert len(site.asked) == 3, "each is asked for once"


def test_an_address_that_leads_nowhere_names_its_setting(make: Make, site: Site) -> None:
    site.play(Page(404, {}))
    with pytest.raises(Refused, match="SEATGEEK_URL"):
        look(make, "1")


@pytest.mark.parametrize("body", [{}, {"events": None}, {"events": {}}, [], {"status": "ok"}])
def test_an_answer_without_events_is_an_error_and_not_an_end(make: Make, site: Site, body: Any) -> None:
    site.play(Page(body=body))
    with pytest.raises(Unavailable):
        look(make, "1")


# --- search


def test_a_search_asks_for_every_part(make: Make, site: Site) -> None:
    site.play(answer(event("1")))
    query = Query("Nora Vale", city="Chicago", since=date(2027, 6, 1), until=date(2027, 6, 3))
    assert make().search(query) == [
        Listed(
            "seatgeek",
            "1",
            "Nora Vale",
            "Grand Hall",
            "Chicago",
            "IL",
            date(2027, 6, 1),
            datetime(2027, 6, 2, tzinfo=UTC),
            ("Nora Vale",),
            "https://seatgeek.com/nora-vale/1",
            "normal",
        )
    ]
    (asked,) = site.asked
    assert asked.query == {
        "client_id": KEY,
        "q": "Nora Vale",
        "venue.city": "Chicago",
        "datetime_local.gte": "2027-06-01",
        "datetime_local.lte": "2027-06-03T23:59:59",
        "sort": "datetime_local.asc",
        "per_page": "50",
        "page": "1",
    }


def test_a_venue_is_found_by_its_name_first(make: Make, site: Site) -> None:
    venues = [
        {"id": 12, "name": "The Grand Hall"},
        {"id": 13, "name": "Grand Central"},
        {"id": 14, "name": "grand hall"},
    ]
    site.play(Page(body={"venues": venues}), path="/2/venues")
    site.play(answer(event("1")))
    assert [listed.id for listed in make().search(Query(venue="Grand Hall"))] == ["1"]
    assert [asked.query.get("venue.id") for asked in site.asked] == [None, "12,14"]


@pytest.mark.parametrize("venues", [[], [{"id": 1, "name": "Elsewhere"}], [{"id": None, "name": "Nowhere"}], None])
def test_a_venue_that_is_unknown_has_no_events(make: Make, site: Site, venues: Any) -> None:
    site.play(Page(body={"venues": venues}))
    assert make().search(Query("Nora Vale", venue="Nowhere")) == []
    assert len(site.asked) == 1


def test_a_search_goes_from_page_to_page(make: Make, site: Site) -> None:
    pages = [[event(str(id)) for id in range(start, start + PAGE)] for start in (0, 50, 100)]
    site.play(*[answer(*page, total=150) for page in pages])
    assert [listed.id for listed in make().search(Query("Nora Vale"), limit=120)] == [str(id) for id in range(120)]
    assert [asked.query["page"] for asked in site.asked] == ["1", "2", "3"]


def test_a_search_ends_where_the_list_does(make: Make, site: Site) -> None:
    site.play(answer(*map(event, "123")))
    assert len(make().search(Query("Nora Vale"), limit=500)) == 3
    assert len(site.asked) == 1


def test_a_list_that_goes_round_in_a_circle_ends(make: Make, site: Site) -> None:
    site.play(answer(*map(event, "123"), total=10_000))
    assert len(make().search(Query("Nora Vale"), limit=500)) == 3
    assert len(site.asked) == 2


def test_a_show_on_another_day_is_left_out(make: Make, site: Site) -> None:
    site.play(answer(event("1"), event("2", datetime_local="2027-06-09T20:00:00"), event("3", date_tbd=True)))
    query = Query("Nora Vale", since=date(2027, 6, 1), until=date(2027, 6, 3))
    assert [listed.id for listed in make().search(query)] == ["1"]


# --- settings


def test_without_a_key_there_is_no_source() -> None:
    assert seatgeek.from_settings(Settings(_env_file=None, seatgeek_api_key=None)) is None


def test_the_source_is_made_as_it_is_configured(site: Site) -> None:
    site.play(answer(event("1")))
    configured = Settings(
        _env_file=None, seatgeek_api_key=KEY, seatgeek_url=f"{site.url}/other", seatgeek_calls_a_day=7
    )
    source = seatgeek.from_settings(configured)
    assert source is not None
    assert source.budget.calls_a_day == 7
    assert len(source.look([Target("1")]).prices) == 1
    assert site.asked[0].path == "/other/events"
    assert KEY not in repr(source)
    source.close()
