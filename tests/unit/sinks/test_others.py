"""The sender by apprise, against a stand-in for ntfy on loopback."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from local.postgres import free_port
from sinks.others import Service, message
from sinks.sender import Answer, Outcome
from tests.unit.sinks.notices import alert, told

# apprise looks for a plugin's libraries by importing them, some of which are on their way out
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CANARY = "canary-77e0b1-token"


@pytest.fixture
def ntfy(httpserver: HTTPServer) -> str:
    return f"ntfy://me:{CANARY}@127.0.0.1:{httpserver.port}/{CANARY}"


def test_an_alert_arrives(httpserver: HTTPServer, ntfy: str) -> None:
    httpserver.expect_request("/").respond_with_json({"id": "1"})
    answer = Service(ntfy).send(told(alert(section="@everyone \u202egnp <b>x</b>")))
    assert answer.outcome is Outcome.SENT
    (request, _), *rest = httpserver.log
    assert not rest
    sent = json.loads(request.get_data())
    assert sent["title"] == "Taylor Swift: $199.99 (−20.0 %)"
    assert "All-in per ticket: $250.00 → $199.99" in sent["message"]
    assert "https://seatgeek.com/listing/1" in sent["message"]
    assert "@everyone" not in sent["message"]
    assert "\u202e" not in sent["message"]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.REFUSED), (401, Outcome.BARRED), (403, Outcome.BARRED), (404, Outcome.BARRED),
        (408, Outcome.AGAIN), (413, Outcome.REFUSED), (429, Outcome.AGAIN), (500, Outcome.AGAIN), (502, Outcome.LOST),
        (503, Outcome.AGAIN),
    ],
)  # fmt: skip
def test_an_answer_is_understood(httpserver: HTTPServer, ntfy: str, status: int, outcome: Outcome) -> None:
    def refuse(request: Request) -> Response:
        return Response(json.dumps({"error": f"no {CANARY}"}), status)

    httpserver.expect_request("/").respond_with_handler(refuse)
    answer = Service(ntfy).send(told(alert()))
    assert (answer.outcome, answer.error) == (outcome, f"HTTP {status}")
    assert len(httpserver.log) == 1, "apprise asked again by itself"
    if status == 429:
        assert answer.wait >= 30


def test_a_service_that_cannot_be_reached() -> None:
    answer = Service(f"ntfy://127.0.0.1:{free_port()}/{CANARY}").send(told(alert()))
    assert answer == Answer(Outcome.LOST, error="no connection")


def test_an_earlier_answer_is_not_taken_for_a_later_one(httpserver: HTTPServer, ntfy: str) -> None:
    httpserver.expect_request("/").respond_with_data(status=403)
    assert Service(ntfy).send(told(alert())).error == "HTTP 403"
    assert Service(f"ntfy://127.0.0.1:{free_port()}/x").send(told(alert())).error == "no connection"


def test_nothing_that_is_said_shows_the_address(
    httpserver: HTTPServer, ntfy: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    service = Service(ntfy)
    said: list[Any] = [service, service.fingerprint, service.service]  # not used twice: apprise waits between messages
    for status in (200, 404, 500):
        httpserver.clear_all_handlers()
        httpserver.expect_request("/").respond_with_data(CANARY, status=status)
        said.append(Service(ntfy).send(told(alert())))
    said.append(Service(f"ntfy://{CANARY}@127.0.0.1:{free_port()}/{CANARY}").send(told(alert())))
    printed = capfd.readouterr()
    assert CANARY not in f"{said} {caplog.text} {printed.out} {printed.err}"


def test_many_are_joined() -> None:
    title, body = message(told(*(alert(n) for n in range(40))))
    assert title == "40 price alerts at 1 event"
    assert len(body.splitlines()) == 16
    assert body.endswith("… and 25 more")
    title, body = message(told(alert(1), alert(2)))
    assert (title, len(body.splitlines())) == ("2 price alerts at 1 event", 2)
