"""Read the lake: the named queries that notebooks and the dashboard share. Read-only, and the one I/O of this package.

from analytics import lake
lake.prices("lake")                      # a Polars frame that every function of `analytics` takes
lake.connect("lake").sql("FROM prices")  # DuckDB
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from analytics.schema import MICROS, MONEY, PRICE_SCHEMA, UTC, listing_key

if TYPE_CHECKING:
    import duckdb

LAKE_COLUMNS = [*PRICE_SCHEMA, "late", "reason"]
"""A price row's columns in the lake: money in currency units, `reason` null unless the price cannot be true. Those that
the flow doubts beside others stand in files of their own (`held_files`), as that is known only later."""


class Name(NamedTuple):
    """What a file's name says: the messages it covers."""

    stream: int
    partition: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.stream:04d}-{self.partition:04d}-{self.first:013d}-{self.last:013d}"

    @classmethod
    def of(cls, path: Path) -> Name:
        """The name of a file of the lake."""
        return cls(*map(int, path.stem.split("-")))


def current_files(paths: Iterable[Path]) -> list[Path]:
    """The files of one day to read: those that no joined file covers. Sorted."""
    kept: list[Path] = []
    widest: dict[tuple[int, int], int] = {}
    for path in sorted(paths, key=lambda p: (Name.of(p)[:3], -Name.of(p).last)):
        name = Name.of(path)
        if name.last > widest.get(name[:2], -1):
            widest[name[:2]] = name.last
            kept.append(path)
    return kept


def files(directory: str | Path, since: str = "", until: str = "9999") -> list[Path]:
    """The Parquet files of the days `since` to `until` (ISO dates, both inclusive)."""
    days = sorted(Path(directory).resolve().joinpath("prices").glob("day=*"))
    wanted = [day for day in days if since <= day.name.removeprefix("day=") <= until]
    return [path for day in wanted for path in current_files(day.glob("*.parquet"))]


def held_files(directory: str | Path, since: str = "", until: str = "9999") -> list[Path]:
    """The files that say which prices of the days `since` to `until` the flow doubted: `id` and `reason`."""
    found = sorted(Path(directory).resolve().joinpath("held").glob("day=*.parquet"))
    return [path for path in found if since <= path.stem.removeprefix("day=") <= until]


def _held(directory: str | Path, since: str, until: str) -> pl.LazyFrame:
    found = held_files(directory, since, until)
    if not found:
        return pl.LazyFrame(schema={"id": pl.Int64, "reason": pl.String})
    return pl.scan_parquet(found, hive_partitioning=False)


def prices(directory: str | Path, since: str = "", until: str = "9999") -> pl.DataFrame:
    """The accepted prices of the days `since` to `until`, as the flow saw them.

    Returns:
        `PRICE_SCHEMA` with money in micros, `late` and `listing`, in the order of event time; empty without files.
    """
    found = files(directory, since, until)
    if not found:
        return pl.DataFrame(schema={**PRICE_SCHEMA, "late": pl.Boolean, "listing": pl.String})
    return (
        pl.scan_parquet(found, hive_partitioning=False)
        .filter(pl.col("reason").is_null())
        .drop("reason")
        .join(_held(directory, since, until), on="id", how="anti")
        .with_columns((pl.col(name) * MICROS).round().cast(pl.Int64) for name in MONEY)
        .with_columns(listing_key())
        .sort("timestamp", "id")
        .collect()
    )


def confined(directory: str | Path, **settings: str | int | bool) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that can read the lake and nothing else, with these of DuckDB's settings. Its clock is UTC.

    Take one `cursor()` for each query when threads share it.
    """
    import duckdb  # here, so that the flow, which only names files, does not carry it

    connection = duckdb.connect(":memory:")
    for name, value in {"TimeZone": "UTC", **settings}.items():
        connection.execute(f"SET {name} = {_literal(str(value))}")
    connection.execute(f"SET allowed_directories = [{_literal(str(Path(directory).resolve()))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def connect(directory: str | Path) -> duckdb.DuckDBPyConnection:
    """A `confined` DuckDB with the views `prices` (accepted) and `all_prices` over the files that are there now."""
    connection = confined(directory)
    held = held_files(directory)
    doubted = f"FROM {_parquet(held)}" if held else "SELECT NULL::BIGINT AS id, NULL::VARCHAR AS reason WHERE false"
    if found := files(directory):
        judged = "p.* REPLACE (coalesce(p.reason, h.reason) AS reason)"
        joined = f"FROM {_parquet(found)} AS p LEFT JOIN ({doubted}) AS h ON p.id = h.id"
        connection.execute(f"CREATE VIEW all_prices AS SELECT {judged} {joined}")
    else:
        columns = ", ".join(f'"{name}" {_sql_type(name)}' for name in LAKE_COLUMNS)
        connection.execute(f"CREATE TABLE all_prices ({columns})")
    connection.execute("CREATE VIEW prices AS SELECT * EXCLUDE (reason) FROM all_prices WHERE reason IS NULL")
    return connection


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _parquet(paths: list[Path]) -> str:
    """The files as DuckDB reads them."""
    listed = ", ".join(_literal(str(path)) for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _sql_type(column: str) -> str:
    """The DuckDB type that a column of the lake's files has."""
    if column in MONEY:
        return "DOUBLE"
    if column == "late":
        return "BOOLEAN"
    kind = PRICE_SCHEMA.get(column, pl.String)
    return {pl.Int64: "BIGINT", pl.Int32: "INTEGER", UTC: "TIMESTAMPTZ"}.get(kind, "VARCHAR")
