from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from dash_app import loaders
from dash_app.database import Database, DatabaseAwayError, NotReadyError
from tests.unit.dash_app import seed


def test_events_come_liveliest_first_with_their_names(seeded: Database) -> None:
    events = loaders.recent_events(seeded)
    assert events["event_id"][0] == "concert_123"
    assert set(events["event_id"]) == {event[0] for event in seed.EVENTS} | {"opera_1"}
    assert events.filter(events["event_id"] == "xss")["name"][0] == "<script>alert(1)</script>"


def test_an_event_is_found_by_its_id(seeded: Database) -> None:
    assert loaders.find_event(seeded, "concert_456")["name"].to_list() == ["Radiohead"]
    assert loaders.find_event(seeded, "' OR true --").is_empty()


def test_the_whole_events_windows(seeded: Database) -> None:
    windows = loaders.event_series(seeded, "concert_123", 60, "USD")
    assert windows["start"].is_sorted()
    assert not windows["final"][-1]
    assert (windows["low"] <= windows["average"]).all()
    assert loaders.event_series(seeded, "concert_123", 60, "EUR").is_empty()


def test_lines_by_source_weigh_sections_by_their_observations(seeded: Database) -> None:
    by_source = loaders.line_series(seeded, "concert_123", 3600, "USD")
    by_section = loaders.line_series(seeded, "concert_123", 3600, "USD", ["101", "GA"], ["mock"])
    assert set(by_source["source"]) == set(seed.SOURCES)
    assert set(by_source["section"]) == {""}
    assert set(by_section["section"]) == {"101", "GA"}
    assert set(by_section["source"]) == {"mock"}
    whole = loaders.event_series(seeded, "concert_123", 3600, "USD")
    start = whole["start"][-1]
    part = by_source.filter(by_source["start"] == start)
    weighted = (part["average"] * part["observations"]).sum() / part["observations"].sum()
    assert weighted == pytest.approx(whole["average"][-1])
    assert part["low"].min() == whole["low"][-1]


def test_snapshots_have_one_row_a_place(seeded: Database) -> None:
    for when in ("now", "hour ago", "start"):
        shot = loaders.snapshot(seeded, "concert_123", "USD", when)  # type: ignore[arg-type]
        assert shot.select("source", "section").is_unique().all()
        assert (shot["source"] == "").sum() == 1
    now, before = (loaders.snapshot(seeded, "concert_123", "USD", when) for when in ("now", "hour ago"))
    assert timedelta(minutes=59) < now["start"].max() - before["start"].max() < timedelta(minutes=62)  # type: ignore[operator]


def test_changes_and_alerts_newest_first(seeded: Database) -> None:
    changes = loaders.latest_changes(seeded, "concert_456", 5)
    assert changes["event"].to_list() == ["Radiohead"] * 5
    assert changes["time"].is_sorted(descending=True)
    every = loaders.latest_alerts(seeded, None, 50)
    assert every["event_id"].n_unique() > 1
    assert {state for states in every["delivery"] for state in states} >= {"discord sent", "discord failed"}
    assert (every["percent"] < 0).all()


def test_alert_marks_lie_within_the_time_asked_for(seeded: Database) -> None:
    marks = loaders.alert_marks(seeded, "concert_123", "USD", datetime.now(UTC) - timedelta(minutes=30))
    everything = loaders.alert_marks(seeded, "concert_123", "USD", datetime.now(UTC) - timedelta(days=1))
    assert marks.height < everything.height


def test_currencies_and_facets(seeded: Database) -> None:
    assert loaders.currencies(seeded, "festival_eu") == ["EUR", "GBP"]
    assert loaders.currencies(seeded, "opera_1") == ["USD"]
    assert set(loaders.event_sections(seeded, "xss")) == {"<i>A</i>", "B"}


def test_health(seeded: Database) -> None:
    health = loaders.pipeline_health(seeded)
    assert (health.lag, health.dead, health.quarantined, health.late) == (0 + 1 + 2 + 3, 4, 12, 12)
    assert health.rate is not None
    assert health.watermark_delay is not None


def test_what_is_in_quarantine_is_what_the_flow_last_counted(database: object) -> None:
    """The shards hold prices, too, of which no partition's progress knows."""
    dsn: str = database.dsn  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as writer:
        seed.migrate(writer)
        writer.execute("INSERT INTO pipeline_progress VALUES (1, 0, 9, 9, now(), 5, 4, 0, 0, 0)")
        reader = Database(dsn)
        assert loaders.pipeline_health(reader).quarantined == 4
        writer.execute(
            "INSERT INTO system_metrics VALUES ('quarantined_total', 7, now()), ('quarantined_total', 6, now() - interval '5 s')"
        )
        assert loaders.pipeline_health(reader).quarantined == 7
        reader.close()


def test_the_pulse_changes_when_something_happened(database: object) -> None:
    dsn: str = database.dsn  # type: ignore[attr-defined]
    reader = Database(dsn)
    with pytest.raises(NotReadyError):
        loaders.pulse(reader)
    with psycopg.connect(dsn, autocommit=True) as writer:
        seed.migrate(writer)
        first = loaders.pulse(reader)
        assert first.empty
        assert first.quiet_seconds is None
        writer.execute("INSERT INTO system_metrics VALUES ('events_per_second', 5, now())")
        measured = loaders.pulse(reader)
        assert (measured.prices, measured.health) != (first.prices, first.health)
        assert measured.prices == first.prices
        writer.execute(
            "INSERT INTO price_history (id, event_id, source, price, total_price, currency, quantity, timestamp, level,"
            " late) VALUES (1, 'e', 's', 1, 1, 'USD', 1, now(), 'listing', false)"
        )
        after = loaders.pulse(reader)
        assert after.prices != first.prices
        assert not after.empty
    assert loaders.recent_events(reader).is_empty()
    assert loaders.pipeline_health(reader).lag is None
    reader.close()


_STORY = [
    "INSERT INTO price_history (id, event_id, source, price, total_price, currency, quantity, timestamp, level, late) "
    "VALUES (1, 'e', 's', 1, 1, 'USD', 1, now(), 'listing', false)",
    "INSERT INTO price_changes VALUES (1, 'e', 's', '', '', '', '', '', 'USD', 'listing', 1, 2, 1, 100, now(), now())",
    "INSERT INTO quarantine SELECT h.*, 'jump' FROM price_history h; UPDATE quarantine SET timestamp = now()",
    "INSERT INTO price_windows VALUES ('e', '', '', 'listing', 'USD', 60, now(), 1, 1, 1, 1, 1, 1, 1, false)",
    "UPDATE price_windows SET observations = 3",
    "UPDATE price_windows SET is_final = true",
    "INSERT INTO price_drop_alerts SELECT gen_random_uuid(), 'e', '', '', 'price_drop', now(), 2, 1, 1, 50, 'USD', '', '', "
    "'', 's', '', '', 1",
    "INSERT INTO outbox SELECT alert_id, 'discord' FROM price_drop_alerts",
    "UPDATE outbox SET state = 'sent'",
]


@pytest.mark.parametrize(
    "happens",
    _STORY,
    ids=["price", "change", "set apart", "window", "more in it", "final", "alert", "to be sent", "sent"],
)
def test_there_is_news_of_the_event_of_which_something_happened(database: object, happens: str) -> None:
    """What stands before `happens` in the list has happened before it."""
    story = _STORY[: _STORY.index(happens)]
    with psycopg.connect(database.dsn, autocommit=True) as writer:  # type: ignore[attr-defined]
        seed.migrate(writer)
        for earlier in story:
            writer.execute(earlier.encode())
        reader = Database(database.dsn)  # type: ignore[attr-defined]
        before, other = loaders.news(reader, "e"), loaders.news(reader, "another")
        assert loaders.news(reader, "e") == before
        writer.execute(happens.encode())
        assert loaders.news(reader, "e") != before
        assert loaders.news(reader, "another") == other
        reader.close()


def test_the_connection_can_only_read(seeded: Database) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        seeded.rows("INSERT INTO system_metrics VALUES ('x', 1, now()) RETURNING 1")


def test_a_broken_connection_is_replaced_unnoticed(seeded: Database, seeded_dsn: str) -> None:
    ((backend,),) = seeded.rows("SELECT pg_backend_pid()")
    with psycopg.connect(seeded_dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (backend,))
    assert seeded.rows("SELECT 1") == [(1,)]
    assert not seeded.failed_lately


def test_no_postgres_is_one_clear_error_without_the_password() -> None:
    away = Database("host=127.0.0.1 port=1 user=u password=canary dbname=d")
    with pytest.raises(DatabaseAwayError) as caught:
        away.rows("SELECT 1")
    assert "canary" not in repr(caught.value)
    assert caught.value.__suppress_context__
    assert away.failed_lately
