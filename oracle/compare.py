"""Compare what is there with what must be there."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
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
        "quantity", _T, "listing_id", "listing_url", "level", "late::text",
    ],
    "quarantine": ["id", "event_id", "source", *_money("total_price"), _T, "late::text", "reason"],
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
_LAKE_WIDTH = 16
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
        self._overflow = tempfile.mkdtemp(prefix="conscope-oracle-")  # for what memory has no room
        weakref.finalize(self, shutil.rmtree, self._overflow, ignore_errors=True)
        self._duck = duckdb.connect(":memory:", config={"temp_directory": self._overflow})
        self._duck.execute("SET TimeZone = 'UTC'; SET memory_limit = '6GB'")
        self._duck.register("log", _Arrow(log.select(LOG_SCHEMA.keys())))
        self._variables = {
            "stream": stream,
            "lateness": round(lateness * 1e6),
            "min_drop": round(min_drop * 1e4),
        }
        self._run("rows.sql")
        self._duck.execute("DROP VIEW parsed; DROP VIEW read")
        self._duck.unregister("log")
        doubts, releases = doubted(map(Row._make, self._fetched(ROWS)), release_after)
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

    def _fetched(self, query: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._duck.execute(query)
        while rows := cursor.fetchmany(50_000):
            yield from rows

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
                self._fetch(connection, f"SELECT {named} FROM {table}{where}", len(columns))
                results.append(self._result(table, len(columns)))
        if lake is not None:
            results.append(self._lake(lake))
        return results

    def _fetch(self, connection: psycopg.Connection[Any], query: str, width: int) -> None:
        """What a query of Postgres gives, as the table `actual`, all of it text: whatever a type would hide shows."""
        names = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(width))
        with tempfile.NamedTemporaryFile(dir=self._overflow, suffix=".csv") as file:
            with connection.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)".encode()) as copy:
                for block in copy:
                    file.write(block)
            file.flush()
            self._duck.execute(
                f"CREATE OR REPLACE TEMP TABLE actual AS FROM read_csv('{file.name}', columns = {{{names}}}, header = false, "
                "auto_detect = false, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, "
                "max_line_size = 16777216)"
            )

    def _lake(self, lake: Path) -> Result:
        files = _uncovered(Path(lake, "prices").glob(f"day=*/{self._stream:04d}-*.parquet"))
        doubts = sorted(map(str, Path(lake, "held").glob("day=*.parquet")))
        held = f"read_parquet({doubts}, hive_partitioning = false)" if doubts else _NONE_HELD
        query = _LAKE.format(files=files, held=held) if files else "SELECT * FROM lake LIMIT 0"
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE actual AS {self._as_text(f'({query})', _LAKE_WIDTH)}")
        return self._result("lake", _LAKE_WIDTH)

    @staticmethod
    def _as_text(rows: str, width: int) -> str:
        texts = ", ".join(f"c{i}::VARCHAR AS c{i}" for i in range(width))
        return f"SELECT {texts} FROM {rows} AS t({', '.join(f'c{i}' for i in range(width))})"

    def _result(self, table: str, width: int) -> Result:
        """`actual` against what `table` must hold."""
        columns = ", ".join(f"c{i}" for i in range(width))
        self._duck.execute(f"CREATE OR REPLACE TEMP TABLE wanted AS {self._as_text(table, width)}")
        expected, actual = self._digest("wanted", columns), self._digest("actual", columns)
        missing, extra = (
            [] if expected == actual else self._duck.execute(f"{both} ORDER BY {columns} LIMIT 5").fetchall()
            for both in ("FROM wanted EXCEPT ALL FROM actual", "FROM actual EXCEPT ALL FROM wanted")
        )
        return Result(table, self.count("wanted"), self.count("actual"), actual, missing, extra)

    def _digest(self, table: str, columns: str) -> str:
        """What tells the rows of a table from any others, whatever their order: the sums of the halves of each row's md5.

        Rows that are the same count as often as they are there. Nothing is sorted (docs/decisions/0015).
        """
        row = f"to_json([{columns}])::VARCHAR"  # unlike a mere joining, it tells null from text, and where a text ends
        sums = self._duck.execute(
            f"SELECT coalesce(sum(md5_number_upper({row})), 0), coalesce(sum(md5_number_lower({row})), 0) FROM {table}"
        ).fetchone()
        return hashlib.md5(repr(sums).encode(), usedforsecurity=False).hexdigest()


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
