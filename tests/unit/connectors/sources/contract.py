"""What every connector keeps to, whatever the other side sends; run over a real socket.

A connector's test subclasses `ConnectorContract` and says how to make the source and what the site answers:

    class TestSeatGeek(ConnectorContract):
        ids = ("6109451", "6109452")
        expected: ClassVar = {"price": 95, "total_price": 120, "currency": "USD", "level": "event"}

        def make(self, url, **options):
            return SeatGeekSource(KEY, url, **options)

        def page(self, *events):
            return {"events": list(events), "meta": {"total": len(events)}}

        def priced(self, id):
            return {"id": int(id), "title": "Nora Vale", ..., "stats": {...}}

        def unpriced(self, id):
            yield {**self.priced(id), "stats": {}}
"""

from __future__ import annotations

import copy
import json
import logging
import time
import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import astuple
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from analytics import quality
from analytics.decode import decode_values
from connectors import http
from connectors.budget import LedgerState
from connectors.source import (
    Answer,
    Held,
    Listed,
    Missing,
    PriceEvent,
    Query,
    Refused,
    Source,
    SourceError,
    Target,
    Unavailable,
)
from tests.support.sites import Page, Site

KEY = "canary-7f3a9e-key"
"""The secret that a source under test is given; every page of the site repeats it, and it must come out nowhere."""

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
TIMEOUT = 5.0

HTML = f"<!DOCTYPE html><html><head><title>Are you human?</title></head><body>{KEY}</body></html>"
_HTML_TYPE = {"Content-Type": "text/html; charset=utf-8"}
_FAULT = {"fault": {"faultstring": f"Rejected. Identifier : {KEY}"}, "status": 400, "message": KEY}

HOSTILE: dict[str, tuple[Page, tuple[type[SourceError] | str, ...]]] = {
    "401": (Page(401, _FAULT), (Refused,)),
    "403": (Page(403, _FAULT), (Refused,)),
    "403 with a page for people": (Page(403, HTML, _HTML_TYPE), (Held,)),
    "404": (Page(404, _FAULT), (Missing, "gone")),
    "400": (Page(400, _FAULT), (Missing,)),
    "406": (Page(406, _FAULT), (Held,)),
    "429": (Page(429, _FAULT), (Unavailable, Held)),
    "429 with Retry-After": (Page(429, _FAULT, {"Retry-After": "7"}), (Unavailable, Held)),
    "429 without end": (Page(429, _FAULT, {"Retry-After": "inf"}), (Unavailable, Held)),
    "500": (Page(500, _FAULT), (Unavailable,)),
    "502, empty": (Page(502), (Unavailable,)),
    "503 with a page for people": (Page(503, HTML, _HTML_TYPE), (Unavailable,)),
    "redirect": (Page(302, b"", {"Location": f"/elsewhere?key={KEY}"}), (Refused,)),
    "captcha": (Page(200, HTML, _HTML_TYPE), (Held,)),
    "captcha that says it is JSON": (Page(200, HTML), (Held,)),
    "empty": (Page(200), (Unavailable,)),
    "no JSON": (Page(200, f"{{'key': '{KEY}'}}"), (Unavailable,)),
    "not UTF-8": (Page(200, b'{"name": "Caf\xe9"}'), (Unavailable,)),
    "nested without end": (Page(200, "[" * 100_000), (Unavailable,)),
}
"""Pages that are no answer, and what may come of each: an error, or the target is `gone`."""

SHAPES: tuple[Any, ...] = (None, True, 0, 1.5, "text", "", [], {}, [None], [[]], [{}], {"error": KEY}, {"events": None})
"""JSON that is no answer: an error, or at most no price; nobody may conclude from it that an event is gone."""

NASTY = "\x00<script>alert(1)</script>\u202eevil\u202c عربى \x1d\x1f\ud800 😀 '); DROP TABLE"
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 12, 0.001, 1e-9, -0.0, 10**400, 1e308, float("nan"), float("inf"), "", "0", "12", "-5", "NaN",
    "45.50", "1e5", "free", NASTY, "x" * 10_000, [], {}, [None], [[1]], {"id": None}, "2027-13-45T99:99:99Z",
    "9999-12-31T23:59:59-23:59", "javascript:alert(1)",
)  # fmt: skip


class ConnectorContract:
    """One look at a time at a site that answers well, badly, or not at all."""

    ids: ClassVar[tuple[str, ...]]
    """Two of the source's ids at least."""
    expected: ClassVar[Mapping[str, Any]]
    """Fields of the price event that comes of `priced`."""
    outcomes: ClassVar[Mapping[str, tuple[type[SourceError] | str, ...]]] = {}
    """Where a page of `HOSTILE` means something else to this source."""
    currencies: ClassVar[frozenset[str]] = frozenset({"USD"})
    """Currencies that the source may give although no answer names them."""
    most_requests: ClassVar[int] = 3
    """For one look, with all attempts."""
    query: ClassVar[Query] = Query("Nora Vale")

    def make(self, url: str, **options: Any) -> Source:
        """The source against `url`, with `KEY` as its secret.

        `options` are keyword arguments that every connector takes: calls_a_day, calls_a_second, timeout, sleep, now.
        """
        raise NotImplementedError

    def page(self, *events: Any) -> Any:
        """The site's answer, holding these events."""
        raise NotImplementedError

    def results(self, *events: Any) -> Any:
        """The site's answer to a search; as a rule that to a look."""
        return self.page(*events)

    def priced(self, id: str) -> Any:
        """What the site says of an event with a price: all the fields that the connector reads."""
        raise NotImplementedError

    def unpriced(self, id: str) -> Iterator[Any]:
        """Each way in which the site says that an event has no price."""
        raise NotImplementedError

    def prepare(self, site: Site) -> None:
        """Make the site ready, say with a token (`site.play(page, path=…)`)."""

    # --- a source under test

    @pytest.fixture
    def slept(self) -> list[float]:
        return []

    @pytest.fixture
    def options(self, slept: list[float]) -> dict[str, Any]:
        return {"timeout": TIMEOUT, "calls_a_second": 1e6, "sleep": slept.append, "now": lambda: NOW}

    @pytest.fixture
    def source(self, site: Site, options: dict[str, Any]) -> Iterator[Source]:
        self.prepare(site)
        made = self.make(site.url, **options)
        yield made
        made.close()

    @pytest.fixture
    def logs(self, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
        """Everything that is logged, by us and by the libraries."""
        for name in ("", "httpx", "httpcore"):
            caplog.set_level(logging.DEBUG, name)
        return caplog

    def look(self, source: Source, site: Site, *ids: str, hurried: bool = False) -> Answer | SourceError:
        """One look, with everything checked that holds of every look.

        A hurried source may have given up a request before the site saw it: that is waited for.
        """
        targets = [Target(id) for id in ids or self.ids[:1]]
        made, spent = len(site.asked), spent_by(source)
        found: Answer | SourceError
        try:
            found = source.look(targets)
        except SourceError as error:
            found = error
        spent = spent_by(source) - spent
        for _ in range(500 if hurried else 0):
            if len(site.asked) - made >= spent:
                break
            time.sleep(0.01)
        made = len(site.asked) - made
        assert made == spent, f"{made} requests were made and {spent} counted"
        assert spent <= self.most_requests, f"{spent} requests for one look"
        if isinstance(found, SourceError):
            check_error(found, len(targets))
        else:
            check_answer(found, {target.id for target in targets}, source.name)
        return found

    # --- answers

    def test_a_price_arrives(self, source: Source, site: Site) -> None:
        id = self.ids[0]
        site.play(Page(body=self.page(self.priced(id))))
        answer = self.look(source, site, id)
        assert isinstance(answer, Answer)
        assert not answer.unpriced
        first = answer.prices[0]
        assert first["event_id"] == id
        assert {name: first.get(name) for name in self.expected} == dict(self.expected)
        assert datetime.fromisoformat(first["timestamp"]) == NOW, "the time of the answer is the time of the price"
        assert str(first["listing_url"]).startswith("https://")

    def test_no_price_is_never_a_zero(self, source: Source, site: Site) -> None:
        id = self.ids[0]
        for event in self.unpriced(id):
            site.play(Page(body=self.page(event)))
            answer = self.look(source, site, id)
            assert isinstance(answer, Answer), f"{event}: {answer!r}"
            assert answer.prices == [], f"a price was invented from {event}"
            assert set(answer.unpriced) == {id}, f"not said to be without a price: {event}"

    def test_every_target_of_a_call_is_accounted_for(self, source: Source, site: Site) -> None:
        ids = self.ids[: source.budget.targets_a_call]
        site.play(Page(body=self.page(*[self.priced(id) for id in ids])))
        answer = self.look(source, site, *ids)
        assert isinstance(answer, Answer)
        assert {event["event_id"] for event in answer.prices} == set(ids)
        if len(ids) > 1:
            site.play(Page(body=self.page(*[self.priced(id) for id in ids[1:]])))
            answer = self.look(source, site, *ids)
            assert isinstance(answer, Answer)
            assert {event["event_id"] for event in answer.prices} == set(ids[1:])
            assert {*answer.unpriced, *answer.gone} == {ids[0]}

    def test_fields_nobody_knows_change_nothing(self, source: Source, site: Site) -> None:
        id = self.ids[0]
        plain = self.page(self.priced(id))
        site.play(Page(body=plain), Page(body=more(plain)))
        first, second = self.look(source, site, id), self.look(source, site, id)
        assert isinstance(first, Answer)
        assert first == second

    def test_odd_text_is_harmless(self, source: Source, site: Site) -> None:
        id = self.ids[0]
        site.play(Page(body=texts(self.page(self.priced(id)), id)))
        self.look(source, site, id)

    # --- no answers

    @pytest.mark.parametrize("what", HOSTILE)
    def test_a_page_that_is_no_answer(
        self, source: Source, site: Site, what: str, logs: pytest.LogCaptureFixture, slept: list[float]
    ) -> None:
        page, outcomes = HOSTILE[what]
        site.play(page)
        found = self.look(source, site)
        check_outcome(found, self.outcomes.get(what, outcomes))
        check_logs(logs)
        assert not any(asked.path.endswith("/elsewhere") for asked in site.asked), "it followed a redirect"
        assert all(0 <= wait <= 60 for wait in slept), "a source's word must not make us wait for ever"
        if isinstance(found, Unavailable) and found.retry_after is not None:
            assert 0 <= found.retry_after <= 7 * 86_400
        site.play(Page(body=self.page(self.priced(self.ids[0]))))
        if not isinstance(found, Held | Refused) and source.ledger.left:  # type: ignore[attr-defined]
            assert isinstance(self.look(source, site), Answer), "one bad page broke the source"

    @pytest.mark.parametrize("several", [False, True])
    def test_an_answer_of_another_shape_gives_no_price(self, source: Source, site: Site, several: bool) -> None:
        ids = self.ids[: source.budget.targets_a_call] if several else self.ids[:1]
        for shape in SHAPES:
            site.play(Page(body=shape))
            found = self.look(source, site, *ids)
            if isinstance(found, Answer):
                assert found.prices == [], f"a price was invented from {shape!r}"
                assert found.gone == {}, f"{shape!r} says nothing of an event, but it was given up"

    def test_an_answer_that_is_cut_off_is_asked_for_again(self, source: Source, site: Site) -> None:
        good = Page(body=self.page(self.priced(self.ids[0])))
        broken = good.raw[: len(good.raw) // 2]
        site.play(Page(body=good.raw, cut=True), Page(body=broken), good)
        assert isinstance(self.look(source, site), Answer)
        site.play(Page(body=good.raw, cut=True))
        check_outcome(self.look(source, site), (Unavailable,))

    @pytest.mark.parametrize("start", [b"", b'{"events": ['])
    def test_an_answer_that_never_ends_is_given_up(
        self, site: Site, start: bytes, options: dict[str, Any], logs: pytest.LogCaptureFixture
    ) -> None:
        self.prepare(site)
        source = self.make(site.url, **{**options, "timeout": 0.1})
        site.play(Page(body=start, drip=True))
        check_outcome(self.look(source, site, hurried=True), (Unavailable,))
        check_logs(logs)
        source.close()

    def test_an_answer_without_measure_is_not_read(
        self, source: Source, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "MAX_BODY", 1 << 16)
        site.play(Page(body=b"[" + b" " * (1 << 17)))
        check_outcome(self.look(source, site), (SourceError,))

    def test_nobody_there(self, site: Site, options: dict[str, Any], logs: pytest.LogCaptureFixture) -> None:
        source = self.make("http://127.0.0.1:1", **options)
        with pytest.raises(Unavailable) as caught:
            source.look([Target(self.ids[0])])
        check_error(caught.value, 1)
        check_logs(logs)
        source.close()

    @pytest.mark.parametrize(
        "id", ["", " ", "../../secret", "1/../../2", "1?x=2#y", "a,b", "\x00", "é" * 300, "%2e%2e"]
    )
    def test_what_is_no_id_does_no_harm(self, source: Source, site: Site, id: str) -> None:
        site.play(Page(404, _FAULT))
        self.look(source, site, id)
        assert all("secret" not in asked.path.split("/") for asked in site.asked), "an id led out of its place"

    def test_no_call_is_made_beyond_the_budget(self, site: Site, options: dict[str, Any]) -> None:
        self.prepare(site)
        source = self.make(site.url, **{**options, "calls_a_day": self.most_requests})
        site.play(Page(500))
        found = [self.look(source, site) for _ in range(self.most_requests + 1)]
        assert isinstance(found[-1], Held)
        assert found[-1].seconds > 0
        assert len(site.asked) == self.most_requests
        source.close()

    # --- whatever may come

    def test_no_value_anywhere_breaks_it(self, source: Source, site: Site) -> None:
        """Some values of a good answer are replaced; a money value that comes out must have come in."""
        ids = self.ids[: source.budget.targets_a_call]
        good = self.page(*[self.priced(id) for id in ids])
        places = list(paths(good))

        @hypothesis_settings(max_examples=60, derandomize=True, database=None)
        @given(st.lists(st.tuples(st.sampled_from(places), st.sampled_from(_VALUES)), min_size=1, max_size=3))
        def look(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
            body = good
            for path, value in changes:
                body = put(body, path, value)
            source.ledger.load(LedgerState(0.0, {}, None), 0)  # type: ignore[attr-defined]
            site.play(Page(body=json.dumps(body)))
            found = self.look(source, site, *ids)
            if isinstance(found, Answer):
                check_origin(found.prices, body, self.currencies)

        look()

    # --- search

    def test_a_search_lists_what_was_found(self, source: Source, site: Site) -> None:
        if not source.searchable:
            pytest.skip("follows what it was given")
        site.play(Page(body=self.results(*[self.priced(id) for id in self.ids])))
        found = source.search(self.query, limit=len(self.ids))
        assert [listed.id for listed in found] == list(self.ids)
        for listed in found:
            check_listed(listed, source.name)

    @pytest.mark.parametrize("what", HOSTILE)
    def test_a_search_that_is_not_answered(
        self, source: Source, site: Site, what: str, logs: pytest.LogCaptureFixture
    ) -> None:
        if not source.searchable:
            pytest.skip("follows what it was given")
        site.play(HOSTILE[what][0])
        with pytest.raises(SourceError) as caught:
            source.search(self.query)
        check_error(caught.value, targets=0)
        check_logs(logs)

    def test_a_search_answer_of_another_shape_lists_nothing(self, source: Source, site: Site) -> None:
        if not source.searchable:
            pytest.skip("follows what it was given")
        for shape in SHAPES:
            site.play(Page(body=shape))
            try:
                found = source.search(self.query)
            except SourceError as error:
                check_error(error, targets=0)
            else:
                assert found == [], f"an event was invented from {shape!r}"


# --- what holds of every answer


def spent_by(source: Source) -> int:
    """Calls that the source's ledger has counted."""
    spent: int = source.ledger.spent  # type: ignore[attr-defined]
    return spent


def check_outcome(found: Answer | SourceError, outcomes: tuple[type[SourceError] | str, ...]) -> None:
    """Fails unless the look ended in one of these ways."""
    kinds = tuple(outcome for outcome in outcomes if isinstance(outcome, type))
    if isinstance(found, SourceError):
        assert isinstance(found, kinds), f"{type(found).__name__} ({found}), not one of {outcomes}"
    else:
        assert "gone" in outcomes, f"{found}, not one of {outcomes}"
        assert not found.prices
        assert found.gone


def check_error(error: SourceError, targets: int) -> None:
    """An error of the four kinds, without the secret in any of its texts, and about one target if about any."""
    assert type(error) in (Unavailable, Missing, Held, Refused), type(error)
    assert not (isinstance(error, Missing) and targets != 1), f"'missing' says nothing of {targets} targets: {error}"
    assert str(error), "an error says what happened"
    chain, told = [error], "".join(traceback.format_exception(error))
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(before)  # type: ignore[arg-type]
    for text in (told, *map(str, chain), *map(repr, chain)):
        assert KEY not in text, "the key stands in an error"


def check_logs(logs: pytest.LogCaptureFixture) -> None:
    """No record of ours or of a library holds the key; the site's own records (werkzeug's) do."""
    for record in logs.records:
        if record.name != "werkzeug":
            assert KEY not in f"{record.getMessage()} {record.args} {record.exc_text}", f"{record.name} logged the key"


def check_answer(answer: Answer, targets: set[str], name: str) -> None:
    """Each target is in one place, and every price event is one that the flow takes."""
    priced = {event["event_id"] for event in answer.prices}
    places = [priced, set(answer.unpriced), set(answer.gone)]
    assert set().union(*places) == targets, f"of {targets}: {places}"
    assert sum(map(len, places)) == len(targets), f"a target is in two places: {places}"
    assert all([*answer.unpriced.values(), *answer.gone.values()]), "a reason is empty"
    assert KEY not in repr(answer)
    check_prices(answer.prices, name)
    for listed in answer.listed:
        check_listed(listed, name)


def check_prices(prices: list[PriceEvent], name: str) -> None:
    """They are decoded and plausible as far as amounts go; no two are of the same listing."""
    decoded = decode_values(json.dumps(event, allow_nan=False).encode() for event in prices)
    assert decoded.rejects == [], f"refused: {[prices[reject.position] for reject in decoded.rejects]}"
    _, held = quality.split(decoded.rows)
    assert set(held["reason"]) <= {"implausibly_high"}, f"held: {held['reason'].to_list()}"
    assert decoded.rows["listing"].is_unique().all(), "two prices of one listing in one look"
    for event in prices:
        assert event["source"] == name
        assert str(event.get("listing_url") or "https://").startswith(("http://", "https://"))


def check_origin(prices: list[PriceEvent], body: Any, currencies: Collection[str]) -> None:
    """Every amount and every currency stands in the answer, but for the differences that fees are."""
    amounts, words = set(numbers(body)), set(strings(body))
    for event in prices:
        for name in ("price", "total_price", "average_price", "median_price", "highest_price"):
            if (amount := event.get(name)) is not None:
                assert float(amount) in amounts, f"{name} {amount} stands nowhere in the answer"
        currency = event.get("currency", "USD")
        assert currency in words or currency in currencies, f"{currency} was invented"


def check_listed(listed: Listed, name: str) -> None:
    """An event as matching and the table `source_events` take it."""
    assert listed.source == name
    assert listed.id
    assert listed.name
    assert listed.starts is None or listed.starts.tzinfo is not None, "a time without an offset"
    assert listed.local_date is None or type(listed.local_date) is date
    assert listed.url is None or listed.url.startswith(("http://", "https://"))
    text = "".join(map(str, astuple(listed)))
    assert "\x00" not in text, "Postgres takes no NUL"
    text.encode()  # fails for half a surrogate pair


# --- JSON, taken apart and put together


def paths(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each value of decoded JSON stands, but for the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inside:
        yield (*before, step)
        yield from paths(item, (*before, step))


def put(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """A copy with another value at `path`, as far as the path leads anywhere."""
    changed = copy.deepcopy(value)
    place = changed
    try:
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = new
    except (TypeError, KeyError, IndexError):  # another change was there before
        return value
    return changed


def more(value: Any) -> Any:
    """A copy in which every object has a field that nobody knows."""
    if isinstance(value, dict):
        return {**{name: more(item) for name, item in value.items()}, "zz_unknown": {"price": 1, "key": KEY}}
    return [more(item) for item in value] if isinstance(value, list) else value


def texts(value: Any, id: str) -> Any:
    """A copy in which every text but the id is followed by odd text."""
    if isinstance(value, dict):
        return {name: texts(item, id) for name, item in value.items()}
    if isinstance(value, list):
        return [texts(item, id) for item in value]
    return value + NASTY if isinstance(value, str) and value != id else value


def leaves(value: Any) -> Iterator[Any]:
    """Every value that is neither object nor array."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def numbers(value: Any) -> Iterator[float]:
    """Every number in decoded JSON, also those that are written as text."""
    for leaf in leaves(value):
        try:
            yield float(leaf)
        except (TypeError, ValueError, OverflowError):
            continue


def strings(value: Any) -> Iterator[str]:
    """Every text in decoded JSON."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, str))
