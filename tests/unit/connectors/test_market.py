"""The mock market: the same for the same seed, within the contract, and with the habits of a real one."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from statistics import mean, median
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import quality
from analytics.decode import decode_values
from connectors.market import Market, Place
from connectors.market.model import SOURCES, Mood

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR

Observed = dict[str, Any]


def times(market: Market, step: int, looks: int) -> range:
    return range(market.start, market.start + step * looks, step)


def observed(market: Market, moments: Iterable[int]) -> Iterator[Observed]:
    return (msgspec.json.decode(value) for _, value in market.observe(moments))


def rounds(market: Market, number: int, between: int) -> Iterator[list[Observed]]:
    """So many times round the market, `between` microseconds apart."""
    for lap in range(number):
        yield list(observed(market, [market.start + lap * between] * market.size))


def place(one: Observed) -> Place:
    return Place(*(one[name] for name in Place._fields))


def listings(told: Iterable[Observed]) -> list[Observed]:
    return [one for one in told if "level" not in one]


def looks_at_each(told: Iterable[Observed]) -> list[list[float]]:
    """The prices of each listing, look by look."""
    prices: dict[Place, list[float]] = defaultdict(list)
    for one in listings(told):
        prices[place(one)].append(one["price"])
    return list(prices.values())


# The same for the same seed


@given(seed=st.integers(0, 5), step=st.sampled_from((1, 50_000, HOUR)), cuts=st.lists(st.integers(0, 90), max_size=12))
def test_batches_of_whatever_size_give_the_same_bytes(seed: int, step: int, cuts: list[int]) -> None:
    one, other = (Market(seed, NOW, events=3, listings=20) for _ in range(2))
    moments = times(one, step, sum(cuts))
    batched = []
    for cut in cuts:
        batched += one.observe(moments[len(batched) : len(batched) + cut], poison=0.1)
    assert batched == list(other.observe(moments, poison=0.1))


def test_another_process_gives_the_same_bytes() -> None:
    """Whatever its hash seed: no order of a set or of a hash plays a part."""
    digest = (
        "import hashlib; from datetime import *; from connectors.market import Market; "
        "m = Market(7, datetime(2026, 11, 23, 12, tzinfo=UTC), 5, 60); "
        "print(hashlib.sha256(b''.join(v for _, v in m.observe(range(m.start, m.start + 10**9, 10**6), 0.05))).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", digest], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )  # fmt: skip
    market = Market(7, NOW, 5, 60)
    values = b"".join(value for _, value in market.observe(times(market, SECOND, 1000), 0.05))
    assert done.stdout.strip() == hashlib.sha256(values).hexdigest()


def test_another_seed_gives_another_market() -> None:
    one, other = (observed(Market(seed, NOW, 6, 60), [0] * 60) for seed in (7, 8))
    assert [told["price"] for told in one] != [told["price"] for told in other]


def test_broken_messages_change_no_others() -> None:
    good, some_bad = (
        list(market.observe(times(market, SECOND, 500), poison))
        for market, poison in ((Market(3, NOW, 4, 40), 0.0), (Market(3, NOW, 4, 40), 0.2))
    )
    same = sum(one == other for one, other in zip(good, some_bad, strict=True))
    assert 350 < same < 450
    assert [key for key, _ in good] == [key for key, _ in some_bad]


# What it consists of


class Opening(NamedTuple):
    market: Market
    same_seats: list[tuple[Place, ...]]
    description: str
    told: list[Observed]


@pytest.fixture(scope="module")
def opening() -> Opening:
    """A market of the usual size: what it says of itself, and one look at everything."""
    market = Market(1, NOW)
    return Opening(market, market.same_seats(), market.describe(), list(observed(market, [market.start] * market.size)))


def test_hundreds_of_events_and_tens_of_thousands_of_listings_are_each_seen_once(
    opening: Opening,
) -> None:
    told = opening.told
    seen = Counter(place(one) for one in listings(told))
    assert set(seen.values()) == {1}
    assert 29_500 < len(seen) < 30_500
    assert len({one["event_id"] for one in told}) == 300
    shares = Counter(one["source"] for one in listings(told))
    assert set(shares) == set(SOURCES)
    assert min(shares.values()) > 9000
    assert len(told) - len(listings(told)) == 300, "one look at each event as a whole"


def test_every_observation_keeps_the_contract_and_is_plausible(opening: Opening) -> None:
    market = opening.market
    decoded = decode_values([value for _, value in market.observe(times(market, 30_000, 20_000))])
    assert decoded.rejects == []
    plausible, held = quality.split(decoded.rows)
    assert (plausible.height, held.height) == (20_000, 0)
    assert plausible["event_date"].null_count() == 0
    assert (plausible["event_date"] > plausible["timestamp"]).all(), "tickets for a show that is over"
    listed = plausible.filter(plausible["level"] == "listing")
    assert (listed["total_price"] == listed["price"] + listed["fees"]).all()
    assert (listed["quantity"].min(), listed["quantity"].max()) == (1, 4)


def test_each_source_has_its_own_fees(opening: Opening) -> None:
    rates = defaultdict(list)
    for one in listings(opening.told):
        rates[one["source"]].append(one["fees"] / one["price"])
    assert {source: round(mean(rate), 3) for source, rate in rates.items()} == {
        "seatgeek": 0.22, "ticketmaster": 0.18, "stubhub": 0.27,
    }  # fmt: skip


def test_the_same_seats_are_those_that_share_event_section_row_and_seats(
    opening: Opening,
) -> None:
    told = opening.told
    found = defaultdict(list)
    for one in listings(told):
        if one["row"] is not None:
            found[one["event_id"], one["section"], one["row"], one["seat"]].append(one)
    several = [group for group in found.values() if len(group) > 1]
    assert {frozenset(map(place, group)) for group in several} == {frozenset(group) for group in opening.same_seats}
    assert 4000 < len(several) < 10_000
    assert {len(group) for group in several} == {2, 3}
    assert all(len({one["source"] for one in group}) == len(group) for group in several), "twice on one source"
    assert sum(len({one["price"] for one in group}) > 1 for group in several) > 0.95 * len(several)


def test_no_two_groups_of_seats_overlap(opening: Opening) -> None:
    taken: dict[tuple[str, ...], str] = {}
    for one in listings(opening.told):
        if one["seat"] is None:
            continue
        first, _, last = one["seat"].partition("-")
        assert int(last or first) - int(first) + 1 == one["quantity"]
        for seat in range(int(first), int(last or first) + 1):
            where = (one["event_id"], one["section"], one["row"], str(seat))
            assert taken.setdefault(where, one["seat"]) == one["seat"]


def test_some_listings_have_no_id_and_some_no_seats_but_none_has_neither(
    opening: Opening,
) -> None:
    told = listings(opening.told)
    assert {one["source"] for one in told if one["listing_id"] is None} == {"ticketmaster"}
    assert all(one["listing_id"] is None for one in told if one["source"] == "ticketmaster")
    general = [one for one in told if one["row"] is None]
    assert 500 < len(general) < 5000
    assert all(one["seat"] is None and one["listing_id"] is not None for one in general)


def test_what_is_sold_in_canada_costs_canadian_dollars(opening: Opening) -> None:
    by_city = {(one["city"], one["currency"]) for one in opening.told}
    assert {city for city, currency in by_city if currency == "CAD"} == {"Toronto", "Montréal", "Vancouver"}
    assert {currency for _, currency in by_city} == {"USD", "CAD"}
    assert len(by_city) == len({city for city, _ in by_city})


def test_an_event_as_a_whole_is_told_in_the_all_in_prices_of_its_listings(
    opening: Opening,
) -> None:
    whole = [one for one in opening.told if "level" in one]
    totals = defaultdict(list)
    for one in listings(opening.told):
        totals[one["event_id"], one["source"]].append(one["total_price"])
    assert {(one["source"], one["level"]) for one in whole} == {("seatgeek", "event")}
    for one in whole:
        prices = totals[one["event_id"], "seatgeek"]
        assert one["listing_count"] == len(prices)
        assert one["price"] == pytest.approx(min(prices), abs=0.51)
        assert one["highest_price"] == pytest.approx(max(prices), abs=0.51)
        assert one["average_price"] == pytest.approx(mean(prices), abs=1.01)
        assert sorted(prices)[len(prices) // 2] == pytest.approx(one["median_price"], abs=0.51)


def test_a_house_has_one_show_a_day(opening: Opening) -> None:
    shows = {(one["event_id"], one["venue"], one["event_date"][:10]) for one in opening.told}
    assert len({show[1:] for show in shows}) == 300


def test_a_small_market_has_at_least_a_listing_for_each_event() -> None:
    market = Market(2, NOW, events=5, listings=1)
    assert len({one["event_id"] for one in observed(market, [market.start] * 10)}) == 5


def test_many_listings_of_one_event_find_room() -> None:
    market = Market(2, NOW, events=1, listings=4000)
    [told] = rounds(market, 1, 0)
    assert len({place(one) for one in listings(told)}) == 4000


def test_the_description_counts_what_is_there(opening: Opening) -> None:
    said = opening.description
    counts = Counter(one["source"] for one in listings(opening.told))
    assert said.startswith("300 events from 2026-11-24 to 2027-02-")
    assert all(f"{count:,} {source}" in said for source, count in counts.items())
    assert all(mood in said for mood in ("ordinary", "rising", "selling out", "jumpy"))


# How prices move


def level(mood: Mood, first: int, last: int) -> float:
    """The mean level between so many days before the show."""
    return mean(mood.level(first + (last - first) * part / 30) for part in range(31))


def fall(mood: Mood) -> float:
    """The change from 8-15 days before the show to its last two days."""
    return level(mood, 0, 2) / level(mood, 8, 15) - 1


@pytest.mark.parametrize("seed", range(5))
def test_the_median_event_falls_by_34_percent_into_its_last_days(seed: int) -> None:
    draw = random.Random(seed)
    moods = [Mood.drawn(draw) for _ in range(600)]
    assert median(map(fall, moods)) == pytest.approx(-0.34, abs=0.03)
    names = Counter(mood.name for mood in moods)
    assert set(names) == {"ordinary", "rising", "selling out", "jumpy"}
    assert 0.55 < names["ordinary"] / 600 < 0.75
    lives = [level(mood, 0, 1) / level(mood, 60, 90) for mood in moods if mood.name == "ordinary"]
    assert max(lives) < 0.62
    assert median(lives) < 0.55, "40 % and more over the life"
    assert all(fall(mood) > 0.05 for mood in moods if mood.name == "rising")


def test_so_does_the_median_listing_that_is_observed() -> None:
    market = Market(4, NOW, events=400, listings=1600)
    early, late = defaultdict(list), defaultdict(list)
    for lap in rounds(market, 22, 2 * DAY):
        for one in listings(lap):
            days = (datetime.fromisoformat(one["event_date"]) - datetime.fromisoformat(one["timestamp"])).days
            if 8 <= days < 15 or days < 2:
                (early if days >= 8 else late)[place(one)].append(one["price"])
    both = early.keys() & late.keys()
    assert len(both) > 100
    assert median(mean(late[one]) / mean(early[one]) - 1 for one in both) == pytest.approx(-0.34, abs=0.05)


def test_an_event_that_sells_out_rises_at_last_and_keeps_a_few_seats(monkeypatch: pytest.MonkeyPatch) -> None:
    mood = Mood("selling out", 0.25, 12, rush=0.8, thirst=4)
    assert mood.level(0.5) > mood.level(8) * 1.2
    monkeypatch.setattr(Mood, "drawn", classmethod(lambda *_: mood))
    market = Market(1, NOW, events=1, listings=120)
    there: dict[str, list[int]] = defaultdict(list)
    for lap in range(90):
        here = {place(one) for one in listings(observed(market, [market.start + lap * DAY] * market.size))}
        for event in {one.event_id for one in here}:
            there[event].append(sum(one.event_id == event for one in here))
    counts = there["mock_0000"]
    assert counts[0] > 80
    assert 1 <= counts[-1] < counts[0] * 0.3
    assert len(there) > 1, "the next event follows"


@pytest.fixture(scope="module")
def calm() -> list[Observed]:
    """Seventy looks at each of 1,200 listings within one hour: what moves then is not the event that nears."""
    market = Market(5, NOW, events=20, listings=1200)
    looks = market.size * 70
    return list(observed(market, times(market, HOUR // looks, looks)))


def test_a_price_stands_until_its_seller_moves_it(calm: list[Observed]) -> None:
    pairs = [pair for prices in looks_at_each(calm) for pair in pairwise(prices)]
    assert 0.9 < mean(one == other for one, other in pairs) < 0.97


def test_half_of_all_sudden_lows_are_gone_at_the_next_look(calm: list[Observed]) -> None:
    gone = [
        after > 0.97 * before
        for prices in looks_at_each(calm)
        for before, low, after in zip(prices, prices[1:], prices[2:], strict=False)
        if 0.5 < low / before < 0.91
    ]
    assert len(gone) > 150
    assert 0.42 < mean(gone) < 0.58


def test_a_mistyped_price_is_a_hundredth_or_a_hundred_times_and_gone_within_two_looks(calm: list[Observed]) -> None:
    kinds, lasted = Counter[str](), Counter[int]()
    for prices in looks_at_each(calm):
        usual = median(prices)
        slips = [at for at, price in enumerate(prices) if not usual / 20 < price < usual * 20]
        for at in slips:
            kinds["high" if prices[at] > usual else "low"] += 1
            assert prices[at] / usual == pytest.approx(100 if prices[at] > usual else 0.01, rel=0.6)
            if at - 1 not in slips and at + 2 < len(prices):
                run = next(length for length in range(1, 9) if at + length not in slips)
                lasted[run] += 1
    assert min(kinds["high"], kinds["low"]) >= 2
    assert set(lasted) == {1, 2}


def test_seats_sell_and_others_come_and_some_come_back_as_the_same_listing() -> None:
    market = Market(6, NOW, events=10, listings=200)
    laps = [{place(one) for one in listings(lap)} for lap in rounds(market, 60, HOUR)]
    ever = set.union(*laps)
    seen = {one: [number for number, lap in enumerate(laps) if one in lap] for one in ever}
    sold = [one for one, at in seen.items() if at[-1] < 40]
    new = [one for one, at in seen.items() if at[0] > 2]
    returned = [one for one, at in seen.items() if at[-1] - at[0] >= len(at) and one.listing_id is not None]
    assert min(len(sold), len(new), len(returned)) > 10
    assert all(150 < len(lap) < 210 for lap in laps)
    for group in market.same_seats():
        assert len({(one.event_id, one.section, one.row, one.seat) for one in group}) == 1
        assert len({one.source for one in group}) == len(group)


def test_when_a_show_is_over_another_is_announced() -> None:
    market = Market(7, NOW, events=4, listings=40)
    told = list(observed(market, times(market, 6 * HOUR, 1500)))  # a year
    dates = {one["event_id"]: datetime.fromisoformat(one["event_date"]) for one in told}
    assert len(dates) > 10
    assert sorted(dates) == [f"mock_{number:04d}" for number in range(len(dates))]
    assert all(one["timestamp"] < dates[one["event_id"]].astimezone(UTC).isoformat() for one in told)


# Broken on purpose


def test_broken_messages_are_of_each_kind() -> None:
    market = Market(5, NOW, events=2, listings=10)
    decoded = decode_values([value for _, value in market.observe(times(market, SECOND, 200), poison=1)])
    assert {"not_json", "missing_field"} <= {reject.reason for reject in decoded.rejects}
    _, held = quality.split(decoded.rows)
    assert set(held["reason"]) == {"zero_price", "implausibly_high"}
    assert held.height == decoded.rows.height, "a message that was to be broken is fine"
