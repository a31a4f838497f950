"""The StubHub and viagogo connector: its token, its merged events, and every answer that its document allows."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import jsonschema
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.source import Answer, Listed, Missing, Query, Refused, SourceError, Target, Unavailable
from connectors.sources.stubhub import StubHubSource, from_settings
from tests.support.sites import Page, Site
from tests.unit.connectors.sources.contract import KEY, NOW, ConnectorContract, check_answer, check_listed

DOCUMENT = json.loads((Path(__file__).parents[3] / "data/stubhub/stubhub_catalog_openapi_1.0.0.75.json").read_text())
TOKEN = f"token-{KEY}"
TOKEN_PATH = "/oauth2/token"


def granted(token: str = TOKEN, lasts: Any = 86_400) -> Page:
    return Page(body={"access_token": token, "token_type": "bearer", "expires_in": lasts, "scope": "read:events"})


def event(id: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": id,
        "name": "Nora Vale",
        "start_date": "2027-06-01T20:00:00-05:00",
        "end_date": None,
        "on_sale_date": "2027-01-10T10:00:00-06:00",
        "date_confirmed": True,
        "time_confirmed": True,
        "type": "Main",
        "min_ticket_price": {"amount": 95.5, "currency_code": "USD", "display": "$95.50"},
        "status": "Normal",
        "_links": {
            "self": {"href": f"https://api.stubhub.net/catalog/events/{id}", "title": None, "templated": False},
            "event:webpage": {"href": f"https://www.stubhub.com/event/{id}", "title": None, "templated": False},
        },
        "_embedded": {
            "venue": {"id": 3, "name": "Grand Hall", "city": "Chicago", "state_province": "IL", "postal_code": "60601"},
            "categories": [{"id": 7, "name": "Nora Vale", "role": "MainArtist"}],
        },
        **fields,
    }


def events(*found: Any, after: str | None = None, deleted: tuple[Any, ...] = ()) -> dict[str, Any]:
    return {
        "total_items": len(found),
        "page": 1,
        "page_size": 100,
        "_links": {"self": None, "next": after and {"href": after, "title": None, "templated": False}},
        "_embedded": {"items": list(found), "deleted_items": list(deleted)},
    }


class TestContract(ConnectorContract):
    ids = ("152345678", "152345679")
    expected: ClassVar = {"price": 95.5, "currency": "USD", "level": "event", "venue": "Grand Hall", "city": "Chicago"}
    most_requests = 6  # with all attempts to get a token

    def make(self, url: str, **options: Any) -> StubHubSource:
        return StubHubSource("client", KEY, url, f"{url}{TOKEN_PATH}", **options)

    def prepare(self, site: Site) -> None:
        site.play(granted(), path=TOKEN_PATH)

    def page(self, *found: Any) -> Any:
        return found[0]

    def results(self, *found: Any) -> Any:
        return events(*found)

    def priced(self, id: str) -> Any:
        return event(int(id))

    def unpriced(self, id: str) -> Iterator[Any]:
        for price in (
            {"amount": None, "currency_code": "USD"},
            {"currency_code": "USD"},
            {"amount": 0},
            {},
            None,
            95.5,
        ):
            yield event(int(id), min_ticket_price=price)
        for currency in (None, "", "dollars", "usd", "$"):
            yield event(int(id), min_ticket_price={"amount": 95.5, "currency_code": currency})
        yield {name: value for name, value in event(int(id)).items() if name != "min_ticket_price"}


@pytest.fixture
def clock() -> list[datetime]:
    """The time, which a test may change."""
    return [NOW]


@pytest.fixture
def source(site: Site, clock: list[datetime]) -> Iterator[StubHubSource]:
    site.play(granted(), path=TOKEN_PATH)
    made = StubHubSource(
        "cli+ent", "se/cret", site.url, f"{site.url}{TOKEN_PATH}",
        calls_a_second=1e6, attempts=1, sleep=lambda _: None, now=lambda: clock[0],
    )  # fmt: skip
    yield made
    made.close()


def look(source: StubHubSource, id: str = "5") -> Answer:
    return source.look([Target(id)])


def asked_paths(site: Site) -> list[str]:
    return [asked.path for asked in site.asked]


# --- the token


def test_a_token_is_asked_for_once_and_sent_with_every_call(source: StubHubSource, site: Site) -> None:
    site.play(Page(body=event(5)))
    look(source)
    look(source)
    assert asked_paths(site) == [TOKEN_PATH, "/catalog/events/5", "/catalog/events/5"]
    first, *others = site.asked
    assert first.method == "POST"
    assert first.headers["authorization"] == "Basic Y2xpJTJCZW50OnNlJTJGY3JldA==", "cli%2Bent:se%2Fcret, in Base64"
    assert [asked.headers["authorization"] for asked in others] == [f"Bearer {TOKEN}"] * 2
    assert all(asked.headers["user-agent"] for asked in site.asked), "StubHub requires one"
    assert source.ledger.spent == 3, "a token costs a call, too"


@pytest.mark.parametrize(
    ("lasts", "until"),
    [(86_400, 86_100), (600, 300), (10, 5), (None, 86_100), (-1, 86_100), (10**9, 86_100), ("3600", 3300)],
)
def test_a_token_is_changed_shortly_before_its_end(
    source: StubHubSource, site: Site, clock: list[datetime], lasts: Any, until: int
) -> None:
    site.play(granted("one", lasts), granted("two"), path=TOKEN_PATH)
    site.play(Page(body=event(5)))
    for seconds in (0, until - 1, until):
        clock[0] = NOW + timedelta(seconds=seconds)
        look(source)
    used = [asked.headers["authorization"] for asked in site.asked if asked.path != TOKEN_PATH]
    assert used == ["Bearer one", "Bearer one", "Bearer two"]


def test_a_token_that_is_refused_is_changed_once(source: StubHubSource, site: Site) -> None:
    site.play(granted("one"), granted("two"), path=TOKEN_PATH)
    site.play(Page(body=event(5)), Page(401), Page(body=event(5)))
    look(source)
    assert look(source).prices
    assert asked_paths(site).count(TOKEN_PATH) == 2
    assert site.asked[-1].headers["authorization"] == "Bearer two"
    site.play(Page(401))
    made = len(site.asked)
    with pytest.raises(Refused, match="the token was refused although it was new"):
        look(source)
    assert asked_paths(site)[made:] == ["/catalog/events/5", TOKEN_PATH, "/catalog/events/5"]


def test_a_new_token_that_is_refused_is_not_changed_again(source: StubHubSource, site: Site) -> None:
    site.play(Page(401))
    with pytest.raises(Refused, match="although it was new"):
        look(source)
    assert asked_paths(site) == [TOKEN_PATH, "/catalog/events/5"]


@pytest.mark.parametrize(
    "page", [Page(401), Page(400, {"error": "invalid_client"}), Page(403, {}), Page(404), Page(302)]
)
def test_when_no_token_is_given_the_settings_are_named(source: StubHubSource, site: Site, page: Page) -> None:
    site.play(page, path=TOKEN_PATH)
    with pytest.raises(Refused) as error:
        look(source)
    if page.status in (400, 401, 404):
        assert "check STUBHUB_CLIENT_ID, STUBHUB_CLIENT_SECRET and STUBHUB_TOKEN_URL" in str(error.value)
    assert asked_paths(site) == [TOKEN_PATH]


@pytest.mark.parametrize(
    "body",
    [{}, [], None, {"access_token": ""}, {"access_token": 5}, {"access_token": "a b"}, {"access_token": "a\nb: c"}],
)
def test_what_is_no_token_is_not_sent(source: StubHubSource, site: Site, body: Any) -> None:
    site.play(Page(body=body), path=TOKEN_PATH)
    with pytest.raises(Unavailable, match="holds no token"):
        look(source)
    assert asked_paths(site) == [TOKEN_PATH]


def test_neither_token_nor_secret_is_ever_told(
    source: StubHubSource, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    site.play(Page(body=event(5)))
    look(source)
    told = source._http.redact(f"Bearer {TOKEN} se/cret se%2Fcret")
    assert told == "Bearer *** *** ***"
    ours = [f"{record.getMessage()} {record.args}" for record in caplog.records if record.name != "werkzeug"]
    assert not [line for line in ours if TOKEN in line or "cret" in line]


# --- one event


@pytest.mark.parametrize("status", ["Cancelled", "Deleted"])
def test_a_cancelled_event_is_gone_whatever_its_price(source: StubHubSource, site: Site, status: str) -> None:
    site.play(Page(body=event(5, status=status)))
    answer = look(source)
    assert (answer.prices, answer.gone) == ([], {"5": status.lower()})


@pytest.mark.parametrize(
    "status",
    ["Normal", "Postponed", "Rescheduled", "Relocated", "RelocatedAndRescheduled", "Draft", "Contingent", "New", None],
)
def test_any_other_event_is_still_looked_at(source: StubHubSource, site: Site, status: str | None) -> None:
    site.play(Page(body=event(5, status=status)))
    assert [price["price"] for price in look(source).prices] == [95.5]


@pytest.mark.parametrize("currency", ["USD", "EUR", "GBP", "JPY"])
def test_a_price_keeps_its_currency_and_claims_no_fees(source: StubHubSource, site: Site, currency: str) -> None:
    site.play(Page(body=event(5, min_ticket_price={"amount": 12.34, "currency_code": currency, "display": "?"})))
    (price,) = look(source).prices
    assert (price["price"], price["currency"]) == (12.34, currency)
    assert {"fees", "total_price"}.isdisjoint(price)


def test_a_merged_event_is_priced_under_the_id_that_was_asked_for(source: StubHubSource, site: Site) -> None:
    site.play(Page(body=event(77)))
    answer = look(source, "5")
    assert [price["event_id"] for price in answer.prices] == ["5"]
    assert [listed.id for listed in answer.listed] == ["5"]


def test_what_an_event_tells_of_itself(source: StubHubSource, site: Site) -> None:
    site.play(Page(body=event(5)))
    assert look(source).listed == [
        Listed(
            "stubhub", "5", "Nora Vale", venue="Grand Hall", city="Chicago", state="IL", local_date=date(2027, 6, 1),
            starts=datetime(2027, 6, 2, 1, tzinfo=UTC), performers=("Nora Vale",),
            url="https://www.stubhub.com/event/5", status="Normal",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "local_date", "starts"),
    [
        ({"start_date": "2027-06-02T01:00:00Z"}, None, datetime(2027, 6, 2, 1, tzinfo=UTC)),
        ({"time_confirmed": False}, date(2027, 6, 1), None),
        ({"date_confirmed": False}, None, None),
        ({"start_date": "soon"}, None, None),
    ],
)
def test_a_time_that_is_not_known_is_not_told(
    source: StubHubSource, site: Site, fields: dict[str, Any], local_date: date | None, starts: datetime | None
) -> None:
    site.play(Page(body=event(5, **fields)))
    (listed,) = look(source).listed
    assert (listed.local_date, listed.starts) == (local_date, starts)


# --- search


def ids(found: list[Listed]) -> list[str]:
    return [listed.id for listed in found]


def test_a_search_follows_next_pages_until_it_has_enough(source: StubHubSource, site: Site) -> None:
    next_page = "/catalog/events/search?q=Nora+Vale&page="
    site.play(
        Page(body=events(event(1), event(2), after=f"{site.url}{next_page}2")),
        Page(body=events(event(2), event(3), after=f"{next_page}3")),
        Page(body=events(event(4))),
    )
    assert ids(source.search(Query("Nora Vale"))) == ["1", "2", "3", "4"]
    asked = [asked.query for asked in site.asked[1:]]
    assert [query.get("page") for query in asked] == [None, "2", "3"]
    assert {query["q"] for query in asked} == {"Nora Vale"}
    assert asked[0]["exclude_parking_passes"] == "true"
    assert all(asked.headers["authorization"] == f"Bearer {TOKEN}" for asked in site.asked[1:])
    site.play(Page(body=events(event(1), event(2), after=next_page)))
    made = len(site.asked)
    assert ids(source.search(Query("Nora Vale"), limit=2)) == ["1", "2"]
    assert len(site.asked) == made + 1


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/catalog", "//evil.example/catalog", "http://127.0.0.1:9/", "https://{host}/", "http://me:pw@{host}/", "http://["],
)  # fmt: skip
def test_a_search_never_takes_the_token_to_another_host(source: StubHubSource, site: Site, elsewhere: str) -> None:
    elsewhere = elsewhere.replace("{host}", site.url.removeprefix("http://"))
    site.play(Page(body=events(event(1), after=elsewhere)))
    assert ids(source.search(Query("Nora Vale"))) == ["1"]
    assert asked_paths(site) == [TOKEN_PATH, "/catalog/events/search"]


def test_a_search_ends_although_its_pages_do_not(source: StubHubSource, site: Site) -> None:
    site.play(*(Page(body=events(event(number), after=f"?page={number + 1}")) for number in range(1, 40)))
    assert len(source.search(Query("Nora Vale"))) == 20
    site.play(Page(body=events(event(1), after="?page=2")))
    made = len(site.asked)
    assert ids(source.search(Query("Nora Vale"))) == ["1"]
    assert len(site.asked) == made + 2, "pages that go round in a circle are left"


def test_deleted_events_are_not_found(source: StubHubSource, site: Site) -> None:
    site.play(Page(body=events(event(1), event(2), deleted=(event(2), event(3)))))
    assert ids(source.search(Query("Nora Vale"))) == ["1"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (Query("Nora Vale", city="chicago"), ["1", "2"]),
        (Query("Nora Vale", city="Boston"), ["2"]),
        (Query("Nora Vale", venue="Hall Grand"), ["1", "2"]),
        (Query("Nora Vale", venue="grand"), ["1", "2"]),
        (Query("Nora Vale", since=date(2027, 6, 1), until=date(2027, 6, 1)), ["1", "2"]),
        (Query("Nora Vale", since=date(2027, 6, 2)), ["2"]),
        (Query("Nora Vale", until=date(2027, 5, 31)), []),
        (Query("Nora Vale", since=date(2027, 6, 4)), []),
    ],
)
def test_every_part_of_a_query_must_agree_with_what_is_known(
    source: StubHubSource, site: Site, query: Query, found: list[str]
) -> None:
    """The second event tells neither its place nor its date at the venue; 01:00 UTC may be the day before there."""
    site.play(Page(body=events(event(1), event(2, start_date="2027-06-02T01:00:00Z", _embedded=None))))
    assert ids(source.search(query)) == found
    assert site.asked[-1].query.get("dateLocal") == (
        "2027-06-01" if query.since and query.since == query.until else None
    )


@pytest.mark.parametrize("status", [400, 404])
def test_a_search_that_is_not_understood_names_the_setting(source: StubHubSource, site: Site, status: int) -> None:
    site.play(Page(status, {"code": "not_found"}))
    with pytest.raises(Refused, match="check STUBHUB_URL"):
        source.search(Query("Nora Vale"))


# --- every answer that the document allows


def plain(schema: Any) -> dict[str, Any]:
    """A schema of the document as JSON Schema: references followed, `nullable` spelt out."""
    if "$ref" in schema:
        return plain(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    found = {name: value for name, value in schema.items() if name in ("type", "format", "additionalProperties")}
    if "oneOf" in schema:
        found = plain(schema["oneOf"][0])
    if "properties" in schema:
        found["properties"] = {name: plain(value) for name, value in schema["properties"].items()}
    if "items" in schema:
        found["items"] = plain(schema["items"])
    return {"anyOf": [{"type": "null"}, found]} if schema.get("nullable") else found


@cache
def validator(schema: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(plain({"$ref": schema}))


STATUSES = ("Normal", "Postponed", "Cancelled", "Rescheduled", "Relocated", "Draft", "Contingent", "Deleted")
_zones = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
_times = st.datetimes(datetime(1900, 1, 1), timezones=_zones | st.just(UTC)).map(
    lambda time: time.isoformat().replace("+00:00", "Z")
)
_words = {
    "status": st.sampled_from(STATUSES),
    "currency_code": st.sampled_from(("USD", "EUR", "GBP")),
    "href": st.sampled_from(("https://www.stubhub.com/event/5", "?page=2", "//evil.example")),
}
_amounts = st.decimals(0, 10**6, places=2).map(float) | st.floats(allow_nan=False, allow_infinity=False)


@cache
def answers(schema: str) -> st.SearchStrategy[Any]:
    """Values of one of the document's schemas."""
    return _answers(plain({"$ref": schema}))


def _answers(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return _answers(schema["anyOf"][1], name) | st.none()
    kind = schema["type"]
    if kind == "object":
        inside = {inner: _answers(one, inner) for inner, one in schema.get("properties", {}).items()}
        return st.fixed_dictionaries(inside) | st.fixed_dictionaries({}, optional=inside)
    if kind == "array":
        return st.lists(_answers(schema["items"]), max_size=2)
    if kind == "string":
        return _times if schema.get("format") == "date-time" else _words.get(name, st.nothing()) | st.text(max_size=20)
    return {"integer": st.integers(-(2**31), 2**31 - 1), "number": _amounts, "boolean": st.booleans()}[kind]


drawn = hypothesis_settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@drawn
@given(body=answers("Event"))
def test_every_event_of_the_document_is_read(source: StubHubSource, site: Site, body: dict[str, Any]) -> None:
    validator("Event").validate(body)
    site.play(Page(body=body))
    if "id" not in body:
        with pytest.raises(Unavailable, match="holds no event"):
            look(source)
        return
    answer = look(source)
    check_answer(answer, {"5"}, "stubhub")
    price = body.get("min_ticket_price", {})
    for found in answer.prices:
        assert (found["price"], found["currency"]) == (price["amount"], price["currency_code"])


@drawn
@given(body=answers("Events"))
def test_every_list_of_events_of_the_document_is_read(source: StubHubSource, site: Site, body: dict[str, Any]) -> None:
    validator("Events").validate(body)
    site.play(Page(body=body), Page(body={}))
    found = source.search(Query())
    told = {str(one.get("id")) for one in (body.get("_embedded") or {}).get("items") or ()}
    assert set(ids(found)) <= told
    for listed in found:
        check_listed(listed, "stubhub")


@drawn
@given(body=answers("Error") | st.none(), status=st.sampled_from([400, 401, 403, 404, 500]))
def test_every_error_of_the_document_is_an_error(source: StubHubSource, site: Site, body: Any, status: int) -> None:
    site.play(Page(status, body))
    with pytest.raises(SourceError) as error:
        look(source)
    assert type(error.value) in (Unavailable, Missing, Refused), "an error of the connector's own got out"


def test_the_answers_of_these_tests_are_of_the_document() -> None:
    validator("Event").validate(event(5))
    validator("Events").validate(events(event(5), deleted=(event(6),), after="/x"))
    with pytest.raises(jsonschema.ValidationError):
        validator("Event").validate(event(5, price=1))


# --- settings


def settings(**given: Any) -> Any:
    given = {"client_id": "client", "client_secret": SecretStr("secret"), "url": "https://x.example", **given}
    rest = {"token_url": "https://y.example/t", "calls_a_day": 77}
    return SimpleNamespace(**{f"stubhub_{name}": value for name, value in {**rest, **given}.items()})


def test_it_is_made_from_the_settings() -> None:
    source = from_settings(settings())
    assert source is not None
    assert (source.name, source.budget.calls_a_day, source.budget.targets_a_call) == ("stubhub", 77, 1)
    source.close()


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_without_its_credentials_it_is_off(name: str) -> None:
    assert from_settings(settings(**{name: None})) is None
