"""A mock market: ticket prices that move as on the resale sites, published to `raw_prices` keyed by event.

    python -m connectors.market --rate 200 --seed 7

Seeded: the same seed and start time give the same events. Some prices flicker, some sellers mistype, some tickets sell
and come back; a few messages are broken on purpose (`--poison`), so that dead letters and quarantine have something to
show.

**Delivery**: at least once (an idempotent producer, acknowledged by all replicas).
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaError, KafkaException, Producer

import settings as configuration
from connectors import topics

_ARTISTS = (
    "The Paper Lanterns", "Nora Vale", "Midnight Ferry", "Copper & Rye", "Sunday Static", "Glass Harbour",
    "The Long Division", "Ada Okonjo Trio", "Velvet Antlers", "Northbound", "Mariana Trench Choir", "Low Tide Radio",
    "City Hawks v Rovers", "Royals v Mariners", "Hamlet", "The Winter's Tale", "Cirque Lumière", "Laugh Track Live",
)  # fmt: skip
_VENUES = (
    ("Grand Hall", "Chicago", "IL"), ("Riverside Arena", "Portland", "OR"), ("The Foundry", "Brooklyn", "NY"),
    ("Lakeview Bowl", "Madison", "WI"), ("Palace Theatre", "Boston", "MA"), ("Harbor Stage", "Seattle", "WA"),
    ("Union Field", "Denver", "CO"), ("The Orchard", "Austin", "TX"),
)  # fmt: skip
_SECTIONS = (("Floor", 2.4), ("101", 1.7), ("102", 1.6), ("114", 1.5), ("201", 1.0), ("215", 0.9), ("GA", 0.75))
_MOVES_A_MINUTE = 0.4
_FEES = {"seatgeek": 0.22, "ticketmaster": 0.18, "stubhub": 0.27}


@dataclass
class _Listing:
    number: int
    source: str
    section: str
    row: str
    seat: str | None
    quantity: int
    price: float
    restore: float | None = None


@dataclass
class _Event:
    event_id: str
    name: str
    venue: str
    city: str
    state: str
    date: datetime
    mood: float
    listings: list[_Listing]


class Market:
    """A market of `events` events with about `listings` listings, all drawn from `seed`.

    Args:
        seed: everything follows from it.
        now: event time at the start.
    """

    def __init__(self, seed: int, now: datetime, events: int = 24, listings: int = 1500) -> None:
        self._random = random.Random(seed)
        self._events = [self._event(i, now, max(1, listings // events)) for i in range(events)]

    def _event(self, number: int, now: datetime, listings: int) -> _Event:
        draw = self._random
        venue, city, state = draw.choice(_VENUES)
        date = (now + timedelta(days=draw.randint(1, 90))).replace(
            hour=draw.choice((19, 20)), minute=0, second=0, microsecond=0
        )
        base = draw.lognormvariate(4.4, 0.5)
        event = _Event(
            f"mock_{number:04d}", _ARTISTS[number % len(_ARTISTS)], venue, city, state, date,
            draw.choice((-0.004, -0.003, -0.002, -0.002, 0.001, 0.003)), [],
        )  # fmt: skip
        for index in range(listings):
            section, factor = draw.choice(_SECTIONS)
            first = draw.randint(1, 24)
            quantity = draw.choice((1, 2, 2, 2, 4))
            event.listings.append(
                _Listing(
                    number * 100_000 + index,
                    draw.choice(tuple(_FEES)),
                    section,
                    "" if section == "GA" else "ABCDEFGHJK"[draw.randint(0, 9)],
                    None if section == "GA" else f"{first}-{first + quantity - 1}" if quantity > 1 else f"{first}",
                    quantity,
                    max(8.0, base * factor * draw.lognormvariate(0, 0.25)),
                )
            )
        return event

    def opening(self, now: datetime) -> Iterator[dict[str, object]]:
        """One observation of every listing."""
        for event in self._events:
            for listing in event.listings:
                yield self._observe(event, listing, now)

    def history(self, start: datetime, until: datetime) -> Iterator[dict[str, object]]:
        """Every listing once a minute of event time from `start` to `until`, as pollers see them."""
        pairs = [(event, listing) for event in self._events for listing in event.listings]
        self._random.shuffle(pairs)
        for minute in range(int((until - start).total_seconds() // 60)):
            for place, (event, listing) in enumerate(pairs):
                if self._random.random() < _MOVES_A_MINUTE:
                    self._move(event, listing)
                yield self._observe(event, listing, start + timedelta(minutes=minute + place / len(pairs)))

    def tick(self, now: datetime) -> dict[str, object]:
        """The next observation: some listing, looked at again."""
        draw = self._random
        event = draw.choice(self._events)
        listing = draw.choice(event.listings)
        self._move(event, listing)
        return self._observe(event, listing, now)

    def _move(self, event: _Event, listing: _Listing) -> None:
        draw = self._random
        if listing.restore is not None:
            listing.price, listing.restore = listing.restore, None  # half of all sudden lows are gone at the next look
        elif (luck := draw.random()) < 0.45:
            listing.price *= 1 + draw.gauss(event.mood, 0.012)
        elif luck < 0.47:
            listing.price *= draw.uniform(0.78, 0.94)
        elif luck < 0.48:
            listing.restore = listing.price
            listing.price *= draw.uniform(0.6, 0.9)
        listing.price = min(max(listing.price, 5.0), 5000.0)

    def _observe(self, event: _Event, listing: _Listing, now: datetime) -> dict[str, object]:
        price = round(listing.price, 2)
        fees = round(price * _FEES[listing.source], 2)
        return {
            "event_id": event.event_id,
            "event_name": event.name,
            "venue": event.venue,
            "city": event.city,
            "state": event.state,
            "event_date": event.date.isoformat(),
            "source": listing.source,
            "section": listing.section,
            "row": listing.row or None,
            "seat": listing.seat,
            "price": price,
            "fees": fees,
            "total_price": round(price + fees, 2),
            "currency": "USD",
            "quantity": listing.quantity,
            "listing_id": f"{listing.source[:2].upper()}{listing.number}",
            "listing_url": f"https://{listing.source}.example/listing/{listing.number}",
            "timestamp": now.isoformat(timespec="microseconds"),
        }

    def spoil(self, event: dict[str, object]) -> bytes:
        """A message as broken sources send them: bad JSON, a missing price, a price of zero, or far too much."""
        kind = self._random.randrange(4)
        if kind == 0:
            return json.dumps(event).encode()[:-7]
        if kind == 1:
            return json.dumps({k: v for k, v in event.items() if k != "price"}).encode()
        wrong = 0 if kind == 2 else 99_000_000
        return json.dumps({**event, "price": wrong, "fees": None, "total_price": None}).encode()


def publish(
    market: Market,
    producer: Producer,
    topic: str,
    rate: float,
    poison: float,
    stop: list[bool],
    *,
    limit: int | None = None,
    history: timedelta = timedelta(0),
) -> int:
    """Publish the opening and then `rate` observations a second until `stop` holds True or `limit` is reached.

    With `history`, so much of the past comes first, every listing once a minute, in place of the opening.

    Returns how many messages the brokers acknowledged.

    Raises:
        KafkaException: a message could not be delivered.
    """
    sent, errors = 0, []
    dice = random.Random(0)

    def report(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            errors.append(error)

    def send(event: dict[str, object]) -> None:
        nonlocal sent
        body = market.spoil(event) if dice.random() < poison else json.dumps(event).encode()
        while True:
            try:
                producer.produce(topic, body, str(event["event_id"]), on_delivery=report)
                break
            except BufferError:
                producer.poll(0.1)
        sent += 1
        producer.poll(0)

    now = datetime.now(UTC)
    for event in market.history(now - history, now) if history else market.opening(now):
        send(event)
    opened, began = sent, time.monotonic()
    while not stop and not errors and (limit is None or sent < limit):
        due = int((time.monotonic() - began) * rate)
        for _ in range(min(due - (sent - opened), 1000, (limit or sent + 1000) - sent)):
            send(market.tick(datetime.now(UTC)))
        time.sleep(0.02)
    left = producer.flush(30)
    if errors:
        raise KafkaException(errors[0])
    if left:
        raise TimeoutError(f"{left} of {sent} messages were not acknowledged within 30 s")
    return sent


def main() -> int:
    """Run the market until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m connectors.market", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rate", type=float, default=100.0, help="observations a second (default 100)")
    parser.add_argument("--seed", type=int, default=1, help="everything is drawn from it (default 1)")
    parser.add_argument("--events", type=int, default=24, help="number of events (default 24)")
    parser.add_argument("--listings", type=int, default=1500, help="number of listings in all (default 1500)")
    parser.add_argument("--poison", type=float, default=0.001, help="share of broken messages (default 0.001)")
    parser.add_argument("--history", type=float, default=0.0, help="minutes of market that went before (default none)")
    chosen = parser.parse_args()
    history = timedelta(minutes=chosen.history)
    stop: list[bool] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    settings = configuration.load()
    producer = Producer(
        {**settings.kafka_client, "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"}
    )
    market = Market(chosen.seed, datetime.now(UTC) - history, chosen.events, chosen.listings)
    try:
        sent = publish(
            market, producer, settings.topic(topics.RAW_PRICES), chosen.rate, chosen.poison, stop, history=history
        )
    except (KafkaException, TimeoutError) as error:
        print(f"market: {error}", file=sys.stderr)
        return 1
    print(f"market: {sent} messages published")
    return 0


if __name__ == "__main__":
    sys.exit(main())
