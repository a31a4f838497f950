"""Quarantine: which prices cannot be true, which must be doubted, and how a doubted price turns out to be true."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import changes, quality
from analytics.rows import Rows
from analytics.windows import of_rows
from tests.support.logs import RELEASE_AFTER, at, event, frame
from tests.support.poison import PARKING, TICKETS

OK = None


# A row by itself


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"price": 0.000001}, OK),
        ({"price": 0}, "zero_price"),
        ({"price": -0.01}, "negative_price"),
        ({"price": -5, "fees": 10}, "negative_price"),
        ({"price": 10, "fees": 0}, OK),
        ({"price": 10, "fees": -0.01}, "negative_fees"),
        ({"price": 10, "fees": -20}, "negative_fees"),
        ({"price": 10, "total_price": 0}, "total_not_positive"),
        ({"price": 10, "total_price": -1}, "total_not_positive"),
        ({"price": 1_000_000}, OK),
        ({"price": 1_000_000.01}, "implausibly_high"),
        ({"price": 999_999, "fees": 2}, "implausibly_high"),
        ({"price": 1_000_001, "total_price": 5}, "implausibly_high"),
        ({"price": 5, "level": "event"}, OK),
        ({"price": 0, "level": "event"}, "zero_price"),
        ({"price": 0, "section": "Parking"}, "zero_price"),
    ],
)
def test_a_price_that_cannot_be_true_has_its_reason(fields: dict[str, Any], reason: str | None) -> None:
    good, held = quality.split(frame(event(**fields)))
    assert (good.height, held["reason"].to_list()) == ((0, [reason]) if reason else (1, []))


@pytest.mark.parametrize(("field", "text"), PARKING)
def test_what_is_sold_beside_tickets_is_no_ticket(field: str, text: str) -> None:
    assert quality.split(frame(event(**{field: text})))[1]["reason"].to_list() == ["not_a_ticket"]


@pytest.mark.parametrize(("field", "text"), TICKETS)
def test_what_only_speaks_of_it_is_a_ticket(field: str, text: str) -> None:
    assert quality.split(frame(event(**{field: text})))[1].is_empty()


def test_what_has_been_read_once_is_judged_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are remembered, as far as memory is allowed to go."""
    monkeypatch.setattr(quality, "_REMEMBERED", 5)
    rows = frame(*(event(section=f"{word} {n}") for n in range(20) for word in ("Hall", "Parking")))
    for part in (rows[:7], rows, rows[7:], rows):
        good, held = quality.split(part)
        assert set(good["section"].str.slice(0, 4)) == {"Hall"}
        assert set(held["section"].str.slice(0, 4)) == {"Park"}


def test_split_keeps_order_and_every_row_once() -> None:
    rows = frame(*(event(price=price) for price in (1, 0, 2, -1, 3)))
    good, held = quality.split(rows)
    assert good["price"].to_list() == [1_000_000, 2_000_000, 3_000_000]
    assert held["reason"].to_list() == ["zero_price", "negative_price"]
    assert good.columns == rows.columns
    assert held.columns == [*rows.columns, "reason"]


@pytest.mark.parametrize("prices", [(), (1,), (0,), (1, 0)])
def test_split_has_the_same_columns_whatever_is_in_it(prices: tuple[int, ...]) -> None:
    rows = frame(*(event(price=price) for price in prices))
    good, held = quality.split(rows)
    assert (good.schema, held.columns) == (rows.schema, [*rows.columns, "reason"])


# A row beside others


class Chain:
    """A chain of rows, looked at one after another; time goes on by a second a look. Prices are whole units."""

    def __init__(self) -> None:
        self.state: changes.State = {}
        self.second = 0
        self.offset = 0
        self.released: dict[int, int] = {}

    def look(self, price: float, /, after: float = 1, **fields: Any) -> str | None:
        """Why the next price is held, or None. It comes so many seconds after the one before."""
        self.second += after
        rows = frame(event(price=price, timestamp=at(self.second), **fields))
        offset = self.offset
        self.offset += 1
        found = changes.detect(self.state, Rows(rows.with_columns(id=rows["id"] * 0 + offset)), RELEASE_AFTER)
        self.released |= found.released
        assert len(found.previous) + len(found.held) == 1
        return found.held[0][1] if found.held else None

    def hours(self, *hours: tuple[float, ...], **fields: Any) -> None:
        """Fill hour after hour with listings of these prices, then begin the next."""
        for prices in hours:
            for number, price in enumerate(prices):
                assert self.look(price, listing_id=f"filler {number}", **fields) is None, f"a filler of {price} is held"
            self.next_hour()

    def next_hour(self) -> None:
        self.second = (self.second // 3600 + 1) * 3600

    def restart(self) -> None:
        self.state = changes.load(msgspec.msgpack.decode(msgspec.msgpack.encode(changes.dump(self.state))))


@pytest.fixture(params=[False, True], ids=["", "restarted"])
def chain(request: pytest.FixtureRequest) -> Chain:
    """A chain; once as it is, once restarted before every look."""
    made = Chain()
    if request.param:
        look = made.look
        made.look = lambda *given, **named: (made.restart(), look(*given, **named))[1]  # type: ignore[method-assign]
    return made


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        (25, OK), (24.999999, "under_quarter"), (2.000001, "under_quarter"), (2, "hundredth"), (1, "hundredth"),
        (0.01, "hundredth"), (400, OK), (400.01, OK), (4_999.999999, OK), (5_000, "hundred_times"), (10_000, "hundred_times"),
    ],
)  # fmt: skip
def test_a_price_is_doubted_beside_the_listing_s_last_one(chain: Chain, price: float, reason: str | None) -> None:
    """A quarter, a fiftieth and the fiftyfold are the limits, to the micro."""
    chain.look(100)
    assert chain.look(price) == reason


def test_the_last_price_is_the_last_accepted_one(chain: Chain) -> None:
    assert [chain.look(price) for price in (100, 30, 8, 2, 1)] == [OK, OK, OK, OK, OK], "each is a quarter at least"
    assert [chain.look(price) for price in (100, 1, 24, 100)] == ["hundred_times", OK, OK, OK]
    assert [chain.look(price) for price in (1, 10, 1, 60)] == ["hundredth", "under_quarter", "hundredth", OK]


def test_the_all_in_price_is_what_counts(chain: Chain) -> None:
    chain.look(50, fees=50)
    assert chain.look(10, fees=20) is OK
    chain.look(50, fees=50)
    assert chain.look(20, fees=1) == "under_quarter"


@pytest.mark.parametrize(
    ("price", "reason"),
    [(25, OK), (24.99, "under_quarter"), (2, "hundredth"), (4_999, OK), (5_000, "hundred_times")],
)
def test_a_new_listing_is_doubted_beside_its_neighbours(chain: Chain, price: float, reason: str | None) -> None:
    chain.hours((90, 100, 110, 800), section="101")
    assert chain.look(price, listing_id="new", section="101") == reason


def test_neighbours_are_of_one_event_section_currency_and_level(chain: Chain) -> None:
    chain.hours((100,), section="101")
    for number, fields in enumerate(
        (
            {"section": "102"},
            {"section": None},
            {"event_id": "e2"},
            {"currency": "EUR", "source": "mock"},
            {"level": "event"},
        )
    ):
        assert chain.look(1, listing_id=f"new {number}", **{"section": "101", **fields}) is OK, fields
    assert chain.look(1, listing_id="new", section="101", source="mock2") == "hundredth", "sources are neighbours"


def test_without_neighbours_or_past_a_first_price_is_believed(chain: Chain) -> None:
    assert chain.look(0.01) is OK
    assert chain.look(900_000, listing_id="other") is OK, "the hour is not over"


def test_the_usual_price_is_the_lower_median_of_hourly_lower_medians(chain: Chain) -> None:
    chain.hours((100, 100), (300, 400, 1_000, 1_100), (90, 100))  # 100, 400 and 90
    assert chain.look(24.9, listing_id="a") == "under_quarter"
    assert chain.look(25, listing_id="b") is OK
    chain = Chain()
    chain.hours((100,), (390,))  # of two, the lower
    assert chain.look(25, listing_id="a") is OK


def test_only_the_last_24_hours_count_and_empty_hours_do_not(chain: Chain) -> None:
    chain.hours((100,))
    chain.second += 23 * 3600
    assert chain.look(24, listing_id="a") == "under_quarter", "the 24th hour before is the last that counts"
    chain.next_hour()
    assert chain.look(24, listing_id="b") is OK


def test_an_hour_is_that_of_what_was_seen_in_it(chain: Chain) -> None:
    """A listing that was not looked at in an hour is not in its median."""
    chain.hours((1_000, 1_000, 1_000), (300,))
    assert chain.look(75, listing_id="new") is OK, "the hours' medians are 1000 and 300"


def test_an_hour_ends_with_the_first_row_of_a_later_one(chain: Chain) -> None:
    """A row that comes after that counts in no hour; it is late by any measure."""
    chain.look(1_000, listing_id="a")
    chain.look(1_000, listing_id="b", after=3600)
    chain.look(300, listing_id="c", after=-3600)
    chain.look(300, listing_id="d", after=0.5)
    chain.second += 2 * 3600
    assert chain.look(249, listing_id="new") == "under_quarter"


def test_held_prices_are_nobody_s_measure(chain: Chain) -> None:
    chain.hours((100, 100, 100))
    for number in range(20):
        assert chain.look(1, listing_id=f"new {number}") == "hundredth"
    assert chain.look(100, listing_id="right") is OK
    chain.next_hour()
    assert chain.look(1, listing_id="again") == "hundredth"


def test_a_listing_too_many_is_held_and_not_remembered(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "MOST_LISTINGS", 3)
    assert [chain.look(100, listing_id=name) for name in "abcd"] == [OK, OK, OK, "too_many_listings"]
    assert [chain.look(100, listing_id="d") for _ in range(4)] == ["too_many_listings"] * 4, "it never persists"
    assert chain.look(90, listing_id="a") is OK, "those that are there go on"
    (listings,) = chain.state.values()
    assert set(listings.keys() | listings.runs.keys()) == {key for key in listings if "d" not in key.split("#")[1]}


def test_a_doubted_listing_is_one_of_them(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.hours((100, 100, 100))
    monkeypatch.setattr(quality, "MOST_LISTINGS", 5)
    assert [chain.look(1, listing_id=name) for name in "abc"] == ["hundredth", "hundredth", "too_many_listings"]
    assert [chain.look(1, listing_id="a") for _ in range(2)] == ["hundredth", OK], "it may still persist"


def test_a_price_that_stays_is_believed_at_its_third_look(chain: Chain) -> None:
    chain.look(100)
    assert [chain.look(price) for price in (10, 11.9, 8.1, 9, 20)] == ["under_quarter", "under_quarter", OK, OK, OK]
    assert chain.released == {1: 3, 2: 3}
    assert chain.look(100) is OK, "the measure is what was believed last"


def test_what_agrees_lies_within_a_fifth_of_the_first(chain: Chain) -> None:
    chain.look(100)
    assert [chain.look(price) for price in (10, 12, 8)] == ["under_quarter", "under_quarter", OK], (
        "both limits included"
    )


def test_what_does_not_agree_begins_anew(chain: Chain) -> None:
    chain.look(100)
    assert [chain.look(price) for price in (1, 1, 1.3, 1, 1, 1)] == ["hundredth"] * 5 + [OK]
    assert chain.released == {4: 6, 5: 6}


def test_a_flicker_stays_in_quarantine(chain: Chain) -> None:
    chain.look(100)
    for _ in range(10):
        assert [chain.look(price) for price in (1, 1, 100)] == ["hundredth", "hundredth", OK]
    assert chain.released == {}


def test_looks_of_one_time_are_one(chain: Chain) -> None:
    """A producer's retry is no second witness."""
    chain.look(100)
    assert [chain.look(1, after=after) for after in (1, 0, 0, 1, 0, 1)] == ["hundredth"] * 5 + [OK]
    assert chain.released == {1: 6, 4: 6}


def test_a_look_from_before_the_last_accepted_one_is_no_witness(chain: Chain) -> None:
    chain.look(100, after=100)
    assert [chain.look(1, after=after) for after in (-50, 1, 1, 1)] == ["hundredth"] * 4
    assert chain.look(90, after=-50) is OK, "and an old price is believed as a new one"
    assert chain.look(24, after=200) == "under_quarter", "but it is not the measure"


def test_a_new_listing_too_good_to_be_true_can_be_true(chain: Chain) -> None:
    chain.hours((100, 100))
    assert [chain.look(10, listing_id="new") for _ in range(3)] == ["under_quarter", "under_quarter", OK]


def test_each_listing_has_a_run_of_its_own(chain: Chain) -> None:
    for listing in "ab":
        chain.look(100, listing_id=listing)
    assert [chain.look(1, listing_id=listing) for listing in "ababab"] == ["hundredth"] * 4 + [OK, OK]


def test_another_currency_is_held_until_it_stays_and_then_is_one_of_the_source_s(chain: Chain) -> None:
    assert chain.look(100) is OK
    assert [chain.look(90, currency="EUR") for _ in range(2)] == ["another_currency"] * 2
    assert chain.look(90, currency="EUR", listing_id="other") == "another_currency", "each listing speaks for itself"
    assert chain.look(90, currency="EUR") is OK
    assert chain.look(95, currency="EUR", listing_id="other") is OK, "now the source sells in it"
    assert chain.look(100) is OK, "and in the first one still"
    assert chain.look(90, currency="GBP") == "another_currency"


def test_currencies_are_those_of_one_event_and_source(chain: Chain) -> None:
    for fields in ({}, {"source": "mock", "currency": "EUR"}, {"event_id": "e2", "currency": "GBP"}):
        assert chain.look(100, **fields) is OK


def test_an_event_level_price_has_a_past_like_any_listing(chain: Chain) -> None:
    assert [chain.look(price, level="event") for price in (100, 1, 1, 100)] == [OK, "hundredth", "hundredth", OK]


def test_with_one_look_enough_everything_is_believed() -> None:
    rows = frame(event(price=100), event(price=0.01, timestamp=at(1)), event(price=1, currency="EUR", timestamp=at(2)))
    assert changes.detect({}, Rows(rows), 1).held == []


# Laws

PATH = st.lists(st.integers(60, 140), min_size=2, max_size=12)
MISTAKE = st.sampled_from([0.01, 0.02, 0.2, 50, 100])


@given(path=PATH, mistakes=st.lists(st.tuples(st.integers(0, 11), MISTAKE), max_size=8), data=st.randoms())
def test_mistakes_change_no_low_no_window_and_no_later_price(
    path: list[int], mistakes: list[tuple[int, float]], data: Random
) -> None:
    """However many mistakes flicker between right prices: what is accepted is exactly the right ones."""
    looks = [(float(second * 10), price, False) for second, price in enumerate(path)]
    wrong: dict[int, int] = {}
    for place, factor in mistakes:
        here = place % len(path)
        wrong[here] = wrong.get(here, 0) + 1
        if wrong[here] < RELEASE_AFTER:  # as many in a row would be no mistake
            looks.append((here * 10 + wrong[here], round(path[here] * factor, 6), True))
    looks.sort()
    right = frame(*(event(price=price, timestamp=at(second)) for second, price, is_wrong in looks if not is_wrong))
    rows = frame(*(event(price=price, timestamp=at(second)) for second, price, _ in looks))
    found = changes.detect({}, Rows(rows), RELEASE_AFTER)
    assert [position for position, _ in found.held] == [i for i, (*_, is_wrong) in enumerate(looks) if is_wrong]
    accepted = rows.filter([not is_wrong for *_, is_wrong in looks]).with_columns(id=right["id"])
    assert found.previous == changes.detect({}, Rows(right), RELEASE_AFTER).previous
    assert sorted(of_rows(accepted)) == sorted(of_rows(right))


@given(
    path=PATH,
    factor=st.sampled_from([0.01, 0.02, 0.2, 60, 100]),
    enough=st.integers(1, 6),
    wobble=st.lists(st.integers(-9, 9), min_size=10, max_size=10),
)
def test_a_crash_that_stays_leaves_quarantine_after_so_many_looks(
    path: list[int], factor: float, enough: int, wobble: list[int]
) -> None:
    after = [path[-1] * factor * (1 + part / 100) for part in wobble]
    prices = [*map(float, path), *(round(price, 6) for price in after)]
    rows = frame(*(event(price=price, timestamp=at(second)) for second, price in enumerate(prices)))
    found = changes.detect({}, Rows(rows), enough)
    first, ids = len(path), rows["id"].to_list()
    assert [position for position, _ in found.held] == list(range(first, first + enough - 1))
    assert found.released == [(ids[i], ids[first + enough - 1]) for i in range(first, first + enough - 1)]
