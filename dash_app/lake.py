"""The lake as the dashboard reads it: DuckDB over the Parquet files, a cursor for each question."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from analytics import lake

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger(__name__)
_LIMITS: dict[str, str | int | bool] = {
    "memory_limit": "512MB", "threads": 2, "temp_directory": "", "parquet_metadata_cache": True,
}  # fmt: skip
_TIMEOUT_SECONDS = 8.0
_SETTLED_SECONDS = 10.0  # a batch that touches several days is several files; by then all of them are there


class LakeAwayError(Exception):
    """The lake could not be read; what is on the page stays, and the next question tries again. Its text says why."""

    def __init__(self, why: str = "the lake does not answer") -> None:
        super().__init__(why)


@dataclass(frozen=True)
class Contents:
    """What the lake held when it was looked at. These files can be read for an hour, whatever is joined meanwhile.

    Attributes:
        owner: the identity of the database it was filled with.
        days: the files of each day of event time, in order.
        held: the file of a day that says which prices the flow doubted.
        durable: the last offset of each (stream, partition) up to which every message is in these files.
    """

    owner: str
    days: dict[date, list[str]]
    held: dict[date, str]
    durable: dict[tuple[int, int], int]

    def files(self, since: date, until: date) -> list[str]:
        """The files of the days `since` to `until`, both inclusive."""
        return [path for day, paths in self.days.items() if since <= day <= until for path in paths]

    def held_files(self, since: date, until: date) -> list[str]:
        """The files of what was doubted on these days."""
        return [path for day, path in self.held.items() if since <= day <= until]


@dataclass
class _Day:
    """A day's folder as it was at `changed` (its modification time): the files to read, and (name, time) of all."""

    changed: int
    files: list[str] = field(default_factory=list)
    written: list[tuple[lake.Name, float]] = field(default_factory=list)


class Lake:
    """Read-only questions to the lake, from any thread. Opens on first use.

    A question is one DuckDB cursor with limits of memory and time, confined to the lake's folder.

    Args:
        directory: the lake's folder; it may not be there yet.
        settled_seconds: how old a file must be before its name counts for `Contents.durable`.
    """

    def __init__(self, directory: Path, settled_seconds: float = _SETTLED_SECONDS) -> None:
        self._directory = directory
        self._settled_seconds = settled_seconds
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._days: dict[str, _Day] = {}

    def contents(self) -> Contents | None:
        """What is there now; None without a lake. Only folders that changed are listed again.

        Raises:
            LakeAwayError: the folder cannot be read.
        """
        try:
            with self._lock:
                return self._look()
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise LakeAwayError from None

    def frame(self, sql: str, parameters: Mapping[str, Any], schema: dict[str, Any]) -> pl.DataFrame:
        """The answer to a question in DuckDB's SQL, with this schema, column by column.

        Raises:
            LakeAwayError: a file cannot be read, or the question takes over eight seconds or 512 MB.
        """
        import duckdb

        cursor = self._cursor()
        limit = threading.Timer(_TIMEOUT_SECONDS, cursor.interrupt)
        limit.start()
        try:
            answer = pl.DataFrame(cursor.sql(sql, params=dict(parameters)))
        except (duckdb.Error, pl.exceptions.PolarsError) as error:
            _log.warning("the lake does not answer: %s", error)
            raise LakeAwayError from None
        finally:
            limit.cancel()
            cursor.close()
        answer.columns = list(schema)
        return answer.cast(schema)  # type: ignore[arg-type] # its keys may be selectors, too

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None:
                self._connection = lake.confined(self._directory, **_LIMITS)
            return self._connection.cursor()

    def _look(self) -> Contents:
        owner = (self._directory / "database").read_text()
        found = {path.name: path for path in sorted((self._directory / "prices").glob("day=*"))}
        for name, path in found.items():
            changed = path.stat().st_mtime_ns
            if name not in self._days or self._days[name].changed != changed:
                self._days[name] = _listed(path, changed)
        settled, durable = time.time() - self._settled_seconds, dict[tuple[int, int], int]()
        for name in found:
            for written, at in self._days[name].written:
                if at <= settled and written.last > durable.get(written[:2], -1):
                    durable[written[:2]] = written.last
        return Contents(
            owner=owner,
            days={_date(name): self._days[name].files for name in found},
            held={_date(path.stem): str(path) for path in lake.held_files(self._directory)},
            durable=durable,
        )


def _listed(folder: Path, changed: int) -> _Day:
    paths = list(folder.resolve().glob("*.parquet"))
    written = [(lake.Name.of(path), at) for path in paths if (at := _time(path)) is not None]
    return _Day(changed, [str(path) for path in lake.current_files(paths)], written)


def _time(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # joined long ago, and removed since it was listed
        return None


def _date(name: str) -> date:
    return date.fromisoformat(name.removeprefix("day="))
