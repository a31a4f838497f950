"""Delivery to stand-ins for Discord, a mail server and ntfy: each alert arrives, whatever they, Postgres or we do."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from apprise import NotifyBase
from psycopg.sql import SQL, Identifier
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

import settings as configuration
from local import discord_stub
from local.discord_stub import DiscordStub, Fault, fail, hang, lose, reset
from local.postgres import free_port
from sinks import delivery, mail, others, outbox
from sinks.channels import DEFAULT, Channels
from sinks.delivery import Delivery, DeliverySink
from sinks.mail import Server
from sinks.postgres import OUTBOX_CHANNEL
from sinks.sender import Outcome
from tests.conftest import Database
from tests.integration.test_outbox import fire, rule, states
from tests.unit.sinks.rows import NOON
from tests.unit.sinks.test_mail import Post

# apprise looks for a plugin's libraries by importing them, some of which are on their way out
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PATIENCE = 30.0
CANARY = "canary-3b1f77-token"
FOREVER = 10**10  # seconds: the alerts of these tests have a fixed date
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for work often and never pauses for long."""
    monkeypatch.setattr(delivery, "_LOOK_AGAIN", 0.05)
    monkeypatch.setattr(delivery, "_CHORES_EVERY", 0.05)
    monkeypatch.setattr(delivery, "_DEAD_LOOK", 0.05)
    monkeypatch.setattr(delivery, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(delivery, "_AFTER_DIGEST", 0.05)
    monkeypatch.setattr(mail, "_AT_MOST_EVERY", 0.0)
    monkeypatch.setattr(others, "_AT_MOST_EVERY", 0.0)
    monkeypatch.setattr(NotifyBase, "request_rate_per_sec", 0)


@pytest.fixture
def stub() -> Iterator[DiscordStub]:
    with DiscordStub(CANARY) as running:
        yield running


Start = Callable[..., Delivery]


@pytest.fixture
def start(tables: Database, stub: DiscordStub) -> Iterator[Start]:
    """Starts a delivery on a thread, to the stub if nothing else is said; all are stopped at the end."""
    running: list[tuple[Delivery, Channels, threading.Thread]] = []

    def begin(url: str = "", max_age: int = FOREVER, channels: Channels | None = None) -> Delivery:
        where = channels or Channels({DEFAULT: url or stub.url}, test_host=stub.host)
        one = Delivery(tables.dsn, where, max_age)
        thread = threading.Thread(target=one.run)
        thread.start()
        running.append((one, where, thread))
        return one

    yield begin
    for one, where, thread in running:
        one.stop()
        thread.join(PATIENCE)
        where.close()
        assert not thread.is_alive(), "stop() did not end the delivery"


def until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.02)
    return found


def settled(connection: psycopg.Connection, state: str = "sent", channel: str | None = None) -> None:
    until(f"every alert is {state}", lambda: set(states(connection, channel=channel)) == {state})


def titles(stub: DiscordStub) -> list[str]:
    return [embed["title"] for _, body in stub.received for embed in body["embeds"]]


def where(connection: psycopg.Connection, channel: str = DEFAULT) -> tuple[Any, ...] | None:
    return connection.execute(
        "SELECT disabled_since IS NOT NULL, reason, failing_since IS NOT NULL FROM channels WHERE channel = %s",
        (channel,),
    ).fetchone()


# --- in good weather


def test_an_alert_arrives_once_and_is_recorded(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    fire(tables, range(3))
    start()
    settled(connection)
    time.sleep(0.2)  # several more looks
    assert stub.alerts == 3
    assert len(stub.received) == 1
    ids = connection.execute("SELECT DISTINCT message_id, attempts, maybe_repeats, last_error FROM outbox").fetchall()
    assert ids == [(str(10**17 + 1), 1, 0, None)]


def test_an_alert_that_fires_later_is_announced_and_sent_at_once(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_LOOK_AGAIN", 60.0)
    one = start()
    until("the delivery listens", lambda: connection.execute(LOCKS).fetchone() == (1,))
    time.sleep(0.1)
    fire(tables, range(1))
    settled(connection)
    one.stop()
    connection.execute(SQL("NOTIFY {}").format(Identifier(OUTBOX_CHANNEL)))  # it waits for nothing else
    assert stub.alerts == 1


def test_a_burst_becomes_a_few_messages(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    fire(tables, range(10_000), rule_id=1)
    start()
    settled(connection)
    assert stub.alerts == 10_000
    assert len(stub.received) == 2, titles(stub)
    assert stub.requests == 2
    for _, body in stub.received:
        (embed,) = body["embeds"]
        assert embed["title"] == "5,000 price alerts at 1 event"
        assert len(embed["description"].splitlines()) == 16


def test_a_burst_that_goes_on_is_joined_too(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty commits in a second make a few messages, not twenty."""
    monkeypatch.setattr(delivery, "_AFTER_DIGEST", 1.0)
    start()
    for part in range(20):
        fire(tables, range(100 * part, 100 * part + 100))
    settled(connection)
    assert stub.alerts == 2000
    assert len(stub.received) <= 8, titles(stub)


def test_discords_rate_limit_is_never_run_into(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The headers of each answer say how many more are welcome."""
    monkeypatch.setattr(discord_stub, "_BUCKET", 2)
    monkeypatch.setattr(discord_stub, "_WINDOW", 0.3)
    monkeypatch.setattr(outbox, "MOST", 1)
    fire(tables, range(6))
    start()
    settled(connection)
    assert stub.alerts == 6
    assert stub.requests == 6, f"{stub.requests - 6} messages were refused for coming too fast"


# --- in bad weather


def test_a_429_is_obeyed(tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start) -> None:
    refused: list[float] = []

    def too_fast(request: Any) -> bool:
        refused.append(time.time())
        return fail(429, {"message": "You are being rate limited.", "retry_after": 0.5})(request)

    stub.faults.append(too_fast)
    fire(tables, range(2))
    start()
    settled(connection)
    assert stub.received[0][0] - refused[0] >= 0.5, "the next try came before the time that Discord asked for"
    assert (stub.requests, stub.alerts) == (2, 2)
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 2, 0)] * 2


@pytest.mark.parametrize(("status", "maybe"), [(500, 0), (502, 3), (503, 0), (504, 3)])
def test_a_5xx_is_tried_again(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, status: int, maybe: int
) -> None:
    stub.faults.extend([fail(status)] * 3)
    fire(tables, range(2))
    start()
    settled(connection)
    assert (stub.requests, stub.alerts) == (4, 2)
    assert states(connection, "attempts", "maybe_repeats", "last_error") == [("sent", 4, maybe, None)] * 2, (
        "a gateway cannot know whether the message was taken"
    )


def test_a_discord_that_cannot_be_reached_is_tried_again(
    tables: Database, connection: psycopg.Connection, start: Start, stub: DiscordStub
) -> None:
    with DiscordStub() as gone:
        host, url = gone.host, gone.url
    fire(tables, range(1))
    one = start(channels=Channels({DEFAULT: url}, test_host=host))
    until("a failed try", lambda: states(connection, "last_error")[0][1] == "ConnectError")
    one.stop()
    start()  # the webhook of the stub that is there
    settled(connection)
    ((_, repeats),) = states(connection, "maybe_repeats")
    assert repeats == 0, "a message that never left was counted as perhaps delivered"


def test_an_answer_that_is_lost_after_acceptance_means_a_counted_repeat(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    stub.faults.append(lose())
    fire(tables, range(1))
    start()
    settled(connection)
    assert len(stub.received) == 2
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 2, 1)]


def cut_postgres(tables: Database) -> Fault:
    """Ends every connection to the database while the message is on its way."""

    def play(_: Any) -> bool:
        with psycopg.connect(tables.dsn, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        return False

    return play


def test_postgres_gone_between_the_post_and_its_record_means_no_repeat(
    tables: Database, stub: DiscordStub, start: Start
) -> None:
    """The answer is kept, and written down on the next connection."""
    stub.faults.append(cut_postgres(tables))
    fire(tables, range(2))
    start()
    until("the message is out", lambda: stub.received)
    with psycopg.connect(tables.dsn, autocommit=True) as connection:
        settled(connection)
        assert len(stub.received) == 1
        assert states(connection, "attempts", "maybe_repeats") == [("sent", 1, 0)] * 2


def test_what_a_killed_process_left_in_the_air_is_sent_and_counted(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    fire(tables, range(2))
    connection.execute("UPDATE outbox SET state = 'sending', attempts = 1")
    start()
    settled(connection)
    assert stub.alerts == 2
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 2, 1)] * 2


def refuse_event(name: str) -> Fault:
    """Discord finds fault with every message that tells of this event."""

    def play(request: Any) -> bool:
        if name.encode() not in request.raw:
            return False
        return fail(400, {"message": "Invalid Form Body", "code": 50035})(request)

    return play


def test_one_bad_alert_does_not_take_the_others_along(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    start: Start,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stub.faults.extend([refuse_event("Bad")] * 100)
    fire(tables, range(4))
    fire(tables, range(4, 5), event_name="Bad")
    fire(tables, range(5, 9))
    start()
    until("all are told or failed", lambda: set(states(connection)) == {"sent", "failed"})
    assert states(connection, "last_error")[4] == ("failed", "HTTP 400 Invalid Form Body")
    assert states(connection).count("sent") == 8
    assert stub.alerts == 8
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert errors == ["delivery: channel discord:default refused a message: HTTP 400 Invalid Form Body"]


def test_a_mistake_of_ours_in_one_alert_does_not_take_the_others_along(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = delivery.words.notice

    def wrong(alert: Any, path: Any = ()) -> Any:
        if alert.event_name == "Bad":
            raise RuntimeError(f"a text that quotes {stub.url}")
        return right(alert, path)

    monkeypatch.setattr(delivery.words, "notice", wrong)
    fire(tables, range(4))
    fire(tables, range(4, 5), event_name="Bad")
    start()
    until("all are told or failed", lambda: set(states(connection)) == {"sent", "failed"})
    assert states(connection, "last_error")[4] == ("failed", "RuntimeError")
    assert stub.alerts == 4


def test_a_webhook_that_bars_us_is_tried_for_a_day_and_given_up(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stub.faults.extend([fail(403, {"message": "Missing Permissions"})] * 3)
    fire(tables, range(1))
    start()
    settled(connection)
    until("it is well again", lambda: where(connection) == (False, None, False))
    monkeypatch.setattr(delivery, "_GIVE_UP", 0.1)
    stub.faults.extend([fail(403, {"message": "Missing Permissions"})] * 99)
    fire(tables, range(1, 2))
    until("it is given up", lambda: where(connection) == (True, "HTTP 403 Missing Permissions", True))
    requests = stub.requests
    fire(tables, range(2, 3))
    time.sleep(0.3)
    assert stub.requests == requests
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == [
        "delivery: channel discord:default has refused everything for a day (HTTP 403 Missing Permissions); "
        "it is left alone until DISCORD_WEBHOOK_URL changes"
    ]


@pytest.mark.parametrize(
    ("name", "faults", "repeats"),
    [
        ("429 of Discord", [fail(429, {"retry_after": 0.05})] * 3, 0),
        ("500", [fail(500)] * 3, 0),
        ("502", [fail(502)] * 3, 3),
        ("503 with a time", [fail(503, {}, {"Retry-After": "0.05"})] * 3, 0),
        ("408", [fail(408)] * 3, 0),
        ("cut before acceptance", [hang(0.05, accept=False)] * 3, 3),
        ("cut after acceptance", [lose(0.05)] * 3, 3),
        ("reset", [reset()] * 3, 3),
        ("slow", [hang(0.3, accept=True)], 0),
        ("all of them", [fail(500), reset(), lose(), fail(429, {"retry_after": 0.01}), fail(504)], 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_alert_arrives_and_again_only_where_an_answer_was_lost(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, name: str, faults: list[Fault],
    repeats: int,
) -> None:  # fmt: skip
    stub.faults.extend(faults)
    fire(tables, range(5))
    start()
    settled(connection)
    fire(tables, range(5, 7))
    settled(connection)
    accepted = [
        embed["url"] if "url" in embed else embed["title"] for _, body in stub.received for embed in body["embeds"]
    ]
    taken_and_lost = sum(fault.__qualname__.startswith("lose") for fault in faults)
    assert len(accepted) == 7 + 5 * taken_and_lost
    assert [row[1] for row in states(connection, "maybe_repeats")] == [repeats] * 5 + [0] * 2


def test_an_edge_that_bans_us_is_left_alone_by_all_webhooks(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    stub.faults.append(fail(429, {"message": "banned"}, {"Via": ""}))
    fire(tables, range(1))
    channels = Channels({DEFAULT: stub.url, "second": f"{stub.url}?thread_id=1"}, test_host=stub.host)
    start(channels=channels)
    until("the ban", lambda: states(connection, "last_error")[0][1])
    fire(tables, range(1, 3), DEFAULT, "second")
    time.sleep(0.4)
    assert stub.requests == 1
    assert stub.alerts == 0


@pytest.mark.parametrize("status", [401, 404])
def test_a_webhook_that_is_gone_is_said_so_once_and_never_used_again(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    status: int,
) -> None:
    stub.faults.append(fail(status, {"message": "Unknown Webhook"}))
    fire(tables, range(2))
    first = start()
    until("the channel is disabled", lambda: [r for r in caplog.records if r.levelno == logging.ERROR])
    fire(tables, range(2, 4))
    time.sleep(0.3)
    assert stub.requests == 1, "the webhook was used again"
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(errors) == 1, errors
    assert f"discord:default is gone (HTTP {status} Unknown Webhook); it is left alone until DISCORD" in errors[0]
    assert states(connection) == ["pending"] * 4, "alerts for a dead webhook are kept"
    first.stop()
    start()  # as after a restart
    until("the restart says so too", lambda: "set another DISCORD_WEBHOOK_URL" in caplog.text)
    time.sleep(0.2)
    assert stub.requests == 1


def test_a_new_webhook_starts_alive_and_gets_what_waited(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    stub.faults.append(fail(404))
    fire(tables, range(2))
    first = start()
    disabled = "SELECT count(*) FROM channels WHERE disabled_since IS NOT NULL"
    until("the channel is disabled", lambda: connection.execute(disabled).fetchone() == (1,))
    first.stop()
    start(f"{stub.url}?thread_id=1")  # another address, so another credential
    settled(connection)
    assert stub.alerts == 2


def test_old_news_is_set_aside_and_not_sent(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    now = datetime.now(UTC)
    fire(tables, range(2), alert_timestamp=now - timedelta(hours=2))
    fire(tables, range(2, 3), alert_timestamp=now)
    start(max_age=3600)
    until("the young alert is sent", lambda: states(connection)[2] == "sent")
    assert states(connection) == ["expired", "expired", "sent"]
    assert stub.alerts == 1


def test_two_deliveries_at_once_send_nothing_twice(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    start()
    start()
    for number in range(5):
        fire(tables, range(number, number + 1))
        time.sleep(0.03)
    settled(connection)
    assert stub.alerts == 5
    assert connection.execute(LOCKS).fetchone() == (1,)
    assert {attempts for _, attempts in states(connection, "attempts")} == {1}


def test_a_second_delivery_leaves_alone_what_the_first_is_sending(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    """It must not take a post under way for what a crash has left."""
    stub.faults.append(hang(0.6, accept=True))
    fire(tables, range(2))
    start()
    until("the first is sending", lambda: stub.requests == 1)
    start()
    settled(connection)
    time.sleep(0.2)
    assert (stub.requests, stub.alerts) == (1, 2)
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 1, 0)] * 2


def test_a_delivery_takes_over_when_the_other_ends(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    first = start()
    fire(tables, range(1))
    settled(connection)
    start()
    first.stop()
    fire(tables, range(1, 2))
    settled(connection)
    assert stub.alerts == 2


def test_postgres_away_ends_nothing(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    start: Start,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start()
    until("the delivery is there", lambda: connection.execute(LOCKS).fetchone() == (1,))
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    fire(tables, range(1))
    settled(connection)
    assert "delivery: Postgres:" in caplog.text


# --- many channels


@pytest.fixture
def post() -> Iterator[tuple[Post, Server]]:
    """A mail server."""
    handler = Post()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield handler, Server("127.0.0.1", controller.port, "ConScope <alerts@conscope.example>", security="none")
    controller.stop()


def test_every_kind_of_channel_gets_its_alert(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    post: tuple[Post, Server],
    httpserver: HTTPServer,
    start: Start,
) -> None:
    handler, server = post
    httpserver.expect_request("/").respond_with_json({"id": "1"})
    discord_rule = rule(connection, notification_method="discord", notification_target=f"{stub.url}?thread_id=7")
    mail_rule = rule(connection, notification_method="email", notification_target="canary-someone@example.com")
    plain_rule = rule(connection, notification_method="discord")
    names = (DEFAULT, "friends", "me", "phone", *(f"rule:{n}" for n in (discord_rule, mail_rule, plain_rule)))
    fire(tables, range(2), *names)
    addresses = {
        DEFAULT: stub.url, "friends": f"{stub.url}?thread_id=8", "me": "mailto:canary-someone@example.com",
        "phone": f"ntfy://127.0.0.1:{httpserver.port}/topic",
    }  # fmt: skip
    start(channels=Channels(addresses, server, None, stub.host))
    settled(connection)
    assert stub.alerts == 8
    assert [str(message["Subject"]) for message in handler.taken] == ["2 price alerts at 1 event"] * 2
    assert len(httpserver.log) == 1
    assert {row[1] for row in states(connection, "attempts")} == {1}


def test_a_channel_that_hangs_or_is_dead_delays_no_other(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    with DiscordStub() as stuck, DiscordStub() as gone:
        release = threading.Event()
        stuck.faults.append(lambda _: not release.wait(PATIENCE))
        gone.faults.append(fail(404))
        channels = Channels({DEFAULT: stub.url}, test_host=stub.host)
        extras = [Channels({DEFAULT: other.url}, test_host=other.host) for other in (stuck, gone)]
        for name, extra in zip(("stuck", "gone"), extras, strict=True):
            channels._senders[name] = extra.sender(DEFAULT)
        fire(tables, range(3), "stuck", "gone", "nowhere", DEFAULT)
        start(channels=channels)
        settled(connection, channel=DEFAULT)
        for number in range(3, 6):
            fire(tables, range(number, number + 1), "stuck", "gone", "nowhere", DEFAULT)
            settled(connection, channel=DEFAULT)
        assert stub.alerts == 6
        assert states(connection, channel="stuck") == ["sending"] * 3 + ["pending"] * 3
        assert (where(connection, "gone") or ())[0] is True
        assert where(connection, "nowhere") == (True, "CHANNEL_NOWHERE is not set", False)
        release.set()
        settled(connection, channel="stuck")
        assert stuck.alerts == 6
        for extra in extras:
            extra.close()


def test_each_channel_keeps_the_order(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST", 2)
    stub.faults.extend([fail(500), hang(0.1, accept=True), fail(429, {"retry_after": 0.05})])
    for number in range(6):
        fire(tables, range(number, number + 1), event_name=f"Event {number}",
             alert_timestamp=NOON + timedelta(seconds=number))  # fmt: skip
    start()
    settled(connection)
    assert [title[:7] for title in titles(stub)] == [f"Event {number}" for number in range(6)]


def test_a_rule_that_gets_another_address_gets_what_waited(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    number = rule(connection, notification_method="discord", notification_target=f"https://evil.example/{CANARY}")
    fire(tables, range(2), f"rule:{number}")
    start()
    until("it is disabled", lambda: (where(connection, f"rule:{number}") or [False])[0])
    reason = (where(connection, f"rule:{number}") or ("", ""))[1]
    assert reason == "its notification_target must look like https://discord.com/api/webhooks/<id>/<token>"
    connection.execute("UPDATE alerts SET notification_target = %s", (stub.url,))
    settled(connection)
    assert stub.alerts == 2
    assert where(connection, f"rule:{number}") == (False, None, False)


# --- quiet hours, digests, notices


def clock(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Lets the delivery see another time of day. (Postgres keeps its own.)"""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.fromisoformat(at).astimezone(tz)

    monkeypatch.setattr(delivery, "datetime", Frozen)


def test_an_alert_in_quiet_hours_waits_and_is_joined_with_others(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock(monkeypatch, "2099-07-01T23:00:00+02:00")
    night = {"quiet": {"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"}}
    sleeper = rule(connection, night)
    awake = rule(connection)
    start()
    fire(tables, range(0, 2), rule_id=sleeper)
    fire(tables, range(2, 3), rule_id=awake)
    until("the other rule's alert is sent", lambda: states(connection)[2] == "sent")
    fire(tables, range(3, 4), rule_id=sleeper)
    seven = datetime(2099, 7, 2, 5, tzinfo=UTC)
    until("both wait", lambda: states(connection, "hold_until")[3] == ("pending", seven))
    waits = connection.execute("SELECT state, waits_for FROM notifications WHERE rule_id = %s", (sleeper,)).fetchall()
    assert waits == [("held", "quiet hours until 07:00 Europe/Berlin")] * 3
    assert stub.alerts == 1
    clock(monkeypatch, "2099-07-02T07:00:00+02:00")
    connection.execute("UPDATE outbox SET hold_until = now() WHERE hold_until IS NOT NULL")
    settled(connection)
    assert stub.alerts == 4
    assert len(stub.received) == 2, "they came one by one"


def test_a_digest_comes_at_most_so_often(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    number = rule(connection, {"digest_minutes": 60})
    start()
    fire(tables, range(1), rule_id=number)
    settled(connection)
    for offset in range(1, 4):
        fire(tables, range(offset, offset + 1), rule_id=number)
    held = "SELECT count(*) FROM notifications WHERE state = 'held' AND waits_for LIKE 'joined with others%'"
    until("the next wait", lambda: connection.execute(held).fetchone() == (3,))
    assert stub.alerts == 1
    connection.execute("UPDATE outbox SET sent_at = sent_at - interval '1 h' WHERE state = 'sent'")
    connection.execute("UPDATE outbox SET hold_until = now() WHERE hold_until IS NOT NULL")
    settled(connection)
    assert (stub.alerts, len(stub.received)) == (4, 2)


@pytest.mark.parametrize(
    "plan",
    [{"quiet": {"from": "x", "to": "y"}}, {"quiet": "never"}, {"quiet": {"from": "00:00", "to": "23:59", "time_zone": "Mars"}},
     {"digest_minutes": "often"}, {"digest_minutes": -1}, {"digest_minutes": 1e300}],
    ids=str,
)  # fmt: skip
def test_a_plan_that_makes_no_sense_holds_nothing_back(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start, plan: dict[str, Any]
) -> None:
    fire(tables, range(1), rule_id=rule(connection, plan))
    start()
    settled(connection)
    assert stub.alerts == 1


def test_a_rule_that_has_expired_says_so_once(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    connection.execute(
        "INSERT INTO events (event_id, event_name, event_date) VALUES ('concert_123', 'Taylor Swift', now())"
    )
    rule(connection, {"announce_expiry": True})
    start()
    until("it is told", lambda: titles(stub))
    time.sleep(0.2)
    assert titles(stub) == ["Rule “Floor seats” has expired"]


def test_a_test_that_is_asked_for_in_the_database_is_sent(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    start()
    connection.execute("SELECT send_test(%s)", (DEFAULT,))
    settled(connection)
    assert titles(stub) == ["A test from ConScope"]


def test_a_mail_has_a_link_that_mutes_its_rules(
    tables: Database, connection: psycopg.Connection, post: tuple[Post, Server], start: Start
) -> None:
    handler, server = post
    channels = Channels({"me": "mailto:canary-someone@example.com"}, server, "https://prices.example/")
    one, two = rule(connection), rule(connection)
    start(channels=channels)
    fire(tables, range(1), "me", rule_id=one)
    settled(connection)
    fire(tables, range(1, 2), "me")
    settled(connection)
    first, of_default_rule = handler.taken
    assert first["List-Unsubscribe"].startswith("<https://prices.example/mute/")
    assert connection.execute("SELECT rule_id FROM mute_links").fetchall() == [(one,)]
    assert "List-Unsubscribe" not in of_default_rule, "the default rule is nobody's to mute"
    assert two not in {number for (number,) in connection.execute("SELECT rule_id FROM mute_links").fetchall()}


def test_recent_prices_are_drawn(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    fire(tables, range(1))
    for number, price in enumerate([Decimal(100), Decimal(90), Decimal(80)]):
        connection.execute(
            "INSERT INTO price_changes (id, event_id, source, section, row, currency, level, old_price, new_price, change, "
            "change_percent, previous_timestamp, timestamp) "
            "SELECT %s, event_id, source, section, row, currency, 'listing', %s + 10, %s, -10, -10, "
            "alert_timestamp, alert_timestamp - make_interval(mins => 10 - %s) FROM price_drop_alerts",
            (number, price, price, number),
        )
    start()
    settled(connection)
    assert stub.received[0][1]["embeds"][0]["description"].endswith("\n█▆▃▁")


# --- the secret


def test_no_address_is_in_any_log_table_or_output(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    httpserver: HTTPServer,
    post: tuple[Post, Server],
    start: Start,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A canary in every kind of channel, through success and every kind of failure, with all loggers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("aiosmtpd").setLevel(logging.ERROR)  # the stand-ins' own logs are not ours
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    handler, server = post
    address = f"{CANARY}@example.com"
    handler.replies = {"RCPT": f"550 5.7.1 <{address}> no"}
    answers = iter([Response("{}", 200), *(Response(CANARY, status) for status in (500, 403, 400))])

    def ntfy(_: Request) -> Response:
        return next(answers, Response(CANARY, 404))

    httpserver.expect_request("/").respond_with_handler(ntfy)
    addresses = {
        DEFAULT: stub.url, "friends": f"{stub.url}?thread_id=1", "me": f"mailto:{address}",
        "phone": f"ntfy://me:{CANARY}@127.0.0.1:{httpserver.port}/{CANARY}",
    }  # fmt: skip
    wrong = Server(server.host, server.port, server.sender, "me", CANARY, "none")
    of_rules = [
        rule(connection, notification_method=method, notification_target=target)
        for method, target in (
            ("discord", f"{stub.url}?thread_id=2"), ("email", address), ("discord", f"https://evil.example/{CANARY}"),
            ("email", f"{CANARY}\r\n@"), ("webhook", f"json://127.0.0.1/{CANARY}"), (CANARY, CANARY),
        )
    ]  # fmt: skip
    connection.execute("UPDATE alerts SET target_price = 1")
    channels = (*addresses, *(f"rule:{number}" for number in of_rules))
    echo = {"message": "not found"}
    stub.faults.extend([hang(0, accept=False), reset(), fail(500, echo), lose(), fail(429, {"retry_after": 0.01}),
                        fail(400, echo), fail(403, echo), fail(400, echo), fail(404, echo)])  # fmt: skip
    start(channels=Channels(addresses, wrong, "https://prices.example", stub.host))
    for number in range(4):
        fire(tables, range(2 * number, 2 * number + 2), *channels, rule_id=of_rules[0], rule_name="x")
        time.sleep(0.3)
    until("all faults are played", lambda: not stub.faults)
    until("a mail has failed", lambda: "SMTPAuthenticationError" in str(states(connection, "last_error")) or
          "SMTPNotSupportedError" in str(states(connection, "last_error")))  # fmt: skip
    until("ntfy has failed", lambda: "HTTP 404" in str(states(connection, "last_error", channel="phone")))
    connection.execute("UPDATE alerts SET notification_target = NULL, notification_method = NULL")  # its own place
    connection.execute("UPDATE rule_versions SET rule = rule - 'notification_method'")
    names = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    ).fetchall()
    assert {("outbox",), ("notifications",), ("channels",), ("rule_versions",), ("mute_links",)} <= set(names)
    for (name,) in names:
        content = connection.execute(SQL("SELECT t::text FROM {} t").format(Identifier(name))).fetchall()
        assert CANARY not in str(content), f"the token stands in table {name}"
        assert stub.host not in str(content), f"the webhook's host stands in table {name}"
    logged = "\n".join(f"{record.getMessage()} {record.exc_text} {vars(record)}" for record in caplog.records)
    assert "delivery" in logged
    assert CANARY not in logged
    printed = capfd.readouterr()
    assert CANARY not in printed.out + printed.err


# --- the sink and the command


def test_the_sink_delivers_as_long_as_the_flow_runs(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub
) -> None:
    sink = DeliverySink(tables.dsn, Channels({DEFAULT: stub.url}, test_host=stub.host), FOREVER)
    assert sink.list_parts() == ["delivery"]
    part = sink.build_part("s", "delivery", None)
    part.write_batch([object()])
    fire(tables, range(2))
    settled(connection)
    assert part.snapshot() is None
    part.close()
    gone = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    until("the delivery ends with the flow", lambda: connection.execute(gone).fetchone() == (0,))
    assert stub.alerts == 2


def test_a_message_on_its_way_is_recorded_before_the_end(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub
) -> None:
    stub.faults.append(hang(0.5, accept=True))
    part = DeliverySink(tables.dsn, Channels({DEFAULT: stub.url}, test_host=stub.host), FOREVER).build_part(
        "s", "d", None
    )
    fire(tables, range(1))
    until("it is on its way", lambda: stub.requests == 1)
    part.close()
    assert states(connection) == ["sent"]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISCORD_WEBHOOK_URL", raising=False)
    configuration.load.cache_clear()
    yield monkeypatch
    configuration.load.cache_clear()


def test_the_command_refuses_a_wrong_address_without_repeating_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CHANNEL_PHONE", f"https://discord.com/{CANARY}")
    with pytest.raises(SystemExit, match=r"^CHANNEL_PHONE must look like") as refusal:
        delivery.main([])
    assert CANARY not in str(refusal.value)


def command(tables: Database, stub: DiscordStub, tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return subprocess.Popen(
        [sys.executable, "-m", "sinks.delivery", *arguments], cwd=tmp_path, text=True, stderr=subprocess.PIPE,
        env={**kept, **tables.environment, **stub.environment, "PYTHONPATH": str(ROOT), "ALERT_MAX_AGE_SECONDS": str(FOREVER)},
    )  # fmt: skip


def test_the_command_delivers_until_it_is_told_to_end(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, tmp_path: Path
) -> None:
    fire(tables, range(1))
    process = command(tables, stub, tmp_path)
    settled(connection)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert CANARY not in said


def test_the_command_tests_a_channel(tables: Database, stub: DiscordStub, tmp_path: Path) -> None:
    process = command(tables, stub, tmp_path, "--test", DEFAULT)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert f"{DEFAULT}: sent" in said
    assert titles(stub) == ["A test from ConScope"]


def test_a_channel_is_tested(tables: Database, connection: psycopg.Connection, stub: DiscordStub) -> None:
    number = rule(connection, notification_method="discord", notification_target=f"{stub.url}?thread_id=1")
    channels = Channels({DEFAULT: stub.url}, test_host=stub.host)
    assert delivery.send_test(tables.dsn, channels, DEFAULT).outcome is Outcome.SENT
    assert delivery.send_test(tables.dsn, channels, f"rule:{number}").outcome is Outcome.SENT
    assert stub.alerts == 2
    stub.faults.append(fail(404, {"message": "Unknown Webhook"}))
    assert delivery.send_test(tables.dsn, channels, DEFAULT).error == "HTTP 404 Unknown Webhook"
    assert delivery.send_test(tables.dsn, channels, "phone").error == "CHANNEL_PHONE is not set"
    channels.close()


def test_the_command_says_which_channels_there_are(
    tables: Database, environment: pytest.MonkeyPatch, stub: DiscordStub
) -> None:
    for name, value in {**stub.environment, **tables.environment}.items():
        environment.setenv(name, value)
    with pytest.raises(SystemExit, match="phone: not sent: CHANNEL_PHONE is not set; there are discord:default"):
        delivery.main(["--test", "phone"])
