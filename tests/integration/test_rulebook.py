"""Rules on their way from the database to a running flow, and to a replay."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from importlib import resources

import psycopg
import pytest

from analytics.alerts import DefaultRule
from analytics.schema import row_id
from sinks import rulebook
from sinks.rulebook import RuleBook
from sinks.schema import migrate, register_stream
from tests.conftest import Database


@pytest.fixture
def connection(database: Database) -> psycopg.Connection:
    migrate(database.dsn)
    register_stream(database.dsn, "raw_prices", "made")
    with psycopg.connect(database.dsn, autocommit=True) as open_connection:
        yield open_connection


@pytest.fixture
def open_book(database: Database) -> Iterator[Callable[[], RuleBook]]:
    """Opens books, and closes them at the end."""
    books: list[RuleBook] = []

    def open_one() -> RuleBook:
        books.append(RuleBook(database.dsn))
        return books[-1]

    yield open_one
    for book in books:
        book.close()


def add(
    connection: psycopg.Connection, event: str | None = "e1", target: float | None = 100, **definition: object
) -> int:
    row = connection.execute(
        "INSERT INTO alerts (event_id, target_price, definition) VALUES (%s, %s, %s) RETURNING id",
        (event, target, json.dumps(definition)),
    ).fetchone()
    return row[0]


def wait_for_news(book: RuleBook, stream: int, partition: int, offset: int) -> list:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := book.fresh(stream, partition, offset):
            return found
        time.sleep(0.02)
    pytest.fail("no news of the rule within 20 s")


def test_a_version_begins_where_each_partition_stands_and_a_replay_is_told_the_same(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    rule = add(connection)
    book = open_book()
    assert book.recorded(1, 0) == book.recorded(1, 1) == []
    [zero] = book.fresh(1, 0, 500)
    [one] = book.fresh(1, 1, 70)
    assert (zero.version, zero.rule_id, zero.from_id, zero.events) == (1, rule, row_id(1, 0, 500), ("e1",))
    assert one.from_id == row_id(1, 1, 70)
    assert zero.rule is not None
    assert zero.rule.target == 100_000_000
    assert book.fresh(1, 0, 900) == []

    replay = open_book()
    assert replay.recorded(1, 0) == [zero]
    assert replay.recorded(1, 1) == [one]
    assert replay.fresh(1, 0, 0) == []


def test_what_an_ended_flow_has_judged_is_not_judged_anew_by_a_rule_made_meanwhile(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    connection.execute(
        "INSERT INTO price_history (id, event_id, source, price, total_price, currency, quantity, timestamp, level, late) "
        "SELECT x, 'e1', 's', 1, 1, 'USD', 1, now(), 'listing', false FROM unnest(%s::bigint[]) x",
        ([row_id(1, 0, 41), row_id(1, 0, 1000), row_id(1, 1, 7)],),
    )
    add(connection)
    book = open_book()
    for partition in (0, 1, 2):
        book.recorded(1, partition)
    # The recovery store says that partition 0 is read from 800 on; its prices up to 1000 are judged already.
    assert [book.fresh(1, p, 800)[0].from_id for p in (0, 1, 2)] == [
        row_id(1, 0, 1001),
        row_id(1, 1, 800),
        row_id(1, 2, 800),
    ]


def test_a_change_reaches_a_running_flow_and_is_told_to_the_events_it_was_and_is_about(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    book = open_book()
    book.recorded(1, 0)
    rule = add(connection)
    [made] = wait_for_news(book, 1, 0, 10)
    connection.execute("UPDATE alerts SET event_id = 'e2' WHERE id = %s", (rule,))
    [moved] = wait_for_news(book, 1, 0, 20)
    connection.execute("UPDATE alerts SET event_id = NULL WHERE id = %s", (rule,))
    [widened] = wait_for_news(book, 1, 0, 30)
    connection.execute("DELETE FROM alerts WHERE id = %s", (rule,))
    [gone] = wait_for_news(book, 1, 0, 40)
    assert [a.events for a in (made, moved, widened, gone)] == [("e1",), ("e1", "e2"), None, None]
    assert [a.idle for a in (made, moved, widened, gone)] == [False, False, False, True]
    assert gone.rule is None


def test_what_changes_nothing_makes_no_version(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    rule = add(connection)
    connection.execute("UPDATE alerts SET last_triggered = now() WHERE id = %s", (rule,))
    assert connection.execute("SELECT count(*) FROM rule_versions").fetchone() == (1,)


def test_a_rule_that_means_nothing_is_left_out_and_the_others_hold(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    add(connection, target=None)
    add(connection, colour="red")
    good = add(connection)
    book = open_book()
    book.recorded(1, 0)
    told = book.fresh(1, 0, 0)
    assert [(a.rule_id, a.rule is not None) for a in told][-1] == (good, True)
    assert [a.rule for a in told[:2]] == [None, None]
    assert [a.idle for a in told] == [True, True, False]


@pytest.mark.parametrize(
    "columns",
    [
        {"definition": '{"condition": "drop", "percent": "NaN"}'},
        {"definition": '{"condition": "drop", "amount": "1E+999999"}'},
        {"definition": '{"condition": "drop", "percent": "0.00000001"}'},
        {"definition": '{"condition": "back", "observations": 2}'},
        {"definition": '{"condition": "at_or_below", "quiet": 5}', "target_price": 5},
        {"definition": '{"known": {"hours": [[99999999999999999999999, "5"]]}}', "target_price": 5},
        {"definition": '{"a": ' * 2500 + "1" + "}" * 2500, "target_price": 5},
        {"target_price": 0},
    ],
    ids=lambda columns: str(columns)[:40],
)
def test_whatever_stands_in_a_rule_the_flow_goes_on(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection, columns: dict[str, object]
) -> None:
    row = {"definition": "{}", "target_price": None, **columns}
    connection.execute("INSERT INTO alerts (target_price, definition) VALUES (%(target_price)s, %(definition)s)", row)
    good = add(connection)
    book = open_book()
    book.recorded(1, 0)
    assert [(a.rule_id, a.rule is None) for a in book.fresh(1, 0, 0)] == [(good - 1, True), (good, False)]
    assert len(open_book().recorded(1, 0)) == 2, "nor is a restart stopped"


@pytest.mark.parametrize(
    "columns",
    ["muted_until) VALUES ('infinity'", "definition) VALUES ('[1]'", "target_price) VALUES ('NaN'",
     "target_price) VALUES ('1e5000'", "channels) VALUES ('{NULL}'", "channels) VALUES ('{{a,b}}'"],
)  # fmt: skip
def test_what_can_be_no_rule_is_refused_by_the_table(connection: psycopg.Connection, columns: str) -> None:
    with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.FeatureNotSupported)):
        connection.execute(f"INSERT INTO alerts ({columns})")


def test_rules_are_not_truncated(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="deleted, not truncated"):
        connection.execute("TRUNCATE alerts CASCADE")


def test_many_rules_are_taken_up_in_parts(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rulebook, "_AT_ONCE", 40)
    connection.execute("INSERT INTO alerts (event_id, target_price) SELECT 'e' || x, 5 FROM generate_series(1, 100) x")
    book = open_book()
    book.recorded(1, 0)
    parts = [book.fresh(1, 0, offset) for offset in (10, 20, 30, 40)]
    assert [len(part) for part in parts] == [40, 40, 20, 0]
    assert [a.version for part in parts for a in part] == list(range(1, 101))


def test_a_later_version_never_begins_before_an_earlier_one(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    rule = add(connection)
    lost = open_book()
    lost.recorded(1, 0)
    lost.fresh(1, 0, 1000)  # and dies before anything of it is committed
    connection.execute("DELETE FROM alerts WHERE id = %s", (rule,))
    again = open_book()
    told = again.recorded(1, 0) + again.fresh(1, 0, 600)
    assert [(a.version, a.from_id) for a in told] == [(1, row_id(1, 0, 1000)), (2, row_id(1, 0, 1000))]
    default = DefaultRule({})
    default.told((a.from_id, a.idle) for a in told)
    assert default.holds([row_id(1, 0, 999), row_id(1, 0, 1000)]) == [True, True]


def test_rules_from_before_versions_have_one(database: Database) -> None:
    folder = resources.files("sinks") / "migrations"
    scripts = sorted(file.name for file in folder.iterdir() if file.name.endswith(".sql"))
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        for name in scripts[:2]:
            connection.execute((folder / name).read_text().encode())
        connection.execute(
            "INSERT INTO alerts (event_id, target_price, notification_target) VALUES ('e1', 5, 'secret')"
        )
        for name in scripts[2:]:
            connection.execute((folder / name).read_text().encode())
        [(version, row)] = connection.execute("SELECT version, rule::text FROM rule_versions").fetchall()
    assert version == 1
    assert "secret" not in row


def test_with_the_database_away_there_is_nothing_new(
    open_book: Callable[[], RuleBook], connection: psycopg.Connection
) -> None:
    book = open_book()
    book.recorded(1, 0)
    add(connection)
    book.dsn = "host=127.0.0.1 port=1 dbname=none"
    book._newest = 1
    assert book.fresh(1, 0, 0) == []
