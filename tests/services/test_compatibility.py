"""Producers and readers of the earlier version go on working."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaProducer

from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(180)]

_DASHBOARD_SELECT = """
    SELECT ph.id, ph.event_id, ph.source, ph.section, ph.row, ph.seat, ph.price, ph.fees, ph.total_price, ph.timestamp,
           ph.listing_id, ph.listing_url, ph.quantity, ph.created_at, e.event_name, e.venue, e.event_date
    FROM price_history ph JOIN events e ON ph.event_id = e.event_id
    WHERE ph.timestamp >= NOW() - INTERVAL '24 hours' ORDER BY ph.timestamp DESC LIMIT 10000
"""
_OTHER_SELECTS = (
    "SELECT event_id, event_name, venue, event_date, city, state, created_at, last_updated FROM events",
    "SELECT alert_id, event_id, alert_type, alert_timestamp, old_price, new_price, drop_amount, drop_percent, section, row, "
    "seat, source, listing_id, listing_url, created_at FROM price_drop_alerts ORDER BY alert_timestamp DESC",
    "SELECT id, user_id, event_id, target_price, section, max_row, notification_method, notification_target, active, "
    "created_at, last_triggered FROM alerts WHERE active",
    "SELECT id, alert_id, price, source, section, row, seat, listing_url, triggered_at FROM alert_triggers",
    "SELECT metric_name, metric_value, timestamp FROM system_metrics ORDER BY timestamp DESC",
)


def _serialize(value: object) -> bytes:
    """What the earlier version gave kafka-python as `value_serializer`."""
    return json.dumps(value).encode("utf-8")


def test_the_earlier_versions_producer_and_dashboard_are_understood(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    """kafka-python, json.dumps, no key, snappy; a listing that drops twice gives two changes, each against the one before."""
    prefix, topic = make_topics(kafka.bootstrap, "earlier")
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap,
        compression_type="snappy",
        acks="all",
    )
    now = datetime.now(UTC) - timedelta(minutes=10)
    # Without a key the three prices of a listing fall on any partition; event time is what orders them.
    for minute, price in enumerate((200.0, 180.0, 150.0)):
        for seat in range(8):
            producer.send(
                topic,
                value=_serialize({
                    "event_id": "concert_123", "event_name": "Nora Vale", "venue": "Grand Hall",
                    "event_date": "2027-06-01T20:00:00", "source": "seatgeek", "section": "GA", "row": None, "seat": None,
                    "price": price + seat, "fees": 20.5, "total_price": price + seat + 20.5, "quantity": 2,
                    "listing_id": f"SG-{seat}", "listing_url": f"https://seatgeek.example/{seat}",
                    "timestamp": (now + timedelta(minutes=minute)).replace(tzinfo=None).isoformat(),
                    "delivery_method": "electronic", "seller_notes": None, "scraper_version": "1.2",
                }),
            )  # fmt: skip
    producer.flush(30)
    producer.close()
    with Pipeline(kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path) as pipeline:
        pipeline.start()
        pipeline.settle()
        pipeline.drain()
        results = {result.table: result.actual for result in pipeline.check()}
    assert results["price_history"] == 24
    assert results["price_changes"] == 16, "eight listings of one section, two drops each"
    with psycopg.connect(database.dsn) as connection:
        rows = connection.execute(_DASHBOARD_SELECT.encode()).fetchall()
        assert len(rows) == 24
        newest = max(rows, key=lambda row: (row[9], row[10]))
        assert newest[6:9] == (Decimal(157), Decimal("20.5"), Decimal("177.5"))
        assert newest[14:17] == ("Nora Vale", "Grand Hall", datetime(2027, 6, 1, 20, tzinfo=UTC))
        for select in _OTHER_SELECTS:
            connection.execute(select.encode()).fetchall()
        changes = connection.execute(
            "SELECT old_price, new_price FROM price_changes WHERE listing_id = 'SG-3' ORDER BY timestamp"
        ).fetchall()
    assert changes == [(Decimal("223.5"), Decimal("203.5")), (Decimal("203.5"), Decimal("173.5"))]
