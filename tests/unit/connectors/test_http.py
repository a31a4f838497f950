"""The HTTP client: what an answer means, how often it asks, how long it waits, and that it tells no secret."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from connectors import http
from connectors.budget import Ledger, Quota
from connectors.http import Http, Reply, retry_after
from connectors.source import Budget, Held, Missing, Refused, SourceError, Unavailable
from tests.support.sites import Page, Site

SECRET = "canary/7f3a+9e="
GOOD = Page(body={"fine": True})

Make = Callable[..., Http]


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Budget(1000, 1e9))


@pytest.fixture
def make(site: Site, ledger: Ledger, slept: list[float]) -> Iterator[Make]:
    made: list[Http] = []

    def client(url: str = site.url + "/v2", **options: Any) -> Http:
        made.append(Http("Site", ledger, url, **{"secrets": (SECRET,), "timeout": 5, "sleep": slept.append, **options}))
        return made[-1]

    yield client
    for one in made:
        one.close()


def failure(client: Http, path: str = "/events") -> SourceError:
    with pytest.raises(SourceError) as caught:
        client.get(path)
    return caught.value


# --- requests


def test_an_answer_is_its_json(make: Make, site: Site) -> None:
    site.play(GOOD)
    assert make().get("/events", {"page": 2, "q": "Nora & Vale"}) == {"fine": True}
    (asked,) = site.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/v2/events", {"page": "2", "q": "Nora & Vale"})
    assert asked.headers["user-agent"].startswith("ConScope/")
    assert asked.headers["accept"] == "application/json"


def test_what_is_sent_with_every_request_is_joined_with_what_a_request_brings(make: Make, site: Site) -> None:
    site.play(GOOD)
    client = make(params={"key": "k"}, headers={"X-Every": "1"}, auth=("me", "pass"))
    client.request("POST", "/token?scope=read&page=1", params={"page": 2}, data={"a": "b"}, headers={"X-One": "2"})
    (asked,) = site.asked
    assert asked.query == {"key": "k", "scope": "read", "page": "2"}, "an address keeps its own parameters"
    assert (asked.headers["x-every"], asked.headers["x-one"]) == ("1", "2")
    assert asked.headers["authorization"].startswith("Basic ")


def test_a_whole_address_is_followed_on_the_same_host(make: Make, site: Site) -> None:
    site.play(GOOD)
    make(params={"key": "k"}).get(site.url + "/v2/events?page=2")
    assert site.asked[0].query == {"key": "k", "page": "2"}


@pytest.mark.parametrize("given", [{"params": {"key": SECRET}}, {"auth": ("me", SECRET)}])
def test_the_key_goes_to_no_other_host(make: Make, site: Site, given: dict[str, Any]) -> None:
    site.play(GOOD)
    port = site.url.rpartition(":")[2]
    for base in ("http://localhost:1", "http://127.0.0.1:1", f"https://127.0.0.1:{port}"):
        error = failure(make(base, **given), site.url + "/v2/events")
        assert isinstance(error, Refused)
    assert site.asked == []


@pytest.mark.parametrize("path", ["http://[", "file:///etc/passwd", "http://a b/", "//", "\x00", "http://x:99999999/"])
def test_what_is_no_address_is_an_error_of_the_source(make: Make, path: str) -> None:
    assert isinstance(failure(make(attempts=1), path), Unavailable)


def test_a_redirect_is_not_followed(make: Make, site: Site) -> None:
    site.play(Page(302, b"", {"Location": "/elsewhere"}))
    assert isinstance(failure(make()), Refused)
    assert len(site.asked) == 1


def test_another_transport_can_carry_it(make: Make) -> None:
    carrier = httpx.MockTransport(lambda request: httpx.Response(200, json={"carried": True}))
    assert make(transport=carrier).get("/events") == {"carried": True}


# --- what an answer means

MEANING: dict[str, tuple[Page, type[SourceError], float | None]] = {
    "400": (Page(400, {}), Missing, None),
    "401": (Page(401, {}), Refused, None),
    "401, a page": (Page(401, "<html>", {"Content-Type": "text/html"}), Refused, None),
    "403": (Page(403, {}), Refused, None),
    "403, a page": (Page(403, "<html>", {"Content-Type": "text/html"}), Held, http.CAPTCHA_HOLD),
    "404": (Page(404, {}), Missing, None),
    "404, a page": (Page(404, "<html>", {"Content-Type": "text/html"}), Missing, None),
    "406": (Page(406, {}), Held, http.FLOOD_HOLD),
    "408": (Page(408, {}), Unavailable, None),
    "410": (Page(410, {}), Missing, None),
    "429": (Page(429, {}), Unavailable, 5.0),
    "429, later": (Page(429, {}, {"Retry-After": "77"}), Unavailable, 77.0),
    "500": (Page(500, {}), Unavailable, None),
    "503, later": (Page(503, {}, {"Retry-After": "3"}), Unavailable, 3.0),
    "502, empty": (Page(502), Unavailable, None),
    "504, a page": (Page(504, "<html>", {"Content-Type": "text/html"}), Unavailable, None),
    "200, a page": (Page(200, " <!doctype html>", {"Content-Type": "Text/HTML"}), Held, http.CAPTCHA_HOLD),
    "200, a page that says it is JSON": (Page(200, "\n<html>"), Held, http.CAPTCHA_HOLD),
    "200, empty": (Page(200), Unavailable, None),
    "200, half of it": (Page(200, '{"a": [1, 2'), Unavailable, None),
    "200, no number": (Page(200, "9" * 10_000), Unavailable, None),
    "200, too deep": (Page(200, "[" * 100_000), Unavailable, None),
    "200, cut off": (Page(200, b'{"a": 1}' * 100, cut=True), Unavailable, None),
    "200, badly packed": (Page(200, b"no gzip", {"Content-Encoding": "gzip"}), Unavailable, None),
}


@pytest.mark.parametrize("what", MEANING)
def test_each_failure_has_its_kind(make: Make, site: Site, what: str) -> None:
    page, kind, wait = MEANING[what]
    site.play(page)
    error = failure(make(attempts=1))
    assert type(error) is kind, error
    asked_for = getattr(error, "retry_after", getattr(error, "seconds", None))
    assert asked_for == wait
    assert str(error).startswith("Site")


def test_a_source_can_judge_first(make: Make, site: Site) -> None:
    def own(reply: Reply) -> SourceError | None:
        assert reply.headers["x-kind"] == "quota"
        return Held(f"{reply.body['why']} for {SECRET}", 60) if reply.status == 429 else None

    site.play(Page(429, {"why": "spent"}, {"X-Kind": "quota"}), Page(404, {}, {"X-Kind": "quota"}))
    client = make(judge=own)
    error = failure(client)
    assert isinstance(error, Held)
    assert (str(error), error.seconds) == ("Site: spent for ***", 60)
    assert isinstance(failure(client), Missing), "what the source has no opinion on keeps its usual meaning"


@pytest.mark.parametrize("status", [200, 404, 429])
def test_headers_are_seen_whatever_the_status(make: Make, site: Site, status: int) -> None:
    site.play(Page(status, {}, {"Rate-Limit-Available": "7"}))
    seen: list[str] = []
    client = make(on_headers=lambda headers: seen.append(headers["rate-limit-available"]), attempts=1)
    with suppress(SourceError):
        client.get("/events")
    assert seen == ["7"]


# --- how often, how long


def test_what_passes_is_asked_for_again(make: Make, site: Site, ledger: Ledger, slept: list[float]) -> None:
    site.play(Page(500), Page(200, "half"), GOOD)
    assert make().get("/events") == {"fine": True}
    assert len(site.asked) == ledger.spent == 3
    assert len(slept) == 2
    assert 0.5 <= slept[0] <= 1.5
    assert 1.0 <= slept[1] <= 2.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 406, 302])
def test_what_does_not_pass_is_asked_for_once(make: Make, site: Site, status: int) -> None:
    site.play(Page(status, {}))
    failure(make())
    assert len(site.asked) == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_attempts_are_bounded(make: Make, site: Site, ledger: Ledger, attempts: int) -> None:
    site.play(Page(500))
    failure(make(attempts=attempts))
    assert len(site.asked) == ledger.spent == attempts


def test_it_waits_as_long_as_it_was_asked_to(make: Make, site: Site, slept: list[float]) -> None:
    site.play(Page(429, {}, {"Retry-After": "7"}), GOOD)
    make().get("/events")
    assert slept == [7.0]


def test_a_wait_beyond_the_limit_is_left_to_the_caller(make: Make, site: Site, slept: list[float]) -> None:
    site.play(Page(429, {}, {"Retry-After": "3600"}), GOOD)
    error = failure(make(within=60))
    assert isinstance(error, Unavailable)
    assert error.retry_after == 3600
    assert (slept, len(site.asked)) == ([], 1)


def test_a_spent_budget_ends_the_attempts(make: Make, site: Site, ledger: Ledger) -> None:
    ledger.told(Quota(2, time.time() + 600))
    site.play(Page(500))
    assert isinstance(failure(make(attempts=5)), Held)
    assert len(site.asked) == 2


def test_more_than_the_measure_is_not_read(make: Make, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1000)
    site.play(Page(body=b"1" + b" " * 999), Page(body=b"1" + b" " * 1000))
    client = make()
    assert client.get("/events") == 1
    assert isinstance(failure(client), Missing)


def test_the_measure_is_of_what_is_unpacked(make: Make, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1 << 20)
    site.play(Page(body=gzip.compress(b" " * (8 << 20)), headers={"Content-Encoding": "gzip"}))
    assert isinstance(failure(make()), Missing)


@pytest.fixture
def raw_site() -> Iterator[Callable[..., str]]:
    """Starts a server that sends each connection a first text and then the second for ever; `good` answers before."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.02)

    def drip(connection: socket.socket, first: bytes, then: bytes, good: int) -> None:
        with connection:
            try:
                for _ in range(good):
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                if good:
                    connection.recv(65536)
                connection.sendall(first)
                while not over.wait(0.01):
                    if then:
                        connection.sendall(then)
            except OSError:
                pass

    def serve(*what: Any) -> None:
        while not over.is_set():
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            connections.append(connection)
            threads.append(threading.Thread(target=drip, args=(connection, *what)))
            threads[-1].start()

    def start(first: bytes, then: bytes, good: int = 0) -> str:
        threads.append(threading.Thread(target=serve, args=(first, then, good)))
        threads[0].start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    over.set()
    threads[0].join()
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    listening.close()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n[", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[", b""),
    ],
    ids=["silence", "headers without end", "body without end", "slow body", "chunks without end", "stuck body"],
)
def test_an_attempt_has_an_end(
    make: Make, raw_site: Callable[..., str], first: bytes, then: bytes, ledger: Ledger
) -> None:
    client = make(raw_site(first, then), timeout=0.15, attempts=2)
    began = time.monotonic()
    error = failure(client)
    assert isinstance(error, Unavailable)
    assert "within 0.15 s" in str(error)
    assert ledger.spent == 2
    assert time.monotonic() - began < 60, "it would have gone on for ever"


def test_a_connection_that_is_kept_is_still_watched(make: Make, raw_site: Callable[..., str]) -> None:
    client = make(raw_site(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x", good=2), timeout=1.5, attempts=1)
    assert [client.get("/events"), client.get("/events")] == [{}, {}]
    assert isinstance(failure(client), Unavailable)
    assert client.get("/events") == {}, "an attempt that was given up spoils the next"


def test_nobody_there(make: Make, ledger: Ledger) -> None:
    error = failure(make("http://127.0.0.1:1", attempts=2))
    assert isinstance(error, Unavailable)
    assert "could not be reached" in str(error)
    assert ledger.spent == 2, "a call that failed may have been counted over there"


# --- Retry-After


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None), ("soon", None), ("nan", None), ("0", 0.0), ("-5", 0.0), ("1.5", 1.5), (" 30 ", 30.0),
        ("inf", http.LONGEST_WAIT), ("1e300", http.LONGEST_WAIT), ("9" * 400, http.LONGEST_WAIT),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("Thu, 99 Jan 9999 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", http.LONGEST_WAIT), ("Mon, 01 Jan 0001 00:00:00 +0100", 0.0),
    ],
)  # fmt: skip
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after(httpx.Headers({"Retry-After": value})) == seconds


def test_retry_after_as_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True)
    assert retry_after(httpx.Headers({"Retry-After": later})) == pytest.approx(120, abs=30)
    assert retry_after(httpx.Headers()) is None


# --- secrets


@pytest.mark.parametrize(
    "page",
    [
        GOOD, Page(401, {"key": SECRET}), Page(302, b"", {"Location": f"/x?key={SECRET}"}), Page(500, SECRET),
        Page(200, SECRET), Page(200, b"x" * 100, {"X-Echo": SECRET}, cut=True), Page(200, "<html>" + SECRET),
    ],
)  # fmt: skip
def test_no_secret_is_told(make: Make, site: Site, page: Page, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)
    site.play(page)
    client = make(params={"key": SECRET}, judge=lambda reply: Missing(json.dumps(reply.body) + str(reply.headers)))
    error = failure(client)
    chain: list[BaseException] = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(before)
    texts = [*map(str, chain), *map(repr, chain), "".join(traceback.format_exception(error)), repr(client)]
    texts += [f"{record.getMessage()} {record.args}" for record in caplog.records if record.name != "werkzeug"]
    for text in texts:
        assert SECRET not in text
        assert "canary%2F7f3a" not in text


def test_a_secret_that_is_learnt_later_is_hidden_too(make: Make) -> None:
    client = make()
    client.hide("token-1")
    client.hide("")
    assert client.redact(f"{SECRET} token-1 token-1") == "*** *** ***"


def test_a_secret_within_a_secret_is_hidden_whole(make: Make) -> None:
    assert make(secrets=("abc", "abcdef")).redact("abcdef abc") == "*** ***"
