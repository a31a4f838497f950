"""The outbox: what is to be delivered, and what is written down of it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from sinks import outbox
from sinks.channels import DEFAULT
from sinks.postgres import OUTBOX_CHANNEL
from sinks.sender import Answer, Outcome
from sinks.words import Alert
from tests.conftest import Database
from tests.unit.sinks.rows import NOON

CHANNEL = DEFAULT


def identity(number: int) -> UUID:
    return uuid5(NAMESPACE_OID, str(number))


def fire(database: Database, numbers: range, *channels: str, **given: Any) -> list[str]:
    """Alerts and their deliveries, committed and announced as the flow does; the first row of each is 100 → 80."""
    columns = {
        "event_id": "concert_123", "event_name": "Taylor Swift", "venue": "MetLife Stadium", "alert_type": "price_drop",
        "alert_timestamp": NOON, "old_price": 100, "new_price": 80, "drop_amount": 20, "drop_percent": 20,
        "currency": "USD", "section": "101", "row": "A", "source": "mock", **given,
    }  # fmt: skip
    ids = [identity(number) for number in numbers]
    names = SQL(", ").join(map(Identifier, ("alert_id", "price_id", *columns)))
    with psycopg.connect(database.dsn) as connection, connection.cursor() as cursor:
        with cursor.copy(SQL("COPY price_drop_alerts ({}) FROM STDIN").format(names)) as copy:
            for number, one in zip(numbers, ids, strict=True):
                copy.write_row((one, number, *columns.values()))
        with cursor.copy("COPY outbox (alert_id, channel) FROM STDIN") as copy:
            for one in ids:
                for channel in channels or (CHANNEL,):
                    copy.write_row((one, channel))
        cursor.execute(SQL("NOTIFY {}").format(Identifier(OUTBOX_CHANNEL)))
    return [str(one) for one in ids]


def rule(connection: psycopg.Connection, definition: dict[str, Any] | None = None, **columns: Any) -> int:
    """A rule; its id."""
    given = {"event_id": "concert_123", "name": "Floor seats", "definition": json.dumps(definition or {}), **columns}
    row = connection.execute(
        SQL("INSERT INTO alerts ({}) VALUES ({}) RETURNING id").format(
            SQL(", ").join(map(Identifier, given)), SQL(", ").join([SQL("%s")] * len(given))
        ),
        list(given.values()),
    ).fetchone()
    assert row is not None
    return int(row[0])


def states(connection: psycopg.Connection, *columns: str, channel: str | None = None) -> list[Any]:
    listed = SQL(", ").join(map(Identifier, ("state", *columns)))
    found = connection.execute(
        SQL(
            "SELECT {} FROM outbox LEFT JOIN price_drop_alerts USING (alert_id) "
            "WHERE channel = %(channel)s OR %(channel)s::text IS NULL ORDER BY price_id, channel"
        ).format(listed),
        {"channel": channel},
    )
    return [row if columns else row[0] for row in found]


def take(connection: psycopg.Connection, channel: str = CHANNEL, most: int = outbox.MOST) -> list[Alert]:
    """What is ready, marked as being sent."""
    alerts = outbox.ready(connection, channel, most)
    outbox.mark(connection, channel, ids(alerts))
    return alerts


def ids(alerts: list[Alert]) -> list[str]:
    return [alert.alert_id for alert in alerts]


# --- what waits


def test_alerts_are_taken_oldest_first_and_marked(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(0, 3))
    fire(tables, range(3, 5), alert_timestamp=NOON - timedelta(hours=1))
    taken = take(connection)
    times = [alert.alert_timestamp for alert in taken]
    assert times == sorted(times)
    assert len(taken) == 5
    assert states(connection, "attempts") == [("sending", 1)] * 5
    assert outbox.ready(connection, CHANNEL) == [], "an alert was taken twice"


def test_an_alert_is_taken_as_it_was_fired(tables: Database, connection: psycopg.Connection) -> None:
    number = rule(connection, {"digest_minutes": 5})
    fire(
        tables, range(1), section="'; DROP TABLE outbox; --", venue="🎫", rule_id=number, rule_name="Floor",
        cause="at or below $90", reference="median", percentile=7, lowest_so_far=75, sample=40, quantity=2, seat="12",
    )  # fmt: skip
    (alert,) = outbox.ready(connection, CHANNEL)
    assert alert.alert_id == str(identity(0))
    assert (alert.old_price, alert.new_price, alert.drop_percent) == (100, 80, 20)
    assert (alert.section, alert.venue, alert.row) == ("'; DROP TABLE outbox; --", "🎫", "A")
    assert (alert.rule_id, alert.rule_name, alert.cause, alert.reference) == (
        number,
        "Floor",
        "at or below $90",
        "median",
    )
    assert (alert.percentile, alert.lowest_so_far, alert.sample, alert.quantity, alert.seat) == (7, 75, 40, 2, "12")
    assert alert.alert_timestamp == alert.waits_since == NOON
    assert alert.plan == {"digest_minutes": 5}


def test_the_plan_of_a_rule_that_is_gone_is_that_of_its_version(
    tables: Database, connection: psycopg.Connection
) -> None:
    number = rule(connection, {"digest_minutes": 5})
    (version,) = connection.execute("SELECT max(version) FROM rule_versions").fetchone() or (None,)
    fire(tables, range(1), rule_id=number, rule_version=version)
    connection.execute("UPDATE alerts SET definition = '{\"digest_minutes\": 9}'")
    assert outbox.ready(connection, CHANNEL)[0].plan == {"digest_minutes": 9}, "a change counts at once"
    connection.execute("DELETE FROM alerts")
    assert outbox.ready(connection, CHANNEL)[0].plan == {"digest_minutes": 5}


def test_no_more_are_taken_at_once_than_one_message_tells(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(8))
    assert len(take(connection, most=5)) == 5
    assert len(take(connection, most=5)) == 3


def test_channels_do_not_see_each_others_alerts(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(2), "other")
    assert outbox.ready(connection, CHANNEL) == []
    assert outbox.expire(connection, 0, CHANNEL) == 0
    assert outbox.resume(connection) == 0
    assert len(take(connection, "other")) == 2
    assert outbox.resume(connection, ["other"]) == 0, "a message under way was taken for what a crash has left"
    assert outbox.resume(connection) == 2


def test_the_channels_for_which_something_waits(tables: Database, connection: psycopg.Connection) -> None:
    assert outbox.channels_waiting(connection) == []
    fire(tables, range(0, 50), "b", "a", "rule:7")
    fire(tables, range(50, 60), "sent")
    fire(tables, range(60, 70), "held")
    connection.execute("UPDATE outbox SET state = 'sent' WHERE channel = 'sent'")
    connection.execute("UPDATE outbox SET hold_until = now() + interval '1 h' WHERE channel = 'held'")
    assert outbox.channels_waiting(connection) == ["a", "b", "rule:7"]


# --- what became of it


SENT = Answer(Outcome.SENT, message_id="42")


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        (SENT, ("sent", "42", None, 0)),
        (Answer(Outcome.AGAIN, error="why"), ("pending", None, "why", 0)),
        (Answer(Outcome.LOST, error="why"), ("pending", None, "why", 1)),
        (Answer(Outcome.BARRED, error="why"), ("pending", None, "why", 0)),
        (Answer(Outcome.GONE, error="why"), ("pending", None, "why", 0)),
        (Answer(Outcome.REFUSED, error="why"), ("failed", None, "why", 0)),
    ],
)
def test_what_became_of_an_alert_is_written_down(
    tables: Database, connection: psycopg.Connection, answer: Answer, row: tuple[Any, ...]
) -> None:
    fire(tables, range(3))
    taken = take(connection)
    outbox.record(connection, CHANNEL, ids(taken)[:1], answer)
    found = states(connection, "message_id", "last_error", "maybe_repeats")
    assert sorted(found, key=str) == sorted([row] + [("sending", None, None, 0)] * 2, key=str)
    sent = connection.execute("SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL").fetchone()
    assert sent == (row[0] == "sent",)


def test_of_several_that_are_refused_each_gets_another_try(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(2))
    outbox.record(connection, CHANNEL, ids(take(connection)), Answer(Outcome.REFUSED, error="why"))
    assert states(connection) == ["pending"] * 2


def test_an_alert_is_not_tried_for_ever(
    tables: Database, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "ATTEMPTS", 3)
    fire(tables, range(1))
    for _ in range(2):
        outbox.record(connection, CHANNEL, ids(take(connection)), Answer(Outcome.AGAIN, error="HTTP 500"))
    assert states(connection, "attempts") == [("pending", 2)]
    outbox.record(connection, CHANNEL, ids(take(connection)), Answer(Outcome.AGAIN, error="HTTP 500"))
    assert states(connection, "attempts", "last_error") == [("failed", 3, "HTTP 500")]


def test_a_lost_answer_is_counted(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(1))
    for turn in (1, 2):
        outbox.record(connection, CHANNEL, ids(take(connection)), Answer(Outcome.LOST, error="ReadTimeout"))
        assert states(connection, "attempts", "maybe_repeats") == [("pending", turn, turn)]
    outbox.record(connection, CHANNEL, ids(take(connection)), SENT)
    outbox.record(connection, CHANNEL, [str(identity(0))], Answer(Outcome.LOST))  # written twice: the second is no news
    assert states(connection, "attempts", "maybe_repeats", "message_id", "last_error") == [("sent", 3, 2, "42", None)]


def test_what_a_crash_left_in_the_air_is_taken_up_and_counted(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(3))
    outbox.record(connection, CHANNEL, ids(take(connection))[:1], SENT)
    assert outbox.resume(connection) == 2
    assert sorted(states(connection, "maybe_repeats")) == [("pending", 1), ("pending", 1), ("sent", 0)]
    assert outbox.resume(connection) == 0


def test_only_what_waits_expires(tables: Database, connection: psycopg.Connection) -> None:
    old = datetime.now(UTC) - timedelta(seconds=61)
    fire(tables, range(0, 4), alert_timestamp=old)
    fire(tables, range(4, 5), alert_timestamp=old + timedelta(seconds=40))
    held = "hold_until = now() + interval '1 h'"
    for number, change in enumerate(("state = 'sent'", "state = 'sending'", held)):
        connection.execute(f"UPDATE outbox SET {change} WHERE alert_id = %s", (identity(number),))  # noqa: S608
    assert outbox.expire(connection, 60, CHANNEL) == 1
    assert states(connection) == ["sent", "sending", "pending", "expired", "pending"]
    assert ids(outbox.ready(connection, CHANNEL)) == [str(identity(4))]


def test_what_lies_for_long_expires_in_dead_channels_too(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(2), "dead", "alive", alert_timestamp=datetime.now(UTC) - timedelta(hours=3))
    connection.execute("UPDATE outbox SET created_at = now() - interval '2 h' WHERE channel = 'dead'")
    assert outbox.expire(connection, 3600) == 2
    assert states(connection, channel="alive") == ["pending"] * 2


# --- what is held back


def test_what_is_held_is_not_ready_until_its_time(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(3), alert_timestamp=datetime.now(UTC) - timedelta(hours=9))
    now = datetime.now(UTC)
    outbox.hold(connection, CHANNEL, [str(identity(0))], now + timedelta(hours=1), "quiet hours until 07:00 UTC")
    outbox.hold(connection, CHANNEL, [str(identity(1))], now - timedelta(seconds=1), "quiet hours until 06:00 UTC")
    assert ids(outbox.ready(connection, CHANNEL)) == [str(identity(2))]
    assert outbox.release(connection) == 1
    assert set(ids(outbox.ready(connection, CHANNEL))) == {str(identity(1)), str(identity(2))}
    assert states(connection, "hold_reason") == [
        ("pending", "quiet hours until 07:00 UTC"),
        ("pending", None),
        ("pending", None),
    ]
    assert outbox.expire(connection, 3600, CHANNEL) == 1, "what waited for the morning is not too old because of that"
    assert states(connection) == ["pending", "pending", "expired"]


def test_when_a_rule_last_sent_something(tables: Database, connection: psycopg.Connection) -> None:
    mine, other = rule(connection), rule(connection)
    fire(tables, range(0, 1), rule_id=mine)
    fire(tables, range(1, 2), rule_id=other)
    both = [mine, other]
    assert outbox.last_sent(connection, CHANNEL, both, 60) == {}
    outbox.record(connection, CHANNEL, ids(take(connection)), SENT)
    connection.execute("UPDATE outbox SET sent_at = now() - interval '90 min' WHERE alert_id = %s", (str(identity(1)),))
    assert outbox.last_sent(connection, CHANNEL, both, 60).keys() == {mine}
    assert outbox.last_sent(connection, CHANNEL, both, 120).keys() == {mine, other}
    assert outbox.last_sent(connection, CHANNEL, [other], 60) == {}
    assert outbox.last_sent(connection, "other", both, 60) == {}


# --- channels


def test_a_channel_starts_alive_and_stays_dead(connection: psycopg.Connection) -> None:
    assert outbox.disabled(connection, CHANNEL, "fingerprint-1") is None
    outbox.disable(connection, CHANNEL, "HTTP 404 Unknown Webhook")
    for _ in range(2):
        assert outbox.disabled(connection, CHANNEL, "fingerprint-1") == "HTTP 404 Unknown Webhook"
    assert outbox.disabled(connection, "other", "fingerprint-1") is None


def test_a_new_address_starts_alive(connection: psycopg.Connection) -> None:
    outbox.disabled(connection, CHANNEL, "fingerprint-1")
    outbox.failing(connection, CHANNEL)
    outbox.disable(connection, CHANNEL, "HTTP 404")
    assert outbox.disabled(connection, CHANNEL, "fingerprint-2") is None
    found = connection.execute("SELECT fingerprint, disabled_since, reason, failing_since FROM channels").fetchall()
    assert found == [("fingerprint-2", None, None, None)]


def test_how_long_a_channel_has_refused(connection: psycopg.Connection) -> None:
    outbox.disabled(connection, CHANNEL, "fingerprint-1")
    assert outbox.failing(connection, CHANNEL) == 0
    connection.execute("UPDATE channels SET failing_since = now() - interval '1 h'")
    assert outbox.failing(connection, CHANNEL) == pytest.approx(3600, abs=60)
    outbox.well(connection, CHANNEL)
    assert outbox.failing(connection, CHANNEL) == 0


def test_a_rules_target_is_read_from_its_row(connection: psycopg.Connection) -> None:
    number = rule(connection, notification_method="email", notification_target="someone@example.com")
    assert outbox.target(connection, f"rule:{number}") == ("email", "someone@example.com")
    for none in ("rule:0", "rule:x", "rule:", "rule:1; DROP", f"rule:{'9' * 40}", "rule:²", CHANNEL):
        assert outbox.target(connection, none) is None


def test_a_rules_target_stands_in_its_row_and_in_no_history(connection: psycopg.Connection) -> None:
    number = rule(connection, notification_method="email", notification_target="canary@example.com")
    connection.execute("UPDATE alerts SET notification_target = 'canary2@example.com', target_price = 5")
    connection.execute("DELETE FROM alerts WHERE id = %s", (number,))
    history = connection.execute("SELECT rule FROM rule_versions ORDER BY version").fetchall()
    assert len(history) == 3
    assert "canary" not in str(history)
    assert history[0][0]["notification_target"] == "***", "that there is one is still to be seen"
    assert history[1][0]["target_price"] == 5


# --- what goes with an alert


def change(connection: psycopg.Connection, number: int, old: float, new: float, **given: Any) -> None:
    columns = {
        "event_id": "concert_123", "source": "mock", "section": "101", "row": "A", "currency": "USD", "level": "listing",
        "previous_timestamp": NOON, "timestamp": NOON - timedelta(minutes=100 - number), **given,
    }  # fmt: skip
    connection.execute(
        SQL("INSERT INTO price_changes (id, old_price, new_price, change, change_percent, {}) VALUES ({})").format(
            SQL(", ").join(map(Identifier, columns)), SQL(", ").join([SQL("%s")] * (5 + len(columns)))
        ),
        [number, old, new, new - old, 0, *columns.values()],
    )


def test_the_recent_prices_of_a_listing(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(2))
    for number, (old, new) in enumerate([(120, 110), (110, 100), (100, 80)]):
        change(connection, number, old, new)
    change(connection, 10, 1, 2, section="102")
    change(connection, 11, 1, 2, source="other")
    change(connection, 12, 1, 2, event_id="other")
    change(connection, 13, 80, 70, timestamp=NOON + timedelta(minutes=1))
    one, two = (str(identity(number)) for number in (0, 1))
    assert outbox.paths(connection, [one]) == {one: [Decimal(120), Decimal(110), Decimal(100), Decimal(80)]}
    assert outbox.paths(connection, [one, two]).keys() == {one, two}


def test_a_listing_with_an_id_is_known_by_it(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(1), listing_id="L1")
    change(connection, 0, 120, 100, listing_id="L1", section="moved")
    change(connection, 1, 100, 80, listing_id="L1")
    change(connection, 2, 1, 2, listing_id="L2")
    change(connection, 3, 1, 2)
    assert list(outbox.paths(connection, [str(identity(0))]).values()) == [[120, 100, 80]]


def test_a_long_past_is_cut(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(1))
    for number in range(60):
        change(connection, number, 200 - number, 199 - number)
    (path,) = outbox.paths(connection, [str(identity(0))]).values()
    assert len(path) == 24
    assert path[-1] == 140
    assert path == sorted(path, reverse=True)


def test_an_alert_without_a_past_has_no_path(tables: Database, connection: psycopg.Connection) -> None:
    fire(tables, range(1))
    assert outbox.paths(connection, [str(identity(0))]) == {}


def test_of_a_mute_link_only_the_hash_is_kept(connection: psycopg.Connection) -> None:
    rules = [rule(connection), rule(connection)]
    link = outbox.mute_link(connection, "https://prices.example", [*rules, 999])
    assert link is not None
    base, _, token = link.rpartition("/")
    assert base == "https://prices.example/mute"
    assert len(token) >= 43, "256 bits"
    stored = connection.execute("SELECT hash, rule_id, used_at FROM mute_links ORDER BY rule_id").fetchall()
    assert stored == [(hashlib.sha256(token.encode()).hexdigest(), number, None) for number in rules]
    assert outbox.mute_link(connection, "https://prices.example", rules) != link
    assert outbox.mute_link(connection, "https://prices.example", [999]) is None


def test_old_mute_links_are_forgotten(connection: psycopg.Connection) -> None:
    outbox.mute_link(connection, "https://prices.example", [rule(connection)])
    outbox.drop_old_links(connection)
    assert connection.execute("SELECT count(*) FROM mute_links").fetchone() == (1,)
    connection.execute("UPDATE mute_links SET created_at = now() - interval '181 days'")
    outbox.drop_old_links(connection)
    assert connection.execute("SELECT count(*) FROM mute_links").fetchone() == (0,)


# --- expiry


def start_event(connection: psycopg.Connection, ago: timedelta, event_id: str = "concert_123") -> None:
    connection.execute(
        "INSERT INTO events (event_id, event_name, event_date) VALUES (%s, 'Taylor Swift', %s) "
        "ON CONFLICT (event_id) DO UPDATE SET event_date = excluded.event_date",
        (event_id, datetime.now(UTC) - ago),
    )


def announced(connection: psycopg.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT rule_id, channel FROM notices JOIN outbox ON alert_id = notice_id ORDER BY 1, 2"
    ).fetchall()


def test_a_rule_whose_event_has_started_says_so_once(connection: psycopg.Connection) -> None:
    start_event(connection, timedelta(minutes=5))
    announces = {"announce_expiry": True}
    one = rule(connection, announces, channels=["phone", "friends", "phone"])
    two = rule(connection, announces, notification_method="email", notification_target="a@example.com")
    three = rule(connection, announces)
    rule(connection, {})
    rule(connection, announces, active=False)
    rule(connection, announces, muted_until=datetime.now(UTC) + timedelta(days=1))
    rule(connection, announces, event_id="unknown")
    for _ in range(2):
        outbox.announce_expired(connection, 86_400)
    assert announced(connection) == [(one, "friends"), (one, "phone"), (two, f"rule:{two}"), (three, CHANNEL)]
    (alert,) = outbox.ready(connection, "phone")
    assert (alert.notice, alert.rule_id, alert.rule_name, alert.event_name) == (
        "expired",
        one,
        "Floor seats",
        "Taylor Swift",
    )


@pytest.mark.parametrize(
    ("ends", "count"),
    [(timedelta(minutes=-5), 1), (timedelta(minutes=5), 0), (timedelta(days=-3), 0)],
    ids=["passed", "to come", "long ago"],
)
def test_a_rule_may_end_before_its_event(connection: psycopg.Connection, ends: timedelta, count: int) -> None:
    start_event(connection, timedelta(days=-9))
    rule(connection, {"announce_expiry": True, "expires_at": (datetime.now(UTC) + ends).isoformat()})
    outbox.announce_expired(connection, 86_400)
    assert len(announced(connection)) == count


@pytest.mark.parametrize("nonsense", ["soon", "", 5, None, "2026-13-99"])
def test_an_end_that_is_none_stops_nothing(connection: psycopg.Connection, nonsense: Any) -> None:
    start_event(connection, timedelta(minutes=5))
    rule(connection, {"announce_expiry": True, "expires_at": nonsense})
    outbox.announce_expired(connection, 86_400)
    assert len(announced(connection)) == 1


def test_an_event_that_was_put_off_may_start_again(connection: psycopg.Connection) -> None:
    start_event(connection, timedelta(minutes=5))
    rule(connection, {"announce_expiry": True})
    outbox.announce_expired(connection, 86_400)
    connection.execute("UPDATE notices SET created_at = now() - interval '2 h'")  # that was two hours ago
    start_event(connection, timedelta(hours=3))
    outbox.announce_expired(connection, 86_400)
    assert len(announced(connection)) == 1, "an earlier date is no second start"
    start_event(connection, timedelta(minutes=1))
    outbox.announce_expired(connection, 86_400)
    assert len(announced(connection)) == 2


# --- for readers


def test_every_notification_is_listed_with_its_cause_and_state(
    tables: Database, connection: psycopg.Connection
) -> None:
    number = rule(connection)
    fire(tables, range(0, 1), rule_id=number, rule_name="Floor seats", cause="at or below $90")
    fire(tables, range(1, 2))
    fire(tables, range(2, 3), "gone")
    outbox.hold(connection, CHANNEL, [str(identity(1))], datetime.now(UTC) + timedelta(hours=1), "quiet hours")
    outbox.disabled(connection, "gone", "x")
    outbox.disable(connection, "gone", "HTTP 404")
    connection.execute("SELECT send_test('phone')")
    outbox.record(connection, CHANNEL, ids(take(connection)), SENT)
    with connection.cursor(row_factory=dict_row) as cursor:
        listed = cursor.execute("SELECT * FROM notifications ORDER BY channel, caused_at, state").fetchall()
    said = [(row["cause"], row["channel"], row["state"], row["waits_for"], row["attempts"]) for row in listed]
    assert said == [
        ("price_drop", CHANNEL, "held", "quiet hours", 0),
        ("at or below $90", CHANNEL, "sent", None, 1),
        ("price_drop", "gone", "pending", "the channel is disabled: HTTP 404", 0),
        ("test", "phone", "pending", None, 0),
    ]
    assert listed[1]["rule_id"] == number
    assert listed[1]["sent_at"] is not None
