"""Reading what a source says: nothing is invented, nothing raises, and what comes out can be stored."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.source import Listed, Query
from connectors.sources._common import LEAST, MOST, count, day, dig, items, link, moment, money, says, text, within

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)


@given(value=anything)
def test_nothing_raises_and_nothing_comes_of_nothing(value: Any) -> None:
    for read in (text, money, count, link, moment, day, items):
        assert read(value) in (None, []) or isinstance(value, str | int | float | list)


@given(value=anything, path=st.lists(st.integers(-3, 5) | st.text(max_size=3), max_size=4))
def test_any_path_can_be_asked_for(value: Any, path: list[str | int]) -> None:
    dig(value, *path)
    assert all(isinstance(item, dict) for item in items(value, *path))


def test_a_path_leads_through_objects_and_arrays() -> None:
    body = {"venues": [{"city": {"name": "Chicago"}}]}
    assert dig(body, "venues", 0, "city", "name") == "Chicago"
    for path in (("venues", 1), ("venues", "city"), (0,), ("venues", 0, 0), ("venues", -1)):
        assert dig(body, *path) is None


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (49.5, 49.5), (120, 120), ("245.50", 245.5), ("7", 7), (MOST, MOST), (LEAST, LEAST),
        (0, None), (0.0, None), (-0.0, None), (-5, None), ("0", None), ("0.00", None), ("-5", None), ("", None),
        (True, None), (None, None), (float("nan"), None), (float("inf"), None), (1e308, None), (10**400, None),
        (MOST + 1, None), (5e-7, None), (5e-324, None), ("1e5", None), ("$5", None), ("1,339", None), ("NaN", None), ("٤٥", None),
        ([5], None),
    ],
)  # fmt: skip
def test_money(value: Any, amount: float | None) -> None:
    assert money(value) == amount


@given(value=scalars)
def test_an_amount_is_what_was_said(value: Any) -> None:
    amount = money(value)
    assert amount is None or (amount == float(value) and LEAST <= amount <= MOST)


@pytest.mark.parametrize(
    ("value", "whole"),
    [(312, 312), (0, 0), (12.0, 12), (-1, None), (True, None), ("12", None), (float("nan"), None), (10**13, None)],
)
def test_count(value: Any, whole: int | None) -> None:
    assert count(value) == whole


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("  Nora   Vale ", "Nora   Vale"), ("a\x00b\x1fc\x85d", "a b c d"), ("\x00\n ", None), ("", None),
        ("a\ud800b", "a b"), ("عربى", "عربى"), (17, "17"), (True, None), (1.5, None), (10**400, None), (None, None),
    ],
)  # fmt: skip
def test_text(value: Any, clean: str | None) -> None:
    assert text(value) == clean


@given(value=st.text(alphabet=st.characters(codec=None, categories=None), max_size=400), most=st.integers(1, 50))
def test_text_can_be_stored(value: str, most: int) -> None:
    clean = text(value, most)
    if clean is not None:
        assert 0 < len(clean) <= most
        assert clean == clean.strip()
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in clean)
        clean.encode()  # fails for half a surrogate pair
        assert text(clean, most) == clean


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2027-06-02T00:00:00Z", datetime(2027, 6, 2, tzinfo=UTC)),
        ("2027-06-02T00:00:00", datetime(2027, 6, 2, tzinfo=UTC)),
        ("2027-06-01T19:00:00-05:00", datetime(2027, 6, 2, tzinfo=UTC)),
        ("2027-06-02", datetime(2027, 6, 2, tzinfo=UTC)),
        ("9999-12-31T23:59:59-23:59", None), ("0001-01-01T00:00:00+23:59", None), ("1969-12-31T23:59:59Z", None),
        ("2200-01-01T00:00:00Z", None), ("2027-13-45T99:99:99Z", None), ("soon", None), ("", None), (1234567890, None),
    ],
)  # fmt: skip
def test_moment(value: Any, time: datetime | None) -> None:
    assert moment(value) == time


@pytest.mark.parametrize(
    ("value", "on"),
    [
        ("2027-06-01", date(2027, 6, 1)), ("2027-06-01T03:30:00", date(2027, 6, 1)), ("2027-6-1", None),
        ("1969-12-31", None), ("2200-01-01", None), ("2027-02-30", None), ("", None), (None, None), (20270601, None),
    ],
)  # fmt: skip
def test_day(value: Any, on: date | None) -> None:
    assert day(value) == on


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://seatgeek.com/e/1", "https://seatgeek.com/e/1"), ("HTTP://x.example/", "HTTP://x.example/"),
        ("javascript:alert(1)", None), ("//x.example", None), ("data:text/html,x", None), ("https://", None),
        ("https:///x", None), ("ftp://x", None), ("", None), (None, None), ("java\x00script:x", None),
        (" https://x.example ", "https://x.example"),
    ],
)  # fmt: skip
def test_link(value: Any, address: str | None) -> None:
    assert link(value) == address


@pytest.mark.parametrize(
    ("name", "wanted", "does"),
    [
        ("The Grand Hall", "grand hall", True), ("Hall, Grand", "Grand Hall", True), ("Théâtre", "theatre", True),
        ("Grand Hallway", "Grand Hall", False), ("Hall", "Grand Hall", False), (None, "Grand Hall", False),
        ("STRASSE 9", "Straße 9", True),
    ],
)  # fmt: skip
def test_says(name: str | None, wanted: str, does: bool) -> None:
    assert says(name, wanted) is does


JUNE = date(2027, 6, 1)


@pytest.mark.parametrize(
    ("on", "query", "does"),
    [
        (JUNE, Query("x"), True), (None, Query("x"), True), (JUNE, Query("x", since=JUNE, until=JUNE), True),
        (JUNE, Query("x", since=date(2027, 6, 2)), False), (JUNE, Query("x", until=date(2027, 5, 31)), False),
        (None, Query("x", since=JUNE), False), (JUNE, Query("x", until=JUNE), True),
    ],
)  # fmt: skip
def test_within(on: date | None, query: Query, does: bool) -> None:
    assert within(Listed("s", "1", "n", local_date=on), query) is does
