"""Change detection: each row against the row before it of the same listing."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
import pytest

from analytics import changes
from analytics.rows import Rows
from tests.support.logs import NOON, at, event, frame, micros

State = changes.State

BELIEVE_ALL = 1
"""What is doubted, and for how long, is for the tests of `quality`."""


def compare(*events: dict[str, Any], state: State | None = None) -> pl.DataFrame:
    rows = frame(*events)
    return changes.with_changes(rows, changes.detect({} if state is None else state, Rows(rows), BELIEVE_ALL).previous)


def seen(*events: dict[str, Any]) -> list[tuple[int | None, int | None]]:
    """(previous all-in price, change) of each event, in whole currency units."""
    found = compare(*events)
    return [
        (None, None) if before is None else (before // 1_000_000, change // 1_000_000)
        for before, change in found.select("previous_total", "change").iter_rows()
    ]


def test_the_first_sight_of_a_listing_has_no_change() -> None:
    assert compare(event()).select(list(changes.CHANGE_SCHEMA)).row(0) == (None,) * 5


def test_added_columns_have_their_types() -> None:
    found = compare(event(), event(price=90))
    assert {name: found.schema[name] for name in changes.CHANGE_SCHEMA} == changes.CHANGE_SCHEMA


def test_two_drops_are_two_changes_each_against_the_price_before_it() -> None:
    assert seen(event(price=100), event(price=90, timestamp=at(1)), event(price=70, timestamp=at(2))) == [
        (None, None), (100, -10), (90, -20),
    ]  # fmt: skip


def test_a_change_tells_the_previous_price_all_in_price_and_time() -> None:
    found = compare(event(price=100, fees=10), event(price=80, fees=8, timestamp=at(5)))
    assert found.select("previous_price", "previous_total", "previous_timestamp", "change").row(1) == (
        100_000_000, 110_000_000, NOON, -22_000_000,
    )  # fmt: skip


def test_the_all_in_price_is_what_is_compared() -> None:
    """The base price fell, the fees rose by as much."""
    assert seen(event(price=100, fees=10), event(price=90, fees=20))[1] == (110, 0)


def test_a_duplicate_gives_a_change_of_zero() -> None:
    assert seen(event(price=100), event(price=100), event(price=90), event(price=90))[1:] == [
        (100, 0),
        (100, -10),
        (90, 0),
    ]


def test_an_older_row_has_no_change_and_disturbs_none() -> None:
    assert seen(event(price=100, timestamp=at(10)), event(price=50, timestamp=at(9)), event(price=90, timestamp=at(11))) == [
        (None, None), (None, None), (100, -10),
    ]  # fmt: skip


def test_rows_of_one_time_are_compared_in_the_order_of_the_log() -> None:
    assert seen(event(price=100), event(price=90), event(price=95))[1:] == [(100, -10), (90, 5)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"listing_id": "A"}, {"listing_id": "B"}),
        ({"listing_id": "A", "section": "GA"}, {"listing_id": "B", "section": "GA"}),
        ({"listing_id": "A"}, {}),
        ({"section": "1"}, {"section": "2"}),
        ({"section": "1", "row": "A"}, {"section": "1", "row": "B"}),
        ({"section": "1", "row": "A", "seat": "1"}, {"section": "1", "row": "A", "seat": "1-2"}),
        ({"section": "A"}, {"row": "A"}),
        ({"section": "A", "row": "B"}, {"section": "A", "seat": "B"}),
        ({"listing_id": "@\x1e"}, {"section": "\x1e"}),
        ({"section": "#1"}, {"listing_id": "1"}),
        ({"currency": "USD"}, {"currency": "EUR"}),
        ({"source": "seatgeek"}, {"source": "mock"}),
        ({"event_id": "e1"}, {"event_id": "e2"}),
        ({"level": "event"}, {"level": "listing"}),
        ({"level": "event", "source": "a"}, {"level": "event", "source": "b"}),
    ],
)
def test_two_listings_are_not_compared(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Nor does one disturb the other: each is compared with itself."""
    assert seen(event(price=100, **one), event(price=70, **other), event(price=90, **one), event(price=60, **other)) == [
        (None, None), (None, None), (100, -10), (70, -10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"listing_id": "A", "section": "1"}, {"listing_id": "A", "section": "2", "row": "X"}),
        ({"section": "1", "row": "A", "seat": "3"}, {"section": "1", "row": "A", "seat": "3", "quantity": 2}),
        ({"listing_id": "7"}, {"listing_id": 7}),
        ({"section": ""}, {"section": None}),
        ({"currency": "USD"}, {"currency": None}),
        ({"level": "event", "section": "1"}, {"level": "event", "listing_id": "A"}),
    ],
)
def test_one_listing_is_known_again(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert seen(event(price=100, **one), event(price=90, **other))[1] == (100, -10)


@pytest.mark.parametrize(
    ("before", "after", "percent"),
    [
        ("100", "95", -50_000),
        ("100", "105", 50_000),
        ("100", "200", 1_000_000),
        ("3", "1", -666_667),
        ("3", "2", -333_333),
        ("3", "4", 333_333),
        ("3", "5", 666_667),
        ("200", "199.9999", -1),  # exactly half a unit: away from zero
        ("200", "200.0001", 1),
        ("200", "199.999901", 0),  # just under half
        ("200", "200.000099", 0),
        ("2000", "2000.003", 2),  # one unit and a half
        ("2000", "1999.997", -2),
        ("1000000", "0.000001", -1_000_000),
        ("0.000001", "1000000", 999_999_999_999_000_000),  # a millionfold millionfold still fits
    ],
)
def test_percent_is_rounded_half_away_from_zero(before: str, after: str, percent: int) -> None:
    """In ten-thousandths of a percent; boundaries included."""
    assert compare(event(price=before), event(price=after))["change_percent"][1] == percent


def test_state_goes_on_from_batch_to_batch() -> None:
    """The same rows in one frame, or one by one, give the same."""
    events = [
        event(price=p, timestamp=at(t), listing_id=i)
        for p, t, i in ((9, 1, "A"), (8, 0, "A"), (7, 2, "B"), (6, 3, "A"))
    ]
    state: State = {}
    single = pl.concat([compare(one, state=state) for one in events])
    whole = compare(*events)
    assert single.select(list(changes.CHANGE_SCHEMA)).equals(whole.select(list(changes.CHANGE_SCHEMA)))
    assert [len(listings) for listings in state.values()] == [2]


def test_a_listing_keeps_its_place_and_tells_its_newest_price_and_quantity() -> None:
    state: State = {}
    first = event(section="101", row="C", listing_id="A", price=100, fees=10, quantity=4)
    compare(
        first,
        event(section="7", listing_id="A", price=90, quantity=2, timestamp=at(1)),
        event(event_id="e2"),
        state=state,
    )
    [last] = state["e1"].values()
    assert last == (
        micros(NOON) + 1_000_000, 90_000_000, 90_000_000, 2, ("101", "C", "seatgeek", "USD", "listing", micros(NOON)),
    )  # fmt: skip
    assert [place for *_, place in state["e2"].values()] == [(None, None, "seatgeek", "USD", "listing", micros(NOON))]
    assert changes.load(msgspec.msgpack.decode(msgspec.msgpack.encode(changes.dump(state)))) == state
