"""The rules in the database: made, changed, tried and explained, for the command (`sinks.rules`) and the dashboard.

Beside `lake` the other I/O of this package: the one place where rules are written, which both may import
(docs/decisions/0012).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.rows import dict_row

from analytics import rules
from analytics.rules import Definition, Rule, RuleError
from analytics.schema import MICROS
from analytics.trial import Observed, Trial, known, needs_history, trial

COLUMNS = (
    "name", "user_id", "event_id", "target_price", "section", "max_row", "notification_method", "notification_target",
    "channels", "active", "muted_until", "definition",
)  # fmt: skip
"""What a person can set of a rule."""

REASONS = {
    "fired": "fired",
    "not_met": "the price is not there",
    "nothing_to_compare": "nothing to compare with yet",
    "once": "it fires once, and has",
    "cooling": "it fired lately and is cooling down",
    "not_rearmed": "it fired, and the price has not gone back over the margin since",
    "not_lower": "it fired, and the price is not lower by the step",
    "already_true": "that held already when the rule was made",
    "holding": "the price must stand for some looks",
    "muted": "it is muted",
    "too_many": "it has alerted often enough this minute",
    "expired": "it has ended",
}
"""What a decision's reason says to a person."""

MOST_TRIED = 1_000_000
"""Stored prices that a trial looks at, the newest."""


class NoSuchRule(LookupError):
    """There is no rule of that number."""


class Kept(NamedTuple):
    """A rule and how it is doing; `states` has a row of `rule_states` for each event that it has looked at."""

    rule: dict[str, Any]
    says: str
    state: str
    states: list[dict[str, Any]]


@dataclass(frozen=True)
class Rules:
    """The rules of one database. Each call is one transaction of its own.

    Args:
        dsn: libpq connection string.

    Raises:
        psycopg.Error: from every call, when the database is out of reach.
    """

    dsn: str = field(repr=False)

    def add(self, columns: dict[str, Any]) -> int:
        """Make a rule; returns its number. What the stored history knows at this moment becomes part of it.

        Raises:
            RuleError: it means nothing.
        """
        row = _checked(columns)
        with self._connect() as connection:
            row["definition"] = _with_history(connection, row)
            names = [name for name in COLUMNS if name in row]
            made = connection.execute(
                psycopg.sql.SQL("INSERT INTO alerts ({}) VALUES ({}) RETURNING id").format(
                    psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, names)),
                    psycopg.sql.SQL(", ").join([psycopg.sql.Placeholder()] * len(names)),
                ),
                [json.dumps(row[name]) if name == "definition" else row[name] for name in names],
            ).fetchone()
        assert made is not None
        return int(made["id"])

    def change(self, number: int, columns: dict[str, Any]) -> None:
        """Set some columns of a rule; a running flow takes it up within seconds.

        Raises:
            NoSuchRule, RuleError: see there.
        """
        unknown = columns.keys() - set(COLUMNS)
        if unknown:
            raise RuleError(f"a rule has no {', '.join(sorted(unknown))}")
        with self._connect() as connection:
            now = connection.execute("SELECT * FROM alerts WHERE id = %s FOR UPDATE", (number,)).fetchone()
            if now is None:
                raise NoSuchRule(f"there is no rule {number}")
            row = _checked({**{name: now[name] for name in COLUMNS}, **columns})
            if columns.keys() & {"definition", "event_id", "section", "max_row", "target_price"}:
                row["definition"].pop("known", None)  # of the day when it was made; the changed rule begins today
                columns = {**columns, "definition": _with_history(connection, row)}
            _parse(row)
            assignments = psycopg.sql.SQL(", ").join(
                psycopg.sql.SQL("{} = %s").format(psycopg.sql.Identifier(name)) for name in columns
            )
            connection.execute(
                psycopg.sql.SQL("UPDATE alerts SET {}, updated_at = now() WHERE id = %s").format(assignments),
                [*(json.dumps(v) if k == "definition" else v for k, v in columns.items()), number],
            )

    def mute(self, number: int, until: datetime | None = None) -> None:
        """Keep a rule silent until then, or for good (until `unmute`)."""
        self.change(number, {"active": False} if until is None else {"muted_until": until})

    def unmute(self, number: int) -> None:
        """Let a rule speak again; what it has seen meanwhile is not forgotten."""
        self.change(number, {"active": True, "muted_until": None})

    def remove(self, number: int) -> None:
        """Delete a rule; its alerts stay.

        Raises:
            NoSuchRule: see there.
        """
        with self._connect() as connection:
            if not connection.execute("DELETE FROM alerts WHERE id = %s", (number,)).rowcount:
                raise NoSuchRule(f"there is no rule {number}")

    def all(self, number: int | None = None) -> list[Kept]:
        """Every rule, or one, the newest first.

        Raises:
            NoSuchRule: see there.
        """
        with self._connect() as connection:
            found = connection.execute(
                "SELECT * FROM alerts WHERE %s::bigint IS NULL OR id = %s ORDER BY id DESC", (number, number)
            ).fetchall()
            if number is not None and not found:
                raise NoSuchRule(f"there is no rule {number}")
            states: dict[int, list[dict[str, Any]]] = {}
            for state in connection.execute(
                "SELECT * FROM rule_states WHERE %s::bigint IS NULL OR rule_id = %s ORDER BY observed_at DESC NULLS LAST",
                (number, number),
            ):
                states.setdefault(state["rule_id"], []).append(state)
            dead = {
                row["channel"]
                for row in connection.execute("SELECT channel FROM channels WHERE disabled_since IS NOT NULL")
            }
            starts = {
                row["event_id"]: row["event_date"]
                for row in connection.execute("SELECT event_id, event_date FROM events WHERE event_date IS NOT NULL")
            }
        return [
            Kept(row, says(row), _state(row, states.get(row["id"], []), dead, starts.get(row["event_id"])),
                 states.get(row["id"], []))
            for row in found
        ]  # fmt: skip

    def explain(self, number: int, event_id: str | None = None, most: int = 20) -> list[dict[str, Any]]:
        """The last decisions of a rule, the newest first: fired or not, why, and the numbers.

        Raises:
            NoSuchRule: see there.
        """
        self.all(number)
        with self._connect() as connection:
            return connection.execute(
                "SELECT d.*, a.alert_id, (SELECT jsonb_object_agg(o.channel, o.state) FROM outbox o "
                "WHERE o.alert_id = a.alert_id) AS delivery FROM rule_decisions d LEFT JOIN price_drop_alerts a "
                "ON a.rule_id = d.rule_id AND a.price_id = d.price_id AND d.fired "
                "WHERE d.rule_id = %s AND (%s::text IS NULL OR d.event_id = %s) "
                "ORDER BY d.observed_at DESC, d.price_id DESC LIMIT %s",
                (number, event_id, event_id, most),
            ).fetchall()

    def try_out(self, columns: dict[str, Any], days: int = 40) -> Trial:
        """What a rule would have done over the last days of stored history.

        Raises:
            RuleError: it means nothing.
        """
        rule = _parse(_checked(columns))
        with self._connect() as connection:
            return trial(rule, _observed(connection, rule, timedelta(days=days)))

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(self.dsn, row_factory=dict_row, connect_timeout=10)


def says(row: dict[str, Any]) -> str:
    """What a rule waits for, in words, or why it means nothing."""
    try:
        return rules.describe(_parse(row))
    except RuleError as error:
        return f"means nothing: {error}"


def _checked(columns: dict[str, Any]) -> dict[str, Any]:
    """The columns with the definition as a plain object."""
    definition = columns.get("definition") or {}
    if not isinstance(definition, Definition):
        definition = rules.define(definition)
    return {**columns, "definition": msgspec.to_builtins(definition)}


def _parse(row: dict[str, Any]) -> Rule:
    return rules.parse(0, datetime(1970, 1, 1, tzinfo=UTC), {"id": 0, "active": True, **row})


def _state(row: dict[str, Any], states: list[dict[str, Any]], dead: set[str], starts: datetime | None) -> str:
    """The state that a person is shown."""
    now = datetime.now(UTC)
    channels = row["channels"] or ["discord:default"]
    expires = (row["definition"] or {}).get("expires_at")
    if (starts is not None and starts <= now) or (expires is not None and datetime.fromisoformat(expires) <= now):
        return "expired"
    if not row["active"] or (row["muted_until"] is not None and row["muted_until"] > now):
        return "muted"
    if all(channel in dead for channel in channels):
        return "broken"
    return str(states[0]["state"]) if states else "armed"


_HISTORY = (
    "SELECT p.id, p.event_id, p.source, p.currency, p.level, p.listing_id, p.section, p.row, p.seat, p.timestamp, "
    "p.price, p.total_price, p.quantity, e.event_name, e.venue, e.event_date FROM price_history p "
    "LEFT JOIN events e USING (event_id) WHERE p.timestamp > now() - %(span)s "
    "AND (%(event)s::text IS NULL OR p.event_id = %(event)s) AND p.currency = %(currency)s "
    "ORDER BY p.timestamp DESC, p.id DESC LIMIT %(most)s"
)


def _observed(connection: psycopg.Connection[dict[str, Any]], rule: Rule, span: timedelta) -> Iterator[Observed]:
    rows = connection.execute(
        _HISTORY, {"span": span, "event": rule.event_id, "currency": rule.currency, "most": MOST_TRIED}
    ).fetchall()
    for row in reversed(rows):
        seat = "*" if row["level"] == "event" else row["listing_id"] or (row["section"], row["row"], row["seat"])
        yield Observed(
            row["id"], row["event_id"], f"{row['source']}|{row['currency']}|{seat}", _time(row["timestamp"]),
            _micros(row["price"]), _micros(row["total_price"]), row["quantity"], row["section"], row["row"],
            row["source"], row["currency"], row["level"], row["event_name"], row["venue"],
            None if row["event_date"] is None else _time(row["event_date"]),
        )  # fmt: skip


def _with_history(connection: psycopg.Connection[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """A rule's definition, with what the stored history says that it must know from before it is made."""
    rule = _parse(row)
    if not needs_history(rule):
        return dict(row["definition"])
    found = known(rule, _observed(connection, rule, timedelta(days=rule.days or 365)))
    return {**row["definition"], **({} if found is None else {"known": msgspec.to_builtins(found)})}


def _time(moment: datetime) -> int:
    return int(moment.timestamp() * MICROS)


def _micros(price: Decimal) -> int:
    return int(price * MICROS)
