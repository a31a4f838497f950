"""The lake: each row once, whatever the cuts, crashes and joins; and what its readers see."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics import lake
from analytics.lake import LAKE_COLUMNS, Name, current_files
from analytics.schema import MONEY, PRICE_SCHEMA, row_id, split_id, to_units
from sinks import files, joining
from sinks import lake as sink
from sinks.lake import HeldWriter, LakeSink, LakeTaken, LakeWriter
from tests.unit.sinks import rows

DAY = timedelta(days=1)


def settle(writer: LakeWriter) -> None:
    """Write what was taken, and join what there is to join."""
    writer.flush()
    for folder in writer.untidy():
        while joining.join(folder):
            pass
        writer.sweep(folder)


def expected(given_rows: list[dict[str, Any]]) -> pl.DataFrame:
    """What the lake must hold for some rows."""
    return rows.frame(given_rows).with_columns(to_units(*MONEY)).select(LAKE_COLUMNS).sort("id")


def held(directory: Path) -> pl.DataFrame:
    """Every row in the current files of a lake, with repeats."""
    files = lake.files(directory)
    if not files:
        return rows.frame([]).with_columns(to_units(*MONEY)).select(LAKE_COLUMNS)
    return pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files]).sort("id")


def scrap(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and path not in lake.files(directory)]


def write(directory: Path, given_rows: list[dict[str, Any]]) -> None:
    """One batch, by a process of its own."""
    writer = LakeWriter(directory / "prices", keep_seconds=0)
    writer.add([rows.frame(given_rows)])
    settle(writer)


# --- each row once


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[list[tuple[int, int, int, bool]]]]:
    """A log of several partitions over several days, and how some processes read it: for each, batches of (partition,
    from, to, flush after it). A process begins at any offset up to what its forerunner made durable, and may die."""
    partitions = draw(st.integers(1, 3))
    log: list[dict[str, Any]] = []
    length = {}
    for partition in range(partitions):
        # Gaps in the offsets are transaction markers and refused messages.
        offsets = draw(st.lists(st.integers(0, 60), unique=True, max_size=40).map(sorted))
        length[partition] = (offsets[-1] + 1) if offsets else 0
        for offset in offsets:
            at = rows.NOON + draw(st.integers(-2, 2)) * DAY
            reason = draw(st.sampled_from([None, None, None, "zero_price"]))
            log.append(rows.price(offset, partition=partition, timestamp=at, reason=reason))
    durable = dict.fromkeys(length, 0)
    processes = []
    for last in [False] * draw(st.integers(0, 4)) + [True]:
        at = {partition: draw(st.integers(0, durable[partition])) for partition in length}
        batches = []
        for _ in range(100 if last else draw(st.integers(0, 12))):
            open_ = [partition for partition in length if at[partition] < length[partition]]
            if not open_:
                break
            partition = draw(st.sampled_from(open_))
            end = min(at[partition] + draw(st.integers(1, 60 if last else 15)), length[partition])
            flush = draw(st.booleans())
            batches.append((partition, at[partition], end, flush))
            at[partition] = end
            if flush:
                durable = {p: max(durable[p], at[p]) for p in durable}
        if last:
            batches += [(p, at[p], length[p], True) for p in length]
        processes.append(batches)
    return log, processes


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.integers(2, 4))
def test_the_lake_holds_each_row_once_whatever_the_cuts_and_crashes(
    run: tuple[list[dict[str, Any]], list[list[tuple[int, int, int, bool]]]], merge_at: int
) -> None:
    log, processes = run
    by_place = {split_id(row["id"])[1:]: row for row in log}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "_MERGE_AT", merge_at)
        directory = Path(folder)
        for batches in processes:
            writer = LakeWriter(
                directory / "prices", keep_seconds=0
            )  # the one before died: what it had not flushed is gone
            for partition, start, end, flush in batches:
                batch = [by_place[partition, o] for o in range(start, end) if (partition, o) in by_place]
                if batch:
                    writer.add([rows.frame(batch)])
                if flush:
                    settle(writer)
        assert_frame_equal(held(directory), expected(log))
        assert scrap(directory) == []
        for path in lake.files(directory):
            frame, name = pl.read_parquet(path, hive_partitioning=False), Name.of(path)
            places = [split_id(identity) for identity in frame["id"]]
            assert {place[:2] for place in places} == {name[:2]}, f"{path.name} holds other partitions' rows"
            offsets = [place[2] for place in places]
            assert (min(offsets), max(offsets)) == (name.first, name.last), f"{path.name} says other offsets"
            assert set(frame["timestamp"].dt.date().cast(pl.String)) == {path.parent.name.removeprefix("day=")}


def test_prices_and_texts_come_back_as_they_went_in(tmp_path: Path) -> None:
    given_rows = [
        rows.price(i, event_id=t, section=t, seller_notes=t, price=p, event_date=rows.NOON, fees=None)
        for i, (t, p) in enumerate(
            zip([*rows.NASTY.values(), "", "x"], [1, 40_630_000, 999_999_999_999_999] * 99, strict=False)
        )
    ]
    write(tmp_path, given_rows)
    assert_frame_equal(held(tmp_path), expected(given_rows))
    back = lake.prices(tmp_path).sort("id")
    assert back.select(PRICE_SCHEMA.keys()).rows() == rows.frame(given_rows).select(PRICE_SCHEMA.keys()).rows()
    assert dict(back.select(PRICE_SCHEMA.keys()).schema) == dict(rows.frame([]).select(PRICE_SCHEMA.keys()).schema)


def test_rows_of_another_making_of_the_topic_are_other_rows(tmp_path: Path) -> None:
    first = [rows.price(offset) for offset in range(5)]
    second = [rows.price(offset, stream=2) for offset in range(3)]
    write(tmp_path, first)
    write(tmp_path, second)
    assert_frame_equal(held(tmp_path), expected(first + second))


def test_the_highest_numbers_fit(tmp_path: Path) -> None:
    given_rows = [rows.price(2**40 - 1, stream=2047, partition=4095)]
    write(tmp_path, given_rows)
    (path,) = lake.files(tmp_path)
    assert Name.of(path) == (2047, 4095, 2**40 - 1, 2**40 - 1)
    assert held(tmp_path)["id"].to_list() == [row_id(2047, 4095, 2**40 - 1)]


def test_nothing_taken_is_nothing_written(tmp_path: Path) -> None:
    writer = LakeWriter(tmp_path / "prices", keep_seconds=0)
    settle(writer)
    writer.add([rows.frame([])])
    settle(writer)
    assert list(tmp_path.rglob("*.*")) == []


def test_a_file_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is synced under another name before it gets its own, in a folder that is itself synced into its parent."""
    synced: list[str] = []
    for module in (files, sink):
        monkeypatch.setattr(
            module, "sync", lambda path: synced.append(path.name + ("" if path.exists() else " missing"))
        )
    write(tmp_path, [rows.price(0)])
    assert synced == ["prices", f"0001-0000-0000000000000-0000000000000.{os.getpid()}.tmp", "day=2026-11-23"]


def test_a_crash_before_the_rename_leaves_nothing_that_readers_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, [rows.price(0)])
    monkeypatch.undo()
    assert lake.files(tmp_path) == []
    assert [path.suffix for path in scrap(tmp_path)] == [".tmp"]
    write(tmp_path, [rows.price(0)])
    assert scrap(tmp_path) == []
    assert_frame_equal(held(tmp_path), expected([rows.price(0)]))


def test_leftovers_of_a_crash_are_removed_at_start(tmp_path: Path) -> None:
    write(tmp_path, [rows.price(0)])
    (kept,) = lake.files(tmp_path)
    torn = kept.with_suffix(".tmp")
    torn.write_bytes(b"PAR1 half")
    LakeWriter(tmp_path / "prices", keep_seconds=0)
    assert not torn.exists()
    assert kept.exists()


def test_what_could_not_be_written_is_written_at_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the disk was full for a while; half of the days are there already."""
    given_rows = [rows.price(i, timestamp=rows.NOON + i * DAY) for i in range(4)]
    writer = LakeWriter(tmp_path / "prices", keep_seconds=0)
    writer.add([rows.frame(given_rows)])
    real, calls = LakeWriter._put, []

    def full(self: LakeWriter, folder: Path, name: Name, frame: pl.DataFrame) -> None:
        calls.append(name)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        real(self, folder, name, frame)

    monkeypatch.setattr(LakeWriter, "_put", full)
    with pytest.raises(OSError, match="No space left"):
        settle(writer)
    monkeypatch.undo()
    settle(writer)
    assert_frame_equal(held(tmp_path), expected(given_rows))


# --- joining small files


def fill(directory: Path, files: int, start: int = 0) -> list[dict[str, Any]]:
    """So many files of two rows each."""
    writer, taken = LakeWriter(directory / "prices", keep_seconds=0), []
    for number in range(start, start + files):
        batch = [rows.price(2 * number), rows.price(2 * number + 1)]
        writer.add([rows.frame(batch)])
        settle(writer)
        taken += batch
    return taken


def test_fifteen_small_files_stay_and_sixteen_are_joined(tmp_path: Path) -> None:
    first = fill(tmp_path, 15)
    assert len(lake.files(tmp_path)) == 15
    first += fill(tmp_path, 1, start=15)
    (joined,) = lake.files(tmp_path)
    assert Name.of(joined) == (1, 0, 0, 31)
    assert_frame_equal(held(tmp_path), expected(first))
    assert scrap(tmp_path) == []


def test_a_joined_file_finds_one_events_rows_by_its_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_ROW_GROUP", 8)
    writer, taken = LakeWriter(tmp_path / "prices", keep_seconds=0), []
    for number in range(16):
        taken += (batch := [rows.price(4 * number + e, event_id=f"event_{e}") for e in range(4)])
        writer.add([rows.frame(batch)])
        settle(writer)
    (joined,) = lake.files(tmp_path)
    groups = duckdb.sql(
        "SELECT row_group_id, stats_min_value, stats_max_value FROM parquet_metadata($path)"
        " WHERE path_in_schema = 'event_id' ORDER BY ALL", params={"path": str(joined)},
    ).fetchall()  # fmt: skip
    assert groups == [(group, f"event_{group // 2}", f"event_{group // 2}") for group in range(8)]
    assert_frame_equal(held(tmp_path), expected(taken))


def test_each_partition_is_joined_by_itself(tmp_path: Path) -> None:
    writer, taken = LakeWriter(tmp_path / "prices", keep_seconds=0), []
    for number in range(16):
        batch = [rows.price(number, partition=p) for p in (0, 1)]
        taken += batch
        writer.add([rows.frame(batch)])
        settle(writer)
    assert [Name.of(path)[:2] for path in lake.files(tmp_path)] == [(1, 0), (1, 1)]
    assert_frame_equal(held(tmp_path), expected(taken))


def test_a_crash_before_the_joined_files_are_removed_shows_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = fill(tmp_path, 15)

    def crash(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", crash)
    with pytest.raises(KeyboardInterrupt):
        taken += fill(tmp_path, 1, start=15)
    monkeypatch.undo()
    taken = [rows.price(offset) for offset in range(32)]
    assert len(list(tmp_path.rglob("*.parquet"))) == 17, "the crash did not come where it should"
    assert_frame_equal(held(tmp_path), expected(taken))
    assert lake.prices(tmp_path).height == 32
    assert lake.connect(tmp_path).execute("SELECT count(*), count(DISTINCT id) FROM prices").fetchone() == (32, 32)
    again = LakeWriter(tmp_path / "prices", keep_seconds=0)
    assert scrap(tmp_path) == [], "a start leaves files that were joined"
    again.add([rows.frame([rows.price(offset) for offset in range(20, 40)])])
    settle(again)
    assert_frame_equal(held(tmp_path), expected([rows.price(offset) for offset in range(40)]))


def test_a_large_file_between_small_ones_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A joined name covers all offsets between: the small files before and after a large one are joined apart."""
    monkeypatch.setattr(joining, "_JOINED_BYTES", 200_000)
    writer, taken, offset = LakeWriter(tmp_path / "prices", keep_seconds=0), [], 0
    for size in [1] * 15 + [25_000] + [1] * 16:
        batch = [
            rows.price(o, listing_id=f"{o * 7919 % 104729:x}-{o * 104723 % 99991:x}")
            for o in range(offset, offset + size)
        ]
        offset += size
        taken += batch
        writer.add([rows.frame(batch)])
        settle(writer)
    names = [Name.of(path) for path in lake.files(tmp_path)]
    assert (1, 0, 15, 25_014) in names, "the large file was joined"
    assert (1, 0, 25_015, 25_030) in names, "the small files after it were not joined"
    assert (1, 0, 0, 14) in names, "the small files before it, to which no other can come, were not joined"
    assert len(names) == 3
    assert_frame_equal(held(tmp_path), expected(taken))


def test_a_joined_file_is_never_larger_than_what_memory_is_meant_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "_JOINED_BYTES", 60_000)
    read: list[int] = []
    concat = pl.concat
    monkeypatch.setattr(joining, "_MERGE_AT", 5)
    writer, taken = LakeWriter(tmp_path / "prices", keep_seconds=0), []
    join = joining.join

    def noting(folder: Path) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(joining.pl, "concat", lambda frames: (made := concat(frames), read.append(made.height))[0])
            return join(folder)

    monkeypatch.setattr(joining, "join", noting)
    for turn in range(60):
        batch = [rows.price(turn * 40 + n, listing_id=f"{turn * 40 + n:x}") for n in range(40)]
        taken += batch
        writer.add([rows.frame(batch)])
        settle(writer)
    sizes = [path.stat().st_size for path in lake.files(tmp_path)]
    assert len(sizes) < 20, "the files are not joined"
    assert max(read) < len(taken), "everything was read at once"
    assert max(sizes) <= 60_000
    assert_frame_equal(held(tmp_path), expected(taken))


def test_a_file_that_another_covers_is_not_current(tmp_path: Path) -> None:
    def path(first: int, last: int, partition: int = 0) -> Path:
        return tmp_path / f"{Name(1, partition, first, last)}.parquet"

    given_paths = [path(0, 9), path(0, 31), path(10, 19), path(20, 31), path(32, 40), path(5, 6, partition=1)]
    assert current_files(reversed(given_paths)) == [path(0, 31), path(32, 40), path(5, 6, partition=1)]


# --- readers


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A lake of three days, two partitions, with rows in quarantine, out of order and late."""
    log = [
        rows.price(
            offset, partition=offset % 2, timestamp=rows.NOON + (offset * 7 % 3 - 1) * DAY + timedelta(seconds=-offset),
            reason="zero_price" if offset % 10 == 3 else None, late=offset % 4 == 0,
        )
        for offset in range(60)
    ]  # fmt: skip
    write(tmp_path / "lake", sorted(log, key=lambda row: row["id"]))
    return tmp_path / "lake"


def test_polars_and_duckdb_read_the_same_prices(filled: Path) -> None:
    frame = lake.prices(filled)
    assert frame.height == 54
    assert frame.select("timestamp", "id").rows() == sorted(frame.select("timestamp", "id").rows())
    columns = [name for name in LAKE_COLUMNS if name != "reason"]
    ours = frame.with_columns(to_units(*MONEY)).select(columns)
    relation = lake.connect(filled).sql('FROM prices ORDER BY "timestamp", id')
    theirs = pl.DataFrame(relation).select(columns)
    assert_frame_equal(theirs.cast(dict(ours.schema)), ours)  # type: ignore[arg-type]


def test_quarantine_is_in_all_prices_only(filled: Path) -> None:
    connection = lake.connect(filled)
    assert connection.execute("SELECT count(*) FROM all_prices").fetchone() == (60,)
    assert connection.execute("SELECT count(*) FROM all_prices WHERE reason = 'zero_price'").fetchone() == (6,)
    assert "reason" not in connection.sql("FROM prices").columns


# --- what the shards hold


def hold(directory: Path, *given_rows: dict[str, Any]) -> None:
    """One flush by a process of its own."""
    writer = HeldWriter(directory / "held")
    writer.add([rows.frame([row]) for row in given_rows])
    writer.flush()


def test_what_is_held_is_no_price_and_has_its_reason_in_all_prices(filled: Path) -> None:
    """In Polars and in DuckDB, whichever day is asked for."""
    log = pl.DataFrame(lake.connect(filled).sql('SELECT id, "timestamp" FROM prices ORDER BY id'))[::5].rows()
    hold(filled, *(rows.price(0, id=id, timestamp=time, reason="hundredth") for id, time in log))
    assert lake.prices(filled).height == 54 - len(log)
    connection = lake.connect(filled)
    assert connection.execute("SELECT count(*) FROM prices").fetchone() == (54 - len(log),)
    held = "SELECT id FROM all_prices WHERE reason = 'hundredth' ORDER BY id"
    assert [id for (id,) in connection.execute(held).fetchall()] == [id for id, _ in log]
    assert connection.execute("SELECT count(*) FROM all_prices").fetchone() == (60,)
    assert sum(lake.prices(filled, day, day).height for day in ("2026-11-22", "2026-11-23", "2026-11-24")) == 54 - len(
        log
    )


def test_what_is_held_comes_again_and_stands_once(tmp_path: Path) -> None:
    """A replay, cut otherwise; one file for each day, and no scrap."""
    log = [rows.price(o, timestamp=rows.NOON + o % 2 * DAY, reason="under_quarter") for o in range(9)]
    hold(tmp_path, *log[:5])
    (tmp_path / "held" / "day=2026-11-20.tmp").touch()
    hold(tmp_path, *log[3:], *log[:1], log[8])
    files = sorted((tmp_path / "held").iterdir())
    assert [path.name for path in files] == ["day=2026-11-23.parquet", "day=2026-11-24.parquet"]
    found = [pl.read_parquet(path, hive_partitioning=False).rows() for path in files]
    assert found == [[(row["id"], "under_quarter") for row in log[day::2]] for day in (0, 1)]


def test_a_file_of_what_is_held_stays_whole_when_its_next_version_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(tmp_path, rows.price(0, reason="hundredth"))
    writer = HeldWriter(tmp_path / "held")
    writer.add([rows.frame([rows.price(1, reason="hundredth")])])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            writer.flush()
    [path] = lake.held_files(tmp_path)
    assert pl.read_parquet(path, hive_partitioning=False).height == 1
    writer.flush()
    assert pl.read_parquet(path, hive_partitioning=False).height == 2, "what was taken is not forgotten"


# --- more of readers


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [("2026-11-23", "2026-11-23", 1), ("2026-11-23", "9999", 2), ("", "2026-11-21", 0)],
)
def test_days_can_be_chosen(filled: Path, since: str, until: str, days: int) -> None:
    frame = lake.prices(filled, since, until)
    assert frame["timestamp"].dt.date().n_unique() == days
    assert all(since <= str(day) <= until for day in frame["timestamp"].dt.date())


@pytest.mark.parametrize("make", [lambda path: path, lambda path: path / "not" / "there"], ids=["empty", "missing"])
def test_without_files_readers_find_the_columns_and_no_rows(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    frame = lake.prices(make(tmp_path))
    assert frame.height == 0
    assert set(frame.columns) == {*PRICE_SCHEMA, "late", "listing"}
    connection = lake.connect(make(tmp_path))
    assert connection.execute("SELECT count(*) FROM prices").fetchone() == (0,)
    assert connection.sql("FROM all_prices").columns == LAKE_COLUMNS


def test_a_folder_with_a_quote_in_its_name_is_read(tmp_path: Path) -> None:
    odd = tmp_path / "o'neill; lake"
    write(odd, [rows.price(0)])
    assert lake.connect(odd).execute("SELECT count(*) FROM prices").fetchone() == (1,)
    assert lake.prices(odd).height == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM read_text('{outside}/secret.csv')",
        "SELECT * FROM '{outside}/secret.csv'",
        "COPY (SELECT 1) TO '{outside}/out.csv'",
        "ATTACH '{outside}/other.db'",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "INSTALL httpfs",
        "SELECT * FROM read_text('{lake}/../secret.csv')",
    ],
)
def test_duckdb_reads_the_lake_and_nothing_else(filled: Path, tmp_path: Path, statement: str) -> None:
    (tmp_path / "secret.csv").write_text("canary\n")
    connection = lake.connect(filled)
    with pytest.raises(duckdb.Error, match=r"disabled by configuration|locked") as refusal:
        connection.execute(statement.format(outside=tmp_path, lake=filled)).fetchall()
    assert "canary" not in str(refusal.value)
    assert {path.name for path in tmp_path.iterdir()} == {"secret.csv", "lake"}, (
        "something was written outside the lake"
    )
    assert connection.execute("SELECT count(*) FROM prices").fetchone() == (54,)


# --- the sink


def test_after_a_snapshot_everything_handed_over_is_in_files(tmp_path: Path) -> None:
    part = LakeSink(tmp_path, lambda: "database").build_part("lake", "lake", None)
    taken = [rows.price(offset) for offset in range(10)]
    part.write_batch([rows.frame(taken[:4]), rows.frame(taken[4:7])])
    part.write_batch([rows.frame(taken[7:])])
    assert part.snapshot() is None
    assert_frame_equal(held(tmp_path), expected(taken))
    part.close()


def test_a_crash_between_two_snapshots_writes_nothing_more(tmp_path: Path) -> None:
    part = LakeSink(tmp_path, lambda: "database").build_part("lake", "lake", None)
    part.write_batch([rows.frame([rows.price(0)])])
    part.snapshot()
    part.write_batch([rows.frame([rows.price(1)])])
    part.close()
    assert_frame_equal(held(tmp_path), expected([rows.price(0)]))


def test_many_rows_are_written_before_the_epoch_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded however long the epoch."""
    monkeypatch.setattr(sink, "_MOST_ROWS", 20)
    part = LakeSink(tmp_path, lambda: "database").build_part("lake", "lake", None)
    part.write_batch([rows.frame([rows.price(offset) for offset in range(30)])])
    deadline = time.monotonic() + 10
    while not lake.files(tmp_path):
        assert time.monotonic() < deadline, "nothing was written before the snapshot"
        time.sleep(0.01)
    part.close()
    assert held(tmp_path).height == 30


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("parquet: File out of specification: underlying IO error: No space left on device (os error 28)", OSError),
        ("parquet: File out of specification: a column is too long", pl.exceptions.ComputeError),
    ],
    ids=["of the disk", "another"],
)
def test_what_polars_says_of_the_disk_is_an_error_of_the_disk(
    said: str, expected: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise pl.exceptions.ComputeError(said)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", failing)
    writer = LakeWriter(tmp_path / "prices")
    writer.add([rows.frame([rows.price(1)])])
    with pytest.raises(expected, match=r"No space left on device|too long"):
        writer.flush()


def test_an_error_of_the_disk_reaches_the_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LakeWriter, "_put", full)
    part = LakeSink(tmp_path, lambda: "database").build_part("lake", "lake", None)
    part.write_batch([rows.frame([rows.price(0)])])
    with pytest.raises(OSError, match="No space left"):
        part.snapshot()
    part.close()


def test_a_lake_has_one_writer_at_a_time_and_one_database_for_good(tmp_path: Path) -> None:
    """Its files are named by numbers that mean something in that database only."""
    first = LakeSink(tmp_path, lambda: "one").build_part("lake", "lake", None)
    with pytest.raises(LakeTaken, match="another process is writing"):
        LakeSink(tmp_path, lambda: "one").build_part("lake", "lake", None)
    first.close()
    LakeSink(tmp_path, lambda: "one").build_part("lake", "lake", None).close()
    with pytest.raises(LakeTaken, match="filled from another database"):
        LakeSink(tmp_path, lambda: "other").build_part("lake", "lake", None)


def test_joined_files_stay_for_a_while_for_readers_that_hold_their_names(tmp_path: Path) -> None:
    """A notebook's view goes on answering the same while the flow joins files under it."""
    writer = LakeWriter(tmp_path / "prices")
    for offset in range(15):
        writer.add([rows.frame([rows.price(offset)])])
        settle(writer)
    view = lake.connect(tmp_path)
    writer.add([rows.frame([rows.price(15)])])
    settle(writer)
    assert len(lake.files(tmp_path)) == 1, "sixteen were to be joined"
    assert view.execute("SELECT count(*) FROM prices").fetchall() == [(15,)]
    assert lake.prices(tmp_path).height == 16
