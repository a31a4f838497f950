"""Compare what is there with what must be there."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import psycopg

from oracle.doubt import ROWS, Row, doubted
from oracle.log import LOG_SCHEMA

_MONEY = "({0} * 1000000)::bigint"
_TIME = "(extract(epoch FROM {0}) * 1000000)::bigint"


def _money(*columns: str) -> list[str]:
    return [_MONEY.format(column) for column in columns]


_T = _TIME.format('"timestamp"')
_ACTUAL = {
    "price_history": [
        "id", "event_id", "source", "section", '"row"', "seat", *_money("price", "fees", "total_price"), "currency",
        "quantity", _T, "listing_id", "listing_url", "level", "late",
    ],
    "quarantine": ["id", "event_id", "source", *_money("total_price"), _T, "late", "reason"],
    "quarantine_releases": ["id", "released_by"],
    "dead_letters": ["id", "partition", '"offset"'],
    "price_changes": [
        "id", "event_id", "source", "section", '"row"', "seat", "listing_id", "currency", "level",
        *_money("old_price", "new_price", "change"), "(change_percent * 10000)::bigint",
        _TIME.format("previous_timestamp"), _T,
    ],
    "price_drop_alerts": [
        "alert_id", "event_id", "event_name", "venue", _TIME.format("alert_timestamp"),
        *_money("old_price", "new_price", "drop_amount"), "(drop_percent * 10000)::bigint", "currency", "section",
        '"row"', "seat", "source", "listing_id", "price_id",
    ],
    "events": ["event_id", "event_name", "venue", _TIME.format("event_date")],
    "price_windows": [
        "event_id", "source", "section", "level", "currency", "window_seconds", _TIME.format("window_start"),
        *_money("min_price", "max_price", "avg_price", "open_price", "close_price"), "observations", "listings",
    ],
}  # fmt: skip
_WITH_ID = {"price_history", "quarantine", "quarantine_releases", "dead_letters", "price_changes"}
_BY_HAND = " AND id NOT IN (SELECT id FROM quarantine WHERE reviewed = 'released')"
_LAKE = (
    'SELECT id, event_id, source, section, "row", seat, round(price * 1000000)::BIGINT, round(fees * 1000000)::BIGINT, '
    "round(total_price * 1000000)::BIGINT, currency, quantity, epoch_us(timestamp), listing_id, level, late, "
    "coalesce(p.reason, h.reason) FROM read_parquet({files}, hive_partitioning = false) AS p LEFT JOIN {held} AS h USING (id)"
)
_NONE_HELD = "(SELECT 0::BIGINT AS id, '' AS reason WHERE false)"


@dataclass(frozen=True)
class Result:
    """One table compared: `missing` rows stand in the log only, `extra` ones in the table only."""

    table: str
    expected: int
    actual: int
    digest: str
    missing: list[tuple[object, ...]]
    extra: list[tuple[object, ...]]

    @property
    def equal(self) -> bool:
        """Whether the table holds each expected row once, and nothing else."""
        return self.expected == self.actual and not self.missing and not self.extra


@dataclass(frozen=True)
class _Arrow:
    """A frame as nothing but an Arrow stream: DuckDB takes that without pyarrow, which a Polars frame would ask for."""

    frame: pl.DataFrame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.frame.__arrow_c_stream__(requested_schema)


class Oracle:
    """The expected tables of one log.

    Args:
        log: `LOG_SCHEMA`, one row for each message of the topic.
        stream: the number of the topic's incarnation.
        lateness: seconds of allowed lateness.
        min_drop: percent of the default rule.
        release_after: how many doubted prices that agree are believed.
    """

    def __init__(
        self, log: pl.DataFrame, stream: int = 1, lateness: float = 60.0, min_drop: float = 5.0, release_after: int = 3
    ) -> None:
        self._stream = stream
        self._duck = duckdb.connect(":memory:")
        self._duck.execute("SET TimeZone = 'UTC'")
        self._duck.register("log_frame", _Arrow(log.select(LOG_SCHEMA.keys())))
        self._duck.execute("CREATE TABLE log AS FROM log_frame")
        self._variables = {
            "stream": stream,
            "lateness": round(lateness * 1e6),
            "min_drop": round(min_drop * 1e4),
        }
        self._run("rows.sql")
        doubts, releases = doubted(map(Row._make, self._duck.execute(ROWS).fetchall()), release_after)
        for name, pairs, second in (("doubts", doubts, "reason"), ("releases", releases, "released_by")):
            kind = pl.String if second == "reason" else pl.Int64
            frame = pl.DataFrame(pairs, schema={"id": pl.Int64, second: kind}, orient="row")
            self._duck.register(f"{name}_frame", _Arrow(frame))
            self._duck.execute(f"CREATE TABLE {name} AS FROM {name}_frame")
        self._duck.execute("CREATE TABLE rules_in_force (first BIGINT, until BIGINT)")
        self._run("expected.sql")

    def _run(self, script: str) -> None:
        text = resources.files("oracle").joinpath(script).read_text()
        for name, value in self._variables.items():
            text = text.replace(f"${name}", f"{value}::BIGINT")
        self._duck.execute(text)

    def count(self, table: str) -> int:
        """How many rows `table` must have."""
        row = self._duck.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(row[0])

    def compare(self, dsn: str, lake: Path | None = None) -> list[Result]:
        """Compare every table of the database and, when given, the lake."""
        results = []
        with psycopg.connect(dsn) as connection:
            self._duck.execute("DELETE FROM rules_in_force")
            for span in _rules_in_force(connection, self._stream):
                self._duck.execute("INSERT INTO rules_in_force VALUES (?, ?)", span)
            for table, columns in _ACTUAL.items():
                named = ", ".join(f"{column} AS c{i}" for i, column in enumerate(columns))
                where = f" WHERE stream_of(id) = {self._stream}" if table in _WITH_ID else ""
                where += _BY_HAND if table == "price_history" else ""
                where += " WHERE rule_id IS NULL" if table == "price_drop_alerts" else ""
                results.append(
                    self._table(table, _fetch(connection, f"SELECT {named} FROM {table}{where}", len(columns)))
                )
        if lake is not None:
            results.append(self._lake(lake))
        return results

    def _lake(self, lake: Path) -> Result:
        files = _uncovered(Path(lake, "prices").glob(f"day=*/{self._stream:04d}-*.parquet"))
        doubts = sorted(map(str, Path(lake, "held").glob("day=*.parquet")))
        held = f"read_parquet({doubts}, hive_partitioning = false)" if doubts else _NONE_HELD
        query = _LAKE.format(files=files, held=held) if files else "SELECT * FROM lake LIMIT 0"
        return self._table("lake", pl.DataFrame(self._duck.sql(query)))

    def _table(self, table: str, actual: pl.DataFrame) -> Result:
        names = [f"c{i}" for i in range(actual.width)]
        # Everything is compared as text: whatever a type would hide shows.
        self._duck.register(
            "actual_frame", _Arrow(actual.rename(dict(zip(actual.columns, names, strict=True))).cast(pl.String))
        )
        columns = ", ".join(names)
        texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in names)
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE actual AS SELECT {columns} FROM actual_frame")
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT {texts} FROM {table} AS t({columns})")
        ordered = self._duck.execute(f"SELECT * FROM actual ORDER BY {columns}").fetchall()
        return Result(
            table,
            self.count("wanted"),
            self.count("actual"),
            hashlib.md5(repr(ordered).encode(), usedforsecurity=False).hexdigest(),
            self._duck.execute(f"FROM wanted EXCEPT ALL FROM actual ORDER BY {columns} LIMIT 5").fetchall(),
            self._duck.execute(f"FROM actual EXCEPT ALL FROM wanted ORDER BY {columns} LIMIT 5").fetchall(),
        )


def _rules_in_force(connection: psycopg.Connection[tuple[object, ...]], stream: int) -> list[tuple[int, int]]:
    """(first id, id after the last) of the messages that people's rules judged, so that the default one did not."""
    active: set[object] = set()
    any_active: dict[object, bool] = {}
    for version, rule, is_on in connection.execute(
        "SELECT version, rule_id, coalesce((rule->>'active')::boolean, false) FROM rule_versions ORDER BY version"
    ):
        (active.add if is_on else active.discard)(rule)
        any_active[version] = bool(active)
    spans: list[tuple[int, int]] = []
    begun: dict[int, int] = {}
    partition: Any
    first: Any
    for partition, version, first in connection.execute(
        "SELECT partition, version, (stream::bigint << 52) | (partition::bigint << 40) | from_offset "
        "FROM rule_activations WHERE stream = %s ORDER BY partition, version",
        (stream,),
    ).fetchall():
        if any_active[version]:
            begun.setdefault(partition, first)
        elif partition in begun:
            spans.append((begun.pop(partition), first))
    return spans + [(first, ((first >> 40) + 1) << 40) for first in begun.values()]


def _uncovered(paths: Iterable[Path]) -> list[str]:
    """Without the files whose messages a wider file of the same day and partition holds, too: joining leaves them."""
    spans = {}
    for path in paths:
        *partition, first, last = path.stem.split("-")
        spans[path] = ((path.parent, *partition), first, last)
    return sorted(
        str(path)
        for path, (where, first, last) in spans.items()
        if not any(w == where and f <= first and last <= t and (f, t) != (first, last) for w, f, t in spans.values())
    )


def _fetch(connection: psycopg.Connection[tuple[object, ...]], query: str, width: int) -> pl.DataFrame:
    with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)".encode()) as copy:
        data = b"".join(bytes(block) for block in copy)
    schema = {f"c{i}": pl.String for i in range(width)}
    if not data:
        return pl.DataFrame(schema=schema)
    frame = pl.read_csv(io.BytesIO(data), has_header=False, schema=schema)
    return frame.with_columns(
        pl.when(pl.col(name) == "t").then(pl.lit("true")).when(pl.col(name) == "f").then(pl.lit("false"))
        .otherwise(pl.col(name)).alias(name)
        for name in frame.columns
        if set(frame[name].unique().to_list()) <= {"t", "f"}
    )  # fmt: skip


def report(results: Iterable[Result]) -> str:
    """The comparison as text: a line a table, and the first differences under those that differ."""
    lines = []
    for result in results:
        verdict = "equal" if result.equal else "DIFFERS"
        lines.append(
            f"{result.table:<18} {result.actual:>10} rows, {result.expected:>10} expected, {verdict}  {result.digest[:12]}"
        )
        lines += [f"    missing {row}" for row in result.missing]
        lines += [f"    extra   {row}" for row in result.extra]
    return "\n".join(lines)
