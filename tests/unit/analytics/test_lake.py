"""Reading the lake. (What is written to it: tests/unit/sinks/test_lake.py.)"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from analytics import lake, windows
from sinks.lake import HeldWriter, LakeWriter
from tests.support.logs import at, event, frame


@pytest.fixture
def full(tmp_path: Path) -> Path:
    rows = frame(event(price=40.63, fees=1.37, section="101"), event(price=2, timestamp=at(86_400), event_date=at(9)))
    writer = LakeWriter(tmp_path / "full" / "prices")
    writer.add([rows.with_columns(reason=pl.Series([None, None], dtype=pl.String))])
    writer.add([rows.with_columns(id=pl.col("id") + 2, reason=pl.lit("zero_price"))])
    writer.add([rows.with_columns(id=pl.col("id") + 4, reason=pl.lit(None, dtype=pl.String))])
    writer.flush()
    held = HeldWriter(tmp_path / "full" / "held")
    held.add([rows.with_columns(id=pl.col("id") + 4, reason=pl.lit("hundredth"))])
    held.flush()
    return tmp_path / "full"


def test_prices_come_back_as_the_flow_saw_them(full: Path) -> None:
    rows = frame(event(price=40.63, fees=1.37, section="101"), event(price=2, timestamp=at(86_400), event_date=at(9)))
    found = lake.prices(full)
    assert_frame_equal(found, rows.select(found.columns))
    assert windows.of_rows(found) == windows.of_rows(rows)


def test_days_can_be_chosen(full: Path) -> None:
    assert lake.prices(full, since="2026-11-24").height == lake.prices(full, until="2026-11-23").height == 1
    assert lake.prices(full, since="2026-11-25").is_empty()


def test_an_empty_lake_has_the_columns_and_types_of_a_full_one(full: Path, tmp_path: Path) -> None:
    """In DuckDB and in Polars: a query that works tomorrow works today."""
    for table in ("prices", "all_prices"):
        described = [
            [row[:2] for row in lake.connect(path).sql(f"DESCRIBE {table}").fetchall()]
            for path in (full, tmp_path / "none")
        ]
        assert described[0] == described[1]
    assert lake.prices(tmp_path / "none").schema == lake.prices(full).schema


@pytest.mark.parametrize("filled", [True, False])
def test_no_pyarrow_is_needed(full: Path, tmp_path: Path, filled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    connection = lake.connect(full if filled else tmp_path / "none")
    assert pl.DataFrame(connection.sql("SELECT total_price FROM prices WHERE NOT late ORDER BY id"))[
        "total_price"
    ].to_list() == ([42.0, 2.0] if filled else [])


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('/etc/hostname')",
        "COPY prices TO 'x.csv'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "ATTACH 'other.duckdb'",
    ],
)
def test_the_connection_reads_the_lake_and_nothing_else(full: Path, statement: str) -> None:
    with pytest.raises(duckdb.Error):
        lake.connect(full).execute(statement).fetchall()


def test_a_quote_in_the_folder_s_name_is_no_sql(full: Path) -> None:
    renamed = full.rename(full.with_name("o'brien's; DROP"))
    assert lake.connect(renamed).sql("SELECT count(*) FROM all_prices").fetchall() == [(6,)]
