"""Alert rules and how they are doing, what was sent of them, and where to. No address of a channel is ever read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from analytics.rulestore import STANDINGS, says
from dash_app.database import Database
from dash_app.loaders.schemas import TIME, Schema

STATES = ("armed", "holding", "fired", "cooling", "muted", "expired", "broken")
MOST_NOTIFICATIONS = 1_000
"""The notification log on the page goes back so many alerts, of those that are asked for."""

RULES: Schema = {
    "id": pl.Int64, "name": pl.String, "event_id": pl.String, "event": pl.String, "venue": pl.String, "date": TIME,
    "says": pl.String, "state": pl.String, "reason": pl.String, "looked_at": pl.String, "price": pl.Float64,
    "threshold": pl.Float64, "reference": pl.Float64, "currency": pl.String, "condition": pl.String, "sample": pl.Int64,
    "observed": TIME, "alerts": pl.Int64, "last_alert": TIME, "muted_until": TIME, "active": pl.Boolean,
    "channels": pl.List(pl.String), "created": TIME, "wanted": pl.String,
}  # fmt: skip
STANDING: Schema = {
    "event_id": pl.String, "event": pl.String, "state": pl.String, "reason": pl.String, "price": pl.Float64,
    "threshold": pl.Float64, "reference": pl.Float64, "lowest": pl.Float64, "sample": pl.Int64, "observed": TIME,
    "alerts": pl.Int64, "last_alert": TIME,
}  # fmt: skip
NOTIFICATIONS: Schema = {
    "caused": TIME, "rule_id": pl.Int64, "rule": pl.String, "event_id": pl.String, "event": pl.String, "cause": pl.String,
    "old": pl.Float64, "new": pl.Float64, "currency": pl.String, "channel": pl.String, "state": pl.String,
    "attempts": pl.Int64, "maybe_repeats": pl.Int64, "error": pl.String, "waits_for": pl.String, "held_until": TIME,
    "created": TIME, "sent": TIME,
}  # fmt: skip
CHANNELS: Schema = {
    "channel": pl.String, "disabled": TIME, "failing": TIME, "reason": pl.String, "last_sent": TIME, "rules": pl.Int64,
    "waiting": pl.Int64,
}  # fmt: skip
OPTIONS: Schema = {"event_id": pl.String, "name": pl.String, "venue": pl.String, "date": TIME}

_FOUND = """
(%(ids)s::bigint[] IS NULL OR r.id = ANY(%(ids)s))
AND NOT EXISTS (
    SELECT FROM unnest(%(words)s::text[]) AS word
    WHERE concat_ws(' ', '#' || r.id, r.name, r.event_id, r.event_name, r.venue, r.section, r.definition ->> 'query',
                    r.definition ->> 'venue', array_to_string(r.channels, ' ')) NOT ILIKE '%%' || word || '%%')
"""
_RULES = f"""
SELECT * FROM ({STANDINGS}) r WHERE {_FOUND} AND (%(state)s::text IS NULL OR r.state = %(state)s)
ORDER BY r.id DESC LIMIT %(limit)s OFFSET %(offset)s
"""  # noqa: S608 -- joined from constants; values are parameters
_COUNTS = f"SELECT r.state, count(*) FROM ({STANDINGS}) r WHERE {_FOUND} GROUP BY 1"  # noqa: S608
_COLUMNS = (
    "id", "name", "event_id", "event_name", "venue", "event_date", "active", "muted_until", "channels", "definition",
    "target_price", "section", "max_row", "notification_method", "created_at", "looked_at", "reason", "price",
    "threshold", "reference", "lowest", "sample", "observed_at", "alerts", "last_triggered", "state",
)  # fmt: skip

_ACTIVE = "SELECT EXISTS (SELECT FROM alerts WHERE active), EXISTS (SELECT FROM alerts)"

_STANDINGS_OF = """
SELECT s.event_id, e.event_name, s.state, s.reason, s.price::float8, s.threshold::float8, s.reference::float8,
       s.lowest::float8, s.sample, s.observed_at, s.alerts, s.last_alert_at
FROM rule_states s LEFT JOIN events e USING (event_id) WHERE s.rule_id = %(rule)s
ORDER BY s.event_id = %(event)s DESC NULLS LAST, s.observed_at DESC NULLS LAST LIMIT %(limit)s
"""

# The newest alerts and notices first, then what became of them: the log need not be read whole, however long it is.
_NOTIFICATIONS = """
WITH latest AS (
    SELECT * FROM (
        (SELECT alert_id, alert_timestamp AS caused FROM price_drop_alerts
         WHERE (%(rule)s::bigint IS NULL OR rule_id = %(rule)s) AND (%(event)s::text IS NULL OR event_id = %(event)s)
         ORDER BY alert_timestamp DESC, alert_id LIMIT %(most)s)
        UNION ALL
        (SELECT notice_id, due FROM notices
         WHERE (%(rule)s::bigint IS NULL OR rule_id = %(rule)s) AND (%(event)s::text IS NULL OR event_id = %(event)s)
         ORDER BY due DESC, notice_id LIMIT %(most)s)
    ) both_kinds ORDER BY caused DESC, alert_id LIMIT %(most)s
)
SELECT n.caused_at, n.rule_id, n.rule_name, n.event_id, n.event_name, n.cause, n.old_price::float8, n.new_price::float8,
       n.currency, n.channel, n.state, n.attempts, n.maybe_repeats, n.error, n.waits_for, n.hold_until, n.created_at,
       n.sent_at, count(*) OVER ()
FROM latest CROSS JOIN LATERAL (SELECT * FROM notifications WHERE alert_id = latest.alert_id OFFSET 0) n -- one by one
WHERE (%(state)s::text IS NULL OR n.state = %(state)s)
ORDER BY latest.caused DESC, n.alert_id, n.channel LIMIT %(limit)s OFFSET %(offset)s
"""

_CHANNELS = """
WITH named AS (
    SELECT unnest(%(configured)s::text[]) AS channel UNION
    SELECT channel FROM channels UNION
    SELECT unnest(channels) FROM alerts
)
SELECT n.channel, c.disabled_since, c.failing_since, c.reason,
       (SELECT max(sent_at) FROM outbox o WHERE o.channel = n.channel AND o.state = 'sent'),
       (SELECT count(*) FROM alerts r WHERE n.channel = ANY(r.channels)
           OR (n.channel = 'discord:default' AND cardinality(r.channels) = 0 AND coalesce(r.notification_method, '') = '')),
       (SELECT count(*) FROM (SELECT FROM outbox o WHERE o.channel = n.channel AND o.state IN ('pending', 'sending')
                              LIMIT 1000) waiting)
FROM named n LEFT JOIN channels c USING (channel) WHERE n.channel NOT LIKE 'rule:%%'
ORDER BY n.channel <> 'discord:default', n.channel LIMIT 200
"""

_EVENTS = """
SELECT event_id, event_name, venue, event_date FROM events e
WHERE NOT EXISTS (SELECT FROM unnest(%(words)s::text[]) AS word
                  WHERE concat_ws(' ', event_name, venue, event_id) NOT ILIKE '%%' || word || '%%')
  AND (event_date IS NULL OR event_date > now())
ORDER BY event_date NULLS LAST, event_id LIMIT %(limit)s
"""
_EVENT = "SELECT event_id, event_name, venue, event_date FROM events WHERE event_id = %(event)s"

_OF_EVENT = "FROM price_windows WHERE event_id = %(event)s AND window_seconds = 86400"
_SOURCES_OF = f"SELECT DISTINCT source {_OF_EVENT} AND source <> '' ORDER BY 1"
_SOURCES = """
SELECT source FROM source_status
UNION SELECT source FROM (SELECT source FROM price_history ORDER BY "timestamp" DESC LIMIT 2000) latest ORDER BY 1
"""
_SECTIONS = f"SELECT DISTINCT section {_OF_EVENT} AND section <> '' ORDER BY 1 LIMIT %(limit)s"


def rules_page(
    database: Database, words: str = "", state: str | None = None, *, numbers: Sequence[int] | None = None, limit: int = 12,
    offset: int = 0,
) -> pl.DataFrame:  # fmt: skip
    """Rules with these words, of this state and these numbers, the newest first, in the columns of `RULES`.

    `price`, `threshold` and `reference` are in the rule's own terms; `looked_at` is the event they are of. `wanted` says
    which events a rule on many is about.
    """
    asked = {**_found(words, numbers), "state": state, "limit": limit, "offset": offset}
    rows = (dict(zip(_COLUMNS, row, strict=True)) for row in database.rows(_RULES, asked))
    return pl.DataFrame([_rule(row) for row in rows], schema=RULES, orient="row")


def rule_counts(database: Database, words: str = "") -> dict[str, int]:
    """How many rules with these words are in each state."""
    return {str(state): int(count) for state, count in database.rows(_COUNTS, _found(words, None))}


def any_rules(database: Database) -> tuple[bool, bool]:
    """Whether there is an active rule (else the default rule holds), and whether there is any."""
    ((active, some),) = database.rows(_ACTIVE)
    return bool(active), bool(some)


def standings(database: Database, rule: int, event_id: str | None = None, limit: int = 50) -> pl.DataFrame:
    """What a rule thinks now of the events that it has looked at: this one first, then the latest."""
    return database.frame(_STANDINGS_OF, {"rule": rule, "event": event_id, "limit": limit}, STANDING)


def notifications(
    database: Database, *, rule: int | None = None, event_id: str | None = None, state: str | None = None,
    limit: int = 25, offset: int = 0, most: int = MOST_NOTIFICATIONS,
) -> tuple[pl.DataFrame, int]:  # fmt: skip
    """What was sent, or is to be, the newest first, and how many there are in all among the newest `most` alerts."""
    asked = {"rule": rule, "event": event_id, "state": state, "limit": limit, "offset": offset,
             "most": most}  # fmt: skip
    rows = database.rows(_NOTIFICATIONS, asked)
    found = pl.DataFrame([row[:-1] for row in rows], schema=NOTIFICATIONS, orient="row")
    return found, int(rows[0][-1]) if rows else 0


def channels(database: Database, configured: Sequence[str]) -> pl.DataFrame:
    """Every channel that is configured, was delivered to, or is named by a rule; by name only."""
    return database.frame(_CHANNELS, {"configured": list(configured)}, CHANNELS)


def sources_of(database: Database, event_id: str | None) -> list[str]:
    """The sources of an event's prices; without an event, those that are polled and those of the latest prices."""
    return [source for (source,) in database.rows(_SOURCES_OF if event_id else _SOURCES, {"event": event_id})]


def sections_of(database: Database, event_id: str, limit: int = 2_000) -> list[str]:
    """The sections of an event by name, at most so many."""
    return [section for (section,) in database.rows(_SECTIONS, {"event": event_id, "limit": limit})]


def search_events(database: Database, words: str, limit: int = 30) -> pl.DataFrame:
    """Events still to come whose name, venue or id has all these words, the soonest first."""
    return database.frame(_EVENTS, {"words": _words(words), "limit": limit}, OPTIONS)


def known_event(database: Database, event_id: str) -> pl.DataFrame:
    """One event in the columns of `search_events`; no row when nothing is known of it."""
    return database.frame(_EVENT, {"event": event_id}, OPTIONS)


def _found(words: str, numbers: Sequence[int] | None) -> dict[str, Any]:
    return {"words": _words(words), "ids": None if numbers is None else list(numbers)}


def _words(text: str) -> list[str]:
    """The words to look for, such that nothing in them is a pattern."""
    return [word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for word in text.split()[:8]]


def _rule(row: dict[str, Any]) -> dict[str, Any]:
    definition = json.loads(row["definition"]) if isinstance(row["definition"], str) else row["definition"]
    words = says(row)
    own = [f"its own ({row['notification_method']})"] if row["notification_method"] else ["discord:default"]
    return {
        "id": row["id"], "name": row["name"], "event_id": row["event_id"], "event": row["event_name"], "venue": row["venue"],
        "date": row["event_date"], "says": words, "state": "broken" if words.startswith("means nothing") else row["state"],
        "reason": row["reason"], "looked_at": row["looked_at"], "price": _float(row["price"]),
        "threshold": _float(row["threshold"]), "reference": _float(row["reference"]),
        "currency": str(definition.get("currency") or "USD"), "condition": str(definition.get("condition") or "at_or_below"),
        "sample": row["sample"], "observed": row["observed_at"], "alerts": row["alerts"] or 0,
        "last_alert": row["last_triggered"], "muted_until": row["muted_until"], "active": row["active"],
        "channels": row["channels"] or own, "created": row["created_at"],
        "wanted": None if row["event_id"] is not None else _wanted(definition.get("query"), definition.get("venue")),
    }  # fmt: skip


def _wanted(query: str | None, venue: str | None) -> str:
    """Which events a rule on many is about, in words."""
    if not (query or venue):
        return "Every event"
    return "Events" + (f" named “{query}”" if query else "") + (f" at {venue}" if venue else "")


def _float(number: Any) -> float | None:
    return None if number is None else float(number)
