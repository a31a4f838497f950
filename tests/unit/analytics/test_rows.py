"""Rows of a shared frame: facts in order, parts that share what was worked out, and no neighbours on the way elsewhere."""

from __future__ import annotations

import pickle

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from analytics.rows import Fact, Rows
from analytics.schema import LISTING, listing_key, listing_keys, to_units, with_units
from tests.support.logs import NOON, at, event, frame, micros


def three() -> pl.DataFrame:
    return frame(*(event(event_id=f"e{n}", price=n + 1, timestamp=at(n), section="101") for n in range(3)))


def test_facts_are_what_their_names_say() -> None:
    first = Fact(*Rows(three()).facts[1])
    assert (first.position, first.event, first.price, first.total, first.quantity) == (1, "e1", 2_000_000, 2_000_000, 1)
    assert (first.time, first.id, first.listing) == (micros(NOON) + 1_000_000, three()["id"][1], three()["listing"][1])


def test_a_part_knows_its_rows_and_shares_the_rest() -> None:
    rows = Rows(three())
    parts = rows.split([7, 3, 7])
    assert {number: [fact[1] for fact in part.facts] for number, part in parts.items()} == {7: ["e0", "e2"], 3: ["e1"]}
    assert_frame_equal(parts[7].taken(), three()[[0, 2]])
    assert parts[3].column("section") is parts[7].column("section") == ["101"] * 3


def test_what_is_worked_out_once_is_shared() -> None:
    calls: list[int] = []

    def work(rows: Rows) -> int:
        calls.append(1)
        return rows.frame.height

    parts = Rows(three()).split([0, 1, 1])
    assert [part.once(work) for part in parts.values()] == [3, 3]
    assert len(calls) == 1


def test_on_the_way_to_another_process_rows_leave_their_neighbours_behind() -> None:
    part = Rows(three()).split([0, 1, 0])[0]
    again = pickle.loads(pickle.dumps(part))
    assert_frame_equal(again.frame, three()[[0, 2]])
    assert [fact[1:] for fact in again.facts] == [fact[1:] for fact in part.facts]
    assert [fact[0] for fact in again.facts] == [0, 1], "positions in the frame that went along"


def test_a_long_column_of_one_word_is_that_word_everywhere() -> None:
    rows = Rows(frame(*(event(section="101" if n else None, price=n + 1) for n in range(300))))
    assert rows.column("currency") == ["USD"] * 300
    assert rows.column("section") == [None, *["101"] * 299]


TEXTS = st.one_of(st.none(), st.sampled_from(["", "#", "@", "*", "GA", "101", "é", "a b"]))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["e1", "e#2"]), st.sampled_from(["s1", "s2"]), st.sampled_from(["USD", "EUR"]),
            st.sampled_from(["listing", "event"]), TEXTS, TEXTS, TEXTS, TEXTS,
        )
    )
)  # fmt: skip
def test_keys_made_of_tuples_are_those_made_of_columns(rows: list[tuple[str | None, ...]]) -> None:
    made = pl.DataFrame(rows, schema=dict.fromkeys(LISTING, pl.String), orient="row").select(listing_key())
    assert listing_keys(rows) == made["listing"].to_list()


@given(st.lists(st.one_of(st.none(), st.integers(-(10**15), 10**15))))
def test_units_are_the_same_by_series_and_by_expression(money: list[int | None]) -> None:
    rows = pl.DataFrame({"price": money}, schema={"price": pl.Int64})
    assert_frame_equal(with_units(rows, "price"), rows.with_columns(*to_units("price")), check_exact=True)
    assert with_units(rows, "price")["price"].to_list() == [None if m is None else m / 1_000_000 for m in money]
