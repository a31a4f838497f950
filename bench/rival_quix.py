"""The flow's job as a user of Quix Streams would write it. `bench.rivals` runs it, in an environment of its own.

Previous prices are state of each event, under its listings. Windows are kept by event, too: one of each size, whose
aggregate holds all (source, section) of the event and the event itself. `group_by` would send every message through a
topic again instead, and Quix' own PostgreSQLSink takes its columns from the first row of a batch, where nulls are left
out: the rows after a Ticketmaster one lost their listing ids. So COPY, and everything of a checkpoint in a transaction.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from quixstreams import Application, State
from quixstreams.dataframe.windows import Aggregator
from quixstreams.sinks import BatchingSink, SinkBatch

MINUTE = 60_000
SIZES = {"minute": MINUTE, "hour": 60 * MINUTE, "day": 24 * 60 * MINUTE}
GRACE_MS = 2000  # as the bench's ALLOWED_LATENESS_SECONDS

HISTORY = (
    "event_id", "source", "section", "row", "seat", "price", "fees", "total_price", "currency", "quantity", "timestamp",
    "listing_id", "listing_url", "delivery_method", "seller_notes", "level", "average_price", "median_price",
    "highest_price", "listing_count",
)  # fmt: skip
CHANGES = (
    "event_id", "source", "section", "row", "seat", "listing_id", "listing_url", "currency", "level",
    "previous_total_price", "total_price", "price_change", "price_change_percent", "previous_timestamp", "timestamp",
)  # fmt: skip
COPY_HISTORY = f"COPY price_history (id, {', '.join(HISTORY)}, late) FROM STDIN".replace(" row,", ' "row",')
COPY_CHANGES = (
    'COPY price_changes (id, event_id, source, section, "row", seat, listing_id, listing_url, currency, level, '
    "old_price, new_price, change, change_percent, previous_timestamp, timestamp) FROM STDIN"
)
STAGING = "CREATE TEMP TABLE staging ON COMMIT DELETE ROWS AS SELECT * FROM price_windows WITH NO DATA"
COPY_WINDOWS = (
    "COPY staging (event_id, source, section, level, currency, window_seconds, window_start, min_price, max_price, "
    "avg_price, open_price, close_price, observations, listings, is_final) FROM STDIN"
)
UPSERT_WINDOWS = (
    "INSERT INTO price_windows SELECT * FROM staging "
    "ON CONFLICT (event_id, window_seconds, window_start, source, section, level, currency) DO UPDATE SET "
    "min_price = excluded.min_price, max_price = excluded.max_price, avg_price = excluded.avg_price, "
    "open_price = excluded.open_price, close_price = excluded.close_price, observations = excluded.observations"
)


def event_time(value: dict[str, Any], *_: object) -> int:
    """Milliseconds since 1970 at which the price was observed."""
    return int(datetime.fromisoformat(value["timestamp"]).timestamp() * 1000)


def compare(value: dict[str, Any], state: State[Any]) -> dict[str, Any]:
    """Complete a price, and add what its listing cost before."""
    total = value.get("total_price")
    if total is None:
        total = value["total_price"] = round(value["price"] + (value.get("fees") or 0), 2)
    level = value.setdefault("level", "listing")
    value.setdefault("currency", "USD")
    value.setdefault("quantity", 1)
    own = value.get("listing_id") or [value.get("section"), value.get("row"), value.get("seat")]
    listing = f"{value['source']}|{value['currency']}|{level}|{own}"
    before = state.get(listing)
    if before is not None:
        value["previous_price"], value["previous_total_price"], value["previous_timestamp"] = before
        change = value["price_change"] = round(total - before[1], 2)
        value["price_change_percent"] = round(change / before[1] * 100, 4)
    state.set(listing, [value["price"], total, value["timestamp"]])
    return value


class Places(Aggregator):
    """Low, high, sum, count, open and close of each (level, source, section, currency) of an event, and of the event."""

    def initialize(self) -> dict[str, list[float]]:
        """No prices."""
        return {}

    def agg(self, old: dict[str, list[float]], new: dict[str, Any], timestamp: int) -> dict[str, list[float]]:
        """Count in a price; an event's come in the order of the log."""
        total, level, currency = new["total_price"], new["level"], new["currency"]
        places = [f"{level}|{new['source']}|{new.get('section') or ''}|{currency}"]
        if level == "listing":
            places.append(f"listing|||{currency}")
        for place in places:
            sums = old.get(place)
            if sums is None:
                old[place] = [total, total, total, 1, total, total]
            else:
                low, high, added, count, opened, _ = sums
                old[place] = [min(low, total), max(high, total), added + total, count + 1, opened, total]
        return old

    def result(self, value: dict[str, list[float]]) -> dict[str, list[float]]:
        """As it is; the sink works out the means of those that it writes."""
        return value


class Prices(BatchingSink):
    """Every price, and every change, in one transaction a checkpoint."""

    def __init__(self, connection: psycopg.Connection[Any], stream: int) -> None:
        super().__init__()
        self._connection, self._stream = connection, stream

    def flush(self) -> None:
        """Write what all partitions have."""
        with self._connection.transaction():
            super().flush()

    def write(self, batch: SinkBatch) -> None:
        """Write what one partition has."""
        first = self._stream << 52 | batch.partition << 40
        with self._connection.cursor() as cursor:
            with cursor.copy(COPY_HISTORY) as copy:
                for item in batch:
                    copy.write_row((first | item.offset, *map(item.value.get, HISTORY), False))
            with cursor.copy(COPY_CHANGES) as copy:
                for item in batch:
                    if item.value.get("price_change"):
                        copy.write_row((first | item.offset, *map(item.value.get, CHANGES)))


class Windows(BatchingSink):
    """The newest state of each window that a checkpoint has changed."""

    def __init__(self, connection: psycopg.Connection[Any], size: int) -> None:
        super().__init__()
        self._connection, self._size = connection, size
        self._newest: dict[tuple[str, int], dict[str, list[float]]] = {}

    def add(self, value: dict[str, Any], key: str, *_: object, **__: object) -> None:
        """Keep the newest only: every price makes one."""
        self._newest[key, value["start"]] = value["places"]

    def flush(self) -> None:
        """Upsert them."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            with cursor.copy(COPY_WINDOWS) as copy:
                for (event, start), places in self._newest.items():
                    at = datetime.fromtimestamp(start / 1000, UTC)
                    for place, (low, high, added, count, opened, closed) in places.items():
                        level, source, section, currency = place.split("|")
                        mean = round(added / count, 6)
                        copy.write_row((event, source, section, level, currency, self._size // 1000, at, low, high, mean,
                                        opened, closed, count, 0, False))  # fmt: skip
            cursor.execute(UPSERT_WINDOWS)
        self._newest = {}

    def write(self, batch: SinkBatch) -> None:
        """Never called: nothing is batched by partition."""


def main() -> int:
    """Do the job until `--limit` messages are done, and say in JSON what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bootstrap", "--topic", "--processed", "--group", "--state"):
        parser.add_argument(name, required=True)
    parser.add_argument("--stream", type=int, required=True, help="the topic's number in row ids")
    parser.add_argument("--limit", type=int, required=True, help="messages to do")
    chosen = parser.parse_args()
    offsets: dict[int, int] = {}
    done, began = 0, 0.0

    def count(_: str, partition: int, offset: int) -> None:
        nonlocal done, began
        began = began or time.process_time()  # starting up does not count
        offsets[partition] = offset + 1
        done += 1
        if done >= chosen.limit:
            app.stop()
        if done % 5000 == 0:
            print(f"\r  Quix Streams: {done:,} of {chosen.limit:,}", end="", file=sys.stderr, flush=True)

    app = Application(
        chosen.bootstrap,
        consumer_group=chosen.group,
        auto_offset_reset="earliest",
        state_dir=chosen.state,
        producer_extra_config={"compression.type": "lz4", "linger.ms": 5},
        on_message_processed=count,
        loglevel="WARNING",
    )
    raw = app.topic(chosen.topic, key_deserializer="str", timestamp_extractor=event_time)
    connection = psycopg.connect(os.environ["RIVAL_DSN"], autocommit=True)
    connection.execute(STAGING)
    prices = app.dataframe(raw).apply(compare, stateful=True)
    prices.to_topic(app.topic(chosen.processed, key_serializer="str"))
    for name, size in SIZES.items():
        window = prices.tumbling_window(size, grace_ms=GRACE_MS, name=name)
        window.agg(places=Places()).current().sink(Windows(connection, size))
    prices.sink(Prices(connection, chosen.stream))
    app.run()
    print(f"\r  Quix Streams: {done:,} messages{' ' * 20}", file=sys.stderr)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"messages": done, "offsets": offsets, "cpu_seconds": time.process_time() - began,
             "peak_memory": memory * 1024}  # fmt: skip
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
