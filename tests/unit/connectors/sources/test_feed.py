"""A feed: what a file says is what is asked, every page is read, and nothing leads where it should not."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import quote, quote_plus

import httpx
import pytest

from analytics import quality
from analytics.decode import decode_values
from connectors.source import Answer, Held, Missing, Query, Refused, Target, Unavailable
from connectors.sources.feed import Feed, FeedError, PublicOnly, from_settings, load
from tests.support.sites import Page, Site
from tests.unit.connectors.sources.contract import KEY, ConnectorContract

EXAMPLES = Path(__file__).parents[4] / "feeds" / "examples"
NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
BASE = """
name = "partner"
url = "https://partner.example/listings"
items = "listings"
[constants]
currency = "USD"
[fields]
event_id = "event"
listing_id = "id"
price = "price"
"""

Make = Callable[..., Feed]


def listing(id: int, price: Any = 50) -> dict[str, Any]:
    return {"id": id, "event": "e1", "price": price}


def page(*listings: Any, **more: Any) -> Page:
    return Page(body={"listings": list(listings), **more})


def table(more: str = "", base: str = BASE) -> dict[str, Any]:
    return tomllib.loads(more + base)


def nothing_set(_name: str) -> str | None:
    return None


@pytest.fixture
def make(site: Site) -> Iterator[Make]:
    """A feed against the site: `more` goes before the base file, whose host is replaced by the site's."""
    made = []

    def _make(
        more: str = "", base: str = BASE, secrets: Callable[[str], str | None] = nothing_set, **options: Any
    ) -> Feed:
        decoded = {**table(more, base), "allow_private": True}
        decoded["url"] = re.sub("^https://[^/]+", site.url, decoded["url"])
        given = {"sleep": lambda _: None, "now": lambda: NOW, "attempts": 1, **options}
        decoded["budget"] = {"calls_a_second": 1e6, "calls_a_day": 1000, **given.pop("budget", {})}
        made.append(Feed(decoded, secrets, **given))
        return made[-1]

    yield _make
    for feed in made:
        feed.close()


def look(feed: Feed) -> Answer:
    return feed.look(feed.targets)


def ids(answer: Answer) -> list[str]:
    return [event["listing_id"] for event in answer.prices]


class TestContract(ConnectorContract):
    """As every source; its one target is the feed, so the one event here bears the feed's name."""

    ids = ("partner",)
    expected: ClassVar = {"price": 95, "total_price": 120, "currency": "USD", "section": "101"}

    def make(self, url: str, **options: Any) -> Feed:
        feed = {
            "name": "partner",
            "url": f"{url}/listings",
            "items": "listings",
            "allow_private": True,
            "headers": {"X-Key": "${FEED_KEY}"},
            "parameters": {"key": "${FEED_KEY}"},
            "budget": {name: options.pop(name) for name in ("calls_a_day", "calls_a_second") if name in options},
            "constants": {"event_id": "partner"},
            "fields": {
                **{name: name for name in ("event_name", "venue", "section", "price", "total_price", "currency", "listing_url")},
                "event_date": "starts",
                "listing_id": "{key.id}",
            },
        }  # fmt: skip
        return Feed(feed, {"FEED_KEY": KEY}.get, **options)

    def page(self, *events: Any) -> Any:
        return {"listings": list(events), "page": 1}

    def priced(self, id: str) -> Any:
        return {
            "key": {"id": 5},
            "event_name": "Nora Vale",
            "venue": "Grand Hall",
            "starts": "2027-06-01T20:00:00-05:00",
            "section": "101",
            "price": 95,
            "total_price": "120.00",
            "currency": "USD",
            "listing_url": "https://partner.example/5",
        }

    def unpriced(self, id: str) -> Iterator[Any]:
        for nothing in (None, "", 0, "0.00"):
            yield {**self.priced(id), "price": nothing}
        yield {name: value for name, value in self.priced(id).items() if name != "price"}


# --- the examples


def test_the_partner_example(make: Make, site: Site) -> None:
    feed = make(base=(EXAMPLES / "partner.toml").read_text(), secrets={"FEED_PARTNER_TOKEN": KEY}.get)
    event = {"name": "Nora Vale", "venue": "Grand Hall", "starts_local": "2027-06-01T20:00:00"}
    seats = {
        "id": 901,
        "section": "101",
        "row": "C",
        "seats": {"from": 12, "to": 13},
        "quantity": 2,
        "all_in_cents": 29951,
    }
    floor = {"id": 902, "section": "GENADM", "row": "", "seats": None, "quantity": 1, "all_in_cents": 18000}
    sold = {"id": 903, "section": "101", "row": "D", "seats": None, "quantity": 1, "all_in_cents": None}
    site.play(
        page(seats, sold, event=event, meta={"next": "c2"}),
        page(floor, event=event, meta={"next": None}),
        path="/v2/events/88311/listings",
    )
    site.play(page(event=event, meta={}), path="/v2/events/88312/listings")
    answer = look(feed)
    assert [(asked.path, asked.query) for asked in site.asked] == [
        ("/v2/events/88311/listings", {}),
        ("/v2/events/88311/listings", {"after": "c2"}),
        ("/v2/events/88312/listings", {}),
    ]
    assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in site.asked)
    assert answer.prices == [
        {
            "event_id": "88311",
            "source": "partner",
            "timestamp": "2027-03-01T12:00:00+00:00",
            "event_name": "Nora Vale",
            "venue": "Grand Hall",
            "event_date": "2027-06-02T01:00:00+00:00",
            "level": "listing",
            "currency": "USD",
            "listing_id": "901",
            "section": "101",
            "row": "C",
            "seat": "12-13",
            "quantity": 2,
            "price": 299.51,
            "listing_url": "https://partner.example/listings/901",
        },
        answer.prices[1],
    ]
    assert answer.prices[1].items() >= {"listing_id": "902", "section": "GA", "price": 180}.items()
    assert "seat" not in answer.prices[1]
    assert [(listed.id, listed.name, listed.starts) for listed in answer.listed] == [
        ("88311", "Nora Vale", datetime(2027, 6, 2, 1, tzinfo=UTC))
    ]
    assert_taken(answer)


def test_the_ticker_example(make: Make, site: Site) -> None:
    bitcoin = {"base": "BTC", "quote": "usd", "last": "67012.10", "high_24h": "68000", "time": 1803902400250}
    ether = {"base": "ETH", "quote": "eur", "last": "3401.5", "high_24h": None, "time": 1803902400000}
    site.play(Page(body={"tickers": {"BTC-USD": bitcoin, "ETH-EUR": ether}}), path="/ticker")
    feed = make(base=(EXAMPLES / "ticker.toml").read_text())
    answer = look(feed)
    assert site.asked[0].query == {"symbols": "BTC-USD,ETH-EUR"}
    assert [(e["event_id"], e["price"], e["currency"], e["timestamp"], e["level"]) for e in answer.prices] == [
        ("BTC-USD", 67012.1, "USD", "2027-03-01T12:00:00.250000+00:00", "event"),
        ("ETH-EUR", 3401.5, "EUR", "2027-03-01T12:00:00+00:00", "event"),
    ]
    assert feed.interval == 60
    assert_taken(answer)


@pytest.mark.parametrize("name", ["partner", "ticker"])
def test_an_example_is_short_and_valid_as_it_stands(name: str) -> None:
    path = EXAMPLES / f"{name}.toml"
    load(path, nothing_set).close()
    assert len(path.read_text().splitlines()) <= 25


def assert_taken(answer: Answer) -> None:
    decoded = decode_values([json.dumps(event).encode() for event in answer.prices])
    assert decoded.rejects == []
    assert quality.split(decoded.rows)[1].height == 0


# --- rows


@pytest.mark.parametrize(
    ("items", "body"),
    [
        ("", [{"event": "a"}, {"event": "b"}]),
        ("data.rows", {"data": {"rows": [{"event": "a"}, {"event": "b"}]}}),
        ("*", {"x": {"event": "a"}, "y": {"event": "b"}}),
        ("data.*", {"data": {"x": {"event": "a"}, "y": {"event": "b"}}}),
        ("data.*", {"data": [{"event": "a"}, {"event": "b"}]}),
        ("groups.*.rows", {"groups": [{"rows": [{"event": "a"}]}, {"rows": []}, {}, {"rows": [{"event": "b"}]}]}),
        ("groups.*.rows.*", {"groups": {"g": {"rows": {"x": {"event": "a"}, "y": {"event": "b"}}}}}),
        ("*.*", [[{"event": "a"}], [{"event": "b"}]]),
    ],
)
def test_rows_are_found_wherever_they_stand(make: Make, site: Site, items: str, body: Any) -> None:
    site.play(Page(body=json.loads(json.dumps(body).replace('"event"', '"price": 5, "event"'))))
    answer = look(make(base=BASE.replace('"listings"', f'"{items}"')))
    assert [event["event_id"] for event in answer.prices] == ["a", "b"]


def test_an_object_alone_is_one_row(make: Make, site: Site) -> None:
    site.play(Page(body={"listings": listing(1)}))
    assert ids(look(make())) == ["1"]


def test_a_row_knows_its_name_what_is_around_it_and_for_what_was_asked(make: Make, site: Site) -> None:
    base = """
    name = "partner"
    url = "https://partner.example/{each}"
    each = ["x?y", 2]
    items = "events.*.sections.*"
    [fields]
    event_id = "{parent.id}-{each}"
    section = "key"
    price = "value.0"
    venue = "parent.parent.venue"
    """
    site.play(Page(body={"venue": "Hall", "events": [{"id": 7, "sections": {"101": [5, 6], "102": [8]}}]}))
    answer = look(make(base=base))
    assert [(e["event_id"], e["section"], e["price"], e["venue"]) for e in answer.prices] == [
        ("7-x?y", "101", 5, "Hall"), ("7-x?y", "102", 8, "Hall"), ("7-2", "101", 5, "Hall"), ("7-2", "102", 8, "Hall"),
    ]  # fmt: skip
    assert [asked.path for asked in site.asked] == ["/x?y", "/2"], "what was asked for is quoted"


def test_rows_that_cannot_be_mapped_are_counted_and_the_others_read(make: Make, site: Site) -> None:
    site.play(page(listing(1), listing(2, "cheap"), {"id": 3, "price": 5}, listing(4)))
    feed = make()
    assert ids(look(feed)) == ["1", "4"]
    assert feed.incomplete is not None
    assert "2 of 4 rows could not be mapped; the first: price: 'cheap'" in feed.incomplete
    site.play(page(listing(1)))
    look(feed)
    assert feed.incomplete is None


def test_when_no_row_can_be_mapped_the_look_says_why(make: Make, site: Site) -> None:
    site.play(page(listing(1, "cheap"), listing(2, "dear")))
    with pytest.raises(Missing, match="none of 2 rows could be mapped; the first: price: 'cheap'"):
        look(make())


def test_rows_without_price_are_told_and_are_no_error(make: Make, site: Site) -> None:
    site.play(page(listing(1, None), listing(2, 0)))
    answer = look(make())
    assert answer.unpriced == {"partner": "2 rows, none of them with a price: no price at 'price'"}
    assert answer.prices == []


def test_one_row_without_price_is_enough_for_the_feed_to_be_unpriced(make: Make, site: Site) -> None:
    site.play(page(listing(1, "cheap"), listing(2, None)))
    assert look(make()).unpriced == {"partner": "2 rows, none of them with a price: no price at 'price'"}


def test_of_an_event_as_a_whole_there_is_one_price(make: Make, site: Site) -> None:
    site.play(page({**listing(1, 50), "s": "101"}, {**listing(2, 20), "s": "102"}, {**listing(3, 30), "event": "e2"}))
    base = BASE.replace("[fields]", 'level = "event"\n[fields]\nsection = "s"')
    assert [(e["event_id"], e["price"]) for e in look(make(base=base)).prices] == [("e1", 50), ("e2", 30)]


def test_of_one_listing_the_first_price_counts(make: Make, site: Site) -> None:
    site.play(page(listing(1, 50), listing(1, 20), {**listing(1, 30), "event": "e2"}))
    feed = make()
    assert [(e["event_id"], e["price"]) for e in look(feed).prices] == [("e1", 50), ("e2", 30)]
    assert "1 prices were of a listing already read" in str(feed.incomplete)


def test_seats_without_a_listing_id_are_listings(make: Make, site: Site) -> None:
    rows = [
        {"event": "e", "price": 5, "s": s, "r": r} for s, r in (("101", "A"), ("101", "B"), ("102", "A"), ("101", "A"))
    ]
    site.play(page(*rows))
    answer = look(make(base=BASE.replace('listing_id = "id"', 'section = "s"\nrow = "r"')))
    assert [(e["section"], e["row"]) for e in answer.prices] == [("101", "A"), ("101", "B"), ("102", "A")]


def test_only_the_feed_itself_can_be_asked_for(make: Make, site: Site) -> None:
    feed = make()
    assert feed.targets == [Target("partner")]
    assert set(feed.look([Target("e1")]).gone) == {"e1"}
    assert site.asked == []
    assert feed.search(Query("Nora Vale")) == []
    assert not feed.searchable


# --- pages

PAGING = {
    "page": 'paging = { by = "page", parameter = "p" }',
    "offset": 'paging = { by = "offset", parameter = "skip" }',
    "cursor": 'paging = { by = "cursor", parameter = "after", path = "next" }',
    "next": 'paging = { by = "next", path = "next" }',
    "link": 'paging = { by = "link" }',
}


def asked_for(site: Site) -> list[dict[str, str]]:
    return [asked.query for asked in site.asked]


def test_pages_by_number_until_an_empty_one(make: Make, site: Site) -> None:
    site.play(page(listing(1), listing(2)), page(listing(3)), page())
    assert ids(look(make('parameters = { size = 2 }\npaging = { by = "page", parameter = "p" }'))) == ["1", "2", "3"]
    assert asked_for(site) == [{"size": "2", "p": "1"}, {"size": "2", "p": "2"}, {"size": "2", "p": "3"}]


def test_pages_by_number_until_a_short_one_when_their_size_is_known(make: Make, site: Site) -> None:
    site.play(page(listing(1), listing(2)), page(listing(3)), Page(500))
    feed = make('paging = { by = "page", parameter = "p", first = 0, size = 2 }')
    assert ids(look(feed)) == ["1", "2", "3"]
    assert asked_for(site) == [{"p": "0"}, {"p": "1"}]
    assert feed.incomplete is None


def test_pages_by_offset_go_on_after_what_was_given(make: Make, site: Site) -> None:
    site.play(page(listing(1), listing(2)), page(listing(3)), page())
    assert ids(look(make(PAGING["offset"]))) == ["1", "2", "3"]
    assert asked_for(site) == [{"skip": "0"}, {"skip": "2"}, {"skip": "3"}]


def test_an_offset_counts_what_the_page_holds_not_what_stands_within(make: Make, site: Site) -> None:
    groups = [{"listings": [listing(1), listing(2)]}, {"listings": []}]
    site.play(Page(body={"g": groups}), Page(body={"g": [{"listings": []}]}), Page(body={"g": []}))
    assert ids(look(make(PAGING["offset"], BASE.replace('"listings"', '"g.*.listings"')))) == ["1", "2"]
    assert asked_for(site) == [{"skip": "0"}, {"skip": "2"}, {"skip": "3"}]


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}, {"next": False}, {"next": 0}], ids=str)
def test_pages_by_cursor(make: Make, site: Site, end: dict[str, Any]) -> None:
    site.play(page(listing(1), next="a+b/="), page(listing(2), next=7), page(listing(3), **end))
    assert ids(look(make("parameters = { size = 1 }\n" + PAGING["cursor"]))) == ["1", "2", "3"]
    assert asked_for(site) == [{"size": "1"}, {"size": "1", "after": "a+b/="}, {"size": "1", "after": "7"}]


@pytest.mark.parametrize("whole", [False, True])
def test_pages_by_address_keep_our_parameters(make: Make, site: Site, whole: bool) -> None:
    before = site.url if whole else ""
    site.play(
        page(listing(1), next=f"{before}/listings?from=a%2Bb"), page(listing(2), next="?from=c&key=other"), page(listing(3))
    )  # fmt: skip
    feed = make('parameters = { key = "${FEED_KEY}" }\n' + PAGING["next"], secrets={"FEED_KEY": KEY}.get)
    assert ids(look(feed)) == ["1", "2", "3"]
    assert asked_for(site) == [{"key": KEY}, {"from": "a+b", "key": KEY}, {"from": "c", "key": "other"}]


def test_pages_by_link_header(make: Make, site: Site) -> None:
    first, second = page(listing(1)).body, page(listing(2)).body
    links = f'</listings>; rel="first", <{site.url}/listings?page=2>; rel="next"'
    site.play(Page(body=first, headers={"Link": links}), Page(body=second, headers={"Link": '</l>; rel="prev"'}))
    assert ids(look(make(PAGING["link"]))) == ["1", "2"]
    assert asked_for(site) == [{}, {"page": "2"}]


@pytest.mark.parametrize(
    "elsewhere",
    ["http://127.0.0.1:9/x", "https://evil.example/", "//evil.example/", "http://me:pw@{host}/", "ftp://{host}/", "http://[",
     1.5, {}],
    ids=str,
)  # fmt: skip
def test_no_address_leads_to_another_host(make: Make, site: Site, elsewhere: Any) -> None:
    if isinstance(elsewhere, str):
        elsewhere = elsewhere.replace("{host}", site.url.removeprefix("http://"))
    site.play(page(listing(1), next=elsewhere))
    feed = make(PAGING["next"])
    assert ids(look(feed)) == ["1"]
    assert len(site.asked) == 1
    assert feed.incomplete, "it was not told that there is more"


def test_pages_that_go_round_in_a_circle_are_left(make: Make, site: Site) -> None:
    site.play(page(listing(1), next="a"), page(listing(2), next="b"), page(listing(3), next="a"))
    feed = make(PAGING["cursor"])
    assert ids(look(feed)) == ["1", "2", "3"]
    assert "circle" in str(feed.incomplete)
    assert len(site.asked) == 3


def test_a_site_that_does_not_know_the_page_parameter_is_noticed(make: Make, site: Site) -> None:
    site.play(page(listing(1), listing(2)))
    feed = make(PAGING["page"])
    assert ids(look(feed)) == ["1", "2"]
    assert "the same page again" in str(feed.incomplete)
    assert len(site.asked) == 2


def test_pages_without_end_are_bounded(make: Make, site: Site) -> None:
    site.play(*(page(listing(number), next=f"c{number}") for number in range(9)))
    feed = make('paging = { by = "cursor", parameter = "after", path = "next", most = 4 }')
    assert ids(look(feed)) == ["0", "1", "2", "3"]
    assert "more than 4 pages" in str(feed.incomplete)
    assert len(site.asked) == 4


@pytest.mark.parametrize("broken", [Page(500), Page(404), Page(200, "{")], ids=["500", "404", "cut"])
def test_what_was_read_before_a_page_failed_stands(make: Make, site: Site, broken: Page) -> None:
    site.play(page(listing(1), next="a"), broken)
    feed = make(PAGING["cursor"])
    assert ids(look(feed)) == ["1"]
    assert feed.incomplete
    site.play(page(listing(1), next="a"), page(listing(2)))
    assert ids(look(feed)) == ["1", "2"], "the next look begins anew"
    assert feed.incomplete is None


def test_what_tells_us_to_stay_away_is_raised_from_any_page(make: Make, site: Site) -> None:
    site.play(page(listing(1), next="a"), Page(406))
    with pytest.raises(Held):
        look(make(PAGING["cursor"]))
    site.play(page(listing(1), next="a"), Page(403))
    with pytest.raises(Refused):
        look(make(PAGING["cursor"]))


def test_the_day_s_budget_holds_in_the_middle_of_a_look(make: Make, site: Site) -> None:
    site.play(*(page(listing(number), next=f"c{number}") for number in range(9)))
    feed = make(PAGING["cursor"], budget={"calls_a_day": 3})
    assert len(ids(look(feed))) == 3, "what was paid for is not thrown away"
    assert feed.incomplete
    assert len(site.asked) == 3
    with pytest.raises(Held):
        look(feed)
    assert len(site.asked) == 3


def test_a_look_that_no_day_can_pay_for_is_refused() -> None:
    with pytest.raises(FeedError, match="one look takes 3 calls"):
        Feed(table("budget = { calls_a_day = 2 }\n", EACH), nothing_set)


EACH = BASE.replace("/listings", "/{each}").replace("items", 'each = ["a", "b", "c"]\nitems')


def test_one_event_that_is_missing_leaves_the_others(make: Make, site: Site) -> None:
    site.play(page(listing(1)), Page(404), page(listing(3)))
    feed = make(base=EACH)
    assert ids(look(feed)) == ["1", "3"]
    assert "there is no such thing" in str(feed.incomplete)


def test_a_site_that_is_away_is_not_asked_for_every_event(make: Make, site: Site) -> None:
    site.play(page(listing(1)), Page(503))
    assert ids(look(make(base=EACH))) == ["1"]
    assert len(site.asked) == 2
    site.play(Page(503))
    with pytest.raises(Unavailable):
        look(make(base=EACH))


# --- secrets


def test_a_secret_goes_where_the_file_says(make: Make, site: Site) -> None:
    more = 'headers = { X-Key = "${FEED_KEY}" }\nparameters = { key = "${FEED_KEY}" }\nbasic = "me:${FEED_KEY}"'
    site.play(page(listing(1)))
    look(make(more, secrets={"FEED_KEY": "s p+1\n"}.get))
    (asked,) = site.asked
    assert (asked.headers["x-key"], asked.query["key"]) == ("s p+1", "s p+1")
    assert asked.headers["authorization"] == "Basic bWU6cyBwKzE="


def test_a_secret_that_is_not_set_refuses_looks_by_its_name(make: Make, site: Site) -> None:
    feed = make('headers = { X-Key = "${FEED_KEY}" }\nbasic = "${FEED_USER}:${FEED_KEY}"')
    with pytest.raises(Refused, match="partner: set FEED_KEY and FEED_USER, which its file asks for"):
        look(feed)
    assert site.asked == []


def test_a_feed_cannot_ask_for_other_secrets() -> None:
    def never(name: str) -> str | None:
        raise AssertionError(f"{name} was read")

    with pytest.raises(FeedError, match=r"name it \$\{FEED_POSTGRES_PASSWORD\}"):
        Feed(table('headers = { X-Key = "${POSTGRES_PASSWORD}" }'), never)


@pytest.mark.parametrize("secret", [KEY, "can+ary key/7"])
def test_a_secret_stands_in_no_error(site: Site, make: Make, secret: str) -> None:
    feed = make('parameters = { key = "${FEED_KEY}" }\nbasic = "me:${FEED_KEY}"', secrets={"FEED_KEY": secret}.get)
    for text in (secret, quote(secret, safe=""), quote_plus(secret), b64encode(f"me:{secret}".encode()).decode()):
        assert feed._http.redact(f"error at https://x/?key={text}") == "error at https://x/?key=***"


# --- where requests may go


def resolving(*addresses: str) -> Callable[..., Any]:
    return lambda host, port, **_: [(0, 0, 0, "", (address, port)) for address in addresses]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
     "64:ff9b::a00:1", "2002:7f00:1::", "2001:db8::1"],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_refused(address: str) -> None:
    asked = []
    transport = PublicOnly(httpx.MockTransport(lambda request: asked.append(request) or httpx.Response(200)))
    for addresses in ([address], ["93.184.215.14", address]):
        transport = PublicOnly(
            httpx.MockTransport(lambda request: asked.append(request) or httpx.Response(200)), resolving(*addresses)
        )
        with pytest.raises(Refused, match="not a public address"):
            httpx.Client(transport=transport).get("https://partner.example/x")
    assert asked == []


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    asked: list[httpx.Request] = []

    def carry(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.host == "2606:2800::1":
            raise httpx.ConnectError("no route")
        return httpx.Response(200, json={})

    transport = PublicOnly(httpx.MockTransport(carry), resolving("2606:2800::1", "93.184.215.14", "93.184.215.14"))
    assert httpx.Client(transport=transport).get("https://partner.example:8443/x?y=1").status_code == 200
    assert [str(request.url) for request in asked] == [
        "https://[2606:2800::1]:8443/x?y=1",
        "https://93.184.215.14:8443/x?y=1",
    ]
    assert {request.headers["host"] for request in asked} == {"partner.example:8443"}
    assert {request.extensions["sni_hostname"] for request in asked} == {"partner.example"}, "TLS must verify the name"


def test_a_name_that_is_not_known_can_be_tried_again() -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("Name or service not known")

    with pytest.raises(httpx.ConnectError, match=r"partner\.example is not known"):
        httpx.Client(transport=PublicOnly(resolve=unknown)).get("https://partner.example/")


def test_a_feed_asks_public_hosts_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was made"))
    feed = Feed(table(base=BASE.replace("https://partner.example", "https://localhost:1")), nothing_set)
    with pytest.raises(Refused, match="not a public address"):
        look(feed)
    feed.close()


# --- the file


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://partner.example/", "url is not https"),
        ("https://me:pw@partner.example/", "holds a user name"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://169.254.169.254/latest", "not a public address"),
        ("ftp://partner.example/", "no web address"),
        ("partner.example", "no web address"),
        ("https://partner.example/{id}", "neither {each} nor ${FEED_"),
        ("https://partner.example/{each}", "each and url belong together"),
    ],
)
def test_a_wrong_address_is_told(address: str, says: str) -> None:
    with pytest.raises(FeedError) as error:
        Feed(table(base=BASE.replace("https://partner.example/listings", address)), nothing_set)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("evry = 60", ["`evry`", "every", "constants, fields, observation"]),
        ("every = 0", ["$.every"]),
        ('method = "POST"', ["`method`"]),
        ('each = ["1"]', ["each and url belong together"]),
        ('basic = "${FEED_PASSWORD}"', ['basic = "user:${FEED_PASSWORD}"']),
        ('headers = { X = "${KEY}" }', ["${FEED_KEY}"]),
        ('paging = { by = "pages" }', ["$.paging.by", "page, offset, cursor, next or link"]),
        ('paging = { by = "page" }', ['parameter = "page"']),
        ('paging = { by = "cursor", parameter = "after" }', ['path = "meta.next"']),
        ('paging = { by = "next" }', ['path = "meta.next"']),
        ('paging = { by = "link", most = 0 }', ["$.paging.most"]),
        ("budget = { calls_a_day = 0 }", ["$.budget.calls_a_day", "calls_a_second"]),
        ("budget = { a_day = 1 }", ["`a_day`", "calls_a_second"]),
    ],
)
def test_a_wrong_key_is_told_with_what_to_write(more: str, says: list[str]) -> None:
    with pytest.raises(FeedError) as error:
        Feed(table(more), nothing_set)
    assert [said for said in says if said not in str(error.value)] == [], str(error.value)


@pytest.mark.parametrize("name", ["Partner", "", "a b", "../x", "x" * 51])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(FeedError, match="small letters"):
        Feed(table(base=BASE.replace('"partner"', f'"{name}"')), nothing_set)


def test_every_feed_of_the_folder_is_made_but_not_its_examples(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(BASE.replace('"partner"', f'"{name}"'))
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "three.toml").write_text("broken")
    wrong: list[str] = []
    feeds = from_settings(SimpleNamespace(feeds_dir=tmp_path), nothing_set, wrong)  # type: ignore[arg-type]
    assert [feed.name for feed in feeds] == ["one", "two"]
    assert from_settings(SimpleNamespace(feeds_dir=tmp_path / "nowhere"), nothing_set, wrong) == []  # type: ignore[arg-type]
    assert wrong == []


def test_every_wrong_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(BASE)
    (tmp_path / "b.toml").write_text(BASE)
    (tmp_path / "c.toml").write_text("name = ")
    (tmp_path / "d.toml").write_text(BASE.replace('price = "price"', ""))
    (tmp_path / "e.toml").write_bytes(b"\xff")
    told: list[str] = []
    good = from_settings(SimpleNamespace(feeds_dir=tmp_path), nothing_set, told)  # type: ignore[arg-type]
    assert [feed.name for feed in good] == ["partner"]
    assert [line.split(".toml")[0][-1] for line in told] == ["b", "c", "d", "e"]
    assert 'name = "partner" is that of another feed' in told[0]
    assert "price is missing" in told[2]
