"""The outbox: which alerts are still to be delivered, as the delivery asks and answers it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import class_row

from sinks.discord import Alert

MOST = 500
"""Alerts taken at once; together they make one digest."""


def resume(connection: psycopg.Connection[Any], channel: str) -> int:
    """Take up what an ended delivery left in the air: sent perhaps, but not recorded. Returns how many."""
    return connection.execute(
        "UPDATE outbox SET state = 'pending', maybe_repeats = maybe_repeats + 1 "
        "WHERE channel = %s AND state = 'sending'",
        (channel,),
    ).rowcount


def expire(connection: psycopg.Connection[Any], channel: str, max_age_seconds: int) -> int:
    """Set aside what is too old to be news. Returns how many."""
    return connection.execute(
        "UPDATE outbox o SET state = 'expired', last_error = 'older than ALERT_MAX_AGE_SECONDS when it was its turn' "
        "FROM price_drop_alerts a WHERE a.alert_id = o.alert_id AND o.channel = %s AND o.state = 'pending' "
        "AND a.alert_timestamp < now() - make_interval(secs => %s)",
        (channel, max_age_seconds),
    ).rowcount


def take(connection: psycopg.Connection[Any], channel: str) -> list[Alert]:
    """The oldest alerts to be delivered, marked as being sent."""
    with connection.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(
            "WITH taken AS (UPDATE outbox SET state = 'sending', attempts = attempts + 1 WHERE channel = %(channel)s "
            "AND alert_id IN (SELECT o.alert_id FROM outbox o JOIN price_drop_alerts a USING (alert_id) "
            "WHERE o.channel = %(channel)s AND o.state = 'pending' ORDER BY a.alert_timestamp, a.alert_id LIMIT %(most)s) "
            "RETURNING alert_id) "
            "SELECT alert_id::text, event_id, event_name, venue, old_price, new_price, drop_percent, currency, section, "
            '"row", source, listing_url, alert_timestamp FROM price_drop_alerts JOIN taken USING (alert_id) '
            "ORDER BY alert_timestamp, alert_id",
            {"channel": channel, "most": MOST},
        ).fetchall()


def record(
    connection: psycopg.Connection[Any],
    channel: str,
    alerts: list[Alert],
    state: str,
    *,
    message_id: str | None = None,
    error: str | None = None,
    maybe_delivered: bool = False,
) -> None:
    """Write down what became of alerts that were taken."""
    connection.execute(
        "UPDATE outbox SET state = %s, message_id = coalesce(%s, message_id), last_error = %s, "
        "maybe_repeats = maybe_repeats + %s, sent_at = CASE WHEN %s = 'sent' THEN now() END "
        "WHERE channel = %s AND alert_id = ANY(%s::uuid[])",
        (state, message_id, error, int(maybe_delivered), state, channel, [alert.alert_id for alert in alerts]),
    )


def is_disabled(connection: psycopg.Connection[Any], channel: str, fingerprint: str) -> bool:
    """Whether the channel was found dead. A new credential starts alive."""
    row = connection.execute(
        "INSERT INTO channels (channel, fingerprint) VALUES (%s, %s) ON CONFLICT (channel) DO UPDATE SET "
        "fingerprint = excluded.fingerprint, "
        "disabled_since = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.disabled_since END, "
        "reason = CASE WHEN channels.fingerprint = excluded.fingerprint THEN channels.reason END "
        "RETURNING disabled_since IS NOT NULL",
        (channel, fingerprint),
    ).fetchone()
    assert row is not None
    return bool(row[0])


def disable(connection: psycopg.Connection[Any], channel: str, reason: str) -> None:
    """Never use the channel's credential again."""
    connection.execute("UPDATE channels SET disabled_since = now(), reason = %s WHERE channel = %s", (reason, channel))
