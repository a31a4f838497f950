"""The market's table, from the database to the rows that the browser is given."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from dash import Dash, html
from psycopg.conninfo import conninfo_to_dict

from dash_app import loaders
from dash_app.app import create_app
from dash_app.database import Database, DatabaseAwayError
from dash_app.keyfigures import key_figures
from dash_app.loaders import market as loader
from dash_app.page import Services, View
from dash_app.pages.market import PAGE, grid, table
from dash_app.pages.market.shared import SharedMarket
from settings import Settings
from tests.unit.dash_app import seed

_NOW = datetime(2026, 11, 23, 12, 34, tzinfo=UTC)


def _everything(database: Database) -> tuple[pl.DataFrame, pl.DataFrame]:
    histories = loader.histories(database)
    return histories, loader.now(database, histories["event_id"].to_list(), histories["currency"].to_list())


@pytest.fixture
def empty(database: Any) -> Iterator[tuple[Database, psycopg.Connection[Any]]]:
    with psycopg.connect(database.dsn, autocommit=True) as writer:
        seed.migrate(writer)
        reader = Database(database.dsn)
        yield reader, writer
        reader.close()


def _window(
    writer: psycopg.Connection[Any], seconds: int, start: datetime, low: float,
    *, source: str = "", section: str = "", level: str = "listing", currency: str = "USD", seen: int = 1, event: str = "e",
) -> None:  # fmt: skip
    writer.execute(
        "INSERT INTO price_windows VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 999, 500, 1, 1, %s, 7, true)",
        (event, source, section, level, currency, seconds, start, low, seen),
    )


def test_the_get_in_price_is_that_of_the_event_page(seeded: Database) -> None:
    histories, now = _everything(seeded)
    assert set(now["event_id"]) == {event[0] for event in seed.EVENTS} | {"opera_1"}
    for event, money in histories.select("event_id", "currency").iter_rows():
        shots = [loaders.snapshot(seeded, event, money, when) for when in ("now", "hour ago", "start")]  # type: ignore[arg-type]
        figures, row = key_figures(*shots), now.row(by_predicate=pl.col("event_id") == event, named=True)
        assert (row["price"], tuple(sorted(row["sources"]))) == (figures.get_in, figures.sources), event
        assert row["before"] == shots[2].filter(pl.col("source") != "")["low"].min(), event


def test_an_event_counts_in_the_currency_of_most_of_its_prices(seeded: Database) -> None:
    assert dict(loader.histories(seeded).select("event_id", "currency").iter_rows())["festival_eu"] == "EUR"


def test_a_history_is_of_the_longest_unit_of_which_there_are_enough(seeded: Database) -> None:
    histories = loader.histories(seeded)
    young = histories.row(by_predicate=pl.col("event_id") == "concert_456", named=True)
    assert young["unit"] == 300
    assert len(young["starts"]) == len(young["lows"]) >= 90 // 5
    assert all(start % 300 == 0 for start in young["starts"])
    assert young["starts"] == sorted(set(young["starts"]))
    few = histories.row(by_predicate=pl.col("event_id") == "opera_1", named=True)
    assert (few["unit"], few["lows"]) == (86400, [80.0, 80.0, 80.0])


def test_days_are_preferred_when_there_are_enough(empty: tuple[Database, psycopg.Connection[Any]]) -> None:
    reader, writer = empty
    for back in range(6):
        _window(writer, 86400, datetime(2026, 11, 23, tzinfo=UTC) - timedelta(days=2 * back), 100 + back)
    for back in range(50):
        _window(writer, 3600, datetime(2026, 11, 23, 12, tzinfo=UTC) - timedelta(hours=back), 50)
    (row,) = loader.histories(reader).iter_rows(named=True)
    assert (row["unit"], row["lows"]) == (86400, [105, 104, 103, 102, 101, 100])
    assert row["starts"][1] - row["starts"][0] == 2 * 86400, "a day without prices is a gap"


def test_a_day_ago_is_the_latest_moment_at_least_24_hours_before(
    empty: tuple[Database, psycopg.Connection[Any]],
) -> None:
    reader, writer = empty
    _window(writer, 3600, _NOW.replace(minute=0), 1)
    for back, place, low in [
        (0, "A", 90), (20, "B", 80), (70, "C", 10),  # C was not seen within the last hour
        (24 * 60 + 5, "A", 120), (24 * 60 + 50, "B", 110), (24 * 60 + 2000, "A", 5),
        (23 * 60, "A", 7),
    ]:  # fmt: skip
        _window(writer, 60, _NOW - timedelta(minutes=back), low, source="s", section=place)
    (row,) = loader.now(reader, ["e"], ["USD"]).iter_rows(named=True)
    assert (row["price"], row["seen"]) == (80, _NOW)
    assert (row["before"], row["before_at"]) == (110, _NOW - timedelta(minutes=24 * 60 + 5))
    assert row["listings"] == 7


def test_only_events_of_the_last_minutes_have_stirred(empty: tuple[Database, psycopg.Connection[Any]]) -> None:
    reader, writer = empty
    assert loader.stirred(reader) == []
    assert loader.histories(reader).is_empty()
    assert loader.now(reader, ["e"], ["USD"]).is_empty()
    _window(writer, 60, _NOW, 5, source="s", event="now")
    _window(writer, 60, _NOW - timedelta(minutes=10), 5, source="s", event="before")
    assert loader.stirred(reader) == ["now"]


def test_change_is_measured_over_the_time_that_is_known(seeded: Database) -> None:
    market = table.market(*_everything(seeded))
    assert (market["low"] <= market["price"]).all()
    assert (market["high"] >= market["typical"]).all()
    assert (market["low"] <= market["typical"]).all()
    tosca = market.row(by_predicate=pl.col("event_id") == "opera_1", named=True)
    assert (tosca["listings"], tosca["typical"], tosca["against"]) == (None, 80.0, 0.0)
    concert = market.row(by_predicate=pl.col("event_id") == "concert_123", named=True)
    assert 0 < concert["span"] <= 90 * 60
    assert concert["change"] == pytest.approx((concert["price"] / concert["before"] - 1) * 100)


def test_an_event_that_was_seen_once_has_not_changed() -> None:
    histories = pl.DataFrame(
        [("e", None, None, None, "USD", 300, [300], [5.0])], schema=loader.HISTORY, orient="row"
    )  # fmt: skip
    now = pl.DataFrame([("e", 5.0, _NOW, ["s"], 5.0, _NOW, 1)], schema=loader.NOW, orient="row")
    (row,) = table.market(histories, now).iter_rows(named=True)
    assert (row["change"], row["sample"], row["name"]) == (None, 1, "e")


def test_the_biggest_drops_are_of_events_seen_lately() -> None:
    rows = [("old", _NOW - timedelta(days=1), -90.0), ("rise", _NOW, 3.0), ("small", _NOW, -1.0), ("big", _NOW, -40.0),
            ("flat", _NOW, 0.0), ("unknown", _NOW, None)]  # fmt: skip
    frame = pl.DataFrame(rows, schema=["event_id", "seen", "change"], orient="row")
    assert table.biggest_drops(frame)["event_id"].to_list() == ["big", "small"]
    assert table.biggest_drops(frame, most=1).height == 1


def test_the_version_changes_with_a_row_and_only_then(seeded: Database) -> None:
    market = table.market(*_everything(seeded))
    assert table.version(market) == table.version(market.clone())
    others = [market.with_columns(price=pl.col("price") + 1), market.head(2),
              market.with_columns(sources=pl.lit(["x"], pl.List(pl.String)))]  # fmt: skip
    assert len({table.version(frame) for frame in [market, *others]}) == 4
    assert table.version(market.clear()) != table.version(market)


class _Asked:
    """Loaders that count how often they are asked, and wait until they may answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_answer, self.asked, self.away = threading.Event(), 0, False
        self.may_answer.set()
        self.histories = pl.DataFrame(
            [("e", None, None, None, "USD", 300, [300], [5.0])], schema=loader.HISTORY, orient="row"
        )  # fmt: skip
        self.now = pl.DataFrame([("e", 5.0, _NOW, ["s"], 5.0, _NOW, 1)], schema=loader.NOW, orient="row")
        monkeypatch.setattr(loader, "histories", self._histories)
        monkeypatch.setattr(loader, "now", lambda *_: self.now)
        monkeypatch.setattr(loader, "stirred", lambda *_: ["e"])

    def _histories(self, _database: Database) -> pl.DataFrame:
        self.asked += 1
        assert self.may_answer.wait(30)
        if self.away:
            raise DatabaseAwayError
        return self.histories


def _settle() -> None:
    for thread in threading.enumerate():
        if thread.name == "market":
            thread.join(30)


def test_many_viewers_ask_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _Asked(monkeypatch)
    asked.may_answer.clear()
    shared, found = SharedMarket(Database("")), []
    viewers = [threading.Thread(target=lambda: found.append(shared.get().version)) for _ in range(8)]
    for viewer in viewers:
        viewer.start()
    asked.may_answer.set()
    for viewer in viewers:
        viewer.join(30)
    assert asked.asked == 1
    assert len(found) == 8
    assert len(set(found)) == 1


def test_while_one_asks_again_the_others_are_given_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, clock = _Asked(monkeypatch), [100.0]
    shared = SharedMarket(Database(""), lambda: clock[0])
    first = shared.get()
    assert shared.get() is first, "it was asked for a moment ago"
    assert asked.asked == 1
    clock[0] += 6
    asked.may_answer.clear()
    asked.now = asked.now.with_columns(price=pl.lit(4.0))
    assert shared.get() is first
    assert shared.get() is first
    asked.may_answer.set()
    _settle()
    assert asked.asked == 2
    assert shared.get().frame["price"].to_list() == [4.0]
    assert shared.get().version != first.version


def test_what_is_too_old_is_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, clock = _Asked(monkeypatch), [100.0]
    shared = SharedMarket(Database(""), lambda: clock[0])
    shared.get()
    clock[0] += 61
    asked.now = asked.now.with_columns(price=pl.lit(4.0))
    assert shared.get().frame["price"].to_list() == [4.0]


def test_postgres_away_leaves_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, clock = _Asked(monkeypatch), [100.0]
    asked.away = True
    shared = SharedMarket(Database(""), lambda: clock[0])
    with pytest.raises(DatabaseAwayError):
        shared.get()
    shared.begin()  # fails where nobody sees it
    _settle()
    asked.away = False
    first = shared.get()
    asked.away = True
    clock[0] += 3600
    assert shared.get().frame is first.frame
    tried = asked.asked
    assert shared.get().frame is first.frame
    assert asked.asked == tried, "it does not try again for every viewer"
    asked.away = False
    asked.now = asked.now.with_columns(price=pl.lit(4.0))
    clock[0] += 61
    assert shared.get().frame["price"].to_list() == [4.0]


def _settings(dsn: str) -> Settings:
    parts: dict[str, Any] = conninfo_to_dict(dsn)
    return Settings(
        _env_file=None, postgres_host=parts["host"], postgres_port=parts["port"], postgres_db=parts["dbname"],
        postgres_user=parts["user"], postgres_password=parts["password"],
    )  # fmt: skip


def test_the_browser_is_given_the_rows_it_asks_for(seeded: Database) -> None:
    app = Dash("dash_app")
    app.layout = html.Div()
    grid.register(app, seeded)
    client = app.server.test_client()
    answer = client.get("/market/rows?sort=-price&start=0&end=2&zone=Asia/Tokyo").json
    assert (len(answer["rows"]), answer["total"]) == (2, len(seed.EVENTS) + 1)
    rest = client.get("/market/rows?sort=-price&start=2&end=900").json["rows"]
    ids = [row["id"] for row in [*answer["rows"], *rest]]
    assert sorted(ids) == sorted([*(event[0] for event in seed.EVENTS), "opera_1"])
    (found,) = client.get("/market/rows?end=9&q=del%20forum").json["rows"]
    assert found["price"].startswith("€")
    for nonsense in (
        "start=-1&end=x",
        "start=9&end=2",
        "zone=Nowhere&end=1",
        "sort=;&source=%00&most=nan&when=%FF&end=3",
    ):
        assert client.get(f"/market/rows?{nonsense}").status_code == 200, nonsense


def test_postgres_away_is_told_to_the_browser() -> None:
    away = create_app(Settings(_env_file=None, postgres_host="127.0.0.1", postgres_port=1)).server.test_client()
    assert away.get("/market/rows?end=5").json == {"away": True}


def test_the_export_is_the_view_as_a_table(seeded_dsn: str) -> None:
    services = Services.of(_settings(seeded_dsn))
    whole = PAGE.exports["market"](services, View.of("?when=all&sort=price"))
    assert whole["price"].is_sorted()
    assert whole.height == len(seed.EVENTS) + 1
    part = PAGE.exports["market"](services, View.of("?q=tosca&source=seatgeek"))
    assert part.select("event_id", "sources").rows() == [("opera_1", "seatgeek")]
    services.database.close()
