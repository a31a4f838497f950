"""What an event offers now: which listings there are, and how they are asked for and shown."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest
from dash import html
from hypothesis import given
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from analytics.deals import Past
from analytics.schema import listing_key
from dash_app.database import Database, DatabaseAwayError
from dash_app.loaders import listings as loader
from dash_app.loaders.listings import (
    LOOKED,
    SEEN,
    Offers,
    SharedOffers,
    differs,
    observed,
    offered,
    offers,
    path,
    still_there,
)
from dash_app.page import View
from dash_app.pages.event.now_query import SORTS, Query, amount, answer, party
from dash_app.views.deal import explanation, verdict
from dash_app.views.listings import grid_rows, same_groups, same_list, summary, target_note, together_list
from local.postgres import EmbeddedPostgres
from tests.unit.dash_app import seed

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
_ids = iter(range(1, 10**9))


@pytest.fixture(scope="module")
def market(postgres_server: EmbeddedPostgres) -> Iterator[tuple[Database, psycopg.Connection[Any]]]:
    """A database of this module's own, without rows."""
    name = f"listings_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    database = Database(postgres_server.dsn(name))
    with psycopg.connect(postgres_server.dsn(name), autocommit=True) as connection:
        seed.migrate(connection)
        yield database, connection
    database.close()
    with psycopg.connect(postgres_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture
def event() -> str:
    return f"event {uuid.uuid4().hex}"


def see(connection: psycopg.Connection[Any], event: str, minute: float, price: float, **more: Any) -> int:
    """One observation, so many minutes after noon."""
    identity = next(_ids)
    row = {
        "id": identity, "event_id": event, "source": "mock", "section": "101", "row": "A", "seat": None, "price": price,
        "fees": None, "total_price": price, "currency": "USD", "quantity": 2, "timestamp": NOON + timedelta(minutes=minute),
        "listing_id": "L1", "listing_url": None, "level": "listing", "late": False, **more,
    }  # fmt: skip
    columns = SQL(", ").join(map(Identifier, row))
    values = SQL(", ").join([SQL("%s")] * len(row))
    connection.execute(SQL("INSERT INTO price_history ({}) VALUES ({})").format(columns, values), list(row.values()))
    return identity


def found(database: Database, event: str) -> dict[str | None, float]:
    """The listings on sale, with what they cost."""
    return dict(offers(database, event).listings.select("listing_id", "all_in").iter_rows())


def test_a_listing_costs_what_its_newest_observation_says(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    see(connection, event, 2, 90)
    see(connection, event, 1, 95)  # came later, and is older
    assert found(database, event) == {"L1": 90.0}


def test_of_one_moment_the_later_of_the_log_counts(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    see(connection, event, 0, 80)
    assert found(database, event) == {"L1": 80.0}


def test_without_an_id_the_place_tells_listings_apart(market: Any, event: str) -> None:
    database, connection = market
    for place in ({}, {"row": "B"}, {"seat": "1"}, {"source": "other"}, {"section": None}, {"row": None, "seat": "A"}):
        for minute in (0, 1):
            see(connection, event, minute, 100, listing_id=None, **place)
    there = offers(database, event).listings
    assert there.height == 6
    assert there["listing"].equals(there.select(listing_key())["listing"])
    assert there["looks"].to_list() == [2] * 6


def test_an_event_level_observation_is_no_listing(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 50, level="event", section=None, row=None, listing_id=None)
    assert offers(database, event).listings.is_empty()
    see(connection, event, 0, 100)
    assert found(database, event) == {"L1": 100.0}


def test_a_listing_that_its_source_no_longer_sees_is_gone(market: Any, event: str) -> None:
    database, connection = market
    for minute in range(0, 30, 5):
        see(connection, event, minute, 100, listing_id="stays")
        if minute <= 10:
            see(connection, event, minute, 50, listing_id="sold")
        if minute <= 15:
            see(connection, event, minute, 60, listing_id="missed twice")
    see(connection, event, 10, 70, source="slow", listing_id="of another source")
    assert set(found(database, event)) == {"stays", "missed twice", "of another source"}


def test_what_was_last_seen_days_ago_is_gone(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100, source="left", listing_id="old")
    see(connection, event, 25 * 60, 100, listing_id="new")
    assert set(found(database, event)) == {"new"}


def test_the_main_currency_is_shown_and_the_others_are_counted(market: Any, event: str) -> None:
    database, connection = market
    for number in range(3):
        see(connection, event, 0, 100, listing_id=f"e{number}", currency="EUR")
    see(connection, event, 0, 1, listing_id="p", currency="GBP")
    now = offers(database, event)
    assert (now.currency, now.left_out, now.listings.height) == ("EUR", {"GBP": 1}, 3)
    assert "left out: 1 in GBP" in summary(now, "UTC")


def test_nothing_is_known_of_an_unknown_event(market: Any) -> None:
    now = offers(market[0], "nowhere")
    assert now.listings.is_empty()
    assert now.as_of is None
    assert summary(now, "UTC") == "No listing is on sale."
    assert same_groups(now).is_empty()


def test_what_came_since_gives_the_same_as_all_of_it(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100, listing_id="stays")
    for minute in range(0, 10, 2):
        see(connection, event, minute, 100 + minute, listing_id="moves")
    before = observed(database, event)
    see(connection, event, 12, 70, listing_id="moves")
    see(connection, event, 7, 1, listing_id="moves")  # late, and older than its newest
    see(connection, event, 12, 40, listing_id="new")
    since, whole = observed(database, event, before), observed(database, event)
    told = ["listing", "total_price", "timestamp", "first"]
    assert since.select(told).sort("listing").equals(whole.select(told).sort("listing"))
    # What came late is not counted among the looks, and what was there twice not twice.
    assert dict(since.select("listing_id", "looks").iter_rows()) == {"stays": 1, "moves": 6, "new": 1}


def test_the_path_of_a_listing_is_its_changes(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    newest = see(connection, event, 30, 80)
    connection.execute(
        'INSERT INTO price_changes (id, event_id, source, section, "row", listing_id, currency, level, old_price, new_price,'
        " change, change_percent, previous_timestamp, timestamp)"
        " VALUES (%s, %s, 'mock', '101', 'A', 'L1', 'USD', 'listing', 100, 80, -20, -20, %s, %s)",
        (newest, event, NOON, NOON + timedelta(minutes=10)),
    )
    listing = offers(database, event).listings.row(0, named=True)
    minutes = [(int((at - NOON).total_seconds() / 60), price) for at, price in path(database, listing).iter_rows()]
    assert minutes == [(0, 100.0), (10, 80.0), (30, 80.0)]


def test_a_listing_seen_once_has_a_path_of_one_point(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    assert path(database, offers(database, event).listings.row(0, named=True)).rows() == [(NOON, 100.0)]


def seen(rows: list[tuple[str, int, int, int]]) -> pl.DataFrame:
    """(source, last minute, first minute, looks) of each listing."""
    frame = pl.DataFrame(
        [
            {"source": source, "listing_id": str(n), "timestamp": NOON + timedelta(minutes=last),
             "first": NOON + timedelta(minutes=first), "looks": looks}
            for n, (source, last, first, looks) in enumerate(rows)
        ]
    )  # fmt: skip
    return pl.concat([pl.DataFrame(schema=SEEN), frame], how="diagonal_relaxed").cast(SEEN)  # type: ignore[arg-type]


LOOKS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 9)).map(
        lambda one: (one[0], max(one[1], one[2]), min(one[1], one[2]), one[3])
    ),
    max_size=12,
)


@given(LOOKS)
def test_each_sources_last_sight_is_there_and_what_is_gone_is_older_than_what_is_there(
    rows: list[tuple[str, int, int, int]],
) -> None:
    frame = seen(rows)
    there, looked = still_there(frame)
    assert looked.schema == pl.Schema(LOOKED)
    gone = frame.join(there, on="listing_id", how="anti")
    for source, last, patience in looked.iter_rows():
        here = there.filter(pl.col("source") == source)["timestamp"]
        lost = gone.filter(pl.col("source") == source)["timestamp"]
        assert here.max() == last
        assert timedelta(minutes=2) <= patience <= timedelta(days=1)
        assert lost.is_empty() or lost.max() < here.min()  # type: ignore[operator]


def test_while_nothing_was_seen_twice_nothing_of_a_day_is_gone() -> None:
    there, _ = still_there(seen([("a", 1439, 1439, 1), ("a", 0, 0, 1)]))
    assert there.height == 2


def test_viewers_share_an_answer_and_ask_again_for_what_another_process_has_shown(market: Any, event: str) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    shared = SharedOffers(database)
    first = shared.get(event)
    see(connection, event, 1, 90)
    assert shared.get(event) is first  # it is kept for a while
    shown = offers(database, event).version
    assert shared.get(event, shown).listings["all_in"].to_list() == [90.0]
    assert shared.get(event).listings["all_in"].to_list() == [90.0]


def test_without_an_answer_everybody_waits_for_one_question(
    market: Any, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    asked, ready = [], threading.Barrier(4)

    def counted(*arguments: Any) -> pl.DataFrame:
        asked.append(arguments)
        return observed(*arguments)

    monkeypatch.setattr(loader, "observed", counted)
    shared, answers = SharedOffers(database), []

    def viewer() -> None:
        ready.wait()
        answers.append(shared.get(event))

    viewers = [threading.Thread(target=viewer) for _ in range(4)]
    for thread in viewers:
        thread.start()
    for thread in viewers:
        thread.join()
    assert len(asked) == 1
    assert [answer.listings.height for answer in answers] == [1] * 4


def test_few_events_are_kept(market: Any) -> None:
    shared = SharedOffers(market[0], most=2)
    for name in "abcd":
        shared.get(name)
    assert set(shared._kept) == {"c", "d"}


def test_what_is_kept_outlives_a_database_that_went_away(
    market: Any, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, connection = market
    see(connection, event, 0, 100)
    shared = SharedOffers(database)
    first = shared.get(event)
    monkeypatch.setattr(loader, "observed", lambda *_: (_ for _ in ()).throw(DatabaseAwayError()))
    shared._kept[event].due = 0.0 if shared._kept[event].due < 20 else shared._kept[event].due - 15
    assert shared.get(event) is first
    with pytest.raises(DatabaseAwayError):
        shared.get("another")


def test_a_version_is_drawn_when_it_is_other_and_not_older() -> None:
    assert differs("20/b", "10/a")
    assert not differs("20/a", "10/a")  # seen again
    assert not differs("10/b", "20/a")  # of a process that lags behind


def now(*rows: dict[str, Any]) -> Offers:
    """Offers of such listings, the first in section 101, row A at 100."""
    frame = pl.DataFrame(
        [
            {"id": n, "event_id": "e", "source": "mock", "section": "101", "row": "A", "seat": None, "price": 80_000_000,
             "fees": 20_000_000, "total_price": 100_000_000, "currency": "USD", "quantity": 2, "timestamp": NOON,
             "listing_id": str(n), "listing_url": None, "delivery_method": None, "seller_notes": None, "level": "listing",
             "first": NOON, "looks": 1, **row}
            for n, row in enumerate(rows)
        ],
        schema=SEEN,
    ).with_columns(listing_key())  # fmt: skip
    return offered(_NoPast(), "e", frame)


class _NoPast(Database):
    """Has no history of anything."""

    def __init__(self) -> None:
        pass

    def rows(self, sql: str, parameters: Any = None) -> list[Any]:
        return []


def test_the_query_is_read_from_the_address_and_what_it_does_not_know_is_not_said() -> None:
    assert Query.of(View.of("?q=floor&at=mock&most=120&party=4&by=-deal")) == Query(
        "floor", ("mock",), 120.0, 4, "-deal"
    )
    assert Query.of(View.of("?most=nan&party=99&by=drop%20table")) == Query()
    assert [amount(said) for said in ("", None, "-1", "inf", "0", 12)] == [None] * 5 + [12.0]
    assert [party(said) for said in ("8", "9", "0", None, "x")] == [8, 1, 1, 1, 1]


def test_listings_are_searched_and_sorted_as_people_count() -> None:
    listings = now(
        {"section": "102", "row": "10"}, {"section": "9", "row": "B"}, {"section": "102", "row": "9"}, {"section": None},
        {"section": "Floor (A)", "quantity": 4, "seller_notes": "Aisle seats", "total_price": 150_000_000, "source": "other"},
    ).listings  # fmt: skip

    def ids(query: Query) -> list[str]:
        return answer(listings, query)["listing_id"].to_list()

    assert ids(Query(sort="section")) == ["1", "2", "0", "4", "3"]
    assert ids(Query(sort="-section")) == ["4", "0", "2", "1", "3"]
    assert ids(Query(words="AISLE floor (")) == ["4"]
    assert ids(Query(party=3)) == ["4"]
    assert ids(Query(sources=("other", "nobody"))) == ["4"]
    assert set(ids(Query(most=100))) == {"0", "1", "2", "3"}
    assert ids(Query(words="nothing like it")) == []


@given(st.sampled_from([sign + by for by in SORTS for sign in ("", "-")]).map(lambda by: Query(sort=by)))
def test_every_order_keeps_every_listing(query: Query) -> None:
    listings = now({}, {"row": None}, {"fees": None}, {"section": "B", "total_price": 1_000_000}).listings
    assert set(answer(listings, query)["key"]) == set(listings["key"])


def test_the_same_seats_stand_together_the_cheapest_first() -> None:
    offered_now = now(
        {"source": "b", "seat": "1-2", "total_price": 120_000_000}, {"source": "a", "seat": "1,2", "total_price": 90_000_000},
        {"source": "c", "seat": "1-2", "section": "Sec 101"}, {"source": "a", "seat": "7-8", "row": "C"},
        {"source": "a", "seat": None, "row": None}, {"source": "b", "seat": None, "row": None},
    )  # fmt: skip
    (group,) = same_groups(offered_now).iter_rows(named=True)
    keys = dict(offered_now.listings.select("key", "listing_id").iter_rows())
    assert [keys[key] for key in group["offers"]] == ["1", "2", "0"]
    assert (group["low"], group["save"]) == (90.0, 30.0)
    said = str(same_list(same_groups(offered_now), offered_now))
    assert "save $30.00 a ticket" in said
    assert "+$30.00" in said


def test_a_party_pays_for_all() -> None:
    said = str(together_list(now({"quantity": 4}).listings, 3, "USD"))
    assert "$300.00" in said
    assert "$100.00 each" in said
    assert "No listing has 8 tickets together." in str(together_list(now().listings, 8, "USD"))


def test_where_a_price_lies() -> None:
    prices = pl.Series([50.0, 100.0, 100.0, 200.0])
    assert target_note(prices, 100.0, "USD") == "3 of 4 listings at $100.00 or less (75%)."
    assert target_note(prices, 20.0, "USD") == "Nothing at $20.00 or less: the cheapest is $30.00 more."
    assert "Type your price" in target_note(prices, None, "USD")
    assert target_note(prices.clear(), 5.0, "USD") == "No listing is on sale."


def test_why_a_price_is_good_or_not() -> None:
    past = Past(100e6, 125e6, 200e6, 300)
    cheap = now({"total_price": 60_000_000}, *[{}] * 20).listings.row(0, named=True)
    said = explanation(cheap, "USD", 100.0, past)
    assert said[0] == "The cheapest of 21 listings in section 101."
    assert said[1] == "40% under their median price of $100.00."
    assert said[2].startswith(
        "The event as a whole is cheaper than usual: $100.00 on average now, $125.00 in its median hour"
    )
    assert not any("small sample" in one for one in said)
    few = now({}, {"total_price": 120_000_000}).listings.row(1, named=True)
    assert explanation(few, "USD", None, None) == [
        "Cheaper than 0 of the 1 other listing of the whole event.",
        "20% over their median price of $100.00.",
        "Only 1 other to compare with: a small sample, so the score stays near 50.",
    ]
    alone = now({}).listings.row(0, named=True)
    assert explanation(alone, "USD", 100.0, None) == ["It is the only listing, so there is nothing to compare it with."]
    kinds = now(*[{"section": f"1{n:02}"} for n in range(20)]).listings.row(3, named=True)
    assert (
        explanation(kinds, "USD", None, None)[0]
        == "The cheapest of 20 listings in sections 100 to 199; 19 cost the same."
    )


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_score_has_no_worse_word(one: float, other: float) -> None:
    words = ["Very high", "High", "Fair", "Good price", "Great deal"]
    low, high = sorted((one, other))
    assert words.index(verdict(low)[0]) <= words.index(verdict(high)[0])
    assert verdict(None)[0] == "Not rated"


def test_strings_of_the_outside_are_text_and_links_are_safe() -> None:
    nasty = "<script>alert(1)</script>"
    rows = grid_rows(
        now(
            {"section": nasty, "listing_url": "javascript:alert(1)"}, {"listing_url": "https://example.com/1"}
        ).listings,
        "USD",
        "UTC",
    )
    assert {row["href"] for row in rows} == {None, "https://example.com/1"}
    assert nasty in {row["section"] for row in rows}
    offer = together_list(now({"section": nasty}).listings, 1, "USD")
    assert isinstance(offer, html.Ol)
    assert nasty in str(offer)  # a child, which React writes as text
