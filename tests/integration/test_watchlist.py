"""The watchlist in Postgres: entries, links that all processes agree on, targets, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

import settings as configuration
from connectors import sources
from connectors.source import Listed, Query, Source, Target, Unavailable
from connectors.watchlist import Entry, Synced, Watched, Watchlist, WatchlistError, own_event_id
from connectors.watchlist.__main__ import main
from settings import Settings
from sinks import schema
from tests.conftest import Database

SHOW = datetime(2027, 6, 2, 1, tzinfo=UTC)  # eight in the evening of the first of June, in Chicago
BEFORE = SHOW - timedelta(days=30)
NORA = Entry(query=Query("Nora Vale"))


def listed(source: str, source_id: str = "1", **facts: Any) -> Listed:
    """Nora Vale's show as a source lists it; what is given replaces."""
    usual = Listed(
        source, source_id, "Nora Vale", "Grand Hall", "Chicago", "IL", date(2027, 6, 1), SHOW, ("Nora Vale",)
    )
    return replace(usual, **facts)


@pytest.fixture
def watchlist(tables: Database) -> Watchlist:
    return Watchlist(tables.dsn)


def test_sync_makes_the_files_entries_what_the_file_says(watchlist: Watchlist) -> None:
    ferry, by_id = Entry(query=Query("Midnight Ferry", city="Seattle")), Entry("seatgeek", "7")
    assert watchlist.sync([NORA, ferry, NORA]) == Synced(2, 0)
    assert watchlist.sync([NORA, ferry]) == Synced(0, 0)
    number = {stored.entry: stored.id for stored in watchlist.entries()}
    assert watchlist.sync([by_id, NORA]) == Synced(1, 1)
    assert [(stored.entry, stored.origin) for stored in watchlist.entries()] == [(NORA, "file"), (by_id, "file")]
    assert watchlist.entries()[0].id == number[NORA], "an entry that stays is the same entry"


def test_entries_added_by_hand_stay_whatever_the_file_says(watchlist: Watchlist) -> None:
    by_hand = Entry(query=Query("Northbound"))
    watchlist.add(by_hand)
    watchlist.sync([NORA, by_hand])
    assert watchlist.add(NORA) == watchlist.add(NORA), "following what stands in the file makes it one's own"
    assert watchlist.sync([]) == Synced(0, 0)
    assert [(stored.entry, stored.origin) for stored in watchlist.entries()] == [(by_hand, "table"), (NORA, "table")]


def test_remove_takes_what_was_added_and_sends_to_the_file_for_the_rest(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    watchlist.link([listed("seatgeek")], number)
    watchlist.remove(number)
    assert watchlist.entries() == watchlist.targets("seatgeek", BEFORE) == []
    assert [link.event_id for link in watchlist.links()] == ["seatgeek-1"], "its events stay linked"
    with pytest.raises(WatchlistError, match=f"there is no entry {number}; .* list"):
        watchlist.remove(number)
    watchlist.sync([NORA])
    with pytest.raises(WatchlistError, match="stands in the watchlist file: take it out there"):
        watchlist.remove(watchlist.entries()[0].id)


@pytest.mark.parametrize(
    "row",
    [
        {"source_id": "7"}, {"source": "seatgeek"}, {"text": ""}, {"since": date(2027, 1, 1)}, {},
        {"source": "seatgeek", "source_id": "7", "text": "Nora"},
        {"source": "seatgeek", "source_id": "7", "since": date(2027, 1, 1)},
        {"text": "Nora", "since": date(2027, 2, 1), "until": date(2027, 1, 1)},
    ],
)  # fmt: skip
def test_the_table_takes_no_entry_that_is_none(connection: psycopg.Connection, row: dict[str, Any]) -> None:
    usual = dict.fromkeys(("source", "source_id", "text", "since", "until"))
    with pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(
            "INSERT INTO watchlist (source, source_id, text, since, until) "
            "VALUES (%(source)s, %(source_id)s, %(text)s, %(since)s, %(until)s)",
            usual | row,
        )


def test_the_first_listing_names_the_event_and_others_join_it(watchlist: Watchlist) -> None:
    (first,) = watchlist.link([listed("seatgeek", "6109434")])
    assert (first.event_id, first.score, first.evidence, first.decided_by) == ("seatgeek-6109434", 1.0, {}, "match")
    assert first.event_id == own_event_id("seatgeek", "6109434")
    (second,) = watchlist.link([listed("stubhub", "9", name="Nora Vale: The Long Road", venue="The Grand Hall")])
    assert (second.event_id, second.score, second.decided_by) == ("seatgeek-6109434", 0.96, "match")
    assert second.evidence["name"]["values"] == ["Nora Vale: The Long Road", "Nora Vale"]
    assert watchlist.links("seatgeek-6109434") == [first, second]


def test_the_first_listing_of_an_event_is_shown_first(watchlist: Watchlist) -> None:
    links = watchlist.link([listed("alpha", starts=SHOW + timedelta(minutes=30)), listed("omega")])
    assert [link.event_id for link in links] == ["omega-1", "omega-1"]
    assert [link.listed.source for link in watchlist.links()] == ["omega", "alpha"]


def test_what_differs_is_an_event_of_its_own(watchlist: Watchlist) -> None:
    given = [
        listed("seatgeek"),
        listed("stubhub", local_date=date(2027, 6, 2), starts=SHOW + timedelta(days=1)),
        listed("ticketmaster", city="Boston", state="MA"),
        listed("tickpick", name="PARKING: Nora Vale"),
        listed("vivid", local_date=None, starts=None),
    ]
    assert [link.event_id for link in watchlist.link(given)] == [own_event_id(one.source, "1") for one in given]


def test_matinee_and_evening_find_each_other_within_one_batch(watchlist: Watchlist) -> None:
    matinee = SHOW - timedelta(hours=6)
    given = [
        listed("stubhub", "e"), listed("seatgeek", "m", starts=matinee),
        listed("seatgeek", "e"), listed("stubhub", "m", starts=matinee),
    ]  # fmt: skip
    events = [link.event_id for link in watchlist.link(given)]
    assert events == ["seatgeek-e", "seatgeek-m", "seatgeek-e", "seatgeek-m"], "in the order that was given"


def test_a_link_never_changes_by_itself(watchlist: Watchlist) -> None:
    watchlist.link([listed("seatgeek"), listed("stubhub")])
    moved = listed("stubhub", name="Somebody Else", local_date=date(2027, 8, 1), starts=None, performers=())
    (link,) = watchlist.link([moved])
    assert (link.event_id, link.listed) == ("seatgeek-1", moved), "its facts change, its event does not"
    late = listed("ticketmaster", name="Somebody Else", local_date=date(2027, 8, 1), starts=None)
    assert watchlist.link([late])[0].event_id == "seatgeek-1", "others match what it is now"


def test_update_takes_facts_over_and_links_what_was_not_linked_yet(watchlist: Watchlist) -> None:
    watchlist.link([listed("seatgeek")])
    later = listed("seatgeek", starts=SHOW + timedelta(hours=1), status="rescheduled", performers=("Nora Vale", "X"))
    both = watchlist.update([listed("stubhub", starts=later.starts), later])
    assert [(link.listed.source, link.event_id) for link in both] == [
        ("stubhub", "seatgeek-1"), ("seatgeek", "seatgeek-1"),
    ]  # fmt: skip
    assert both[1].listed == later
    assert watchlist.update([]) == watchlist.link([]) == []


def test_two_processes_that_meet_the_same_show_agree(watchlist: Watchlist) -> None:
    """Each of eight threads brings another source's listing of the same twenty shows, all at once."""
    start = Barrier(8)

    def bring(number: int) -> set[str]:
        start.wait()
        shows = [listed(f"s{number}", str(day), local_date=date(2027, 6, day), starts=None) for day in range(1, 21)]
        return {link.event_id for link in Watchlist(watchlist.dsn).link(shows)}

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(bring, range(8)))
    assert len(found[0]) == 20
    assert all(events == found[0] for events in found), "one show became several events"
    assert len(watchlist.links()) == 160


def test_updates_and_links_at_once_never_wait_for_each_other_for_good(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    shows = [listed("seatgeek", str(n), local_date=date(2027, 6, n), starts=None) for n in range(1, 29)]
    watchlist.link(shows, number)

    def change(turn: int) -> None:
        given = [replace(one, status=str(turn)) for one in shows[:: 1 if turn % 2 else -1]]
        Watchlist(watchlist.dsn).update(given) if turn % 3 else Watchlist(watchlist.dsn).link(given, number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(change, range(12)))
    assert len({link.listed.status for link in watchlist.links()}) == 1


def test_a_users_word_counts_and_stays(watchlist: Watchlist) -> None:
    watchlist.link([listed("seatgeek"), listed("stubhub", name="The Vale Revue", performers=())])
    link = watchlist.relink("stubhub", "1", "seatgeek-1")
    assert (link.event_id, link.score, link.decided_by, link.evidence) == ("seatgeek-1", 1.0, "user", {})
    link = watchlist.unlink("stubhub", "1")
    assert (link.event_id, link.decided_by) == ("stubhub-1", "user")
    assert watchlist.link([listed("stubhub")])[0].event_id == "stubhub-1", "although it would match now"
    assert watchlist.link([listed("tickpick")])[0].event_id == "tickpick-1", "two events fit: neither is taken"


def test_the_first_listing_of_an_event_is_not_unlinked_from_under_the_others(watchlist: Watchlist) -> None:
    watchlist.link([listed("seatgeek"), listed("stubhub", "9")])
    with pytest.raises(WatchlistError, match=r"linked to event seatgeek-1: unlink or relink them instead: stubhub 9"):
        watchlist.unlink("seatgeek", "1")
    watchlist.unlink("stubhub", "9")
    assert watchlist.unlink("seatgeek", "1").event_id == "seatgeek-1"


def test_relinking_names_what_is_missing(watchlist: Watchlist) -> None:
    watchlist.link([listed("seatgeek")])
    with pytest.raises(WatchlistError, match=r"there is no event seatgeek-2; .* links` shows all"):
        watchlist.relink("seatgeek", "1", "seatgeek-2")
    with pytest.raises(WatchlistError, match=r"stubhub has no event 8 that is followed"):
        watchlist.relink("stubhub", "8", "seatgeek-1")


def test_targets_are_what_entries_brought_and_what_they_name(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    watchlist.add(Entry("seatgeek", "77"))
    watchlist.link([listed("stubhub"), listed("seatgeek", "later", starts=None)], number)
    watchlist.link([listed("seatgeek", "unfollowed")])
    assert watchlist.targets("stubhub", BEFORE) == [Watched(Target("1", SHOW), "stubhub-1")]
    assert watchlist.targets("seatgeek", BEFORE) == [
        Watched(Target("77"), None),
        Watched(Target("later"), "stubhub-1"),
    ], "an id that no look has described has no event yet"
    watchlist.update([listed("seatgeek", "77", local_date=date(2027, 6, 9), starts=SHOW + timedelta(days=8))])
    assert watchlist.targets("seatgeek", BEFORE)[0] == Watched(Target("77", SHOW + timedelta(days=8)), "seatgeek-77"), (
        "the next show first"
    )


def test_targets_leave_out_what_is_over(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    dated = listed("seatgeek", "dated", starts=None)  # it may be on anywhere until noon UTC of the next day
    unknown = listed("seatgeek", "unknown", starts=None, local_date=None)
    watchlist.link([listed("seatgeek", "timed"), dated, unknown], number)

    def left(now: datetime) -> set[str]:
        return {watched.target.id for watched in watchlist.targets("seatgeek", now)}

    assert left(SHOW + timedelta(hours=5)) == {"timed", "dated", "unknown"}
    assert left(SHOW + timedelta(hours=7)) == {"dated", "unknown"}
    assert left(datetime(2027, 6, 2, 13, tzinfo=UTC)) == {"unknown"}


def test_what_has_gone_is_looked_at_no_more_until_there_is_news_of_it(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    cancelled = listed("seatgeek", status="cancelled")
    watchlist.link([listed("seatgeek")], number)
    watchlist.update([cancelled])
    watchlist.mark_gone("seatgeek", "1", "cancelled")
    watchlist.update([cancelled])
    watchlist.link([cancelled], number)
    assert watchlist.targets("seatgeek", BEFORE) == []
    assert watchlist.links("seatgeek-1")[0].gone == "cancelled"
    assert watchlist.entries()[0].events == 0
    watchlist.link([listed("seatgeek", status="rescheduled", starts=None)], number)
    assert watchlist.targets("seatgeek", BEFORE) == [Watched(Target("1"), "seatgeek-1")]


def test_an_id_that_its_source_does_not_know_is_asked_for_again_when_it_is_added_again(watchlist: Watchlist) -> None:
    by_id = Entry("seatgeek", "404")
    watchlist.add(by_id)
    watchlist.mark_gone("seatgeek", "404", "there is no such thing there")
    assert watchlist.targets("seatgeek", BEFORE) == watchlist.links() == []
    watchlist.add(by_id)
    assert watchlist.targets("seatgeek", BEFORE) == [Watched(Target("404"), None)]
    watchlist.link([listed("stubhub")])
    assert watchlist.update([listed("seatgeek", "404")])[0].event_id == "stubhub-1", "matched once it is described"


def test_an_event_that_was_unknown_and_is_listed_is_there(watchlist: Watchlist) -> None:
    watchlist.mark_gone("seatgeek", "1", "there is no such thing there")
    (link,) = watchlist.update([listed("seatgeek")])
    assert (link.event_id, link.gone) == ("seatgeek-1", None)


def test_a_show_that_its_source_lists_anew_joins_its_event(watchlist: Watchlist) -> None:
    watchlist.link([listed("seatgeek", "old"), listed("stubhub")])
    assert watchlist.link([listed("seatgeek", "second")])[0].event_id == "seatgeek-second"
    watchlist.mark_gone("seatgeek", "second", "gone")
    watchlist.mark_gone("seatgeek", "old", "gone")
    watchlist.unlink("seatgeek", "second")
    with psycopg.connect(watchlist.dsn) as connection:
        connection.execute("DELETE FROM source_events WHERE source_id = 'second'")
    assert watchlist.link([listed("seatgeek", "new")])[0].event_id == "seatgeek-old"


def test_queries_do_not_follow_what_is_sold_beside_a_show(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    found = watchlist.link([listed("seatgeek", "p", name="Nora Vale - Parking"), listed("seatgeek")], number)
    assert [link.listed.id for link in found] == ["1"]
    assert [watched.target.id for watched in watchlist.targets("seatgeek", BEFORE)] == ["1"]
    assert watchlist.link([listed("seatgeek", "p", name="Nora Vale - Parking")])[0].event_id == "seatgeek-p"


def test_an_entry_that_was_removed_meanwhile_does_no_harm(watchlist: Watchlist) -> None:
    number = watchlist.add(NORA)
    watchlist.remove(number)
    assert watchlist.link([listed("seatgeek")], number)[0].event_id == "seatgeek-1"
    assert watchlist.targets("seatgeek", BEFORE) == []


def test_queries_are_those_for_a_source_that_are_not_past(watchlist: Watchlist, connection: psycopg.Connection) -> None:
    here, other = Entry("seatgeek", query=Query(venue="Grand Hall")), Entry("stubhub", query=Query("Northbound"))
    past, ahead = (Entry(query=Query("Nora Vale", until=date(year, 1, 1))) for year in (2020, 2190))
    numbers = [watchlist.add(entry) for entry in (NORA, here, other, past, ahead, Entry("seatgeek", "1"))]
    wanted = [(numbers[0], NORA.query), (numbers[1], here.query), (numbers[4], ahead.query)]
    assert watchlist.queries("seatgeek") == wanted
    connection.execute("UPDATE watchlist SET active = false WHERE id = ANY(%s)", (numbers[:2],))
    assert watchlist.queries("seatgeek") == wanted[2:]
    assert watchlist.add(NORA) == numbers[0], "adding it again takes it up again"
    assert watchlist.queries("seatgeek") == [wanted[0], wanted[2]]


def test_an_entry_set_aside_brings_no_targets(watchlist: Watchlist, connection: psycopg.Connection) -> None:
    watchlist.link([listed("seatgeek")], watchlist.add(NORA))
    watchlist.add(Entry("seatgeek", "7"))
    connection.execute("UPDATE watchlist SET active = false")
    assert watchlist.targets("seatgeek", BEFORE) == []


# -- the command ------------------------------------------------------------------------------------------------------


class FakeSource:
    """Answers searches from a list, or fails."""

    budget: Any = None
    searchable = True

    def __init__(self, name: str, answers: list[Listed] | Unavailable) -> None:
        self.name, self._answers = name, answers
        self.asked: list[tuple[Query, int]] = []
        self.closed = False

    def look(self, targets: Any) -> Any:
        raise AssertionError("the command never looks")

    def search(self, query: Query, limit: int = 50) -> list[Listed]:
        self.asked.append((query, limit))
        if isinstance(self._answers, Unavailable):
            raise self._answers
        return self._answers

    def close(self) -> None:
        self.closed = True


SEATGEEK = [listed("seatgeek", "6109434", url="https://seatgeek.example/6109434")]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def configured() -> list[Source]:
    """The sources that the command finds; tests put theirs in."""
    return [FakeSource("seatgeek", SEATGEEK), FakeSource("stubhub", Unavailable("stubhub is away"))]


@pytest.fixture
def run(
    tables: Database,
    configured: list[Source],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Runs the command: (exit code, stdout, stderr)."""
    given = {name.lower(): value for name, value in tables.environment.items()}
    settings = Settings(**given, watchlist_file=tmp_path / "watchlist.toml", _env_file=None)  # type: ignore[arg-type, call-arg]
    monkeypatch.setattr(configuration, "load", lambda: settings)
    monkeypatch.setattr(sources, "configured", lambda _, __: configured)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        return code, *capsys.readouterr()

    return command


def test_add_list_and_remove(run: Run) -> None:
    assert run("list") == (0, "nothing\n", "")
    code, out, err = run("add", "Nora Vale", "--city", "Chicago", "--since", "2027-05-01")
    assert (code, out.splitlines()[1].split(maxsplit=1)[1], err) == (0, "Nora Vale in Chicago from 2027-05-01", "")
    code, out, _ = run("add", "--source", "seatgeek", "--id", "6109434", "--json")
    (added,) = json.loads(out)
    assert added["follows"] == "event 6109434 on seatgeek"
    rows = json.loads(run("list", "--json")[1])
    assert [(row["follows"], row["events"], row["origin"]) for row in rows] == [
        ("Nora Vale in Chicago from 2027-05-01", 0, "table"), ("event 6109434 on seatgeek", 0, "table"),
    ]  # fmt: skip
    assert run("remove", str(added["number"]))[0] == 0
    assert "6109434" not in run("list")[1]


def test_a_source_that_nobody_configured_is_noted(run: Run) -> None:
    code, _, err = run("add", "--source", "seatgeak", "--id", "1")
    assert (code, err) == (0, "watchlist: no source 'seatgeak' is configured yet; there are: seatgeek, stubhub\n")


def test_import_takes_a_whole_file_or_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tours.csv"
    file.write_text("artist,city\nNora Vale,Chicago\n,\nNorthbound,\n")
    assert run("import", str(file))[0] == 0
    file.write_text("artist,since\nMidnight Ferry,\nGlass Harbour,soon\n")
    code, out, err = run("import", str(file))
    assert (code, out) == (1, "")
    assert err == f"watchlist: {file}, line 3: since is 'soon': write a date as in 2027-06-01\n"
    assert [row["follows"] for row in json.loads(run("list", "--json")[1])] == ["Nora Vale in Chicago", "Northbound"]


def test_sync_reads_the_watchlist_file(run: Run, tmp_path: Path) -> None:
    code, _, err = run("sync")
    assert code == 1
    assert "watchlist.toml cannot be read: No such file" in err
    (tmp_path / "watchlist.toml").write_text('[[follow]]\nartist = "Nora Vale"\n')
    assert json.loads(run("sync", "--json")[1]) == [{"added": 1, "removed": 0}]


def test_search_asks_every_source_and_tells_which_did_not_answer(run: Run, configured: list[Any]) -> None:
    code, out, err = run("search", "Nora Vale", "--city", "Chicago", "--limit", "5", "--json")
    assert code == 0
    assert [(row["source"], row["id"], row["date"]) for row in json.loads(out)] == [
        ("seatgeek", "6109434", "2027-06-01")
    ]
    assert err == "watchlist: stubhub: stubhub is away\n"
    assert [source.asked for source in configured] == [[(Query("Nora Vale", city="Chicago"), 5)]] * 2
    assert all(source.closed for source in configured)


def test_search_fails_when_nobody_answered_or_can_be_asked(run: Run, configured: list[Any]) -> None:
    assert run("search", "Nora Vale", "--source", "stubhub")[::2] == (
        1, "watchlist: stubhub: stubhub is away\nwatchlist: no source answered; what each said stands above\n",
    )  # fmt: skip
    assert (
        "there is no tickpick to search; to search are: seatgeek, stubhub"
        in run("search", "x", "--source", "tickpick")[2]
    )
    configured.clear()
    assert "none, set a key such as SEATGEEK_API_KEY" in run("search", "Nora Vale")[2]


def test_links_show_the_evidence_and_relinking_stays(run: Run, watchlist: Watchlist) -> None:
    other = listed("x", name="Vale Revue", performers=())
    watchlist.link([listed("seatgeek"), listed("stubhub", "9", name="Nora Vale: Live"), other])
    code, out, _ = run("links", "seatgeek-1")
    assert code == 0
    assert "name 0.96 by name without its subtitle, venue 1.00, city 1.00, date 1.00, start 1.00" in out
    assert len(json.loads(run("links", "--json")[1])) == 3
    assert run("relink", "x", "1", "seatgeek-1")[0] == 0
    rows = json.loads(run("links", "seatgeek-1", "--json")[1])
    assert [(row["source"], row["decided by"]) for row in rows] == [
        ("seatgeek", "match"), ("stubhub", "match"), ("x", "user"),
    ]  # fmt: skip
    assert rows[1]["evidence"]["name"]["similarity"] == 0.96
    assert json.loads(run("unlink", "x", "1", "--json")[1])[0]["event"] == "x-1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add",), "say what to follow"),
        (("add", "--id", "7"), 'source = "seatgeek"'),
        (("add", "Nora", "--since", "tomorrow"), "write a date as in 2027-06-01"),
        (("remove", "99"), "there is no entry 99; `python -m connectors.watchlist list` shows them all"),
        (("links", "nothing-1"), "there is no event nothing-1; `python -m connectors.watchlist links` shows all"),
        (("relink", "seatgeek", "1", "x"), "there is no event x"),
        (("unlink", "seatgeek", "1"), "seatgeek has no event 1 that is followed"),
        (("import", "missing.csv"), "missing.csv cannot be read"),
    ],
)
def test_an_error_says_what_to_do(run: Run, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("watchlist: ")
    assert said in err


def test_without_tables_or_postgres_it_says_how_to_get_them(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {name.lower(): value for name, value in database.environment.items()}
    empty = Settings(**given, _env_file=None)  # type: ignore[arg-type, call-arg]
    monkeypatch.setattr(configuration, "load", lambda: empty)
    assert main(["list"]) == 1
    assert "make it with: python -m sinks.schema" in capsys.readouterr().err
    away = empty.model_copy(update={"postgres_host": "/nowhere", "postgres_password": SecretStr("canary")})
    monkeypatch.setattr(configuration, "load", lambda: away)
    assert main(["list"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("watchlist: Postgres at /nowhere:")
    assert "canary" not in err


def test_the_dsn_with_its_password_is_not_shown() -> None:
    assert "canary" not in repr(Watchlist("password=canary"))


def test_everything_works_in_a_database_of_its_own(database: Database) -> None:
    """From an empty database to a target, as a first user goes."""
    schema.migrate(database.dsn)
    watchlist = Watchlist(database.dsn)
    watchlist.sync([NORA])
    ((number, _),) = watchlist.queries("seatgeek")
    watchlist.link(SEATGEEK, number)
    assert watchlist.targets("seatgeek", BEFORE) == [Watched(Target("6109434", SHOW), "seatgeek-6109434")]
