"""The market itself: events, the seats on sale for them, and what each source shows for them at each look.

Observations are made one after the other, in a fixed order that goes round the whole market; everything is drawn from
one seeded stream. So the n-th observation is a function of the seed, the start and the times of the looks up to it, and
of nothing else.

What it imitates, and where that comes from:

- Sellers cut prices as the event nears, by 40 % and more in all (A. Sweeting, "Dynamic Pricing Behavior in Perishable
  Goods Markets", Journal of Political Economy 120, 2012). Here the median event falls by about 34 % from 8-15 days
  before the show to its last two days. A third of all events does otherwise: some rise, some sell out, some jump.
- A price stands until its seller moves it. Half of all sudden lows are gone at the next look at the listing.
- Now and then a seller mistypes: a hundredth or a hundred times the price, gone at the next look or the one after.
- Seats sell and others come; some that were away come back as the same listing.
- Some seats are offered on two or three sources at once, each with its own listing, price and fees.
- Ticketmaster names no listings; SeatGeek also tells an event's lowest, average, median and highest all-in price.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from math import ceil, exp, log, sin, tau
from typing import NamedTuple

import msgspec

from connectors.market.names import ACTS, ROOMS, SHOWS, TEAMS, VENUES, Section, Venue

_SECOND = 1_000_000
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR

SOURCES = ("seatgeek", "ticketmaster", "stubhub")
_FEES = {"seatgeek": 22, "ticketmaster": 18, "stubhub": 27}  # percent
_PREFIXES = {"seatgeek": "SG", "stubhub": "SH"}  # of listing ids; the third names none
_TELLS_EVENTS = "seatgeek"

# Chances at each look at a listing, and what each hour since the last look adds to them.
_MISTAKE = 0.0001
_LOW = 0.003
_SOLD, _SOLD_AN_HOUR = 0.0005, 1 / (12 * 24)
_MOVED, _MOVED_AN_HOUR = 0.04, 0.3
# What is drawn above their sum, for the time since the last look, means that nothing happened.
_CALM = _MISTAKE + _LOW + _SOLD + _MOVED
_CALM_A_MICRO = (_SOLD_AN_HOUR + _MOVED_AN_HOUR) / _HOUR

_FLICKERS = 0.5  # of all lows
_COMES_BACK = 0.3  # of what was taken off
_LONGEST_AWAY = 12  # looks
_FOR_GOOD = 1 << 60
_CHEAPEST, _DEAREST = 5_00, 5_000_00  # cents

_ROWS, _BLOCKS = 18, 6  # of each section: rows, and places for up to four seats in a row
_GENERAL = {"arena": 0.1, "stadium": 0.1, "theatre": 0.0, "club": 0.6}  # share of listings without row and seat
_SEATED = {room: tuple(section for section in sections if not section.general) for room, sections in ROOMS.items()}

_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Mood:
    """How an event's prices move as it nears.

    Args:
        name: what kind of event it is.
        fall: share of the price that is lost by the show; negative when it rises.
        days: how long before the show that sets in: the scale of an exponential.
        rush: rise of the last days, when few tickets are left.
        jumps: (days before the show, factor from then on).
        thirst: how many times faster than usual seats sell; above 1 they are not replaced.
        tide: share by which prices go up and down within hours.
        tides: how often they do, in a day.
    """

    name: str
    fall: float
    days: float
    rush: float = 0.0
    jumps: tuple[tuple[float, float], ...] = ()
    thirst: int = 1
    tide: float = 0.0
    tides: float = 0.0

    def level(self, days: float) -> float:
        """Prices so many days before the show, against those far ahead of it."""
        level = 1 - self.fall * exp(-days / self.days) + self.rush * exp(-days / 2.5)
        for day, factor in self.jumps:
            if days < day:
                level *= factor
        return level * (1 + self.tide * sin(tau * self.tides * days))

    @classmethod
    def drawn(cls, draw: random.Random) -> Mood:
        """One of the moods, as often as it is found."""
        [name] = draw.choices(("ordinary", "rising", "selling out", "jumpy"), (64, 11, 12, 13))
        fall, days = min(max(draw.gauss(0.555, 0.07), 0.45), 0.8), draw.uniform(9, 15)
        mood = cls(name, fall, days, tide=draw.uniform(0.02, 0.08), tides=draw.uniform(4, 16))
        if name == "rising":
            return replace(mood, fall=-draw.uniform(0.2, 0.9))
        if name == "selling out":
            return replace(mood, fall=fall / 2, rush=draw.uniform(0.4, 1.2), thirst=4)
        if name == "jumpy":
            jumps = ((draw.uniform(0, 40), draw.choice((0.7, 0.8, 1.25, 1.4))) for _ in range(draw.randint(2, 5)))
            return replace(mood, jumps=tuple(jumps))
        return mood


class Place(NamedTuple):
    """A listing as its messages name it."""

    event_id: str
    source: str
    listing_id: str | None
    section: str
    row: str | None
    seat: str | None


_NOWHERE = Place("", "", None, "", None, None)


@dataclass(slots=True, eq=False)
class _Event:
    """A show. When it is over, the next one takes its place, with its seats and their listings."""

    seats: list[_Seats] = field(default_factory=list)
    id: str = ""
    key: bytes = b""
    fields: dict[str, object] = field(default_factory=dict)
    venue: Venue = VENUES[0]
    day: date = date.min
    starts: int = 0
    mood: Mood = Mood("", 0, 1)
    worth: float = 0.0  # cents, for a seat of worth 1 far ahead of the show
    rows: int = 0  # in each section
    free: deque[int] = field(default_factory=deque)  # places that nobody offers


@dataclass(slots=True, eq=False)
class _Seats:
    """Seats that are sold together, and their offers: one listing, or one on each of several sources."""

    event: _Event
    offers: list[_Listing] = field(default_factory=list)
    place: int | None = None  # none in general admission
    sold: bool = False


@dataclass(slots=True, eq=False)
class _Listing:
    """An offer of some seats on one source. Money is in cents."""

    seats: _Seats
    name: Place = _NOWHERE
    key: bytes = b""
    fixed: bytes = b""  # its message up to the price
    said: bytes = b""  # its message up to the time
    worth: float = 0.0  # what its seller would ask far ahead of the show
    drift: float = 0.0  # how far its seller is from what the mood says: a logarithm
    asked: int = 0
    shown: int = 0  # what was asked, but for slips
    looked: int = 0
    settled: bool = False  # it was seen, is there, and shows what is asked
    stands: int = 0  # looks for which a slip will still stand
    away: int = 0  # looks until it is back


class Market:
    """A market of events with seats on three sources, all of it drawn from `seed`. It goes on for ever.

    Args:
        seed: everything follows from it.
        start: event time at the start, with an offset.
        events: how many there are at any time; when one is over, another is announced.
        listings: how many there are in all, more or less; each event has at least one.
    """

    def __init__(self, seed: int, start: datetime, events: int = 300, listings: int = 30_000) -> None:
        self.start = _micros(start)
        self._random = random.Random(seed)
        self._spoiler = random.Random(f"{seed}, spoiled")  # a stream of its own: broken messages change no others
        self._announced, self._listed = 0, 100_000
        self._booked: set[tuple[Venue, date]] = set()
        self._events: list[_Event] = []
        sizes = [self._random.lognormvariate(0, 0.5) for _ in range(events)]
        for size in sizes:
            event = _Event()
            left = max(1, round(listings * size / sum(sizes)))
            while left:
                seats = _Seats(event)
                offers = min(left, *self._random.choices((1, 2, 3), (66, 22, 12)))
                seats.offers = [_Listing(seats) for _ in range(offers)]
                event.seats.append(seats)
                left -= offers
            self._announce(event, self.start, self._random.randint(1, 90))
            self._events.append(event)
        self._over = min(event.starts for event in self._events)
        self._round: list[_Listing | _Event] = [
            *self._events,
            *(o for e in self._events for s in e.seats for o in s.offers),
        ]
        self._random.shuffle(self._round)
        self._next = 0

    @property
    def size(self) -> int:
        """Looks that go once round the market: one at each listing, and one at each event as a whole."""
        return len(self._round)

    def observe(self, times: Iterable[int], poison: float = 0.0) -> Iterator[tuple[bytes, bytes]]:
        """Look at one listing after the other, once for each of `times`.

        Args:
            times: microseconds since 1970 in UTC; none before its predecessor.
            poison: share of messages that are broken on purpose, see `spoil`.

        Yields:
            (key, value) of a message: the event, and a price event as JSON.
        """
        around, luck = self._round, self._random.random
        second, clock = -1, b""
        for now in times:
            if now >= self._over:
                self._go_on(now)
            said = None
            while said is None:  # what is sold, or away, is not observed
                one = around[self._next]
                self._next = (self._next + 1) % len(around)
                if isinstance(one, _Event):
                    said = self._tell(one)
                elif one.settled:
                    since, chance = now - one.looked, luck()
                    one.looked = now
                    said = one.said if chance > _CALM + since * _CALM_A_MICRO else self._happen(one, now, since, chance)
                else:
                    said = self._settle(one, now)
            if now // _SECOND != second:
                second = now // _SECOND
                clock = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
            value = b'%b%b.%06dZ"}' % (said, clock, now % _SECOND)
            if poison and self._spoiler.random() < poison:
                value = self.spoil(value)
            yield one.key, value

    def spoil(self, value: bytes) -> bytes:
        """A message as broken sources send them: bad JSON, a missing price, a price of zero, or far too much."""
        kind = self._spoiler.randrange(4)
        if kind == 0:
            return value[:-7]
        event = msgspec.json.decode(value)
        if kind == 1:
            return _json({name: value for name, value in event.items() if name != "price"})
        return _json({**event, "price": 0 if kind == 2 else 99_000_000, "fees": None, "total_price": None})

    def same_seats(self) -> list[tuple[Place, ...]]:
        """The truth that no message tells: the listings, now on sale, that offer the same seats on several sources."""
        groups = (tuple(o.name for o in s.offers if not o.away) for e in self._events for s in e.seats)
        return [group for group in groups if len(group) > 1]

    def describe(self) -> str:
        """What is on sale now, in a few lines for people."""
        offers = [o for e in self._events for s in e.seats for o in s.offers if not o.away]
        moods = Counter(event.mood.name for event in self._events)
        sources = Counter(offer.name.source for offer in offers)
        currencies = Counter(offer.seats.event.venue.currency for offer in offers)
        prices = sorted(offer.asked for offer in offers)
        days = sorted(event.day for event in self._events)
        venues = {event.venue for event in self._events}
        return "\n".join(
            (
                f"{len(self._events):,} events from {days[0]} to {days[-1]}: {_listed(moods)}",
                f"{len(venues)} venues in {len({venue.city for venue in venues})} cities",
                f"{len(offers):,} listings: {_listed(sources)}; {_listed(currencies)}",
                f"{len(self.same_seats()):,} times the same seats on several sources",
                f"{sum(o.name.listing_id is None for o in offers):,} listings without an id of the source's own, "
                f"{sum(o.name.row is None for o in offers):,} in general admission",
                f"prices before fees from {prices[0] / 100:,.2f} to {prices[-1] / 100:,.2f}, "
                f"median {prices[len(prices) // 2] / 100:,.2f}",
                "fees: " + ", ".join(f"{source} {percent} %" for source, percent in _FEES.items()),
            )
        )

    def _announce(self, event: _Event, now: int, days: int) -> None:
        """Begin the show that takes the place of `event`, so many days ahead."""
        draw = self._random
        self._booked.discard((event.venue, event.day))
        event.venue = venue = draw.choice(VENUES)
        name, clock = draw.choice(ACTS), draw.choice((time(19), time(19, 30), time(20)))
        if venue.name in TEAMS and draw.random() < 0.55:
            home = TEAMS[venue.name]
            visitor = draw.choice([team for team in TEAMS.values() if team != home])
            name, clock = f"{visitor} at {home}", draw.choice((time(13, 5), time(19, 5), time(19, 35)))
        elif venue.room == "theatre" and draw.random() < 0.7:
            name = draw.choice(SHOWS)
        event.day = datetime.fromtimestamp(now // _SECOND, UTC).date() + timedelta(days)
        while (venue, event.day) in self._booked:
            event.day += timedelta(1)
        self._booked.add((venue, event.day))
        starts = datetime.combine(event.day, clock, timezone(timedelta(hours=venue.offset)))
        event.starts = _micros(starts)
        event.id = f"mock_{self._announced:04d}"
        event.key = event.id.encode()
        self._announced += 1
        event.fields = {
            "event_id": event.id,
            "event_name": name,
            "venue": venue.name,
            "city": venue.city,
            "state": venue.state,
            "event_date": starts.isoformat(),
            "currency": venue.currency,
        }
        event.mood = Mood.drawn(draw)
        event.worth = 100 * draw.lognormvariate(4.4, 0.5)
        places = len(_seated(venue)) * _BLOCKS
        event.rows = max(_ROWS, ceil(2 * len(event.seats) / places))
        event.free = deque(draw.sample(range(places * event.rows), 2 * len(event.seats)))
        for seats in event.seats:
            seats.place = None
            self._offer(seats, now)

    def _go_on(self, now: int) -> None:
        """Where a show is over, announce another."""
        for event in self._events:
            if event.starts <= now:
                self._announce(event, now, self._random.randint(30, 120))
        self._over = min(event.starts for event in self._events)

    def _offer(self, seats: _Seats, now: int) -> None:
        """Put other seats on sale in the place of these, on as many sources."""
        draw, event, venue = self._random, seats.event, seats.event.venue
        sources = draw.sample(SOURCES, len(seats.offers))
        if seats.place is not None:
            event.free.append(seats.place)
        seats.place, quantity = None, draw.choice((1, 2, 2, 2, 3, 4, 4))
        general = [section for section in ROOMS[venue.room] if section.general]
        # Without row and seat, only an id of its own tells a listing from the others of its section.
        if general and sources[0] in _PREFIXES and len(sources) == 1 and draw.random() < _GENERAL[venue.room]:
            section, row, seat, worth = general[0], None, None, general[0].worth
        else:
            seats.place = event.free.popleft()
            number, place = divmod(seats.place, len(_seated(venue)) * _BLOCKS)
            section, first = _seated(venue)[place // _BLOCKS], place % _BLOCKS * 4 + 1
            row, seat = _letters(number), f"{first}-{first + quantity - 1}" if quantity > 1 else f"{first}"
            worth = section.worth * (1.2 - 0.4 * number / event.rows)
        worth *= event.worth * draw.lognormvariate(0, 0.12)
        for listing, source in zip(seats.offers, sources, strict=True):
            self._listed += 1
            own = source in _PREFIXES
            identity = f"{_PREFIXES[source]}-{self._listed}" if own else None
            page = f"listing/{self._listed}" if own else f"event/{event.id}"
            listing.name = Place(event.id, source, identity, section.name, row, seat)
            listing.key = event.key
            fields = {
                **event.fields,
                "source": source,
                "section": section.name,
                "row": row,
                "seat": seat,
                "quantity": quantity,
                "listing_id": identity,
                "listing_url": f"https://{source}.example/{page}",
            }
            listing.fixed = _json(fields)[:-1]
            listing.worth, listing.drift = worth * draw.lognormvariate(0, 0.05), draw.gauss(0, 0.05)
            listing.looked, listing.settled, listing.stands, listing.away = now, False, 0, 0
            self._ask(listing, now)

    def _ask(self, listing: _Listing, now: int) -> None:
        """Have the seller set the price."""
        event = listing.seats.event
        cents = listing.worth * exp(listing.drift) * event.mood.level((event.starts - now) / _DAY)
        listing.asked = round(min(max(cents, _CHEAPEST), _DEAREST))
        self._show(listing, listing.asked)

    def _show(self, listing: _Listing, cents: int) -> None:
        listing.shown = cents
        fees = _fees(listing.name.source, cents)
        listing.said = b'%b,"price":%d.%02d,"fees":%d.%02d,"total_price":%d.%02d,"timestamp":"' % (
            listing.fixed, *divmod(cents, 100), *divmod(fees, 100), *divmod(cents + fees, 100),
        )  # fmt: skip

    def _settle(self, listing: _Listing, now: int) -> bytes | None:
        """The look at a listing that is new, away, back, or shows a slip."""
        if listing.away:
            listing.away -= 1
            if listing.away:
                return None
            if listing.seats.sold:
                self._offer(listing.seats, now)
        elif listing.stands:
            listing.stands -= 1
            return listing.said
        if listing.shown != listing.asked:
            self._show(listing, listing.asked)
        listing.settled = True
        return listing.said

    def _happen(self, listing: _Listing, now: int, since: int, chance: float) -> bytes | None:
        """The look at a listing to which something happened in the `since` microseconds since the last one."""
        draw, hours = self._random, since / _HOUR
        if chance < _MISTAKE:
            self._show(listing, listing.asked * 100 if draw.random() < 0.5 else listing.asked // 100)
            listing.settled, listing.stands = False, draw.randrange(2)
        elif chance < _MISTAKE + _LOW:
            rest = 1 - draw.uniform(0.1, 0.45)
            if draw.random() < _FLICKERS:
                self._show(listing, round(listing.asked * rest))
                listing.settled = False
            else:
                listing.drift += log(rest)
                listing.asked = round(max(listing.asked * rest, _CHEAPEST))
                self._show(listing, listing.asked)
        elif chance < _MISTAKE + _LOW + (_SOLD + _SOLD_AN_HOUR * hours) * listing.seats.event.mood.thirst:
            if self._sell(listing.seats):
                return None
        else:
            listing.drift = listing.drift * 0.97 + draw.gauss(0, 0.015)
            self._ask(listing, now)
        return listing.said

    def _sell(self, seats: _Seats) -> bool:
        """Take seats off all sources for a while, in the end to come back or to be followed by others.

        At an event that sells out none follow; but a few seats are left at every event, and are not sold.
        """
        event = seats.event
        seats.sold, away = self._random.random() >= _COMES_BACK, self._random.randint(1, _LONGEST_AWAY)
        if seats.sold and event.mood.thirst > 1:
            left = sum(other.offers[0].away <= _LONGEST_AWAY for other in event.seats)
            if left <= 1 + len(event.seats) // 10:
                return False
            away = _FOR_GOOD
        for listing in seats.offers:
            listing.settled, listing.away = False, away
        return True

    def _tell(self, event: _Event) -> bytes | None:
        """The look at an event as a whole: all-in prices of one source's listings, in whole units as it gives them."""
        totals = sorted(
            max(1, (o.shown + _fees(o.name.source, o.shown) + 50) // 100)
            for seats in event.seats
            for o in seats.offers
            if o.name.source == _TELLS_EVENTS and not o.away
        )
        if not totals:
            return None
        fields = {
            **event.fields,
            "source": _TELLS_EVENTS,
            "level": "event",
            "price": totals[0],
            "average_price": round(sum(totals) / len(totals)),
            "median_price": totals[len(totals) // 2],
            "highest_price": totals[-1],
            "listing_count": len(totals),
            "listing_url": f"https://{_TELLS_EVENTS}.example/event/{event.id}",
        }
        return _json(fields)[:-1] + b',"timestamp":"'


def _fees(source: str, cents: int) -> int:
    return (cents * _FEES[source] + 50) // 100


def _seated(venue: Venue) -> tuple[Section, ...]:
    return _SEATED[venue.room]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


def _letters(number: int) -> str:
    """Rows as they are lettered: A to Z, AA to ZZ, …"""
    return (_letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
