"""The outbox: what is still to be delivered, as the delivery asks and answers it. One delivery at a time."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row

from sinks.channels import DEFAULT, Target
from sinks.sender import Answer, Outcome
from sinks.words import Alert

MOST = 5000
"""Alerts taken at once; together they make one digest."""

ATTEMPTS = 500
"""So often an alert is tried. With pauses of up to five minutes that is more than a day: as a rule it is too old before."""

_PATH = 24  # recent prices that are shown
_LOOKED_AT = 1000  # changes of an event among which those of the listing are looked for
_LINKS_KEPT_DAYS = 180

Connection = psycopg.Connection[Any]


# --- what waits


def channels_waiting(connection: Connection) -> list[str]:
    """The channels for which something is ready to go. Steps over the rows of each, however many wait."""
    found = connection.execute(
        "WITH RECURSIVE one (channel) AS ("
        "(SELECT min(channel) FROM outbox WHERE state = 'pending' AND hold_until IS NULL) UNION ALL "
        "SELECT (SELECT min(channel) FROM outbox WHERE state = 'pending' AND hold_until IS NULL "
        "AND channel > one.channel) FROM one WHERE channel IS NOT NULL) "
        "SELECT channel FROM one WHERE channel IS NOT NULL"
    )
    return [channel for (channel,) in found]


def ready(connection: Connection, channel: str, most: int = MOST) -> list[Alert]:
    """The first that are ready to go, at most `most`, in the order of their times."""
    with connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            "WITH o AS (SELECT alert_id, released_at FROM outbox WHERE channel = %s AND state = 'pending' "
            "AND hold_until IS NULL ORDER BY created_at, alert_id LIMIT %s) "
            "SELECT o.alert_id::text, coalesce(a.event_id, n.event_id) AS event_id, "
            "coalesce(a.event_name, n.event_name) AS event_name, a.venue, a.old_price, a.new_price, a.drop_percent, "
            'a.currency, a.section, a."row", a.seat, a.quantity, a.source, a.listing_url, '
            "coalesce(a.alert_timestamp, n.due) AS alert_timestamp, coalesce(a.rule_id, n.rule_id) AS rule_id, "
            "coalesce(a.rule_name, n.rule_name) AS rule_name, a.cause, a.reference, a.percentile, a.lowest_so_far, "
            "a.sample, n.kind AS notice, coalesce(r.definition, v.rule -> 'definition') AS plan, "
            "coalesce(o.released_at, a.alert_timestamp, n.due) AS waits_since FROM o "
            "LEFT JOIN price_drop_alerts a USING (alert_id) LEFT JOIN notices n ON n.notice_id = o.alert_id "
            "LEFT JOIN alerts r ON r.id = coalesce(a.rule_id, n.rule_id) LEFT JOIN rule_versions v ON v.version = a.rule_version "
            "ORDER BY alert_timestamp, alert_id",
            (channel, most),
        ).fetchall()


def mark(connection: Connection, channel: str, alerts: Sequence[str]) -> None:
    """Note that these are about to be sent."""
    connection.execute(
        "UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE channel = %s AND alert_id = ANY(%s::uuid[])",
        (channel, list(alerts)),
    )


def record(connection: Connection, channel: str, alerts: Sequence[str], answer: Answer) -> None:
    """Write down what became of alerts that were sent. Of several that were refused together, each gets another try."""
    refused = answer.outcome is Outcome.REFUSED and len(alerts) == 1
    state = "sent" if answer.outcome is Outcome.SENT else "failed" if refused else "pending"
    connection.execute(
        "UPDATE outbox SET message_id = coalesce(%(message)s, message_id), last_error = %(error)s, "
        "maybe_repeats = maybe_repeats + %(lost)s, sent_at = CASE WHEN %(state)s = 'sent' THEN now() END, "
        "state = CASE WHEN %(state)s = 'pending' AND attempts >= %(attempts)s THEN 'failed' ELSE %(state)s END "
        "WHERE channel = %(channel)s AND alert_id = ANY(%(alerts)s::uuid[]) AND state = 'sending'",
        {
            "message": answer.message_id, "error": answer.error, "lost": int(answer.outcome is Outcome.LOST),
            "state": state, "attempts": ATTEMPTS, "channel": channel, "alerts": list(alerts),
        },
    )  # fmt: skip


def resume(connection: Connection, except_for: Collection[str] = ()) -> int:
    """Take up what an ended delivery left in the air: sent perhaps, but not recorded. Returns how many.

    Args:
        connection: to Postgres.
        except_for: channels whose message is still under way, and will be recorded.
    """
    return connection.execute(
        "UPDATE outbox SET state = 'pending', maybe_repeats = maybe_repeats + 1 "
        "WHERE state = 'sending' AND channel <> ALL(%s)",
        (list(except_for),),
    ).rowcount


def expire(connection: Connection, max_age_seconds: int, channel: str | None = None) -> int:
    """Set aside what is too old to be news: of one channel, or of all what lies there for so long. Returns how many."""
    return connection.execute(
        "UPDATE outbox o SET state = 'expired', last_error = 'older than ALERT_MAX_AGE_SECONDS when it was its turn' "
        "WHERE o.state = 'pending' AND o.hold_until IS NULL "
        "AND (o.channel = %(channel)s OR %(channel)s::text IS NULL AND o.created_at < now() - make_interval(secs => %(age)s)) "
        "AND coalesce(o.released_at, (SELECT alert_timestamp FROM price_drop_alerts a WHERE a.alert_id = o.alert_id), "
        "(SELECT due FROM notices n WHERE n.notice_id = o.alert_id)) < now() - make_interval(secs => %(age)s)",
        {"channel": channel, "age": max_age_seconds},
    ).rowcount


# --- what is held back


def hold(connection: Connection, channel: str, alerts: Sequence[str], until: datetime, reason: str) -> None:
    """Let these wait until a time."""
    connection.execute(
        "UPDATE outbox SET hold_until = %s, hold_reason = %s WHERE channel = %s AND alert_id = ANY(%s::uuid[])",
        (until, reason, channel, list(alerts)),
    )


def release(connection: Connection) -> int:
    """End the wait of those whose time has come. Returns how many."""
    return connection.execute(
        "UPDATE outbox SET hold_until = NULL, hold_reason = NULL, released_at = now() "
        "WHERE state = 'pending' AND hold_until <= now()"
    ).rowcount


def last_sent(connection: Connection, channel: str, rules: Collection[int], minutes: float) -> dict[int, datetime]:
    """When rules last sent something through a channel, those that did within so many minutes."""
    found = connection.execute(
        "SELECT a.rule_id, max(o.sent_at) FROM outbox o JOIN price_drop_alerts a USING (alert_id) WHERE o.channel = %s "
        "AND o.state = 'sent' AND o.sent_at > now() - make_interval(secs => %s) AND a.rule_id = ANY(%s) GROUP BY a.rule_id",
        (channel, 60 * minutes, list(rules)),
    )
    return dict(found.fetchall())


# --- channels


def target(connection: Connection, channel: str) -> Target | None:
    """What a `rule:<id>` says of where to send; None for other channels, and when the rule is not there."""
    kind, _, number = channel.partition(":")
    if kind != "rule" or not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    row = connection.execute(
        "SELECT notification_method, notification_target FROM alerts WHERE id = %s", (int(number),)
    ).fetchone()
    return (row[0], row[1]) if row else None


def disabled(connection: Connection, channel: str, fingerprint: str) -> str | None:
    """Why the channel was given up, None while it is alive. Another address starts alive."""
    row = connection.execute(
        "INSERT INTO channels (channel, fingerprint) VALUES (%s, %s) ON CONFLICT (channel) DO UPDATE SET "
        "fingerprint = excluded.fingerprint, "
        "disabled_since = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.disabled_since END, "
        "reason = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.reason END, "
        "failing_since = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.failing_since END "
        "RETURNING CASE WHEN disabled_since IS NOT NULL THEN coalesce(reason, 'gone') END",
        (channel, fingerprint),
    ).fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


def disable(connection: Connection, channel: str, reason: str) -> None:
    """Never use the channel's address again."""
    connection.execute("UPDATE channels SET disabled_since = now(), reason = %s WHERE channel = %s", (reason, channel))


def failing(connection: Connection, channel: str) -> float:
    """Note that the channel refuses us; returns for how many seconds it has."""
    row = connection.execute(
        "UPDATE channels SET failing_since = coalesce(failing_since, now()) WHERE channel = %s "
        "RETURNING extract(epoch FROM now() - failing_since)::float8",
        (channel,),
    ).fetchone()
    return float(row[0]) if row else 0.0


def well(connection: Connection, channel: str) -> None:
    """Note that the channel takes what we send."""
    connection.execute(
        "UPDATE channels SET failing_since = NULL WHERE channel = %s AND failing_since IS NOT NULL", (channel,)
    )


# --- what goes with an alert


def paths(connection: Connection, alerts: Sequence[str]) -> dict[str, list[Decimal]]:
    """The recent prices of each alert's listing, oldest first, up to the alert's. Looks at so many changes and no more."""
    found = connection.execute(
        "SELECT a.alert_id::text, p.path FROM price_drop_alerts a, LATERAL ("
        "SELECT (array_agg(old_price ORDER BY at))[1:1] || array_agg(new_price ORDER BY at) AS path FROM ("
        'SELECT old_price, new_price, c."timestamp" AS at FROM (SELECT * FROM price_changes h '
        'WHERE h.event_id = a.event_id AND h."timestamp" <= a.alert_timestamp ORDER BY h."timestamp" DESC LIMIT %s) c '
        "WHERE c.source = a.source AND c.currency = a.currency AND c.listing_id IS NOT DISTINCT FROM a.listing_id "
        "AND (a.listing_id IS NOT NULL OR (c.section IS NOT DISTINCT FROM a.section "
        'AND c."row" IS NOT DISTINCT FROM a."row" AND c.seat IS NOT DISTINCT FROM a.seat)) '
        'ORDER BY c."timestamp" DESC LIMIT %s) recent) p WHERE a.alert_id = ANY(%s::uuid[]) AND p.path IS NOT NULL',
        (_LOOKED_AT, _PATH - 1, list(alerts)),
    )
    return dict(found.fetchall())


def mute_link(connection: Connection, public_url: str, rules: Collection[int]) -> str | None:
    """A new link that mutes these rules, those of them that are still there; None if there are none.

    Only the hash of its token is kept: who reads the database cannot mute anybody's rule.
    """
    token = secrets.token_urlsafe(32)
    made = connection.execute(
        "INSERT INTO mute_links (hash, rule_id) SELECT %s, id FROM alerts WHERE id = ANY(%s)",
        (hashlib.sha256(token.encode()).hexdigest(), list(rules)),
    ).rowcount
    return f"{public_url}/mute/{token}" if made else None


def drop_old_links(connection: Connection) -> None:
    """Forget links that nobody will use any more."""
    connection.execute(
        "DELETE FROM mute_links WHERE created_at < now() - make_interval(days => %s)", (_LINKS_KEPT_DAYS,)
    )


def announce_expired(connection: Connection, max_age_seconds: int) -> int:
    """Put the rules that have expired since, and are to say so, into the outbox, once each. Returns how many.

    A rule expires at its event's start, or earlier at its definition's `expires_at`.
    """
    rules = connection.execute(
        "SELECT r.id, e.event_date, r.definition ->> 'expires_at' FROM alerts r LEFT JOIN events e USING (event_id) "
        "WHERE r.active AND (r.muted_until IS NULL OR r.muted_until < now()) "
        "AND r.definition @> '{\"announce_expiry\": true}'"
    ).fetchall()
    now, announced = datetime.now(UTC), 0
    for rule_id, starts, ends in rules:
        due = min((time for time in (starts, _time(ends)) if time is not None), default=None)
        if due is None or due > now or (now - due).total_seconds() > max_age_seconds:
            continue
        announced += connection.execute(
            # A rule that was put off after it was announced may expire again.
            "WITH made AS (INSERT INTO notices (kind, rule_id, rule_name, event_id, event_name, due) "
            "SELECT 'expired', r.id, r.name, r.event_id, e.event_name, %(due)s FROM alerts r "
            "LEFT JOIN events e USING (event_id) WHERE r.id = %(rule)s AND NOT EXISTS ("
            "SELECT FROM notices n WHERE n.rule_id = r.id AND n.created_at >= %(due)s) RETURNING notice_id) "
            "INSERT INTO outbox (alert_id, channel) SELECT DISTINCT notice_id, way FROM made, alerts r, unnest(CASE "
            "WHEN cardinality(r.channels) > 0 THEN r.channels "
            "WHEN r.notification_method IS NOT NULL AND r.notification_target IS NOT NULL THEN ARRAY['rule:' || r.id] "
            "ELSE ARRAY[%(default)s] END) AS way "
            "WHERE r.id = %(rule)s",
            {"due": due, "rule": rule_id, "default": DEFAULT},
        ).rowcount
    return announced


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
