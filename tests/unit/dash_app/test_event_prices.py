from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dash_app.database import Database
from dash_app.figures.price import price_chart
from dash_app.lake import Lake, LakeAwayError
from dash_app.page import View
from dash_app.pages.event.prices import Asked, Shown, observations, shown
from tests.unit.dash_app import seed


@pytest.fixture
def lake(seeded: Database, tmp_path: Path) -> Lake:
    (tmp_path / "database").write_text(str(seeded.rows("SELECT id FROM database_identity")[0][0]))
    return Lake(tmp_path)


def of(database: Database, lake: Lake, event: str = "concert_123", **asked: object) -> Shown:
    found = shown(database, lake, Asked.of(event, **asked))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_chart_is_of_one_currency_and_says_which_is_left_out(seeded: Database, lake: Lake) -> None:
    usual, other = (of(seeded, lake, "festival_eu", currency=code) for code in (None, "GBP"))
    assert usual.look.currency == "EUR"
    assert "in EUR" in usual.note
    assert "prices in GBP are left out" in usual.note
    assert other.look.currency == "GBP"
    assert "prices in EUR are left out" in other.note
    assert of(seeded, lake, "festival_eu", currency="<b>").look.currency == "EUR"


def test_events_in_another_currency_are_not_on_the_axis(seeded: Database, lake: Lake) -> None:
    found = of(seeded, lake, compare=["concert_456", "festival_eu", "concert_123", "nothing"])
    assert [other.event_id for other in found.prices.others] == ["concert_456"]
    assert "Primavera Sound has no prices in USD" in found.note


def test_an_event_that_has_windows_of_no_listing_can_be_compared_with(seeded: Database, lake: Lake) -> None:
    (tosca,) = of(seeded, lake, compare=["opera_1"]).prices.others
    assert tosca.windows["low"].to_list()[-1] == 80


def test_events_are_aligned_on_their_own_days(seeded: Database, lake: Lake) -> None:
    found = of(seeded, lake, compare=["game_789", "opera_1"], align="days")
    assert "the date of Tosca is not known" in found.note
    drawn = {trace.meta: trace for trace in price_chart(found.prices, found.look).data}
    assert 17 < min(drawn["event"].x) <= max(drawn["event"].x) < 19.1
    assert 5 < min(drawn["event:game_789"].x) <= max(drawn["event:game_789"].x) < 7.1
    assert "band:closed" not in drawn


def test_an_event_without_a_date_has_no_days_to_count(seeded: Database, lake: Lake) -> None:
    found = of(seeded, lake, "opera_1", align="days")
    assert found.look.starts is None
    assert "date is not known" in found.note


def test_base_prices_are_below_all_in_ones_and_make_the_same_windows(seeded: Database, lake: Lake) -> None:
    total, base = (of(seeded, lake, "concert_456", basis=basis).prices.event for basis in ("total", "base"))
    both = total.join(base, on="start", suffix="_base")
    assert both.height == total.height
    assert (both["observations"] == both["observations_base"]).all()
    assert (both["low"] / both["low_base"] - 1.18).abs().max() < 0.001  # type: ignore[operator]


def test_base_prices_of_sections(seeded: Database, lake: Lake) -> None:
    lines = of(seeded, lake, basis="base", sections=["101"], sources=["mock"]).prices.lines
    assert lines.select("source", "section").unique().rows() == [("mock", "101")]


def test_alerts_have_a_base_price_too(seeded: Database, lake: Lake) -> None:
    total, base = (of(seeded, lake, basis=basis).prices.alerts for basis in ("total", "base"))
    assert total is not None
    assert base is not None
    assert total.height == base.height > 0
    assert (base["new"] < total["new"]).all()


def test_an_event_that_nobody_knows_is_nothing(seeded: Database, lake: Lake) -> None:
    assert shown(seeded, lake, Asked.of("' OR true --")) is None


def test_what_is_taken_away_is_what_the_address_shows(seeded: Database, lake: Lake) -> None:
    asked = Asked.in_view(View.of("?event=concert_123&section=101&source=mock&range=all"))
    assert asked is not None
    rows = observations(seeded, lake, asked)
    assert rows.select("section", "source").unique().rows() == [("101", "mock")]
    assert rows.height == len(seeded.rows(
        "SELECT FROM price_history WHERE event_id = 'concert_123' AND section = '101' AND source = 'mock'"
    ))  # fmt: skip
    assert Asked.in_view(View.of("?section=101")) is None


def test_nothing_is_taken_away_without_the_lake(seeded: Database, tmp_path: Path) -> None:
    asked = Asked.in_view(View.of("?event=concert_123"))
    assert asked is not None
    with pytest.raises(LakeAwayError):
        observations(seeded, Lake(tmp_path / "none"), asked)


@pytest.fixture
def own(database: object) -> Iterator[Database]:
    dsn: str = database.dsn  # type: ignore[attr-defined]
    with psycopg.connect(dsn, autocommit=True) as connection:
        seed.migrate(connection)
        connection.execute(
            "INSERT INTO quarantine (id, event_id, source, section, price, total_price, currency, quantity, timestamp,"
            " level, late, reason) SELECT n, 'e', 'mock', '<b>1</b>', p, p, 'USD', 1, '2026-11-23T12:00:30Z', 'listing',"
            " false, 'under_quarter' FROM (VALUES (1, 4), (2, 1000000)) AS doubted (n, p)"
        )
        connection.execute(
            "INSERT INTO price_windows SELECT 'e', '', '', 'listing', 'USD', size, '2026-11-23T12:00Z', 80, 90, 85, 80, 90,"
            " 2, 1, true FROM unnest(ARRAY[60, 3600, 86400]) AS size"
        )
    reader = Database(dsn)
    yield reader
    reader.close()


def test_doubted_prices_are_marked_within_the_picture_and_told_in_words(own: Database, lake: Lake) -> None:
    found = of(own, lake, "e")
    marks = next(trace for trace in price_chart(found.prices, found.look).data if trace.meta == "doubts")
    assert all(70 < y < 95 for y in marks.y), "an absurd price squeezes the others"
    assert set(marks.customdata) == {
        "$4.00, &lt;b&gt;1&lt;/b&gt; · Mock market<br>under quarter, held out",
        "$1,000,000, &lt;b&gt;1&lt;/b&gt; · Mock market<br>under quarter, held out",
    }


def test_a_single_observation_is_a_dot(own: Database, lake: Lake) -> None:
    found = of(own, lake, "e")
    dots = next(trace for trace in price_chart(found.prices, found.look).data if trace.meta == "event:dots")
    assert list(dots.y) == [85.0]
