from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from dash_app.keyfigures import key_figures
from dash_app.loaders.schemas import SNAPSHOT

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
EMPTY = pl.DataFrame(schema=SNAPSHOT)


def places(*rows: tuple[str, str, float, float, int]) -> pl.DataFrame:
    full = [(source, section, "listing", NOW, low, low + 50, average, count)
            for source, section, low, average, count in rows]  # fmt: skip
    return pl.DataFrame(full, schema=SNAPSHOT, orient="row")


def test_figures_of_an_event() -> None:
    now = places(("", "", 80, 110, 4), ("mock", "101", 80, 100, 3), ("seatgeek", "102", 120, 140, 1))
    figures = key_figures(now, EMPTY, EMPTY)
    assert (figures.get_in, figures.get_in_section, figures.get_in_source) == (80, "101", "mock")
    assert figures.typical == pytest.approx((100 * 3 + 140) / 4)
    assert (figures.highest, figures.listings, figures.sources) == (170, 4, ("mock", "seatgeek"))
    assert figures.hour_change is None


def test_a_new_dear_section_is_not_a_rise() -> None:
    before = places(("mock", "101", 100, 100, 1))
    now = places(("mock", "101", 90, 90, 1), ("mock", "VIP", 900, 900, 1))
    assert key_figures(now, before, before).hour_change == pytest.approx(-10)


def test_nothing_known() -> None:
    figures = key_figures(EMPTY, EMPTY, EMPTY)
    assert (figures.get_in, figures.typical, figures.listings, figures.sources) == (None, None, None, ())
