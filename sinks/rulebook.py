"""The rules of the database as a running flow takes them up: within seconds, and for a replay at the same message.

Every change of a rule has a version (table `rule_versions`). From which message on a version judges is written down
per partition (`rule_activations`) before that message is handed on, so whoever reads the topic again, with an empty
state too, judges every price by the rules that judged it the first time.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psycopg
from psycopg.rows import TupleRow

from analytics.alerts import Activation
from analytics.rules import Rule, RuleError, parse
from analytics.schema import row_id, split_id
from sinks.postgres import first_line

log = logging.getLogger(__name__)

NEWS_CHANNEL = "conscope_rules"
"""The NOTIFY channel on which the database announces a new version."""

_LOOK_AGAIN = 2.0
_HEAR = 0.25
_AT_ONCE = 5000
"""Versions taken up in one go: the reader of prices waits so long."""
_TIMEOUT = "options='-c statement_timeout=2000'"


@dataclass(frozen=True, slots=True)
class _Version:
    """A version as it is told: `events` as in `Activation`; `idle` when no rule is left active by it."""

    rule_id: int
    rule: Rule | None
    events: tuple[str, ...] | None
    idle: bool


@dataclass
class RuleBook:
    """One process's view of the rules. Each partition's reader asks it; nothing is read before the first question.

    Args:
        dsn: libpq connection string.
    """

    dsn: str = field(repr=False)
    _versions: dict[int, _Version] = field(default_factory=dict, repr=False)
    _active: set[int] = field(default_factory=set, repr=False)
    _scopes: dict[int, str | None] = field(default_factory=dict, repr=False)
    _told: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)
    _judged: dict[tuple[int, int], int] = field(default_factory=dict, repr=False)
    _newest: int = 0
    _not_before: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _watch: threading.Thread | None = field(default=None, repr=False)
    _closed: threading.Event = field(default_factory=threading.Event, repr=False)

    def recorded(self, stream: int, partition: int) -> list[Activation]:
        """What has been recorded of a partition: where each version begins there. Asked when it is opened.

        Raises:
            psycopg.Error: the database is out of reach.
        """
        with psycopg.connect(self.dsn, connect_timeout=10) as connection, self._lock:
            while self._learn(connection):
                pass
            found = self._activations(connection, stream, partition, 0)
            # After a crash, messages are read again whose alerts stand in the database already: they were judged by the
            # rules of then, and are again. What is new begins after them.
            self._judged[stream, partition] = _judged(connection, stream, partition)
        self._told[stream, partition] = max((activation.version for activation in found), default=0)
        if self._watch is None:
            self._watch = threading.Thread(target=self._listen, name="rules", daemon=True)
            self._watch.start()
        return found

    def fresh(self, stream: int, partition: int, next_offset: int) -> list[Activation]:
        """Versions that begin to judge in this partition now, at `next_offset` or after what an ended flow has judged;
        recorded when this returns.

        Costs a comparison when there is nothing new. With the database away there is nothing new, until it is back.
        """
        told = self._told[stream, partition]
        if told >= self._newest or time.monotonic() < self._not_before:
            return []
        try:
            with psycopg.connect(f"{self.dsn} {_TIMEOUT}", connect_timeout=2) as connection, self._lock:
                self._learn(connection)
                # Up to what has just been read: a version made in between is not known yet, and comes next time.
                connection.execute(
                    "INSERT INTO rule_activations (stream, partition, version, from_offset) "
                    "SELECT %(stream)s, %(partition)s, version, greatest(%(first)s, (SELECT max(from_offset) "
                    "FROM rule_activations WHERE stream = %(stream)s AND partition = %(partition)s)) "
                    "FROM rule_versions WHERE version > %(told)s AND version <= %(known)s "
                    "ORDER BY version LIMIT %(most)s ON CONFLICT DO NOTHING",
                    {
                        "stream": stream,
                        "partition": partition,
                        "told": told,
                        "known": max(self._versions, default=0),
                        "first": max(next_offset, self._judged[stream, partition]),
                        "most": _AT_ONCE,
                    },
                )
                connection.commit()
                found = self._activations(connection, stream, partition, told)
        except psycopg.Error as error:
            log.warning("rules: Postgres: %s; changed rules wait", first_line(error))
            self._not_before = time.monotonic() + 5.0
            return []
        self._told[stream, partition] = max((activation.version for activation in found), default=told)
        return found

    def close(self) -> None:
        """Listen no more; nothing else is held between two questions."""
        self._closed.set()
        if self._watch is not None:
            self._watch.join()

    def _learn(self, connection: psycopg.Connection[TupleRow]) -> int:
        """Read the next versions that are not known yet, in their order; returns how many."""
        rows = connection.execute(
            "SELECT version, created_at, rule_id, rule::text FROM rule_versions WHERE version > %s ORDER BY version "
            "LIMIT %s",
            (max(self._versions, default=0), _AT_ONCE),
        ).fetchall()
        for version, created_at, rule_id, row in rows:
            rule = _parse(version, created_at, rule_id, row)
            if rule is not None and rule.active:
                self._active.add(rule_id)
            else:
                self._active.discard(rule_id)
            scope = None if rule is None else rule.event_id
            before = self._scopes.get(rule_id, scope)
            is_wide = (rule is not None and scope is None) or (rule_id in self._scopes and before is None)
            events = None if is_wide else tuple(sorted({event for event in (before, scope) if event is not None}))
            if rule is not None:
                self._scopes[rule_id] = scope
            self._versions[version] = _Version(rule_id, rule, events, not self._active)
        self._newest = max(self._newest, max(self._versions, default=0))
        return len(rows)

    def _activations(
        self, connection: psycopg.Connection[TupleRow], stream: int, partition: int, after: int
    ) -> list[Activation]:
        first = row_id(stream, partition, 0)
        rows = connection.execute(
            "SELECT version, from_offset FROM rule_activations "
            "WHERE stream = %s AND partition = %s AND version > %s AND version <= %s ORDER BY version",
            (stream, partition, after, max(self._versions, default=0)),
        ).fetchall()
        return [
            Activation(version, first + offset, known.rule_id, known.rule, known.events, known.idle)
            for version, offset in rows
            for known in [self._versions[version]]
        ]

    def _listen(self) -> None:
        """Notice new versions, by the database's word or by looking every so often."""
        while not self._closed.is_set():
            try:
                with psycopg.connect(self.dsn, autocommit=True, connect_timeout=10) as connection:
                    connection.execute(f"LISTEN {NEWS_CHANNEL}")
                    while not self._closed.is_set():
                        row = connection.execute("SELECT coalesce(max(version), 0) FROM rule_versions").fetchone()
                        assert row is not None
                        self._newest = max(self._newest, int(row[0]))
                        self._hear(connection)
            except psycopg.Error as error:
                log.warning("rules: Postgres: %s", first_line(error))
                self._closed.wait(_LOOK_AGAIN)

    def _hear(self, connection: psycopg.Connection[TupleRow]) -> None:
        """Wait for the database's word, and not much longer than a `close` may take."""
        for _ in range(round(_LOOK_AGAIN / _HEAR)):
            if self._closed.is_set() or any(connection.notifies(timeout=_HEAR, stop_after=1)):
                return


def _judged(connection: psycopg.Connection[TupleRow], stream: int, partition: int) -> int:
    """The offset after the last message of a partition whose price is in the history."""
    first = row_id(stream, partition, 0)
    row = connection.execute(
        "SELECT max(id) FROM price_history WHERE id >= %s AND id < %s", (first, row_id(stream, partition + 1, 0))
    ).fetchone()
    return 0 if row is None or row[0] is None else split_id(row[0])[2] + 1


def _parse(version: int, created_at: Any, rule_id: int, row: str | None) -> Rule | None:
    """The rule of a version; None when it was deleted, or means nothing. Whatever stands there, the flow goes on."""
    if row is None:
        return None
    try:
        rule = parse(version, created_at, json.loads(row))
        return msgspec.msgpack.decode(msgspec.msgpack.encode(rule), type=Rule)  # as recovery will want it
    except RuleError as error:
        log.warning("rule %d means nothing and is left out: %s", rule_id, error)
    except Exception as error:
        log.warning("rule %d cannot be read and is left out: %s", rule_id, type(error).__name__)
    return None
