"""The watchlist as people change it on the dashboard: many entries at once, and what is set aside."""

from __future__ import annotations

import pytest

from analytics.watchlist import Entry, Query, WatchlistError
from analytics.watchstore import Added, WatchStore
from connectors.watchlist import Watchlist
from sinks import schema
from tests.conftest import Database

NORA, RADIOHEAD = Entry(query=Query("Nora Vale")), Entry(query=Query("Radiohead", city="London"))
BY_ID = Entry("seatgeek", "6109434")


@pytest.fixture
def store(database: Database) -> WatchStore:
    schema.migrate(database.dsn)
    return WatchStore(database.dsn)


def test_a_second_import_adds_nothing(store: WatchStore) -> None:
    assert store.add_all([NORA, RADIOHEAD, NORA]) == Added(new=2, known=0)
    assert store.add_all([NORA, RADIOHEAD, BY_ID]) == Added(new=1, known=2)
    assert [one.entry for one in store.entries()] == [NORA, RADIOHEAD, BY_ID]


def test_what_is_set_aside_is_searched_for_no_more_until_it_is_followed_again(store: WatchStore) -> None:
    ingestion = Watchlist(store.dsn)
    number = store.add(NORA)
    store.set_active(number, False)
    assert ingestion.queries("seatgeek") == []
    assert [one.active for one in store.entries()] == [False]
    store.set_active(number, True)
    assert ingestion.queries("seatgeek") == [(number, NORA.query)]
    with pytest.raises(WatchlistError, match="there is no entry 99"):
        store.set_active(99, False)


def test_an_entry_of_the_file_stays_set_aside_when_the_file_is_read_again(store: WatchStore) -> None:
    ingestion = Watchlist(store.dsn)
    ingestion.sync([NORA])
    [entry] = store.entries()
    store.set_active(entry.id, False)
    ingestion.sync([NORA, RADIOHEAD])
    assert {one.entry: one.active for one in store.entries()} == {NORA: False, RADIOHEAD: True}
    with pytest.raises(WatchlistError, match="stands in the watchlist file"):
        store.remove(entry.id)
