"""The stand-in for Discord behaves as Discord documents: answers, limits, refusals; and plays faults on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local import discord_stub
from local.discord_stub import DiscordStub, fail, hang, lose, reset


@pytest.fixture
def stub() -> Iterator[DiscordStub]:
    with DiscordStub("stub-token") as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as opened:
        yield opened


def body(title: str = "Taylor Swift: $199.99", **embed: Any) -> dict[str, Any]:
    return {"embeds": [{"title": title, "description": "cheaper", **embed}]}


def test_it_listens_on_loopback_only(stub: DiscordStub) -> None:
    assert stub.host.startswith("127.0.0.1:")
    assert stub.url == f"http://{stub.host}/api/webhooks/1/stub-token"
    assert stub.environment == {"DISCORD_WEBHOOK_URL": stub.url, "DISCORD_TEST_HOST": stub.host}


def test_with_wait_the_message_is_answered(stub: DiscordStub, client: httpx.Client) -> None:
    reply = client.post(stub.url, params={"wait": "true"}, json=body())
    assert reply.status_code == 200
    assert reply.json()["id"].isdigit()
    assert reply.json()["embeds"] == body()["embeds"]
    again = client.post(stub.url, params={"wait": "true"}, json=body())
    assert again.json()["id"] != reply.json()["id"]


@pytest.mark.parametrize("query", ["", "?wait=false", "?thread_id=1"])
def test_without_wait_there_is_no_content(stub: DiscordStub, client: httpx.Client, query: str) -> None:
    reply = client.post(stub.url + query, json=body())
    assert (reply.status_code, reply.content) == (204, b"")


def test_what_is_accepted_is_kept_with_its_time(stub: DiscordStub, client: httpx.Client) -> None:
    before = time.time()
    client.post(stub.url, json=body("one"))
    client.post(stub.url, json=body("two"))
    assert [message for _, message in stub.received] == [body("one"), body("two")]
    assert all(before <= at <= time.time() for at, _ in stub.received)
    assert stub.requests == 2


def test_alerts_are_counted_by_what_messages_say(stub: DiscordStub, client: httpx.Client) -> None:
    client.post(stub.url, json={"embeds": body()["embeds"] * 3})
    client.post(stub.url, json=body("1,500 price alerts at 3 events"))
    assert stub.alerts == 1503


@pytest.mark.parametrize("path", ["/api/webhooks/1/other-token", "/api/webhooks/2/stub-token", "/", "/api/webhooks/1"])
def test_another_webhook_is_unknown(stub: DiscordStub, client: httpx.Client, path: str) -> None:
    reply = client.post(f"http://{stub.host}{path}", json=body())
    assert (reply.status_code, reply.json()["code"]) == (404, 10015)
    assert stub.received == []


def test_every_answer_says_how_many_more_are_welcome(stub: DiscordStub, client: httpx.Client) -> None:
    replies = [client.post(stub.url, json=body()) for _ in range(3)]
    assert [reply.headers["X-RateLimit-Remaining"] for reply in replies] == ["4", "3", "2"]
    for reply in replies:
        assert reply.headers["X-RateLimit-Limit"] == "5"
        assert 0 < float(reply.headers["X-RateLimit-Reset-After"]) <= 2
        assert "Via" in reply.headers


def test_too_many_are_refused_until_the_time_that_the_answer_says(
    stub: DiscordStub, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_stub, "_WINDOW", 0.5)
    assert [client.post(stub.url, json=body()).status_code for _ in range(5)] == [204] * 5
    reply = client.post(stub.url, json=body())
    assert reply.status_code == 429
    wait = reply.json()["retry_after"]
    assert isinstance(wait, float), "seconds, as a fraction"
    assert 0 < wait <= 0.5
    assert "Via" in reply.headers, "it is not the edge that refuses"
    assert int(reply.headers["Retry-After"]) >= 1
    assert reply.headers["X-RateLimit-Remaining"] == "0"
    assert len(stub.received) == 5
    time.sleep(wait + 0.02)
    assert client.post(stub.url, json=body()).status_code == 204


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ({}, "empty"),
        ({"embeds": []}, "empty"),
        ([], "empty"),
        ({"embeds": body()["embeds"] * 11}, "10 or fewer"),
        (body("x" * 257), "256 or fewer"),
        (body(description="x" * 4097), "4096 or fewer"),
        ({"embeds": [{"title": "x" * 200, "description": "y" * 2000}] * 3}, "6000"),
        (body(fields=[{"name": "n", "value": "x" * 1025}]), "1024 or fewer"),
        (body(fields=[{"name": "n" * 257, "value": "x"}]), "256 or fewer"),
        (body(fields=[{"name": "n", "value": "x"}] * 26), "25 or fewer"),
        ({**body(), "username": "Discord"}, "username"),
    ],
)
def test_what_breaks_a_limit_is_refused(stub: DiscordStub, client: httpx.Client, message: Any, wrong: str) -> None:
    reply = client.post(stub.url, json=message)
    assert (reply.status_code, reply.json()["code"]) == (400, 50035)
    assert wrong in reply.json()["message"]
    assert stub.received == []


@pytest.mark.parametrize(
    "message",
    [
        {"content": "hello"},
        {"embeds": body()["embeds"] * 10},
        body("x" * 256, description="y" * 4096),
        {"embeds": [{"title": "x" * 200, "description": "y" * 300, "footer": {"text": "z" * 100}}] * 10},
    ],
)
def test_what_just_keeps_the_limits_is_accepted(stub: DiscordStub, client: httpx.Client, message: Any) -> None:
    assert client.post(stub.url, json=message).status_code == 204


def test_faults_are_played_one_a_request_in_their_order(stub: DiscordStub, client: httpx.Client) -> None:
    stub.faults.extend([fail(500), fail(404, {"message": "Unknown Webhook"})])
    replies = [client.post(stub.url, json=body()) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [500, 404, 204]
    assert replies[1].json() == {"message": "Unknown Webhook"}
    assert (stub.requests, len(stub.received)) == (3, 1)


def test_a_hang_that_accepts_answers_late(stub: DiscordStub, client: httpx.Client) -> None:
    stub.faults.append(hang(0.2, accept=True))
    began = time.monotonic()
    assert client.post(stub.url, json=body()).status_code == 204
    assert time.monotonic() - began >= 0.2
    assert len(stub.received) == 1


def test_a_hang_that_does_not_accept_cuts_the_connection(stub: DiscordStub, client: httpx.Client) -> None:
    stub.faults.append(hang(0.05, accept=False))
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(stub.url, json=body())
    assert stub.received == []
    assert client.post(stub.url, json=body()).status_code == 204, "the next request is taken as usual"


def test_a_reset_breaks_the_connection_before_anything_is_accepted(stub: DiscordStub, client: httpx.Client) -> None:
    stub.faults.append(reset())
    with pytest.raises(httpx.ReadError):
        client.post(stub.url, json=body())
    assert stub.received == []
    assert client.post(stub.url, json=body()).status_code == 204, "the next request is taken as usual"


def test_an_answer_that_is_lost_leaves_the_message_accepted(stub: DiscordStub, client: httpx.Client) -> None:
    stub.faults.append(lose())
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(stub.url, json=body())
    assert [message for _, message in stub.received] == [body()]


def test_a_header_of_a_fault_can_be_left_out(stub: DiscordStub, client: httpx.Client) -> None:
    stub.faults.append(fail(429, {"message": "banned"}, {"Via": "", "Retry-After": "600"}))
    reply = client.post(stub.url, json=body())
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "600")
    assert "Via" not in reply.headers


def test_a_version_may_stand_in_the_path(stub: DiscordStub, client: httpx.Client) -> None:
    assert client.post(stub.url.replace("/api/", "/api/v10/"), json=body()).status_code == 204


def test_a_client_that_gives_up_harms_nobody(stub: DiscordStub) -> None:
    """The answer finds nobody; the message counts as accepted, as it would at Discord."""
    stub.faults.append(hang(0.3, accept=True))
    with httpx.Client(timeout=0.1) as hasty, pytest.raises(httpx.ReadTimeout):
        hasty.post(stub.url, json=body())
    deadline = time.monotonic() + 5
    while not stub.received:
        assert time.monotonic() < deadline, "the message was not accepted"
        time.sleep(0.01)
    with httpx.Client() as client:
        assert client.post(stub.url, json=body()).status_code == 204


def test_nothing_is_left_after_the_end() -> None:
    before = threading.active_count()
    with DiscordStub() as stub, httpx.Client() as client:
        client.post(stub.url, json=body())
        host = stub.host
    deadline = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < deadline, f"threads are left: {threading.enumerate()}"
        time.sleep(0.01)
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"http://{host}/", timeout=2)
