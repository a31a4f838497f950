"""The sources' panel: what it reads, and what it says of each state."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import psycopg
import pytest

from dash_app import loaders
from dash_app.database import Database
from dash_app.loaders.sources import SOURCES
from dash_app.views.sources import source_list


def test_every_source_with_its_times(seeded: Database) -> None:
    found = loaders.sources(seeded)
    assert found["source"].to_list() == ["seatgeek", "ticketmaster"]
    row = found.row(0, named=True)
    assert (row["state"], row["watched"], row["priced"], row["unpriced"]) == ("polling", 40, 31, 9)
    assert (row["calls_a_day"], row["calls_left"], row["calls_planned"]) == (2000, 1480, 1700)
    assert row["answered"] > 10
    assert 0 < row["next"] < 5400
    assert row["quiet"] >= 0


def test_a_source_of_last_month_is_not_shown(seeded_dsn: str) -> None:
    with psycopg.connect(seeded_dsn, autocommit=True) as writer:
        writer.execute(
            "INSERT INTO source_status VALUES ('old', 'polling', NULL, 1, 1, 0, 1, 0, 1, 1, NULL, NULL,"
            " now() - interval '8 days')"
        )
        reader = Database(seeded_dsn)
        try:
            assert "old" not in loaders.sources(reader)["source"].to_list()
        finally:
            reader.close()
            writer.execute("DELETE FROM source_status WHERE source = 'old'")


def shown(**given: Any) -> str:
    """The panel of one source, as the browser gets it."""
    row = {"source": "seatgeek", "state": "polling", "detail": None, "watched": 40, "priced": 31, "unpriced": 9,
           "calls_a_day": 2000, "calls_spent": 520, "calls_left": 1480, "calls_planned": 1700, "answered": 12.0, "next": 200.0,
           "quiet": 3.0, **given}  # fmt: skip
    return json.dumps(
        source_list(pl.DataFrame([row], schema=SOURCES)).to_plotly_json(), default=lambda part: part.to_plotly_json()
    )


def test_a_source_that_is_polled() -> None:
    page = shown()
    for words in ("SeatGeek", "Polling", "pill down", "31 priced, 9 without a price", "1,480 left", "520 used of 2,000",
                  "1,700 planned", "12 s ago", "in 3 min", "26.00%", "74.00%"):  # fmt: skip
        assert words in page, words
    assert '"said"' not in page


@pytest.mark.parametrize(
    ("state", "words", "tone"),
    [("starting", "Starting", "flat"), ("idle", "Nothing to watch", "flat"), ("waiting", "Waiting", "warn"),
     ("held", "Held", "warn"), ("refused", "Refused", "up")],
)  # fmt: skip
def test_a_state_is_said_in_words_with_its_reason(state: str, words: str, tone: str) -> None:
    page = shown(state=state, detail="what happened, and what to do")
    assert words in page
    assert f"pill {tone}" in page
    assert "what happened, and what to do" in page


def test_what_is_not_known_is_not_made_up() -> None:
    page = shown(answered=None, next=None)
    assert "ago" not in page
    assert '"in ' not in page


def test_an_ingestion_that_has_stopped_is_not_shown_as_polling() -> None:
    page = shown(quiet=7300.0)
    assert "Not running" in page
    assert "Polling" not in page
    assert "No word from ingestion for 2 h." in page


def test_without_sources_the_panel_says_how_to_set_one_up() -> None:
    page = json.dumps(
        source_list(pl.DataFrame(schema=SOURCES)).to_plotly_json(), default=lambda part: part.to_plotly_json()
    )
    for words in (
        "SEATGEEK_API_KEY",
        "TICKETMASTER_API_KEY",
        "feeds/",
        "watchlist.toml",
        "flows.ingest",
        "connectors.doctor",
    ):
        assert words in page, words
