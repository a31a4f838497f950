"""Delivery of alerts to a stand-in for Discord: each arrives, whatever Discord, Postgres or the process do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import settings as configuration
from local import discord_stub
from local.discord_stub import DiscordStub, fail, hang
from sinks import delivery, outbox
from sinks.delivery import Delivery, DeliverySink
from sinks.discord import Webhook
from sinks.postgres import OUTBOX_CHANNEL
from tests.conftest import Database
from tests.integration.test_outbox import fire, states

PATIENCE = 20.0
CANARY = "canary-3b1f77-token"
FOREVER = 10**9  # seconds: the alerts of these tests have a fixed date


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for work often and never pauses for long."""
    monkeypatch.setattr(delivery, "_LOOK_AGAIN", 0.05)
    monkeypatch.setattr(delivery, "_LONGEST_PAUSE", 0.05)


@pytest.fixture
def stub() -> Iterator[DiscordStub]:
    with DiscordStub(CANARY) as running:
        yield running


Start = Callable[..., Delivery]


@pytest.fixture
def start(tables: Database, stub: DiscordStub) -> Iterator[Start]:
    """Starts a delivery on a thread; all are stopped at the end."""
    running: list[tuple[Delivery, Webhook, threading.Thread]] = []

    def begin(url: str = "", max_age: int = FOREVER) -> Delivery:
        webhook = Webhook(url or stub.url, stub.host)
        one = Delivery(tables.dsn, webhook, max_age)
        thread = threading.Thread(target=one.run)
        thread.start()
        running.append((one, webhook, thread))
        return one

    yield begin
    for one, webhook, thread in running:
        one.stop()
        thread.join(PATIENCE)
        webhook.close()
        assert not thread.is_alive(), "stop() did not end the delivery"


def until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.02)
    return found


def settled(connection: psycopg.Connection, state: str = "sent") -> None:
    until(f"every alert is {state}", lambda: set(states(connection)) == {state})


def titles(stub: DiscordStub) -> list[str]:
    return [embed["title"] for _, body in stub.received for embed in body["embeds"]]


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
    until("the delivery listens", lambda: connection.execute("SELECT count(*) FROM channels").fetchone() == (1,))
    time.sleep(0.1)
    fire(tables, range(1))
    settled(connection)
    one.stop()
    connection.execute(SQL("NOTIFY {}").format(Identifier(OUTBOX_CHANNEL)))  # it waits for nothing else
    assert stub.alerts == 1


def test_a_burst_becomes_a_few_messages(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    fire(tables, range(600))
    start()
    settled(connection)
    assert stub.alerts == 600
    assert len(stub.received) == 2, titles(stub)


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
    webhook = Webhook(url, host)
    one = Delivery(tables.dsn, webhook, FOREVER)
    thread = threading.Thread(target=one.run)
    thread.start()
    until("a failed try", lambda: states(connection, "last_error")[0][1] == "ConnectError")
    one.stop()
    thread.join(PATIENCE)
    webhook.close()
    start()  # the webhook of the stub that is there
    settled(connection)
    ((_, repeats),) = states(connection, "maybe_repeats")
    assert repeats == 0, "a message that never left was counted as perhaps delivered"


def test_an_answer_that_is_lost_after_acceptance_means_a_counted_repeat(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    def accept_and_cut(request: Any) -> bool:
        stub.received.append((time.time(), {"embeds": [{"title": "accepted"}]}))
        return hang(0, accept=False)(request)

    stub.faults.append(accept_and_cut)
    fire(tables, range(1))
    start()
    settled(connection)
    assert len(stub.received) == 2
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 2, 1)]


def test_postgres_gone_between_the_post_and_its_record_means_a_counted_repeat(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    def cut_postgres(_: Any) -> bool:
        with psycopg.connect(tables.dsn, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND query ILIKE '%%taken%%' AND pid <> pg_backend_pid()"
            )
        return False

    stub.faults.append(cut_postgres)
    fire(tables, range(2))
    start()
    settled(connection)
    assert len(stub.received) == 2
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 2, 1)] * 2


def test_what_a_killed_process_left_in_the_air_is_sent_and_counted(
    tables: Database, connection: psycopg.Connection, stub: DiscordStub, start: Start
) -> None:
    fire(tables, range(2))
    connection.execute("UPDATE outbox SET state = 'sending', attempts = 1")
    start()
    settled(connection)
    assert stub.alerts == 2
    assert states(connection, "attempts", "maybe_repeats") == [("sent", 2, 1)] * 2


def test_a_message_that_discord_refuses_is_set_aside_and_the_next_goes_on(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    start: Start,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stub.faults.append(fail(400, {"message": "Invalid Form Body", "code": 50035}))
    fire(tables, range(2))
    start()
    settled(connection, "failed")
    assert states(connection, "last_error") == [("failed", "HTTP 400 Invalid Form Body")] * 2
    fire(tables, range(2, 3))
    until("the next alert is sent", lambda: states(connection)[2] == "sent")
    assert stub.alerts == 1
    assert "Discord refused a message: HTTP 400 Invalid Form Body" in caplog.text


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
    assert f"gone (HTTP {status} Unknown Webhook)" in errors[0]
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
    fire(tables, range(2), timestamp=now - timedelta(hours=2))
    fire(tables, range(2, 3), timestamp=now)
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
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    assert connection.execute(locks).fetchone() == (1,)
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
    until("the delivery is there", lambda: connection.execute("SELECT count(*) FROM channels").fetchone() == (1,))
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    fire(tables, range(1))
    settled(connection)
    assert "delivery: Postgres:" in caplog.text


# --- the secret


def test_the_webhooks_address_is_in_no_log_and_no_table(
    tables: Database,
    connection: psycopg.Connection,
    stub: DiscordStub,
    start: Start,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Through success and every kind of failure, with all loggers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    echo = {"message": "not found"}
    stub.faults.extend([hang(0, accept=False), fail(500, echo), fail(429, {"retry_after": 0.01}), fail(400, echo)])
    fire(tables, range(2))
    start()
    settled(connection, "failed")
    fire(tables, range(2, 4))
    until("the next are sent", lambda: states(connection)[2:] == ["sent", "sent"])
    stub.faults.append(fail(404, echo))
    fire(tables, range(4, 5))
    until("the channel is disabled", lambda: "is gone" in caplog.text)
    names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert ("outbox",) in names
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
    webhook = Webhook(stub.url, stub.host)
    sink = DeliverySink(tables.dsn, webhook, FOREVER)
    assert sink.list_parts() == ["delivery"]
    part = sink.build_part("s", "delivery", None)
    part.write_batch([object()])
    fire(tables, range(2))
    settled(connection)
    assert part.snapshot() is None
    part.close()
    gone = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    until("the delivery ends with the flow", lambda: connection.execute(gone).fetchone() == (0,))
    webhook.close()
    assert stub.alerts == 2


def test_without_a_webhook_nothing_is_started(tables: Database) -> None:
    before = threading.active_count()
    part = DeliverySink(tables.dsn, None, FOREVER).build_part("s", "delivery", None)
    part.write_batch([])
    assert threading.active_count() == before
    part.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISCORD_WEBHOOK_URL", raising=False)
    configuration.load.cache_clear()
    yield monkeypatch
    configuration.load.cache_clear()


def test_the_command_without_a_webhook_says_what_is_missing(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="DISCORD_WEBHOOK_URL is not set"):
        delivery.main()


def test_the_command_refuses_another_address_without_repeating_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DISCORD_WEBHOOK_URL", f"https://evil.example/api/webhooks/1/{CANARY}")
    with pytest.raises(SystemExit, match="must look like") as refusal:
        delivery.main()
    assert CANARY not in str(refusal.value)
