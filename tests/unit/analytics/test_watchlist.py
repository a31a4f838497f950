"""A CSV file of entries, read with its faults."""

from __future__ import annotations

import csv
from datetime import date
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from analytics.watchlist import KEYS, Entry, Query, read_csv

WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=20)
DATES = st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2030, 1, 1)))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    source = draw(st.one_of(st.none(), WORDS))
    if source is not None and draw(st.booleans()):
        return Entry(source, draw(WORDS))
    since, until = draw(DATES), draw(DATES)
    if since and until and since > until:
        since, until = until, since
    text, venue, city = draw(st.lists(st.one_of(st.none(), WORDS), min_size=3, max_size=3).filter(any))
    return Entry(source, None, Query(text, venue, city, since, until))


def written(entries: list[Entry]) -> str:
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(KEYS)
    for one in entries:
        query = one.query
        writer.writerow([query.text, query.venue, query.city, query.since, query.until, one.source, one.source_id])
    return out.getvalue()


@given(st.lists(entries(), max_size=8))
def test_what_is_written_is_read_again(given: list[Entry]) -> None:
    read = read_csv(written(given))
    assert list(read.entries.values()) == given
    assert read.faults == {}


def test_good_lines_are_read_and_bad_ones_named() -> None:
    read = read_csv(
        "artist,city,since\n"
        "Nora Vale,Chicago,2027-05-01\n"
        "\n"
        ",,2027-05-01\n"
        "Radiohead,London\n"
        '"A band, of sorts",,soon\n'
        "The Knife,,\n"
    )
    assert {line: entry.query.text for line, entry in read.entries.items()} == {2: "Nora Vale", 7: "The Knife"}
    assert {line: fault.split(":")[0].split(";")[0] for line, fault in read.faults.items()} == {
        4: "say what to follow", 5: "2 cells, and 3 columns", 6: "since is 'soon'",
    }  # fmt: skip


def test_a_file_without_a_header_is_one_fault() -> None:
    read = read_csv("Nora Vale,Chicago\nRadiohead,London\n")
    assert read.entries == {}
    assert list(read.faults) == [1]
    assert "the first line names the columns" in read.faults[1]


def test_a_quote_that_never_ends_leaves_what_came_before() -> None:
    read = read_csv('artist\nNora Vale\n"Radiohead\n')
    assert [entry.query.text for entry in read.entries.values()] == ["Nora Vale"]
    assert len(read.faults) == 1


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    read = read_csv(text)
    assert not read.entries.keys() & read.faults.keys()
