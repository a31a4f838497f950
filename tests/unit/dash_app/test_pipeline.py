"""The pipeline page: its figures and charts, what is held, and what was refused."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dash_app.database import Database
from dash_app.figures import SCHEMES
from dash_app.figures.pipeline import READINGS, in_words, readings_chart
from dash_app.loaders import health as loaders
from dash_app.loaders.dead_letters import Letter, dead_letter, dead_letter_reasons, dead_letters
from dash_app.loaders.health import Health
from dash_app.loaders.quarantine import HELD, confirm, quarantine, quarantine_count, quarantine_reasons, release
from dash_app.views import health as views
from dash_app.views.dead_letters import MOST_SHOWN, as_text, dead_letter_table, letter_view, readable
from dash_app.views.quarantine import quarantine_table
from tests.unit.dash_app import seed

NOW = datetime.now(UTC).replace(microsecond=0)
WELL = Health(rate=50.0, measured=True, lag=3, watermark_delay=61.0, accepted=9, dead=0, quarantined=1, late=2, quiet=1.0,
              recovery_age=4.0, stored_after=0.5)  # fmt: skip
_PRICE = (
    "INSERT INTO {table} (id, event_id, source, section, row, price, total_price, currency, quantity, timestamp, level, "
    "late, listing_id{more}) VALUES (%s, 'e', 'mock', '101', 'A', %s, %s, 'USD', 2, %s, 'listing', false, %s{values})"
)


def words(part: Any) -> str:
    """What the browser gets, as one text."""
    return json.dumps(part, default=lambda one: one.to_plotly_json(), ensure_ascii=False)


@pytest.fixture
def written(database: Any) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        seed.migrate(connection)
        yield connection


@pytest.fixture
def reader(database: Any, written: psycopg.Connection[Any]) -> Iterator[Database]:
    one = Database(database.dsn)
    yield one
    one.close()


# -- figures ----------------------------------------------------------------------------------------------------------


def test_what_is_normal_says_that_all_is_well() -> None:
    found = views.figures(WELL)
    assert [one.label for one in found if one.wrong] == []
    assert all(one.normal for one in found)
    assert "All is well" in words(views.verdict(found))


@pytest.mark.parametrize(
    ("changes", "label", "do"),
    [
        ({"quiet": 90.0}, "Events / s", "bytewax.run flows.prices"),
        ({"quiet": None}, "Events / s", "has never run"),
        ({"lag": 10_000}, "Lag", "BATCH_SIZE"),
        ({"watermark_delay": 121.0}, "Watermark delay", "Event time stands"),
        ({"stored_after": 61.0}, "Stored after", "sinks"),
        ({"recovery_age": 181.0}, "Recovery age", "-s 5"),
        ({"recovery_age": None}, "Recovery age", "-s 5"),
        ({"dead": 1}, "Dead letters", "mend whoever sends them"),
        ({"waiting": 100}, "Alerts waiting", "which channel"),
        ({"disabled": 1}, "Channels off", "Mend its address"),
    ],
)
def test_what_is_not_normal_says_what_to_do(changes: dict[str, Any], label: str, do: str) -> None:
    wrong = [one for one in views.figures(Health(**{**vars(WELL), **changes})) if one.wrong]
    assert [one.label for one in wrong] == [label]
    assert do in wrong[0].do
    assert do in words(views.verdict(views.figures(Health(**{**vars(WELL), **changes}))))


def test_what_is_not_known_is_not_made_up(reader: Database) -> None:
    nothing = loaders.pipeline_health(reader)
    assert (nothing.rate, nothing.quiet, nothing.recovery_age, nothing.stored_after) == (None, None, None, None)
    assert "has never run" in words(views.verdict(views.figures(nothing)))
    for table in (views.partition_table(loaders.partitions(reader)), views.sink_table(loaders.sink_times(reader)),
                  views.channel_table(loaders.channels(reader), "UTC")):  # fmt: skip
        assert "nothing" in words(table), "an empty table says what to do"


def test_ages_go_on_while_nothing_is_written(reader: Database, written: psycopg.Connection[Any]) -> None:
    written.execute("INSERT INTO system_metrics VALUES ('recovery_age_seconds', 3, now() - interval '100 s')")
    written.execute("INSERT INTO pipeline_progress VALUES (1, 0, 9, 12, now(), 5, 4, 0, 0, 0, now() - interval '50 s')")
    found = loaders.pipeline_health(reader)
    assert found.recovery_age == pytest.approx(103, abs=30)
    assert found.quiet == pytest.approx(50, abs=30)
    assert loaders.partitions(reader).select("partition", "lag", "topic").row(0) == (0, 3, "stream 1")


def test_sinks_and_channels_tell_how_long_they_take(reader: Database, written: psycopg.Connection[Any]) -> None:
    for seconds, value in ((1, 0.1), (6, 0.2), (11, 9.0), (900, 99.0)):
        written.execute(
            "INSERT INTO system_metrics VALUES ('sink_write_seconds_lake', %s, now() - make_interval(secs => %s))",
            (value, seconds),
        )
    [lake] = loaders.sink_times(reader).rows(named=True)
    assert (lake["sink"], lake["latest"], lake["typical"], lake["slowest"]) == ("lake", 0.1, 0.2, 9.0)
    assert "Lake is slow" in words(views.sink_table(loaders.sink_times(reader)))
    written.execute("INSERT INTO channels VALUES ('me', 'f', now(), 'nobody <b>there</b>')")
    for state, sent in (("pending", None), ("sent", 2), ("sent", 4)):
        written.execute(
            "INSERT INTO outbox (alert_id, channel, state, created_at, sent_at) VALUES (gen_random_uuid(), 'me', %s, "
            "now() - interval '10 s', now() - interval '10 s' + make_interval(secs => %s))",
            (state, sent),
        )
    [me] = loaders.channels(reader).rows(named=True)
    assert (me["waiting"], me["sent"], me["typical"]) == (1, 2, pytest.approx(3))
    shown = words(views.channel_table(loaders.channels(reader), "UTC"))
    assert "me is off since" in shown
    assert "nobody <b>there</b>" in shown, "as text; markup is the browser's to make, and children never are"


def test_storage_of_a_lake_that_is_not_there(reader: Database, tmp_path: Path) -> None:
    folder = tmp_path / "lake" / "prices" / "day=2027-03-01"
    folder.mkdir(parents=True)
    (folder / "1-0-0-9.parquet").write_bytes(b"x" * 2500)
    found = loaders.storage(reader, tmp_path / "lake")
    assert (found.lake, found.files) == (2500, 1)
    assert found.database
    assert loaders.storage(reader, tmp_path / "nowhere").free is None
    assert [views.size(n) for n in (None, 0, 999, 2500, 1_200_000_000, 5 * 10**12)] == [
        "—", "0 bytes", "999 bytes", "2 kB", "1.2 GB", "5.0 TB",
    ]  # fmt: skip


# -- charts -----------------------------------------------------------------------------------------------------------


def frame(*rows: tuple[str, int, float]) -> pl.DataFrame:
    values = [(name, NOW + timedelta(seconds=at), value, value - 1, value + 1) for name, at, value in rows]
    return pl.DataFrame(values, schema=loaders.READINGS, orient="row")


def test_a_chart_draws_a_gap_as_a_gap_and_a_missed_reading_as_none() -> None:
    name = "events_per_second"
    found = frame((name, 0, 5.0), (name, 10, 6.0), (name, 60, 7.0))
    figure = readings_chart(found, READINGS["rate"], SCHEMES["light"], "UTC", 5, "rate/10m")
    line = figure.data[2]
    assert list(line.y) == [5.0, 6.0, None, 7.0], "one step without a reading is no gap, many are"
    assert list(line.marker.size) == [0, 0, 0, 6], "what has no neighbour is a point"
    assert list(figure.data[0].y) == [4.0, 5.0, None, 6.0]
    assert figure.layout.uirevision == "rate/10m"


def test_sinks_are_lines_of_their_own() -> None:
    found = frame(("sink_write_seconds_lake", 0, 2.0), ("sink_write_seconds_kafka", 0, 1.0))
    figure = readings_chart(found, READINGS["sinks"], SCHEMES["dark"], "Asia/Tokyo", 30, "x")
    lines = [trace for trace in figure.data if trace.meta != "room"]
    assert [trace.name for trace in lines] == ["Postgres", "Lake", "Kafka"]
    assert [list(trace.y) for trace in lines] == [[], [2.0], [1.0]]
    assert "Lake: 2.0 s last, between 1.0 s and 3.0 s" in in_words(found, READINGS["sinks"])
    assert "No readings" in in_words(found.clear(), READINGS["sinks"])


def test_readings_come_in_steps(reader: Database, written: psycopg.Connection[Any]) -> None:
    for value in (1, 3):
        written.execute("INSERT INTO system_metrics VALUES ('consumer_lag', %s, '2001-01-01Z'), "
                        "('consumer_lag', %s, date_bin('30 s', now(), 'epoch'))", (99, value))  # fmt: skip
    [row] = loaders.readings(reader, ["consumer_lag"], "1h").rows(named=True)
    assert (row["average"], row["lowest"], row["highest"]) == (2, 1, 3)


# -- quarantine -------------------------------------------------------------------------------------------------------


@pytest.fixture
def held(written: psycopg.Connection[Any]) -> list[int]:
    """Two held prices of an event, one of a listing with an earlier price; one released by the flow."""
    history = _PRICE.format(table="price_history", more="", values="")
    doubted = _PRICE.format(table="quarantine", more=", reason", values=", %s")
    written.execute("INSERT INTO events (event_id, event_name) VALUES ('e', 'Nora Vale')")
    for row in ((1, 100, 120, NOW - timedelta(minutes=9), "L1"), (2, 90, 110, NOW - timedelta(minutes=5), "L1"),
                (3, 1, 1, NOW - timedelta(minutes=4), "L2")):  # fmt: skip
        written.execute(history, row)
    for row in ((11, 1, 1.1, NOW, "L1", "hundredth"), (12, 0, 0, NOW - timedelta(hours=1), "L3", "zero_price"),
                (13, 20, 25, NOW - timedelta(hours=2), "L1", "under_quarter")):  # fmt: skip
        written.execute(doubted, row)
    written.execute("INSERT INTO quarantine_releases VALUES (13, 2)")
    return [11, 12, 13]


def test_what_is_held_stands_beside_what_the_listing_cost_before(reader: Database, held: list[int]) -> None:
    first, second = quarantine(reader).rows(named=True)
    assert (first["id"], first["before"], first["before_time"]) == (11, 110, NOW - timedelta(minutes=5))
    assert first["event"] == "Nora Vale"
    assert (second["id"], second["before"], second["usual"]) == (12, None, None)
    assert dict(quarantine_reasons(reader, "held").iter_rows()) == {"hundredth": 1, "zero_price": 1}


@pytest.mark.parametrize(
    ("state", "reason", "event", "found"),
    [
        ("all", None, None, [11, 12, 13]),
        ("released", None, None, [13]),
        ("all", "zero_price", None, [12]),
        ("held", None, "nora", [11, 12]),
        ("held", None, "e", [11, 12]),
        ("held", None, "%", []),
        ("held", "no such", None, []),
    ],
)
def test_quarantine_is_filtered_and_counted(
    reader: Database, held: list[int], state: Any, reason: str | None, event: str | None, found: list[int]
) -> None:
    assert quarantine(reader, state, reason, event)["id"].to_list() == found
    assert quarantine_count(reader, state, reason, event) == len(found)


def test_a_release_is_taken_back_by_a_confirmation(
    reader: Database, held: list[int], written: psycopg.Connection[Any]
) -> None:
    there = "SELECT count(*) FROM price_history WHERE id = 11"
    assert release(reader, 11)
    assert written.execute(there).fetchone() == (1,)
    [row] = quarantine(reader, "released", "hundredth").rows(named=True)
    assert row["reviewed"] == "released"
    assert row["before"] == 110, "it is not compared with itself"
    assert confirm(reader, 11)
    assert written.execute(there).fetchone() == (0,)
    assert quarantine(reader, "confirmed")["id"].to_list() == [11]
    assert not release(reader, 99)


@pytest.mark.parametrize(
    ("given", "says", "not_says"),
    [
        ({}, ["Held", "Release", "Confirm wrong", "$110.00", "5 min before", "A fiftieth or less"], []),
        ({"reviewed": "released", "reviewed_at": NOW}, ["Released", "Confirm wrong"], ['"to": "release"']),
        ({"reviewed": "confirmed", "reviewed_at": NOW}, ["Confirmed wrong", "Release"], ['"to": "confirm"']),
        ({"released_by": 3}, ["Persisted", "Release", "Confirm wrong"], []),
        ({"before": None, "before_time": None}, ["nothing known"], []),
        ({"total": -12.5, "price": -12.5}, ["−$12.50"], ["without fees"]),
        ({"total": 0.0011}, ["$0.0011"], []),
        ({"url": "javascript:alert(1)"}, [], ["javascript"]),
    ],
)
def test_a_held_price_in_words(given: dict[str, Any], says: list[str], not_says: list[str]) -> None:
    row = {"id": (3 << 52) + 1, "time": NOW, "event_id": "e&x", "event": "Nora", "source": "mock", "section": "101",
           "row": None, "seat": None, "price": 1.0, "total": 1.1, "currency": "USD", "quantity": 2, "url": None,
           "reason": "hundredth", "state": "held", "reviewed": None, "reviewed_at": None, "released_by": None,
           "before": 110.0, "before_time": NOW - timedelta(minutes=5), "usual": None, **given}  # fmt: skip
    shown = words(quarantine_table(pl.DataFrame([row], schema=HELD), "UTC", filtered=False))
    for part in says:
        assert part in shown, part
    for part in not_says:
        assert part not in shown, part
    assert f'"price": "{(3 << 52) + 1}"' in shown, "a number of this size is only exact in a browser as text"
    assert "event=e%26x" in shown


# -- dead letters -----------------------------------------------------------------------------------------------------


def test_dead_letters_come_newest_first_whatever_their_partition(
    reader: Database, written: psycopg.Connection[Any]
) -> None:
    for partition in range(2):
        written.execute("INSERT INTO pipeline_progress VALUES (1, %s, 9, 9, now(), 0, 0, 3, 0, 0)", (partition,))
    for number, (partition, minutes, why) in enumerate([(0, 1, "a"), (1, 3, "b"), (0, 5, "b"), (1, 7, "a")]):
        written.execute(
            "INSERT INTO dead_letters VALUES (%s, 't', %s, %s, %s, NULL, 'x', 1, now() - make_interval(mins => %s))",
            ((1 << 52) + (partition << 40) + 10 - number, partition, 10 - number, why, minutes),
        )
    assert dead_letters(reader)["offset"].to_list() == [10, 9, 8, 7]
    assert dead_letters(reader, "b")["offset"].to_list() == [9, 8]
    assert dead_letters(reader, offset=1, limit=2)["offset"].to_list() == [9, 8]
    assert dict(dead_letter_reasons(reader).iter_rows()) == {"a": 2, "b": 2}
    found = dead_letter(reader, (1 << 52) + 10)
    assert found is not None
    assert (found.reason, found.payload) == ("a", b"x")
    assert dead_letter(reader, 5) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_shown_and_hide_nothing(payload: bytes) -> None:
    shown = as_text(payload)
    assert all(unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in shown.replace("\n", ""))
    assert shown.count("\n") == payload.decode("utf-8", "backslashreplace").count("\n"), "lines stay lines"


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=80))
def test_what_can_be_read_is_left_as_it_is(said: str) -> None:
    assert readable(said) == said


def test_a_dead_letter_is_shown_as_text_and_bounded() -> None:
    letter = Letter(NOW, "not JSON", None, "raw_prices", 3, 102, 70_000,
                    ("<img src=x>\x00\u202e" + "x" * 65_500).encode())  # fmt: skip
    shown = words(letter_view(letter, "UTC"))
    assert "<img src=x>␀⟨U+202E⟩xxx" in shown
    assert f"{70_000 - MOST_SHOWN:,} more bytes" in shown
    assert len(shown) < MOST_SHOWN + 2_000
    assert "topic raw_prices, partition 3, offset 102" in shown
    empty = Letter(NOW, "empty", None, "t", 0, 0, 0, b"")
    assert "no content" in words(letter_view(empty, "UTC"))


def test_the_seeds_letters_are_listed_with_where_they_stand(seeded: Database) -> None:
    shown = words(dead_letter_table(dead_letters(seeded), "UTC", filtered=False))
    for part in ("event_id is missing", "raw_prices 3 / 103", "9 bytes", "<img src=x>", "Open the message at"):
        assert part in shown, part
