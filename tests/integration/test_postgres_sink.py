"""The Postgres sink: what is visible when, what a replay leaves, and what happens while Postgres is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from analytics.schema import MICROS
from analytics.shard import Description
from analytics.windows import Window
from local.postgres import free_port
from sinks import postgres
from sinks import tables as kinds
from sinks.postgres import OUTBOX_CHANNEL, PostgresSink
from sinks.tables import DeadLetter, Metric, Progress
from tests.conftest import Database
from tests.unit.sinks import rows

PATIENCE = 20.0
NOON = int(rows.NOON.timestamp()) * MICROS

Make = Callable[..., Any]


@pytest.fixture
def part(tables: Database) -> Iterator[Make]:
    """Opens the sink's partition on the test's database; closed at the end."""
    opened: list[Any] = []

    def make(retry_seconds: float = 60.0) -> Any:
        opened.append(PostgresSink(tables.dsn, retry_seconds).build_part("s", "postgres", None))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture(params=[0, 1000], ids=["many", "few"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows go to Postgres in two ways, by how many they are: the test's own go as many, and as few."""
    monkeypatch.setattr(postgres, "_FEW", request.param)


def until(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}"
        time.sleep(0.02)
    return found


def count(connection: psycopg.Connection, table: str) -> int:
    (number,) = connection.execute(SQL("SELECT count(*) FROM {}").format(Identifier(table))).fetchone() or (0,)
    return int(number)


def content(connection: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(SQL("SELECT * FROM {} ORDER BY 1").format(Identifier(table))).fetchall()


def history(offsets: range, **given: Any) -> kinds.Write:
    return kinds.history(rows.frame([rows.price(offset, **given) for offset in offsets]))


def window(minute: int, *, observations: int = 1, event: str = "e", final: bool = False) -> Window:
    start = NOON + minute * 60 * MICROS
    return Window(event, "", "", "listing", "USD", 60, start, 1, 3, 2, 1, 3, observations, 1, final)


# --- what is visible when


def test_rows_are_visible_before_any_snapshot(part: Make, connection: psycopg.Connection) -> None:
    """Nobody waits for the end of an epoch to see a price."""
    part().write_batch([history(range(3))])
    until("three prices are visible", lambda: count(connection, "price_history") == 3)


def test_after_a_snapshot_everything_handed_over_is_committed(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch([history(range(100)), [window(0)], [Description("e", "Name", None, None, None, None)]])
    sink.write_batch([Progress(1, 0, 100, 100, NOON, 100, 0, 0, 0, 0), history(range(100, 200))])
    sink.write_batch([kinds.metrics([Metric("lag", 1.5, NOON)])])
    sink.write_batch([kinds.dead_letters([DeadLetter(7, "raw_prices", 0, 7, "not_json", "what", b"{")])])
    assert sink.snapshot() is None
    found = {
        table: count(connection, table)
        for table in ("price_history", "price_windows", "events", "pipeline_progress", "system_metrics", "dead_letters")
    }
    assert found == {
        "price_history": 200, "price_windows": 1, "events": 1, "pipeline_progress": 1, "system_metrics": 1,
        "dead_letters": 1,
    }  # fmt: skip


def test_a_snapshot_without_anything_is_quick(part: Make) -> None:
    began = time.monotonic()
    part().snapshot()
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("either_way")
def test_money_and_time_arrive_exactly(part: Make, connection: psycopg.Connection) -> None:
    time_ = datetime(2026, 11, 23, 12, 0, 0, 123456, UTC)
    amounts = [1, 10, 40_630_000, 99_999_990_000, 123_456_789_123_456, 999_999_999_999_999, -5, 1_150_000]
    sink = part()
    sink.write_batch(
        [kinds.history(rows.frame([rows.price(i, price=amount, timestamp=time_) for i, amount in enumerate(amounts)]))]
    )
    sink.snapshot()
    found = connection.execute('SELECT price, "timestamp" FROM price_history ORDER BY id').fetchall()
    assert [price for price, _ in found] == [Decimal(amount) / MICROS for amount in amounts]
    assert {at for _, at in found} == {time_}


def test_an_alert_and_its_delivery_are_committed_together(part: Make, connection: psycopg.Connection) -> None:
    fired = rows.dropped(range(20))
    sink = part()
    sink.write_batch([kinds.alerts(fired, "discord:default")])
    sink.snapshot()
    # now() is the time of the transaction: equal times were one transaction
    apart = connection.execute(
        "SELECT count(*) FROM price_drop_alerts a FULL JOIN outbox o USING (alert_id) "
        "WHERE a.created_at IS DISTINCT FROM o.created_at"
    ).fetchone()
    assert apart == (0,)
    assert count(connection, "outbox") == 20


def test_new_deliveries_are_announced(part: Make, connection: psycopg.Connection) -> None:
    connection.execute(SQL("LISTEN {}").format(Identifier(OUTBOX_CHANNEL)))
    sink = part()
    sink.write_batch([history(range(5))])
    sink.snapshot()
    assert list(connection.notifies(timeout=0.1)) == [], "a price without an alert was announced as one"
    sink.write_batch([kinds.alerts(rows.dropped(range(1)), "discord:default")])
    assert list(connection.notifies(timeout=PATIENCE, stop_after=1)), "a new delivery was not announced"


# --- what a replay leaves


def appended() -> dict[str, Callable[[range], kinds.Write | list[kinds.Write]]]:
    """For every table of facts: rows of some offsets."""

    def letters(offsets: range) -> kinds.Write:
        return kinds.dead_letters([DeadLetter(o, "raw_prices", 0, o, "not_json", "what", b"{") for o in offsets])

    def quarantined(offsets: range) -> kinds.Write:
        return kinds.quarantine(rows.frame([rows.price(o, reason="zero_price") for o in offsets]))

    return {
        "price_history": history,
        "quarantine": quarantined,
        "quarantine_releases": lambda offsets: kinds.releases([(o, o + 100) for o in offsets]),
        "dead_letters": letters,
        "price_changes": lambda offsets: kinds.price_changes(rows.compared(offsets)),
        "price_drop_alerts": lambda offsets: kinds.alerts(rows.dropped(offsets), None),
        "outbox": lambda offsets: kinds.alerts(rows.dropped(offsets), "discord:default"),
    }


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("table", appended())
def test_rows_that_come_again_leave_one_copy(part: Make, connection: psycopg.Connection, table: str) -> None:
    """As after a crash: all of a batch, then a batch that half overlaps, cut otherwise, by a new process."""
    make = appended()[table]
    sink = part()
    sink.write_batch([make(range(10))])
    sink.snapshot()
    before = content(connection, table)
    sink.write_batch([make(range(10))])
    sink.snapshot()
    assert content(connection, table) == before
    sink.close()
    again = part()
    again.write_batch([make(range(5, 8)), make(range(8, 15))])
    again.snapshot()
    assert count(connection, table) == 15
    after = content(connection, table)
    assert set(before) <= set(after), "rows that were there were written over"


def test_after_what_comes_again_rows_are_copied_straight_into_their_table_once_more(
    part: Make, connection: psycopg.Connection
) -> None:
    """By way of a staging table costs twice as much: only while a replay goes over what is there."""
    sink = part()
    sink.write_batch([history(range(10))])
    sink.snapshot()
    sink.write_batch([history(range(10))])
    sink.snapshot()
    assert sink._commit._again
    for first in (10, 20):
        sink.write_batch([history(range(first, first + 10))])
        sink.snapshot()
    assert not sink._commit._again
    assert count(connection, "price_history") == 30


def test_a_row_twice_in_one_write_is_one_row(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch([history(range(4)), history(range(2, 6))])
    sink.snapshot()
    assert count(connection, "price_history") == 6


def test_what_people_say_of_a_price_in_quarantine_is_not_undone_by_a_replay(
    part: Make, connection: psycopg.Connection
) -> None:
    """Released by hand, it is a price as any other; confirmed to be wrong, it is none again."""
    sink, make = part(), appended()["quarantine"]
    sink.write_batch(
        [make(range(3)), kinds.releases([(rows.price(1)["id"], rows.price(9)["id"])]), history(range(5, 7))]
    )
    sink.snapshot()
    first, second, third = (rows.price(offset)["id"] for offset in range(3))

    def say(function: str, id: int) -> Any:
        return connection.execute(SQL("SELECT {}(%s)").format(Identifier(function)), (id,)).fetchone()

    def states() -> list[tuple[Any, ...]]:
        return connection.execute("SELECT id, state, released_by FROM quarantined ORDER BY id").fetchall()

    assert states() == [(first, "held", None), (second, "released", rows.price(9)["id"]), (third, "held", None)]
    for _ in range(2):
        assert say("release_quarantined", first) == (True,)
        assert say("confirm_quarantined", third) == (True,)
        sink.write_batch([make(range(3)), history(range(5, 7))])
        sink.snapshot()
        assert [state for _, state, _ in states()] == ["released", "released", "confirmed"]
        kept = connection.execute("SELECT id, price, seat, late FROM price_history ORDER BY id").fetchall()
        assert [id for id, *_ in kept] == [first, *(rows.price(offset)["id"] for offset in (5, 6))]
        assert kept[0][1:] == (Decimal("40.63"), "0", False)
    assert say("confirm_quarantined", first) == (True,)
    assert count(connection, "price_history") == 2, "a release by hand can be taken back"
    assert say("release_quarantined", 12345) == say("confirm_quarantined", rows.price(5)["id"]) == (False,)
    assert count(connection, "price_history") == 2, "only what is in quarantine is moved"


def test_the_sending_of_an_alert_is_not_undone_by_a_replay(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch([kinds.alerts(rows.dropped(range(3)), "discord:default")])
    sink.snapshot()
    connection.execute("UPDATE outbox SET state = 'sent', attempts = 1, message_id = '42'")
    sink.write_batch([kinds.alerts(rows.dropped(range(3)), "discord:default")])
    sink.snapshot()
    found = connection.execute("SELECT state, attempts, message_id FROM outbox").fetchall()
    assert found == [("sent", 1, "42")] * 3


@pytest.mark.usefixtures("either_way")
def test_of_a_window_the_newest_write_stands(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch([[window(0, observations=1), window(1, observations=1)], [window(0, observations=2)]])
    sink.snapshot()
    sink.write_batch([[window(0, observations=3, final=True)]])
    sink.snapshot()
    found = connection.execute("SELECT observations, is_final FROM price_windows ORDER BY window_start").fetchall()
    assert found == [(3, True), (1, False)]


def test_no_price_waits_for_windows(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    with connection.transaction():
        connection.execute("LOCK TABLE price_windows IN EXCLUSIVE MODE")
        sink.write_batch([[window(0)], history(range(3))])
        with psycopg.connect(connection.info.dsn, password=connection.info.password) as other:
            until("the prices were to be there while windows wait", lambda: count(other, "price_history") == 3)
            assert count(other, "price_windows") == 0
    sink.snapshot()
    assert count(connection, "price_windows") == 1


def test_of_an_event_the_newest_description_stands(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch([[Description("e", "First", "Hall", NOON, "Oslo", None)]])
    sink.snapshot()
    first = connection.execute("SELECT created_at, last_updated FROM events").fetchone() or ()
    sink.write_batch([[Description("e", "Second", "Arena", None, "Oslo", "NO")]])
    sink.snapshot()
    found = connection.execute("SELECT event_name, venue, event_date, state, created_at, last_updated FROM events")
    name, venue, date, state, created, updated = found.fetchone() or ()
    assert (name, venue, date, state) == ("Second", "Arena", None, "NO")
    assert created == first[0], "an update changed when the event was first seen"
    assert updated > first[1], "an update did not change last_updated"


@pytest.mark.usefixtures("either_way")
def test_of_progress_the_newest_stands(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    for offset in (5, 9, 12):
        sink.write_batch(
            [Progress(1, 0, offset, 20, None, offset, 0, 0, 0, 0), Progress(1, 1, offset, 20, NOON, 0, 0, 0, 0, 0)]
        )
    sink.snapshot()
    found = connection.execute("SELECT partition, next_offset, watermark FROM pipeline_progress ORDER BY 1").fetchall()
    assert found == [(0, 12, None), (1, 12, rows.NOON)]


# --- what a text may hold


@pytest.mark.usefixtures("either_way")
def test_texts_survive_verbatim(part: Make, connection: psycopg.Connection) -> None:
    """Every nasty text in every text column, by COPY straight into the table."""
    wanted = {}
    prices = []
    for offset, text in enumerate(rows.NASTY.values()):
        given = dict.fromkeys(("event_id", "source", "section", "row", "seat", "listing_id", "seller_notes"), text)
        prices.append(rows.price(offset, **given, listing_url=text, delivery_method=text))
        wanted[prices[-1]["id"]] = (text,) * 9
    sink = part()
    for _ in range(2):  # the second time by way of the staging table
        sink.write_batch([kinds.history(rows.frame(prices))])
        sink.snapshot()
    read = connection.execute(
        'SELECT id, event_id, source, section, "row", seat, listing_id, seller_notes, listing_url, delivery_method '
        "FROM price_history"
    )
    found = {row[0]: row[1:] for row in read}
    for (what, text), identity in zip(rows.NASTY.items(), wanted, strict=True):
        assert found.get(identity) == (text,) * 9, f"{what} did not survive"
    assert len(found) == len(wanted)


@pytest.mark.usefixtures("either_way")
def test_texts_survive_an_update(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    for _ in range(2):
        sink.write_batch([[Description(text, text, text, None, text, text) for text in rows.NASTY.values()]])
        sink.snapshot()
    found = connection.execute("SELECT event_id, event_name, venue, city, state FROM events").fetchall()
    assert sorted(found) == sorted((text,) * 5 for text in rows.NASTY.values())


@pytest.mark.usefixtures("either_way")
def test_an_empty_text_is_not_a_missing_one(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch(
        [[Description("empty", "", "", None, "", ""), Description("missing", None, None, None, None, None)]]
    )
    sink.snapshot()
    found = dict(connection.execute("SELECT event_id, event_name FROM events").fetchall())
    assert found == {"empty": "", "missing": None}


@pytest.mark.usefixtures("either_way")
def test_refused_bytes_are_kept_as_they_were(part: Make, connection: psycopg.Connection) -> None:
    payloads = [b"", b"\x00", bytes(range(256)) * 3, b"\\.\n", b"\xff\xfe{", "🎫".encode()]
    letters = [
        DeadLetter(i, "raw_prices", 0, i, "not_json", d, p)
        for i, (p, d) in enumerate(zip(payloads, rows.NASTY.values(), strict=False))
    ]
    sink = part()
    sink.write_batch([kinds.dead_letters(letters)])
    sink.snapshot()
    found = connection.execute("SELECT payload, size, detail FROM dead_letters ORDER BY id").fetchall()
    assert found == [(letter.payload, len(letter.payload), letter.detail) for letter in letters]


def test_a_table_that_nobody_wanted_dropped_is_there(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    sink.write_batch([history(range(1), event_id="'; DROP TABLE price_history; --")])
    sink.snapshot()
    assert count(connection, "price_history") == 1


# --- while Postgres is away


def terminate_others(connection: psycopg.Connection) -> int:
    done = connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    return len(done.fetchall())


def test_a_backend_that_was_terminated_between_writes_costs_nothing(part: Make, connection: psycopg.Connection) -> None:
    sink = part()
    terminated = 0
    for turn in range(5):
        sink.write_batch([history(range(turn * 10, turn * 10 + 10)), [window(turn)]])
        terminated += terminate_others(connection)
        time.sleep(0.05)
    sink.snapshot()
    assert terminated, "the sink never had a connection to lose"
    assert count(connection, "price_history") == 50
    assert count(connection, "price_windows") == 5


@pytest.mark.parametrize("table", ["price_history", "price_windows", "outbox"])
def test_a_backend_that_was_terminated_in_mid_transaction_is_retried(
    part: Make, connection: psycopg.Connection, tables: Database, table: str
) -> None:
    """The write waits for a lock, so it is surely under way; the whole transaction comes again."""
    sink = part()
    sink.snapshot()
    with psycopg.connect(tables.dsn) as holder:
        holder.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(Identifier(table)))
        sink.write_batch([history(range(10)), [window(0)], kinds.alerts(rows.dropped(range(3)), "discord:default")])
        waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        (pid,) = until("the sink waits for the lock", lambda: connection.execute(waiting).fetchone())
        assert connection.execute("SELECT pg_terminate_backend(%s)", (pid,)).fetchone() == (True,)
    sink.snapshot()
    found = [count(connection, name) for name in ("price_history", "price_windows", "price_drop_alerts", "outbox")]
    assert found == [10, 1, 3, 3]


@pytest.fixture
def let_in(tables: Database, connection: psycopg.Connection, _admin: psycopg.Connection) -> Callable[[bool], None]:
    """Makes the database refuse connections, as a server that is down would, or take them; the test's own stays."""

    def switch(open_: bool) -> None:
        statement = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        _admin.execute(statement.format(Identifier(tables.environment["POSTGRES_DB"]), SQL(str(open_).lower())))
        if not open_:
            terminate_others(connection)

    return switch


def test_while_postgres_is_away_a_snapshot_waits_and_then_all_is_there(
    part: Make,
    connection: psycopg.Connection,
    tables: Database,
    let_in: Callable[[bool], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = part()
    sink.snapshot()
    let_in(False)
    sink.write_batch([history(range(10))])
    done = threading.Event()
    snapshot = threading.Thread(target=lambda: (sink.snapshot(), done.set()))
    snapshot.start()
    assert not done.wait(0.5), "the snapshot came back although nothing could be committed"
    let_in(True)
    assert done.wait(PATIENCE), "the snapshot did not come back with Postgres"
    snapshot.join()
    assert count(connection, "price_history") == 10
    warned = [r.getMessage() for r in caplog.records if r.name == "sinks.postgres" and r.levelno == logging.WARNING]
    assert warned, "the operator is not told that Postgres is away"
    assert tables.environment["POSTGRES_PASSWORD"] not in caplog.text


def test_postgres_away_for_too_long_is_an_error(part: Make, let_in: Callable[[bool], None]) -> None:
    sink = part(retry_seconds=0.3)
    sink.snapshot()
    let_in(False)
    sink.write_batch([history(range(10))])
    with pytest.raises(psycopg.OperationalError):
        sink.snapshot()
    with pytest.raises(psycopg.OperationalError):
        sink.write_batch([history(range(10))])


def test_postgres_away_at_the_start_for_too_long_is_an_error() -> None:
    sink = PostgresSink(f"host=127.0.0.1 port={free_port()} dbname=x user=x password=secret-canary", 0.3)
    with pytest.raises(psycopg.OperationalError) as error:
        sink.build_part("s", "postgres", None)
    assert "secret-canary" not in str(error.value) + repr(sink)


def test_a_fault_that_lasts_is_raised_at_once(part: Make) -> None:
    """A frame that does not fit the table is a bug of ours; to try it again for minutes would be no use."""
    sink = part()
    wrong = history(range(1))
    sink.write_batch([kinds.Write(wrong.table, wrong.frame.with_columns(price=pl.lit("much")))])
    began = time.monotonic()
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        sink.snapshot()
    assert time.monotonic() - began < 5


def test_a_crash_between_two_snapshots_writes_nothing_more(
    part: Make, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """close() runs on the way out of a crash too: what was held back then is left to the replay."""
    monkeypatch.setattr(postgres, "_HOLD_SECONDS", 3600.0)
    sink = part()
    sink.write_batch([Progress(1, 0, 5, 20, None, 5, 0, 0, 0, 0), [window(0)]])
    sink.snapshot()
    sink.write_batch([Progress(1, 0, 9, 20, None, 9, 0, 0, 0, 0), [window(0, observations=2)], [window(1)]])
    sink.close()
    assert connection.execute("SELECT next_offset FROM pipeline_progress").fetchall() == [(5,)]
    assert connection.execute("SELECT observations FROM price_windows").fetchall() == [(1,)]
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    until("close() gives its connection back", lambda: connection.execute(others).fetchone() == (0,))


def test_rows_that_change_again_and_again_are_held_back_for_a_moment(
    part: Make, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_HOLD_SECONDS", 3600.0)
    sink = part()
    sink.write_batch([[window(0)]])
    sink.snapshot()
    first = connection.execute("SELECT xmin FROM price_windows").fetchone()
    for turn in range(50):
        sink.write_batch([[window(0, observations=turn)], history(range(turn, turn + 1))])
    until("the prices do not wait", lambda: count(connection, "price_history") == 50)
    assert connection.execute("SELECT xmin FROM price_windows").fetchone() == first, "a window was written at once"
    sink.snapshot()
    assert connection.execute("SELECT observations FROM price_windows").fetchone() == (49,)


def test_the_sink_hides_its_password() -> None:
    assert "secret-canary" not in repr(PostgresSink("password=secret-canary"))


def test_prices_of_a_day_ago_are_not_changed_by_the_sessions_time_zone(
    part: Make, connection: psycopg.Connection
) -> None:
    connection.execute("SET TimeZone = 'Asia/Kolkata'")
    at = rows.NOON - timedelta(days=1)
    sink = part()
    sink.write_batch([history(range(1), timestamp=at, event_date=at)])
    sink.snapshot()
    assert connection.execute('SELECT "timestamp" FROM price_history').fetchone() == (at,)
