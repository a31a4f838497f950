"""Postgres as the dashboard asks it: a small pool of read-only connections that survives the server going away."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from queue import Empty, Full, LifoQueue
from typing import Any

import polars as pl
import psycopg

from analytics import roles
from settings import Settings

_IDLE = 8  # connections kept open between requests
_LATELY_SECONDS = 10.0
_PAUSE_SECONDS = 1.0  # after a failure, answer at once for this long instead of trying again
_WRITING = "-c statement_timeout=8000 -c timezone=UTC"
_OPTIONS = f"-c default_transaction_read_only=on {_WRITING}"
_NAME = "conscope-dashboard"

Row = tuple[Any, ...]
Parameters = Mapping[str, Any]


class DatabaseAwayError(Exception):
    """Postgres did not answer; what is on the page stays, and the next tick tries again."""


class NotReadyError(Exception):
    """Postgres answers, but ConScope's tables are not there yet: the flow has not run."""


class Database:
    """Read-only queries, and the few changes that a person makes, from any thread.

    Connects on first use, never before. A connection that broke is replaced and the query asked once more, so a
    server that was restarted goes unnoticed unless it is still away.

    Args:
        dsn: a libpq connection string; it holds the password, so it is never shown.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: LifoQueue[psycopg.Connection[Row]] = LifoQueue(_IDLE)
        self._closed_until = 0.0
        self._failed_at = -math.inf

    @classmethod
    def of(cls, settings: Settings) -> Database:
        """The database that the settings name."""
        return cls(settings.postgres_dsn)

    def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a query.

        Raises:
            DatabaseAwayError: no connection, or it broke, or the statement took over eight seconds.
            NotReadyError: a table does not exist.
        """
        if time.monotonic() < self._closed_until:
            raise DatabaseAwayError
        try:
            try:
                return self._ask(self._take(), sql, parameters)
            except psycopg.errors.QueryCanceled:
                raise
            except psycopg.OperationalError:
                self._forget()
                return self._ask(self._connect(), sql, parameters)
        except psycopg.errors.UndefinedTable:
            raise NotReadyError from None
        except psycopg.OperationalError as error:
            self._failed_at = time.monotonic()
            if not isinstance(error, psycopg.errors.QueryCanceled):
                self._closed_until = time.monotonic() + _PAUSE_SECONDS
            raise DatabaseAwayError from None  # psycopg's own message can name the host and the user

    def frame(self, sql: str, parameters: Parameters, schema: Mapping[str, Any]) -> pl.DataFrame:
        """The answer of a query as a frame with this schema, column by column; raises what `rows` raises."""
        return pl.DataFrame(self.rows(sql, parameters), schema=dict(schema), orient="row")

    def change(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """Change something, in a transaction of its own, and give the rows that it returns. Asked for by a person, never
        by a tick; raises what `rows` raises, and `psycopg.Error` when the database refuses the change."""
        try:
            with psycopg.connect(self._dsn, connect_timeout=3, options=_WRITING, application_name=_NAME) as connection:
                roles.take(connection, roles.DASHBOARD)
                cursor = connection.execute(sql.encode(), parameters)
                return cursor.fetchall() if cursor.description else []
        except psycopg.errors.UndefinedTable:
            raise NotReadyError from None
        except psycopg.OperationalError:
            raise DatabaseAwayError from None

    @property
    def failed_lately(self) -> bool:
        """Whether a query has failed in the last ten seconds."""
        return time.monotonic() - self._failed_at < _LATELY_SECONDS

    def close(self) -> None:
        """Close the idle connections."""
        self._forget()

    def _ask(self, connection: psycopg.Connection[Row], sql: str, parameters: Parameters | None) -> list[Row]:
        try:
            answer = connection.execute(sql.encode(), parameters).fetchall()
        except psycopg.Error:
            connection.close()
            raise
        try:
            self._idle.put_nowait(connection)
        except Full:
            connection.close()
        return answer

    def _take(self) -> psycopg.Connection[Row]:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._connect()

    def _connect(self) -> psycopg.Connection[Row]:
        connection: psycopg.Connection[Row] = psycopg.connect(
            self._dsn, autocommit=True, connect_timeout=3, options=_OPTIONS, application_name=_NAME,
            tcp_user_timeout=5000, keepalives_idle=5, keepalives_interval=2, keepalives_count=3,
        )  # fmt: skip
        roles.take(connection, roles.DASHBOARD)
        return connection

    def _forget(self) -> None:
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return
