"""Quarantine: which prices cannot be true."""

from __future__ import annotations

from typing import Any

import pytest

from analytics import quality
from tests.support.logs import event, frame

OK = None


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
    ],
)
def test_a_price_that_cannot_be_true_has_its_reason(fields: dict[str, Any], reason: str | None) -> None:
    good, held = quality.split(frame(event(**fields)))
    assert (good.height, held["reason"].to_list()) == ((0, [reason]) if reason else (1, []))


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
