"""The outbox: what is to be delivered, and what is written down of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from sinks import outbox
from sinks.delivery import DEFAULT_CHANNEL
from sinks.postgres import PostgresSink
from sinks.tables import alerts
from tests.conftest import Database
from tests.unit.sinks import rows

CHANNEL = DEFAULT_CHANNEL


def fire(database: Database, offsets: range, channel: str = CHANNEL, **given: Any) -> None:
    """Alerts, written as the flow writes them."""
    part = PostgresSink(database.dsn).build_part("s", "postgres", None)
    part.write_batch([alerts(rows.dropped(offsets, **given), channel)])
    part.snapshot()
    part.close()


def states(connection: psycopg.Connection, *columns: str) -> list[Any]:
    listed = SQL(", ").join(map(Identifier, ("state", *columns)))
    found = connection.execute(
        SQL("SELECT {} FROM outbox JOIN price_drop_alerts USING (alert_id) ORDER BY price_id").format(listed)
    )
    return [row if columns else row[0] for row in found]


def test_alerts_are_taken_oldest_first_and_marked(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(0, 3))
    fire(tables, range(3, 5), timestamp=rows.NOON - timedelta(hours=1))
    taken = outbox.take(connection, CHANNEL)
    times = [alert.alert_timestamp for alert in taken]
    assert times == sorted(times)
    assert len(taken) == 5
    assert states(connection, "attempts") == [("sending", 1)] * 5
    assert outbox.take(connection, CHANNEL) == [], "an alert was taken twice"


def test_an_alert_is_taken_as_it_was_fired(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(1), section="'; DROP TABLE outbox; --", venue="🎫")
    (alert,) = outbox.take(connection, CHANNEL)
    fired = rows.dropped(range(1))
    assert alert.alert_id == fired["alert_id"][0]
    assert (alert.old_price, alert.new_price, alert.drop_percent) == (100, 80, 20)
    assert (alert.section, alert.venue, alert.row) == ("'; DROP TABLE outbox; --", "🎫", "A")
    assert alert.alert_timestamp == rows.NOON


def test_no_more_are_taken_at_once_than_one_message_tells(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(outbox.MOST + 3))
    assert len(outbox.take(connection, CHANNEL)) == outbox.MOST
    assert len(outbox.take(connection, CHANNEL)) == 3


def test_channels_do_not_see_each_others_alerts(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(2), channel="discord:other")
    assert outbox.take(connection, CHANNEL) == []
    assert outbox.resume(connection, CHANNEL) == outbox.expire(connection, CHANNEL, 0) == 0
    assert len(outbox.take(connection, "discord:other")) == 2


@pytest.mark.parametrize("state", ["sent", "failed", "pending"])
def test_what_became_of_alerts_is_written_down(tables: Database, connection: psycopg.Connection, state: str) -> None:
    fire(tables, range(3))
    taken = outbox.take(connection, CHANNEL)
    outbox.record(connection, CHANNEL, taken[:2], state, message_id="42", error="why")
    columns = ("message_id", "last_error", "maybe_repeats")
    assert states(connection, *columns) == [(state, "42", "why", 0)] * 2 + [("sending", None, None, 0)]
    sent = connection.execute("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL").fetchone()
    assert sent == (2 if state == "sent" else 0,)


def test_a_lost_answer_is_counted(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(1))
    for turn in (1, 2):
        taken = outbox.take(connection, CHANNEL)
        outbox.record(connection, CHANNEL, taken, "pending", error="ReadTimeout", maybe_delivered=True)
        assert states(connection, "attempts", "maybe_repeats") == [("pending", turn, turn)]
    outbox.record(connection, CHANNEL, outbox.take(connection, CHANNEL), "sent", message_id="9")
    assert states(connection, "attempts", "maybe_repeats", "message_id", "last_error") == [("sent", 3, 2, "9", None)]


def test_what_a_crash_left_in_the_air_is_taken_up_and_counted(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(3))
    taken = outbox.take(connection, CHANNEL)
    outbox.record(connection, CHANNEL, taken[:1], "sent")
    assert outbox.resume(connection, CHANNEL) == 2
    assert sorted(states(connection, "maybe_repeats")) == [("pending", 1), ("pending", 1), ("sent", 0)]
    assert outbox.resume(connection, CHANNEL) == 0


def test_only_what_waits_expires(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(4))
    connection.execute("UPDATE price_drop_alerts SET alert_timestamp = now() - interval '61 s'")
    young = connection.execute(
        "UPDATE price_drop_alerts SET alert_timestamp = now() - interval '20 s' "
        "WHERE price_id = (SELECT max(price_id) FROM price_drop_alerts)"
    )
    assert young.rowcount == 1
    for offset, state in enumerate(("sent", "sending")):
        identity = rows.dropped(range(offset, offset + 1))["alert_id"][0]
        connection.execute("UPDATE outbox SET state = %s WHERE alert_id = %s", (state, identity))
    assert outbox.expire(connection, CHANNEL, 60) == 1
    assert states(connection) == ["sent", "sending", "expired", "pending"]
    assert [alert.alert_id for alert in outbox.take(connection, CHANNEL)] == [rows.dropped(range(3, 4))["alert_id"][0]]


def test_a_channel_starts_alive_and_stays_dead(connection: psycopg.Connection) -> None:
    assert not outbox.is_disabled(connection, CHANNEL, "fingerprint-1")
    outbox.disable(connection, CHANNEL, "HTTP 404 Unknown Webhook")
    for _ in range(2):
        assert outbox.is_disabled(connection, CHANNEL, "fingerprint-1")
    assert not outbox.is_disabled(connection, "discord:other", "fingerprint-1")


def test_a_new_credential_starts_alive_and_the_old_one_may_come_back(connection: psycopg.Connection) -> None:
    outbox.is_disabled(connection, CHANNEL, "fingerprint-1")
    outbox.disable(connection, CHANNEL, "HTTP 404")
    assert not outbox.is_disabled(connection, CHANNEL, "fingerprint-2")
    found = connection.execute("SELECT fingerprint, disabled_since, reason FROM channels").fetchall()
    assert found == [("fingerprint-2", None, None)]
