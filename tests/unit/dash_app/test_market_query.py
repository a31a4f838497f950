"""Which events an address asks for, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dash_app.page import View
from dash_app.pages.market.query import SORTS, WHENS, Query, answer, folded

_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_SCHEMA = {
    "event_id": pl.String, "name": pl.String, "venue": pl.String, "date": pl.Datetime("us", "UTC"), "price": pl.Float64,
    "change": pl.Float64, "against": pl.Float64, "listings": pl.Int64, "seen": pl.Datetime("us", "UTC"),
    "sources": pl.List(pl.String),
}  # fmt: skip


def _market(*rows: dict[str, object]) -> pl.DataFrame:
    frame = pl.DataFrame([dict.fromkeys(_SCHEMA) | row for row in rows], schema=_SCHEMA)
    return frame.with_columns(
        folded_name=folded(pl.col("name")),
        haystack=folded(pl.concat_str("name", "venue", "event_id", separator=" ", ignore_nulls=True)),
    )


def _event(number: int, days: float | None, price: float, *sources: str) -> dict[str, object]:
    date = None if days is None else _NOW + timedelta(days=days)
    return {"event_id": f"e{number}", "name": f"Event {number}", "date": date, "price": price, "seen": _NOW,
            "sources": list(sources) or ["s"]}  # fmt: skip


def _ids(market: pl.DataFrame, **query: object) -> list[str]:
    return answer(market, Query(**query), _NOW)["event_id"].to_list()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "found"),
    [("primavera", True), ("FÒRUM  parc", True), ("forum", True), ("festival_eu", True), ("prima xyz", False), (".*", False),
     ("", True)],
)  # fmt: skip
def test_every_word_is_looked_for_whatever_its_case_and_accents(words: str, found: bool) -> None:
    market = _market(
        _event(1, 3, 5) | {"event_id": "festival_eu", "name": "Primavera Sound", "venue": "Parc del Fòrum"}
    )
    assert bool(_ids(market, words=words)) is found


def test_events_to_come_are_those_under_way_and_those_without_a_date_too() -> None:
    market = _market(_event(1, -2, 5), _event(2, -0.1, 5), _event(3, 6, 5), _event(4, 8, 5), _event(5, None, 5))
    assert set(_ids(market)) == {"e2", "e3", "e4", "e5"}
    assert set(_ids(market, when="7")) == {"e2", "e3", "e5"}
    assert len(_ids(market, when="all")) == 5


def test_one_of_the_sources_is_enough() -> None:
    market = _market(_event(1, 1, 5, "a", "b"), _event(2, 1, 5, "c"), _event(3, 1, 5, "b"))
    assert _ids(market, sources=("b",)) == ["e1", "e3"]
    assert _ids(market, sources=("c", "a")) == ["e1", "e2"]
    assert _ids(market, sources=("x",)) == []


def test_no_price_is_above_the_limit() -> None:
    market = _market(_event(1, 1, 5), _event(2, 1, 5.01), _event(3, 1, 0))
    assert _ids(market, most=5.0) == ["e1", "e3"]


_some = st.one_of(st.none(), st.floats(-99, 999))


@given(
    st.lists(st.tuples(_some, _some, st.integers(-9, 9)), max_size=12),
    st.sampled_from(sorted(SORTS)), st.booleans(),
)  # fmt: skip
def test_sorting_loses_nothing_and_puts_what_is_not_known_last(
    rows: list[tuple[float | None, float | None, int]], by: str, down: bool
) -> None:
    market = _market(*(_event(number, days, 5) | {"change": change, "against": against, "listings": days}
                       for number, (change, against, days) in enumerate(rows)))  # fmt: skip
    found = answer(market, Query(when="all", sort=("-" if down else "") + by), _NOW)
    assert sorted(found["event_id"]) == sorted(market["event_id"])
    values = found[SORTS[by]].to_list()
    known = [value for value in values if value is not None]
    assert values == known + [None] * (len(values) - len(known))
    assert known == sorted(known, reverse=down)


@given(st.dictionaries(st.sampled_from(["q", "when", "source", "most", "sort", "zone"]), st.text(max_size=20)))
def test_whatever_stands_in_the_address_is_a_query(asked: dict[str, str]) -> None:
    query = Query.of(View.of("?" + urlencode(asked)))
    assert query.when in WHENS
    assert query.sort.removeprefix("-") in SORTS
    answer(_market(_event(1, 1, 5)), query, _NOW)


def test_an_address_says_all_of_a_query() -> None:
    view = View.of("?q=nora+vale&when=30&source=stubhub&source=seatgeek&most=120.5&sort=-change")
    assert Query.of(view) == Query("nora vale", "30", ("stubhub", "seatgeek"), 120.5, "-change")
