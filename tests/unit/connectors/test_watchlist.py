"""What an entry of the watchlist may say, and how files of entries are read."""

from __future__ import annotations

import shlex
import tomllib
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.watchlist import KEYS
from connectors.source import Query
from connectors.watchlist import Entry, WatchlistError, load
from connectors.watchlist.__main__ import _EXAMPLES, _parser

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guides/watchlist.md").read_text()


def test_an_entry_is_a_query_or_an_id() -> None:
    given = {
        "artist": " Nora  Vale ",
        "venue": "",
        "city": "Chicago",
        "since": "2027-05-01",
        "until": date(2027, 9, 30),
    }
    query = Query("Nora Vale", None, "Chicago", date(2027, 5, 1), date(2027, 9, 30))
    assert Entry.of(given) == Entry(query=query)
    assert Entry.of({"source": "seatgeek", "id": 6109434}) == Entry("seatgeek", "6109434")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "say what to follow: an artist, a venue or a city, or the source and id"),
        ({"since": "2027-05-01"}, "say what to follow"),
        ({"source": "seatgeek"}, "say what to follow"),
        ({"id": "1"}, "say which, as in source"),
        ({"id": "1", "source": "seatgeek", "city": "Chicago"}, "leave artist, venue, city, since and until out"),
        ({"artst": "Nora Vale"}, "there is no 'artst': did you mean 'artist'?"),
        ({"band": "Nora Vale"}, "there is no 'band': write one of artist, venue, city, since, until, source, id"),
        ({"artist": 7}, "artist is 7: write a text, in quotes"),
        ({"artist": ["Nora Vale"]}, "write a text, in quotes"),
        ({"artist": "x" * 101}, "longer than 100 characters"),
        ({"artist": "Nora\x00Vale"}, "cannot be printed"),
        ({"artist": "x", "since": "soon"}, "since is 'soon': write a date as in 2027-06-01"),
        ({"artist": "x", "until": 2027}, "until is '2027': write a date"),
        ({"artist": "x", "since": "2027-09-01", "until": "2027-05-01"}, "since 2027-09-01 is after until 2027-05-01"),
    ],
)
def test_what_is_no_entry_is_refused_with_what_to_write(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(WatchlistError, match=text.replace("?", r"\?")):
        Entry.of(fields)


def test_toml_file(tmp_path: Path) -> None:
    file = tmp_path / "watchlist.toml"
    file.write_text(
        '[[follow]]\nartist = "Nora Vale"\nsince = 2027-05-01\n[[follow]]\nsource = "seatgeek"\nid = "1"\n'
        '[[follow]]\nartist = "Nora Vale"\nsince = "2027-05-01"\n'
    )
    nora = Entry(query=Query("Nora Vale", since=date(2027, 5, 1)))
    assert load(file) == [nora, Entry("seatgeek", "1")], "in the file's order, and each once"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "follow = []"])
def test_a_file_may_follow_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "watchlist.toml"
    file.write_text(text)
    assert load(file) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[follow]]\nartist = "a"\n\n  [[ follow ]]\nartst = "b"\n', r"entry 2 \(line 4\): there is no 'artst'"),
        ('follow = [{artist = "a"}, {since = 2027-01-01}]', r"entry 2: say what to follow"),
        ('[[follow]]\nartist = "a\n', r"is no TOML: .*line 2"),
        ('[follow]\nartist = "a"\n', r"'follow' has no place there: write \[\[follow\]\]"),
        ('[[watch]]\nartist = "a"\n', r"'watch' has no place there: write \[\[follow\]\]"),
        ('follow = ["a"]\n', r"'follow' has no place there"),
        (
            '[[follow]]\nartist = "a"\nsince = 2027-01-01T20:00:00\n',
            r"entry 1 \(line 1\): since is '2027-01-01 20:00:00'",
        ),
    ],
)
def test_an_error_in_a_toml_file_names_file_line_and_entry(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "watchlist.toml"
    file.write_text(text)
    with pytest.raises(WatchlistError, match=rf"watchlist\.toml.*{said}"):
        load(file)


def test_csv_of_queries_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "tours.CSV"
    file.write_bytes(
        b'\xef\xbb\xbfArtist,venue,city,since,until\r\n"Vale, Nora",,Chicago,2027-05-01,\r\n\r\nNorthbound,,,,\r\n,,,,\r\n'
    )
    vale = Query("Vale, Nora", None, "Chicago", date(2027, 5, 1))
    assert load(file) == [Entry(query=vale), Entry(query=Query("Northbound"))]


def test_csv_of_ids(tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("source,id\nseatgeek,007\nstubhub,155120340\n")
    assert load(file) == [Entry("seatgeek", "007"), Entry("stubhub", "155120340")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("artist;city\nNora;Chicago\n", "line 1: there is no column 'artist;city': .* separated by commas"),
        ("artist,city\nNora,Chicago\nFerry\n", "line 3: 1 cells, and 2 columns"),
        ("artist,city\nVale, Nora,Chicago\n", "line 2: 3 cells, and 2 columns; put a cell that has a comma in quotes"),
        ("artist,since\nNora,1 May\n", "line 2: since is '1 May'"),
        ('artist,since\n"Nora,2027-01-01\n', "line 2: "),
    ],
)
def test_an_error_in_a_csv_file_names_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "tours.csv"
    file.write_text(text)
    with pytest.raises(WatchlistError, match=rf"tours\.csv, {said}"):
        load(file)


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\xff\xfe", "it is no UTF-8 text")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "tours.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(WatchlistError, match=rf"tours\.csv cannot be read: {said}"):
        load(file)


def test_the_example_is_a_watchlist_and_shows_every_key() -> None:
    example = ROOT / "watchlist.example.toml"
    assert len(load(example)) == 3
    shown = {key for fields in tomllib.loads(example.read_text())["follow"] for key in fields}
    assert shown == set(KEYS)


def commands(text: str) -> list[str]:
    lines = (line.strip().partition(" #")[0] for line in text.splitlines())
    return [line for line in lines if line.startswith("python -m connectors.watchlist")]


@pytest.mark.parametrize("command", commands(_EXAMPLES) + commands(GUIDE))
def test_the_commands_of_the_help_and_the_guide_are_understood(command: str) -> None:
    chosen = _parser().parse_args(shlex.split(command)[3:])
    if chosen.command == "add":
        assert str(Entry.of({key: getattr(chosen, key) for key in KEYS}))


def test_the_guides_file_is_a_watchlist(tmp_path: Path) -> None:
    file = tmp_path / "watchlist.toml"
    file.write_text(GUIDE.split("```toml\n")[1].split("```")[0])
    assert len(load(file)) == 2


TEXTS = st.none() | st.text(max_size=120)
DATES = st.none() | st.dates() | st.text(max_size=12)


@given(st.fixed_dictionaries({}, optional={key: DATES if key in ("since", "until") else TEXTS for key in KEYS}))
def test_any_fields_are_an_entry_or_refused(fields: dict[str, Any]) -> None:
    with suppress(WatchlistError):
        entry = Entry.of(fields)
        assert (entry.source_id is None) == (entry.query != Query())
        assert str(entry)
