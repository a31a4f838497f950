"""The rules in the database: made, changed, tried and explained, for the command (`sinks.rules`) and the dashboard.

Beside `lake` the other I/O of this package: the one place where rules are written, which both may import
(docs/decisions/0012).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

import msgspec
import psycopg
from psycopg.rows import dict_row, tuple_row

from analytics import roles, rules
from analytics.alerts import concerns
from analytics.rules import Definition, Rule, RuleError
from analytics.trial import Observed, Trial, known, lowest_path, needs_history, trial

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

MOST_EVENTS_TRIED = 200
"""Events that a trial of a rule on many looks at, those last heard of."""

_SCANNED = 20  # stored prices are passed over for one that is in the sections of a rule, at most

STANDINGS = """
SELECT r.id, r.name, r.event_id, e.event_name, e.venue, e.event_date, r.active, r.muted_until, r.channels, r.definition,
       r.target_price, r.section, r.max_row, r.notification_method, r.created_at, s.event_id AS looked_at, s.reason,
       s.price, s.threshold, s.reference, s.lowest, s.sample, s.observed_at, s.alerts, r.last_triggered,
       CASE WHEN e.event_date <= now() OR CASE WHEN pg_input_is_valid(r.definition ->> 'expires_at', 'timestamptz')
                                               THEN (r.definition ->> 'expires_at')::timestamptz END <= now()
            THEN 'expired'
            WHEN NOT r.active OR r.muted_until > now() THEN 'muted'
            WHEN CASE WHEN cardinality(r.channels) > 0 THEN r.channels
                      WHEN r.notification_method <> '' AND r.notification_target <> '' THEN ARRAY['rule:' || r.id]
                      ELSE ARRAY['discord:default'] END
                 <@ ARRAY(SELECT channel FROM channels WHERE disabled_since IS NOT NULL) THEN 'broken'
            ELSE coalesce(s.state, 'armed') END AS state
FROM alerts r LEFT JOIN events e USING (event_id)
LEFT JOIN LATERAL (
    SELECT * FROM rule_states WHERE rule_id = r.id ORDER BY state = 'expired', observed_at DESC NULLS LAST LIMIT 1
) s ON true
"""
"""Every rule with the event it is about, what it thought last, and the state that a person is shown. It has no secret:
what a row of the earlier version names as its target is not among the columns."""


class NoSuchRule(LookupError):
    """There is no rule of that number."""


class Kept(NamedTuple):
    """A rule and how it is doing; `states` has a row of `rule_states` for each event that it has looked at."""

    rule: dict[str, Any]
    says: str
    state: str
    states: list[dict[str, Any]]


class Seen(NamedTuple):
    """What a trial looked at, to draw it on: the event of its last alert, or else the one with the most prices.

    Args:
        path: the lowest price in the rule's scope on it, (microseconds, micros) whenever it moved.
        cut: there may be older prices, which the trial did not look at.
    """

    event_id: str | None
    event_name: str | None
    path: list[tuple[int, int]]
    cut: bool


@dataclass(frozen=True)
class Rules:
    """The rules of one database. Each call is one transaction of its own.

    Args:
        dsn: libpq connection string.
        role: whose rights are enough.

    Raises:
        psycopg.Error: from every call, when the database is out of reach.
    """

    dsn: str = field(repr=False)
    role: str | None = None

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
            standing = {
                row["id"]: row["state"]
                for row in connection.execute(
                    f"SELECT id, state FROM ({STANDINGS}) known WHERE %s::bigint IS NULL OR id = %s",  # noqa: S608
                    (number, number),
                )
            }
        return [Kept(row, says(row), standing.get(row["id"], "armed"), states.get(row["id"], [])) for row in found]

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

    def try_out(self, columns: dict[str, Any], days: int = 40, most: int = MOST_TRIED) -> Trial:
        """What a rule would have done over the last days of stored history, on the newest `most` prices in its scope.

        Raises:
            RuleError: it means nothing.
        """
        return self.try_and_see(columns, days, most)[0]

    def try_and_see(self, columns: dict[str, Any], days: int = 40, most: int = MOST_TRIED) -> tuple[Trial, Seen]:
        """The same, and what to draw it on.

        Raises:
            RuleError: it means nothing.
        """
        rule = _parse(_checked(columns))
        with self._connect() as connection:
            asked = _looked_at(connection, rule, timedelta(days=days), most)
            observed = list(_observed(connection, asked))
            [found] = connection.execute(_MORE, asked).fetchall()
        tried = trial(rule, observed)
        counts = Counter(row.event_id for row in observed)
        event = (
            tried.firings[-1].event_id if tried.firings else max(counts, key=counts.__getitem__, default=rule.event_id)
        )
        of_event = [row for row in observed if row.event_id == event]
        name = of_event[-1].event_name if of_event else None
        cut = found["more"] or max(counts.values(), default=0) >= asked["share"]
        return tried, Seen(event, name, lowest_path(rule, of_event), cut)

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        connection = psycopg.connect(self.dsn, row_factory=dict_row, connect_timeout=10)
        roles.take(connection, self.role)
        return connection


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


_HISTORY = """
SELECT p.id, p.event_id,
       p.source || '|' || p.currency || '|' || CASE WHEN p.level = 'event' THEN '*' ELSE coalesce(nullif(p.listing_id, ''),
           format('(%%L, %%L, %%L)', p.section, p."row", p.seat)) END,
       (extract(epoch FROM p."timestamp") * 1000000)::bigint, (p.price * 1000000)::bigint,
       (p.total_price * 1000000)::bigint, p.quantity, p.section, p."row", p.source, p.currency, p.level,
       e.event_name, e.venue, (extract(epoch FROM e.event_date) * 1000000)::bigint
FROM unnest(%(events)s::text[]) AS looked_at (event_id) CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT * FROM price_history h WHERE h.event_id = looked_at.event_id
        ORDER BY h."timestamp" DESC, h.id DESC LIMIT %(scanned)s
    ) newest
    WHERE newest."timestamp" > now() - %(span)s AND newest.currency = %(currency)s
      AND (%(source)s::text IS NULL OR newest.source = %(source)s)
      AND (%(sections)s::text[] IS NULL OR newest.section = ANY(%(sections)s))
    ORDER BY newest."timestamp" DESC, newest.id DESC LIMIT %(share)s
) p LEFT JOIN events e ON e.event_id = p.event_id
ORDER BY p."timestamp", p.id
"""
_SECTIONS = """
SELECT DISTINCT section FROM price_windows WHERE event_id = ANY(%s) AND window_seconds = 86400 AND section <> ''
"""


_MORE = """
SELECT EXISTS (SELECT FROM unnest(%(events)s::text[]) AS looked_at (event_id) CROSS JOIN LATERAL (
    SELECT FROM price_history h WHERE h.event_id = looked_at.event_id AND h."timestamp" > now() - %(span)s
    ORDER BY h."timestamp" DESC OFFSET %(scanned)s LIMIT 1
) older) AS more
"""


def _looked_at(
    connection: psycopg.Connection[dict[str, Any]], rule: Rule, span: timedelta, most: int = MOST_TRIED
) -> dict[str, Any]:
    """Which stored prices a rule is tried on: the newest that it has to do with, at most so many. Of many events each has
    its share."""
    events = [rule.event_id] if rule.event_id is not None else _concerned(connection, rule)
    sections, alone = None, rule.condition != "deal"  # which compares with all listings of the event
    if rule.sections and alone:
        known = [row["section"] for row in connection.execute(_SECTIONS, (events,))]
        sections = [name for name in known if rules.section_key(name) in rule.sections] if known else None
    source = rule.source if alone else None
    share = max(most // max(len(events), 1), 1)
    scanned = share * (1 if sections is None and source is None else _SCANNED)
    return {"events": events, "span": span, "currency": rule.currency, "source": source, "sections": sections,
            "share": share, "scanned": scanned}  # fmt: skip


def _observed(connection: psycopg.Connection[dict[str, Any]], asked: dict[str, Any]) -> Iterator[Observed]:
    """Those prices, in the order of time."""
    return map(Observed._make, connection.cursor(row_factory=tuple_row).execute(_HISTORY, asked))


def _concerned(connection: psycopg.Connection[dict[str, Any]], rule: Rule) -> list[str]:
    """The events that a rule on many is about, those last heard of."""
    known = connection.execute("SELECT event_id, event_name, venue FROM events ORDER BY last_updated DESC, event_id")
    found = (row["event_id"] for row in known if concerns(rule, row["event_id"], row["event_name"], row["venue"]))
    return list(islice(found, MOST_EVENTS_TRIED))


def _with_history(connection: psycopg.Connection[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """A rule's definition, with what the stored history says that it must know from before it is made."""
    rule = _parse(row)
    if not needs_history(rule):
        return dict(row["definition"])
    found = known(rule, _observed(connection, _looked_at(connection, rule, timedelta(days=rule.days or 365))))
    return {**row["definition"], **({} if found is None else {"known": msgspec.to_builtins(found)})}
