"""The job the earlier version's way: kafka-python, `json.loads`, one INSERT and one commit for each price.

`bench.rivals` runs it, in an environment of its own. It has no windows: nothing of the kind was done a row at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from typing import Any

import psycopg2
from kafka import KafkaConsumer, KafkaProducer

COLUMNS = (
    "event_id", "source", "section", "row", "seat", "price", "fees", "total_price", "currency", "quantity", "timestamp",
    "listing_id", "listing_url", "delivery_method", "seller_notes", "level", "average_price", "median_price",
    "highest_price", "listing_count",
)  # fmt: skip
INSERT = (
    'INSERT INTO price_history (event_id, source, section, "row", seat, price, fees, total_price, currency, quantity, '
    "timestamp, listing_id, listing_url, delivery_method, seller_notes, level, average_price, median_price, "
    "highest_price, listing_count, id, late) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, false)"
)


def complete(value: dict[str, Any], before: dict[str, tuple[float, float, str]]) -> None:
    """Complete a price, and add what its listing cost before."""
    value.setdefault("level", "listing")
    value.setdefault("currency", "USD")
    value.setdefault("quantity", 1)
    if value.get("total_price") is None:
        value["total_price"] = round(value["price"] + (value.get("fees") or 0), 2)
    own = value.get("listing_id") or (value.get("section"), value.get("row"), value.get("seat"))
    listing = f"{value['event_id']}|{value['source']}|{value['currency']}|{value['level']}|{own}"
    if listing in before:
        value["previous_price"], value["previous_total_price"], value["previous_timestamp"] = before[listing]
        change = value["price_change"] = round(value["total_price"] - value["previous_total_price"], 2)
        value["price_change_percent"] = round(change / value["previous_total_price"] * 100, 4)
    before[listing] = (value["price"], value["total_price"], value["timestamp"])


def main() -> int:
    """Do the job until `--limit` messages are done, and say in JSON what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bootstrap", "--topic", "--processed", "--group", "--state"):
        parser.add_argument(name, required=True)
    parser.add_argument("--stream", type=int, required=True, help="the topic's number in row ids")
    parser.add_argument("--limit", type=int, required=True, help="messages to do")
    chosen = parser.parse_args()
    consumer = KafkaConsumer(
        chosen.topic,
        bootstrap_servers=chosen.bootstrap,
        group_id=chosen.group,
        auto_offset_reset="earliest",
        value_deserializer=json.loads,
    )
    producer = KafkaProducer(
        bootstrap_servers=chosen.bootstrap,
        value_serializer=lambda value: json.dumps(value).encode(),
        compression_type="lz4",
    )
    connection = psycopg2.connect(os.environ["RIVAL_DSN"])
    cursor = connection.cursor()
    before: dict[str, tuple[float, float, str]] = {}
    offsets: dict[int, int] = {}
    began = 0.0
    for done, message in enumerate(consumer, 1):
        began = began or time.process_time()  # starting up does not count
        value = message.value
        complete(value, before)
        identity = chosen.stream << 52 | message.partition << 40 | message.offset
        cursor.execute(INSERT, (*map(value.get, COLUMNS), identity))
        connection.commit()
        producer.send(chosen.processed, value)
        offsets[message.partition] = message.offset + 1
        if done % 500 == 0:
            print(f"\r  the earlier version's way: {done:,} of {chosen.limit:,}", end="", file=sys.stderr, flush=True)
        if done >= chosen.limit:
            break
    producer.flush()
    consumer.close()
    print(f"\r  the earlier version's way: {done:,} messages{' ' * 20}", file=sys.stderr)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"messages": done, "offsets": offsets, "cpu_seconds": time.process_time() - began,
             "peak_memory": memory * 1024}  # fmt: skip
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
