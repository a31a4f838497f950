from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.deals import ENOUGH, Past, area, kind, with_deals

SECTIONS = st.sampled_from(["101", "Sec 101", "102", "Floor A", "Floor B", "GA", "", None])
LISTINGS = st.lists(st.tuples(SECTIONS, st.integers(1, 400)), min_size=1, max_size=60)
PASTS = st.none() | st.tuples(st.lists(st.integers(1, 400), min_size=1, max_size=40)).map(
    lambda hours: Past.of(pl.Series([float(price) for price in hours[0]]))
)


def frame(listings: list[tuple[str | None, int]]) -> pl.DataFrame:
    return pl.DataFrame(listings, schema={"section": pl.String, "total_price": pl.Int64}, orient="row")


@given(LISTINGS, PASTS, st.data())
def test_a_lower_price_never_has_a_lower_score(
    listings: list[tuple[str | None, int]], past: Past | None, data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(listings) - 1))
    section, price = listings[which]
    lower = data.draw(st.integers(1, price))
    cheaper = [*listings[:which], (section, lower), *listings[which + 1 :]]
    before, after = (with_deals(frame(one), past).row(which, named=True) for one in (listings, cheaper))
    assert (before["score"] is None) == (after["score"] is None) == (len(listings) == 1)
    if before["score"] is not None:
        assert after["score"] >= before["score"] - 1e-9
        assert after["percentile"] <= before["percentile"]


@given(LISTINGS, PASTS)
def test_among_listings_compared_with_the_same_the_cheaper_is_never_worse(
    listings: list[tuple[str | None, int]], past: Past | None
) -> None:
    rated = with_deals(frame(listings), past).filter(pl.col("others") > 0)
    for group in rated.with_columns(
        by=pl.when(pl.col("among") == "section").then("area").when(pl.col("among") == "kind").then("kind")
    ).partition_by("among", "by"):
        ordered = group.sort("total_price", "score", descending=[False, True])
        assert (ordered["score"].diff().drop_nulls() <= 1e-9).all()


@given(LISTINGS, PASTS)
def test_figures_are_those_of_a_count_by_hand(listings: list[tuple[str | None, int]], past: Past | None) -> None:
    rated = with_deals(frame(listings), past)
    assert rated.select("section", "total_price").rows() == listings
    for n, row in enumerate(rated.iter_rows(named=True)):
        others = [one for at, one in enumerate(listings) if at != n]
        near = [price for section, price in others if area(section) == area(row["section"])]
        like = [price for section, price in others if kind(section) == kind(row["section"])]
        if area(row["section"]) is not None and len(near) >= ENOUGH:
            expected, prices = "section", near
        elif kind(row["section"]) is not None and len(like) >= ENOUGH:
            expected, prices = "kind", like
        else:
            expected, prices = "event", [price for _, price in others]
        assert row["among"] == expected
        assert row["others"] == len(prices)
        assert row["cheaper"] == sum(price < row["total_price"] for price in prices)
        assert row["dearer"] == sum(price > row["total_price"] for price in prices)
        assert row["middle"] == (pl.Series(prices).median() if prices else None)
        assert row["score"] is None or 0 <= row["score"] <= 100


def test_a_listing_alone_is_not_rated() -> None:
    (row,) = with_deals(frame([("101", 100)])).iter_rows(named=True)
    assert (row["others"], row["middle"], row["percentile"], row["score"]) == (0, None, None, None)
    assert with_deals(frame([])).height == 0


def test_few_listings_give_no_loud_scores() -> None:
    bargain = [with_deals(frame([("101", 50), *[("101", 100)] * others]))["score"][0] for others in (1, 3, 10, 100)]
    assert bargain == sorted(bargain)
    assert bargain[0] < 60 < 80 < bargain[-1]


def test_the_middle_of_equal_prices_is_fair() -> None:
    assert with_deals(frame([("101", 100)] * 20))["score"].to_list() == [50.0] * 20


def test_a_cheap_day_lifts_all_scores_and_a_short_history_less() -> None:
    listings = frame([("101", 100)] * 20)
    long, short = (Past.of(pl.Series([90.0, *[150.0] * hours, 400.0])) for hours in (300, 3))
    assert with_deals(listings, long)["score"][0] > with_deals(listings, short)["score"][0] > 50
    dear = Past.of(pl.Series([50.0, *[60.0] * 300]))
    assert with_deals(listings, dear)["score"][0] < 50


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=50), st.floats(1, 1e6), st.floats(1, 1e6))
def test_a_lower_level_is_never_later_in_the_history(hours: list[float], one: float, other: float) -> None:
    past = Past.of(pl.Series(hours))
    assert past is not None
    low, high = sorted((one, other))
    assert 0 <= past.place(high) <= past.place(low) <= 1
    assert past.place(past.typical) == 0.5


def test_no_hours_are_no_history() -> None:
    assert Past.of(pl.Series([None, None], dtype=pl.Float64)) is None


@pytest.mark.parametrize(
    ("section", "expected"),
    [("101", "100s"), ("Sec. 199", "100s"), ("7", "0s"), ("Floor A", "floor"), ("GA", "ga"), ("", None), (None, None),
     ("שורה א", "שורה"), ("9" * 4000, "999999900s")],
)  # fmt: skip
def test_what_kind_of_place_a_section_is(section: str | None, expected: str | None) -> None:
    assert kind(section) == expected
