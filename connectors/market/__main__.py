"""A mock market: ticket prices that move as on the resale sites, published to `raw_prices` keyed by event.

**Delivery**: at least once (an idempotent producer, acknowledged by all replicas).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite, isinf

from confluent_kafka import KafkaException, Producer

import settings as configuration
from connectors import topics
from connectors.market.model import Market
from connectors.market.publish import publish

_MINUTES_WITH_SPEED = 30 * 24 * 60.0

_DESCRIPTION = """\
A mock market: ticket prices that move as on the resale sites, published to the topic raw_prices, keyed by event.
Seeded: the same seed, start, rate and speed give the same bytes, in the same order."""

_EXAMPLES = """\
examples:
  python -m connectors.market                                  the present, 100 prices a second
  python -m connectors.market --describe                       what is in it; needs no Kafka
  python -m connectors.market --history 45 --listings 720      the last 45 minutes at once, then the present
  python -m connectors.market --speed 3600 --rate 2000         the last 30 days, an hour in a second
  python -m connectors.market --rate 200000 --limit 5000000    a load

A price may not be observed in the future, so a market that runs faster than the clock begins in the past (--history) and,
when it has caught up, goes on in real time and says so. Each listing is looked at in turn: the more listings, or the
lower the rate, the longer between two looks (--describe says how long).
"""


def main() -> int:
    """Run the market until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m connectors.market", description=_DESCRIPTION, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add(
        "--rate",
        type=_number(0.001),
        default=100.0,
        metavar="N",
        help="prices a second, up to what is possible (default 100)",
    )
    add("--seed", type=int, default=1, metavar="N", help="everything is drawn from it (default 1)")
    add("--events", type=_number(1, kind=int), default=300, metavar="N", help="events at any time (default 300)")
    add(
        "--listings",
        type=_number(1, kind=int),
        default=30_000,
        metavar="N",
        help="listings in all, about (default 30,000)",
    )
    add(
        "--poison",
        type=_number(0, 1),
        default=0.001,
        metavar="SHARE",
        help="of messages broken on purpose (default 0.001)",
    )
    add(
        "--history", type=_number(0), metavar="MINUTES",
        help="begin so long ago; without --speed the past comes at once, every listing once a minute "
        "(default: no past, with --speed 30 days)",
    )  # fmt: skip
    add(
        "--speed", type=_number(1), metavar="FACTOR",
        help="play the past so many times as fast as the clock; 3600 is an hour in a second",
    )  # fmt: skip
    add("--limit", type=_number(1, kind=int), metavar="N", help="end after N messages")
    add("--describe", action="store_true", help="say what the market consists of, and end")
    chosen = parser.parse_args()
    fast = chosen.speed is not None and chosen.speed > 1
    history = timedelta(minutes=chosen.history if chosen.history is not None else fast * _MINUTES_WITH_SPEED)
    market = Market(chosen.seed, datetime.now(UTC) - history, chosen.events, chosen.listings)
    if chosen.describe:
        between = market.size / chosen.rate * (chosen.speed or 1) / 60
        print(
            f"{market.describe()}\nat {chosen.rate:g} prices a second, {between:,.1f} minutes between looks at a listing"
        )
        return 0
    stop: list[bool] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    settings = configuration.load()
    producer = Producer(
        {
            **settings.kafka_client, "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4",
            "delivery.report.only.error": True,
        }
    )  # fmt: skip
    topic = settings.topic(topics.RAW_PRICES)
    try:
        sent = publish(
            market, producer, topic, chosen.rate, chosen.poison, stop,
            limit=chosen.limit, history=history, speed=chosen.speed,
        )  # fmt: skip
    except (KafkaException, TimeoutError) as error:
        print(f"market: {error}", file=sys.stderr)
        return 1
    print(f"market: {sent} messages published")
    return 0


def _number(least: float, most: float = float("inf"), kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """A reader of a number from `least` to `most`."""

    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most or isinf(value):
            raise argparse.ArgumentTypeError(
                f"{text} is not from {least:g} {f'to {most:g}' if isfinite(most) else 'on'}"
            )
        return value

    return read


if __name__ == "__main__":
    sys.exit(main())
