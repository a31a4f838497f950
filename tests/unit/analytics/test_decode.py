"""Decoding is total: each message becomes a row, a reject with its reason or a tombstone, whatever stands beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics.decode import MAX_BYTES, ROW_SCHEMA, Decoded, _known_dates, decode, decode_values
from analytics.schema import MICROS, MONEY, to_units
from tests.support.logs import NOON, at, message, micros
from tests.support.poison import NASTY, ODD, POISON

LOGGED = micros(NOON) // 1000


def take(values: list[bytes | None], keys: list[bytes | None] | None = None, first: int = 0) -> Decoded:
    count = len(values)
    return decode(values, keys or [None] * count, [LOGGED] * count, list(range(first, first + count)))


def row(**fields: Any) -> dict[str, Any]:
    """The one row of one good event."""
    found = take([message(**fields)])
    assert found.rejects == []
    return found.rows.row(0, named=True)


def test_a_row_has_every_column_with_its_type() -> None:
    assert dict(take([message()]).rows.schema) == ROW_SCHEMA
    assert dict(take([]).rows.schema) == ROW_SCHEMA
    assert dict(take([b"", None]).rows.schema) == ROW_SCHEMA


def test_what_a_message_leaves_out_has_its_default() -> None:
    found = row(price=100, fees=None)
    assert (found["currency"], found["level"], found["quantity"]) == ("USD", "listing", 1)
    assert found["total_price"] == found["price"] == 100_000_000
    nothing = {name for name, value in found.items() if value is None}
    assert nothing == set(ROW_SCHEMA) - {
        "id", "event_id", "source", "price", "total_price", "currency", "quantity", "timestamp", "level", "listing", "keyed",
    }  # fmt: skip


def test_null_is_the_same_as_absent() -> None:
    told = {name: None for name in ROW_SCHEMA if name not in ("id", "event_id", "source", "price", "timestamp")}
    value = json.dumps({**json.loads(message()), **told, "url": None, "date": None}).encode()
    assert_frame_equal(take([value]).rows, take([message()]).rows)


def test_both_spellings_of_a_field_are_read_and_the_new_one_wins() -> None:
    show = NOON + timedelta(days=1)
    assert row(date=at(86_400), url="u")["event_date"] == row(event_date=at(86_400))["event_date"] == show
    assert row(url="u")["listing_url"] == row(listing_url="u")["listing_url"] == "u"
    both = row(event_date=at(86_400), date=at(0), listing_url="new", url="old")
    assert (both["event_date"], both["listing_url"]) == (show, "new")


def test_an_empty_text_is_no_text() -> None:
    found = row(section="", row="", seat="", listing_id="", event_name="", venue="", listing_url="", url="u")
    assert [found[n] for n in ("section", "row", "seat", "listing_id", "event_name", "venue")] == [None] * 6
    assert found["listing_url"] == "u"


def test_all_in_price_is_price_and_fees_unless_told() -> None:
    assert row(price=100, fees=12.34)["total_price"] == 112_340_000
    assert row(price=100, fees=12.34, total_price=99.5)["total_price"] == 99_500_000
    assert row(price=0.1, fees=0.2)["total_price"] == 300_000, "no 0.30000000000000004"


def test_decimal_strings_are_prices() -> None:
    found = row(price="245.50", fees="0.01", average_price="-3", median_price="7.000001")
    assert [found[n] for n in ("price", "fees", "total_price", "average_price", "median_price")] == [
        245_500_000, 10_000, 245_510_000, -3_000_000, 7_000_001,
    ]  # fmt: skip


def test_places_and_ids_given_as_numbers_become_text() -> None:
    found = row(event_id=77, section=114.0, row=-3, seat=12.5, listing_id=9_007_199_254_740_993)
    assert [found[n] for n in ("event_id", "section", "row", "seat", "listing_id")] == [
        "77", "114", "-3", "12.5", "9007199254740993",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("2026-11-23T12:00:00Z", 0),
        ("2026-11-23T12:00:00", 0),
        ("2026-11-23 12:00:00", 0),
        ("2026-11-23t12:00:00z", 0),
        ("2026-11-23T17:30:00+05:30", 0),
        ("2026-11-23T11:30:00.000001-0030", 1),
        ("2026-11-23T12:00:00.5", 500_000),
        ("2026-11-23T12:00:00.123456789Z", 123_457),
        ("2026-11-23T12:00:00.9999999Z", 1_000_000),
    ],
)
def test_times_are_read_with_and_without_offset(text: str, microseconds: int) -> None:
    """A time without an offset is UTC: that is what the earlier version's producers meant."""
    assert row(timestamp=text)["timestamp"] == NOON + timedelta(microseconds=microseconds)


def test_a_message_is_keyed_when_its_key_is_its_event() -> None:
    keys = [b"e1", b"e2", None, b"", b"\xff", "é".encode(), b"7"]
    values = [message()] * 5 + [message(event_id="é"), message(event_id=7)]
    assert take(values, keys).rows["keyed"].to_list() == [True, False, False, False, False, True, True]


def test_tombstones_are_counted_and_leave_no_row() -> None:
    found = take([None, message(), None])
    assert (found.tombstones, found.rows["id"].to_list(), found.rejects) == (2, [1], [])


def test_unknown_fields_refuse_nothing() -> None:
    assert row(color="red", nested={"a": [1, {"b": None}]}, id=3, listing="x", keyed=True)["id"] == 0


@pytest.mark.parametrize(("reason", "value"), POISON.values(), ids=POISON.keys())
def test_poison_is_refused_with_its_reason_and_its_neighbours_are_not(reason: str, value: bytes) -> None:
    found = take([message(price=1), value, message(price=2)], [b"e1"] * 3, first=5)
    assert [(r.position, r.reason) for r in found.rejects] == [(1, reason)]
    assert found.rejects[0].detail
    assert len(found.rejects[0].detail) <= 500
    assert_frame_equal(found.rows[0], take([message(price=1)], [b"e1"], first=5).rows)
    assert_frame_equal(found.rows[1], take([message(price=2)], [b"e1"], first=7).rows)


def test_all_poison_at_once_keeps_order_and_reasons() -> None:
    values = [value for poison in POISON.values() for value in (poison[1], message())]
    found = take(values)
    assert [(r.position, r.reason) for r in found.rejects] == [(2 * i, p[0]) for i, p in enumerate(POISON.values())]
    assert found.rows["id"].to_list() == [2 * i + 1 for i in range(len(POISON))]


@pytest.mark.parametrize("value", ODD.values(), ids=ODD.keys())
def test_odd_messages_are_accepted(value: bytes) -> None:
    assert take([value]).rejects == []


@pytest.mark.parametrize("text", NASTY)
def test_text_is_kept_as_it_is(text: str) -> None:
    found = row(event_id=text, event_name=text, section=text, listing_id=text, seller_notes=text)
    assert {found[n] for n in ("event_id", "event_name", "section", "listing_id", "seller_notes")} == {text}


def test_the_largest_message_is_taken_and_one_byte_more_is_not() -> None:
    largest = message() + b" " * (MAX_BYTES - len(message()))
    found = take([largest, largest + b" "])
    assert (found.rows["id"].to_list(), [r.reason for r in found.rejects]) == ([0], ["too_large"])


def test_five_minutes_ahead_is_the_limit_and_the_log_is_the_judge() -> None:
    ahead = message(timestamp=at(300) + "")
    further = message(timestamp=(NOON + timedelta(minutes=5, milliseconds=1)).isoformat())
    assert [r.position for r in take([ahead, further]).rejects] == [1]
    assert decode([further], [None], [LOGGED + 1], [0]).rejects == [], "logged a millisecond later"
    assert decode([further], [None], [-1], [0]).rejects == [], "without a log time nothing is ahead of it"


def test_payloads_from_elsewhere_have_no_key_and_no_log_time() -> None:
    found = decode_values([message(), b"{", message(timestamp="2099-01-01T00:00:00Z")])
    assert (found.rows["id"].to_list(), found.rows["keyed"].any(), len(found.rejects)) == ([0, 2], False, 1)


_ANY = st.one_of(
    st.sampled_from([*(value for _, value in POISON.values() if len(value) < 5000), None]),
    st.sampled_from(list(ODD.values())),
    st.builds(
        message,
        event_id=st.sampled_from(["e1", "e2", 5]),
        price=st.one_of(st.integers(-5, 2_000_000), st.decimals(-9, 999_999_999, places=6).map(str), st.floats(0, 1e9)),
        fees=st.sampled_from([None, 1, "2.5", 0.01]),
        seat=st.sampled_from([None, "", "1-2", 4, 4.5]),
        currency=st.sampled_from([None, "EUR", "eur"]),
        timestamp=st.integers(-400, 400).map(at),
    ),
    st.binary(max_size=12),
)


@settings(max_examples=60, derandomize=True, database=None)
@given(
    values=st.lists(_ANY, min_size=1, max_size=12),
    cuts=st.sets(st.integers(0, 12)),
)
def test_the_verdict_on_a_message_depends_on_that_message_alone(values: list[bytes | None], cuts: set[int]) -> None:
    """The whole at once, one by one, and in any batches: equal rows, types, rejects and counts."""
    keys = [b"e1"] * len(values)
    whole = take(values, keys)
    single = [(i, i + 1) for i in range(len(values))]
    edges = sorted({0, len(values)} | {c for c in cuts if c < len(values)})
    for parts in (single, list(pairwise(edges))):
        found = [(a, take(values[a:b], keys[a:b], first=a)) for a, b in parts]
        assert_frame_equal(pl.concat([d.rows for _, d in found]), whole.rows)
        assert [(a + r.position, r.reason, r.detail) for a, d in found for r in d.rejects] == [
            (r.position, r.reason, r.detail) for r in whole.rejects
        ]
        assert sum(d.tombstones for _, d in found) == whole.tombstones
    assert whole.rows.height + len(whole.rejects) + whole.tombstones == len(values)


@settings(max_examples=40, derandomize=True, database=None)
@given(st.lists(st.integers(-999_999_999_000_000, 999_999_999_000_000), min_size=1, max_size=40))
def test_money_is_exact_to_the_micro_there_and_back(amounts: list[int]) -> None:
    """Micros -> units as written by a sink -> JSON -> decode, as a number and as a decimal string."""
    units = pl.DataFrame({"price": amounts}).select(to_units("price")[0])["price"].to_list()
    numbers = take([message(price=unit) for unit in units]).rows["price"].to_list()
    texts = take([message(price=f"{Decimal(amount) / 1_000_000:f}") for amount in amounts]).rows["price"].to_list()
    assert numbers == texts == amounts


@settings(max_examples=200, derandomize=True, database=None)
@given(
    st.lists(
        st.floats(-999_999_999, 999_999_999)
        | st.integers(-10_000, 10_000).map(lambda halves: halves / 2 / MICROS)
        | st.integers(-20, 20).map(lambda eighths: 900_000_000 + eighths / 8 / MICROS),
        min_size=1,
    )
)
def test_parts_of_a_micro_are_rounded_to_the_nearest_and_of_two_to_the_even_one(prices: list[float]) -> None:
    found = take([message(price=price) for price in prices]).rows["price"].to_list()
    assert found == [round(price * MICROS) for price in prices]


def test_cents_print_as_cents() -> None:
    micro = pl.DataFrame({name: [cents * 10_000 for cents in range(100_000)] for name in MONEY[:1]})
    assert micro.select(to_units("price")[0])["price"].to_list() == [cents / 100 for cents in range(100_000)]


def test_a_reject_never_names_more_than_the_message_says() -> None:
    """Two decodes of one batch give the same rejects: no addresses, no times in the detail."""
    values: list[bytes | None] = [value for _, value in POISON.values()]
    assert take(values).rejects == take(values).rejects


def test_event_time_is_utc() -> None:
    assert row()["timestamp"] == datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_long_way_to_write_a_date_is_read_and_not_kept() -> None:
    """The few spellings of shows' dates are remembered; a sender must not fill the memory with them."""
    text = f"2026-12-01T20:00:00.{'0' * 1000}Z"
    before = len(_known_dates)
    assert row(event_date=text)["event_date"] == row(event_date="2026-12-01T20:00:00Z")["event_date"]
    assert text not in _known_dates
    assert len(_known_dates) <= before + 2
