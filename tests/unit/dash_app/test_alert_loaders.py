"""What the alerts page asks of Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from analytics.rulestore import Rules
from dash_app.database import Database
from dash_app.loaders import alerts as loaders
from tests.conftest import Database as Fresh
from tests.unit.dash_app import seed

NOW = datetime.now(UTC)


@pytest.fixture
def store(database: Fresh) -> Rules:
    """An event to come, one that is over, a dead channel."""
    with psycopg.connect(database.dsn) as connection:
        seed.migrate(connection)
        connection.execute(
            "INSERT INTO events (event_id, event_name, venue, event_date) VALUES ('e1', 'The 100%% Band', 'Town_Hall', %s), "
            "('old', 'The Band', 'Arena', %s)",
            (NOW + timedelta(days=9), NOW - timedelta(days=1)),
        )
        connection.execute("INSERT INTO channels VALUES ('dead', 'x', now(), '404: no such webhook')")
    return Rules(database.dsn)


@pytest.fixture
def asked(store: Rules) -> Iterator[Database]:
    reader = Database(store.dsn)
    yield reader
    reader.close()


def test_every_rule_has_the_state_that_the_command_shows(store: Rules, asked: Database) -> None:
    numbers = {
        "armed": store.add({"event_id": "e1", "target_price": 1}),
        "expired": store.add({"event_id": "old", "target_price": 1}),
        "muted": store.add({"event_id": "e1", "target_price": 1}),
        "broken": store.add({"event_id": "e1", "target_price": 1, "channels": ["dead"]}),
        "fired": store.add({"event_id": "e1", "target_price": 1, "channels": ["dead", "phone"]}),
    }
    ended = store.add({"event_id": "e1", "target_price": 1, "definition": {"expires_at": "2025-01-01T00:00:00+01:00"}})
    store.mute(numbers["muted"])
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        for event, state, seen in (("e1", "fired", NOW), ("old", "expired", NOW + timedelta(minutes=1))):
            connection.execute(
                "INSERT INTO rule_states (rule_id, event_id, version, state, reason, price, sample, observed_at, alerts) "
                "VALUES (%s, %s, 1, %s, 'x', 99.5, 3, %s, 2)",
                (numbers["fired"], event, state, seen),
            )
        connection.execute(
            "INSERT INTO alerts (event_id, definition) VALUES ('e1', '{\"expires_at\": \"2025-99-99\"}')"
        )
    found = dict(loaders.rules_page(asked).select("id", "state").iter_rows())
    assert found == {**{number: state for state, number in numbers.items()}, ended: "expired", ended + 1: "broken"}
    assert {kept.rule["id"]: kept.state for kept in store.all() if kept.rule["id"] <= ended} == {
        number: state for number, state in found.items() if number <= ended
    }
    assert loaders.rules_page(asked, "", "fired")["price"].to_list() == [99.5]
    assert loaders.rule_counts(asked)["expired"] == 2


def test_rules_are_found_by_their_words_and_come_in_pages(store: Rules, asked: Database) -> None:
    first = store.add({"name": "Two on the floor", "event_id": "e1", "target_price": 1})
    second = store.add({"definition": {"query": "band hall", "condition": "back"}, "channels": ["phone"]})
    for words, expected in (
        ("100% band", [first]), ("town_hall FLOOR", [first]), ("phone", [second]), ("", [second, first]),
        (f"#{first}", [first]), ("%", [first]), ("\\", []), ("' OR true --", []),
    ):  # fmt: skip
        assert loaders.rules_page(asked, words)["id"].to_list() == expected, words
        assert sum(loaders.rule_counts(asked, words).values()) == len(expected), words
    assert loaders.rules_page(asked, limit=1, offset=1)["id"].to_list() == [first]
    assert loaders.rules_page(asked, numbers=[second, 999])["id"].to_list() == [second]


def test_a_rule_on_many_events_says_which(store: Rules, asked: Database) -> None:
    for definition in ({"query": "the band"}, {"venue": "Town Hall"}, {"query": "band", "venue": "Hall"}, {}):
        store.add({"definition": {**definition, "condition": "back"}})
    store.add({"event_id": "e1", "target_price": 1})
    assert loaders.rules_page(asked)["wanted"].to_list() == [
        None, "Every event", "Events named “band” at Hall", "Events at Town Hall", "Events named “the band”",
    ]  # fmt: skip


def test_whether_the_default_rule_holds(store: Rules, asked: Database) -> None:
    assert loaders.any_rules(asked) == (False, False)
    number = store.add({"event_id": "e1", "target_price": 1})
    assert loaders.any_rules(asked) == (True, True)
    store.mute(number)
    assert loaders.any_rules(asked) == (False, True)


def test_no_address_of_a_channel_leaves_the_database(store: Rules, asked: Database) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO alerts (event_id, target_price, notification_method, notification_target) "
            "VALUES ('e1', 9, 'discord', 'https://discord.com/api/webhooks/1/canary')"
        )
    store.add({"event_id": "e1", "target_price": 1, "channels": ["phone"]})
    page = loaders.rules_page(asked)
    assert page["channels"].to_list() == [["phone"], ["its own (discord)"]]
    known = loaders.channels(asked, ["discord:default", "me"])
    assert known["channel"].to_list() == ["discord:default", "dead", "me", "phone"]
    assert known.filter(known["channel"] == "phone")["rules"].to_list() == [1]
    assert "canary" not in json.dumps([page.rows(), known.rows()], default=str)


def test_the_log_has_alerts_and_tests_newest_first(store: Rules, asked: Database) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as connection:
        for back in range(6):
            connection.execute(
                "INSERT INTO price_drop_alerts (alert_id, event_id, alert_type, alert_timestamp, new_price, currency, "
                "source, price_id, rule_id, cause) VALUES (%s, %s, 'rule', %s, 90, 'USD', 'mock', %s, %s, 'low')",
                (UUID(int=back + 1), f"e{back % 2}", NOW - timedelta(minutes=back), back, back % 3),
            )
            for channel, state in (("me", "sent"), ("phone", "failed" if back else "pending")):
                connection.execute(
                    "INSERT INTO outbox (alert_id, channel, state) VALUES (%s, %s, %s)",
                    (UUID(int=back + 1), channel, state),
                )
        connection.execute("SELECT send_test('phone')")
    log, count = loaders.notifications(asked, limit=5)
    assert count == 13
    assert log["caused"].is_sorted(descending=True)
    assert log.row(0, named=True)["cause"] == "test"
    following, _ = loaders.notifications(asked, limit=5, offset=5)
    whole, _ = loaders.notifications(asked, limit=100)
    assert [*log.rows(), *following.rows()] == whole.rows()[:10]
    assert loaders.notifications(asked, rule=1)[1] == 4
    assert set(loaders.notifications(asked, event_id="e1")[0]["event_id"]) == {"e1"}
    assert loaders.notifications(asked, state="failed")[1] == 5
    assert loaders.notifications(asked, rule=1, event_id="e1", state="sent", limit=1)[1] == 1
    assert loaders.notifications(asked, most=1, limit=100)[1] == 1, "only the newest are read"


def test_an_event_is_found_by_any_of_its_words(store: Rules, asked: Database) -> None:
    assert loaders.search_events(asked, "hall the")["event_id"].to_list() == ["e1"]
    assert loaders.search_events(asked, "arena").is_empty(), "it is over"
    assert loaders.known_event(asked, "old")["name"].to_list() == ["The Band"]
    assert loaders.known_event(asked, "nowhere").is_empty()


def test_what_an_event_has(seeded: Database) -> None:
    assert loaders.sections_of(seeded, "concert_123") == ["101", "214", "Floor A", "GA"]
    assert loaders.sections_of(seeded, "concert_123", 2) == ["101", "214"]
    assert loaders.sources_of(seeded, "opera_1") == ["seatgeek"]
    assert loaders.sources_of(seeded, None) == ["mock", "seatgeek", "ticketmaster"]
