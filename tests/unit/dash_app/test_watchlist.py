"""The watchlist on the page: what is read, how it is said, and what a file of entries came to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg
import pytest

from analytics.watchlist import Entry, Query, Read, read_csv
from analytics.watchstore import WatchStore
from dash_app.database import Database
from dash_app.loaders.watchlist import ENTRIES, LINKS, event_choices, known_sources, links, watchlist
from dash_app.views.watchlist import (
    MOST_FAULTS,
    entry_table,
    evidence,
    export_frame,
    import_report,
    link_table,
    preview,
)
from tests.unit.dash_app import seed

SOON = date.today() + timedelta(days=30)
_EVENT = (
    "INSERT INTO source_events (source, source_id, event_id, name, venue, city, local_date, score, evidence, decided_by, "
    "gone) VALUES (%s, %s, %s, %s, 'Grand Hall', 'Chicago', %s, %s, %s, %s, %s)"
)


def words(part: Any) -> str:
    """What the browser gets, as one text."""
    return json.dumps(part, default=lambda one: one.to_plotly_json(), ensure_ascii=False)


@pytest.fixture
def watched(database: Any) -> Iterator[Database]:
    """Four entries: one that found two events on two sources, one paused, one of the file, one by id."""
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        seed.migrate(connection)
        store = WatchStore(database.dsn)
        nora = store.add(Entry(query=Query("Nora Vale", city="Chicago")))
        paused = store.add(Entry(query=Query("50% off_tour")))
        store.set_active(paused, False)
        connection.execute("INSERT INTO watchlist (text, until, origin) VALUES ('Tosca', '2020-01-01', 'file')")
        store.add(Entry("seatgeek", "77"))
        known = '{"name": {"similarity": 0.91}, "date": {"similarity": 1}}'
        for row in (
            ("seatgeek", "1", "seatgeek-1", "Nora Vale", SOON, 1, "{}", "match", None),
            ("ticketmaster", "G1", "seatgeek-1", "NORA VALE live", SOON, 0.85, known, "match", None),
            ("seatgeek", "2", "seatgeek-2", "Nora Vale", SOON + timedelta(1), 1, "{}", "match", "cancelled"),
            ("seatgeek", "77", "seatgeek-77", "The Knife", None, 1, "{}", "user", None),
        ):
            connection.execute(_EVENT, row)
        for source, source_id in (("seatgeek", "1"), ("ticketmaster", "G1"), ("seatgeek", "2")):
            connection.execute("INSERT INTO watched VALUES (%s, %s, %s)", (nora, source, source_id))
    reader = Database(database.dsn)
    yield reader
    reader.close()


def test_an_entry_tells_what_it_found(watched: Database) -> None:
    by_id, tosca, paused, nora = watchlist(watched).rows(named=True)
    assert (nora["events"], nora["gone"], nora["next"], nora["name"]) == (1, 1, SOON, None), "one show at two sources"
    assert (by_id["events"], by_id["name"]) == (1, "The Knife")
    assert (paused["active"], paused["events"]) == (False, 0)
    assert (tosca["origin"], tosca["over"]) == ("file", True)
    assert {row["total"] for row in (by_id, tosca, paused, nora)} == {4}


@pytest.mark.parametrize(
    ("find", "state", "found"),
    [
        ("vale nora", "all", ["Nora Vale"]),
        ("knife", "all", [None]),
        ("%", "all", ["50% off_tour"]),
        ("off_", "all", ["50% off_tour"]),
        ("nora tosca", "all", []),
        ("", "paused", ["50% off_tour"]),
        ("", "nothing", ["Tosca"]),
        ("", "active", [None, "Tosca", "Nora Vale"]),
    ],
)
def test_entries_are_found_by_all_their_words_and_by_state(
    watched: Database, find: str, state: Any, found: list[str | None]
) -> None:
    assert watchlist(watched, find, state)["text"].to_list() == found


def test_a_page_of_entries_knows_how_many_there_are(watched: Database) -> None:
    page = watchlist(watched, offset=1, limit=2)
    assert page["text"].to_list() == ["Tosca", "50% off_tour"]
    assert page["total"].to_list() == [4, 4]


def test_listings_stand_with_their_event(watched: Database) -> None:
    every = links(watched)
    assert every["source_id"].to_list() == ["1", "G1", "2", "77"]
    assert every.filter(event_id="seatgeek-1")["event"].to_list() == ["Nora Vale", "Nora Vale"]
    assert every["listings"].to_list() == [2, 2, 1, 1]
    kinds: dict[Any, list[str]] = {"shared": ["1", "G1"], "unsure": ["G1"], "user": ["77"], "gone": ["2"]}
    for kind, expected in kinds.items():
        assert links(watched, kind=kind)["source_id"].to_list() == expected, kind
    [nora] = watchlist(watched, "nora")["id"].to_list()
    [by_id] = watchlist(watched, "knife")["id"].to_list()
    assert links(watched, entry=nora)["source_id"].to_list() == ["1", "G1", "2"]
    assert links(watched, entry=by_id)["source_id"].to_list() == ["77"]
    assert links(watched, "live ticketmaster")["source_id"].to_list() == ["G1"]


def test_the_nearest_event_is_offered_first(watched: Database) -> None:
    near = event_choices(watched, "", str(SOON + timedelta(1)))
    assert near["event_id"].to_list() == ["seatgeek-2", "seatgeek-1", "seatgeek-77"]
    assert event_choices(watched, "knife")["event_id"].to_list() == ["seatgeek-77"]
    assert known_sources(watched) == ["seatgeek", "ticketmaster"]


def entry(**given: Any) -> dict[str, Any]:
    return {"id": 3, "source": None, "source_id": None, "text": "Nora Vale", "venue": None, "city": None, "since": None,
            "until": None, "active": True, "origin": "table", "over": False, "name": None, "events": 2, "gone": 0,
            "next": SOON, "total": 1, **given}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, ["Nora Vale", "on every source", "2 events", "Followed", "Pause", "Remove…", "added by hand"]),
        ({"active": False}, ["Paused", "Follow again"]),
        ({"origin": "file"}, ["the watchlist file", "in the file", "Pause"]),
        ({"events": 0, "next": None}, ["Nothing found", "nothing yet"]),
        ({"over": True}, ["Over"]),
        (
            {"text": None, "source": "seatgeek", "source_id": "77", "name": "Tosca"},
            ["Tosca", "event 77", "on SeatGeek"],
        ),
        ({"text": None, "source": "seatgeek", "source_id": "77"}, ["Event 77"]),
        ({"since": date(2027, 5, 1), "city": "Chicago"}, ["Chicago", "from 1 May 2027"]),
    ],
)
def test_an_entry_in_words(given: dict[str, Any], says: list[str]) -> None:
    shown = words(entry_table(pl.DataFrame([entry(**given)], schema=ENTRIES), searched=False))
    for part in says:
        assert part in shown, part
    if given.get("origin") == "file":
        assert "Remove" not in shown, "what the file rules is taken out there"


def test_an_empty_watchlist_says_what_to_do() -> None:
    none = pl.DataFrame(schema=ENTRIES)
    assert "Add an artist" in words(entry_table(none, searched=False))
    assert "Clear the search" in words(entry_table(none, searched=True))
    assert "watchlist finds" in words(link_table(pl.DataFrame(schema=LINKS), searched=False))


def test_a_listing_says_how_sure_the_match_is_and_leads_only_to_web_pages() -> None:
    row = {"source": "ticketmaster", "source_id": "G1", "event_id": "seatgeek-1", "event": "Nora & Vale", "name": "NORA",
           "venue": None, "city": None, "date": None, "starts": None, "url": "javascript:alert(1)", "status": None,
           "score": 0.85, "evidence": '{"name": {"similarity": 0.91}}', "decided_by": "match", "gone": None,
           "listings": 2, "total": 1}  # fmt: skip
    shown = words(link_table(pl.DataFrame([row], schema=LINKS), searched=False))
    for part in ("0.85", "pill warn", "name 0.91", "Its own event", "2 listings are this event", "no date yet"):
        assert part in shown, part
    assert "javascript" not in shown
    decided = words(link_table(pl.DataFrame([{**row, "decided_by": "user", "event_id": "ticketmaster-G1"}], schema=LINKS),
                               searched=False))  # fmt: skip
    assert "You said so" in decided
    assert "Its own event" not in decided


@pytest.mark.parametrize("told", [None, "", "[]", "null", '{"name": 3}', '{"name": {"similarity": "x"}}', "{"])
def test_evidence_that_cannot_be_read_says_nothing(told: str | None) -> None:
    assert evidence(told) == ""


def test_the_form_says_what_would_be_followed_or_what_is_wrong() -> None:
    assert preview({"artist": "Nora Vale", "city": "Chicago"}) == (
        "Follows Nora Vale in Chicago on every source.",
        True,
    )
    assert preview({"source": "seatgeek", "id": "7"}) == ("Follows event 7 on seatgeek.", True)
    says, possible = preview({"artist": "x", "since": "2027-05-02", "until": "2027-05-01"})
    assert not possible
    assert "Since 2027-05-02 is after until 2027-05-01." in says


def test_an_import_names_every_bad_line() -> None:
    read = read_csv("artist,city\nNora Vale,Chicago\nRadiohead\n,\n,Bonn\n,Bonn,x\n")
    shown = words(import_report(read, 1, 1))
    for part in ("1 entry added", "1 was followed already", "2 lines were not taken", "Line 3", "Line 6"):
        assert part in shown, part
    many = Read({}, dict.fromkeys(range(2, MOST_FAULTS + 12), "wrong"))
    assert "… and 10 more" in words(import_report(many, 0, 0))
    assert "holds no entries" in words(import_report(Read({}, {}), 0, 0))


def test_what_is_taken_away_can_be_brought_back_and_adds_nothing(watched: Database, database: Any) -> None:
    store = WatchStore(database.dsn)
    before = [one.entry for one in store.entries()]
    read = read_csv(export_frame(watchlist(watched)).write_csv())
    assert read.faults == {}
    assert store.add_all(read.entries.values()) == (0, 4)
    assert [one.entry for one in store.entries()] == before
