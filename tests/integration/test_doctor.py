"""The doctor: what it says of sources that work, that do not, and that nobody has set up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors import doctor
from connectors.doctor import Finding, diagnose, in_order
from connectors.source import Query
from connectors.topics import RAW_PRICES
from connectors.watchlist import Entry, Watchlist
from local.postgres import free_port
from settings import Settings
from tests.conftest import Database, MockKafka
from tests.support.sites import Page, Site, site, site_server
from tests.unit.connectors.sources.test_seatgeek import answer, event

__all__ = ["site", "site_server"]

KEY = "canary-key-7f3a"
FEED = """
name = "mine"
url = "{url}/feed"
allow_private = true
items = "prices"
[constants]
currency = "EUR"
[fields]
event_id = "id"
price = "price"
"""

Make = Callable[..., Settings]


@pytest.fixture
def make(tables: Database, mock_kafka: MockKafka, tmp_path: Path, site: Site) -> Make:
    """Settings with Kafka, Postgres and one entry in the watchlist in order, and no source."""
    mock_kafka.producer.produce(RAW_PRICES, b"{}")
    mock_kafka.producer.flush(10)
    Watchlist(tables.dsn).add(Entry("seatgeek", "6109451"))

    def made(**given: Any) -> Settings:
        usual = {name.lower(): value for name, value in tables.environment.items()} | {
            "kafka_bootstrap_servers": mock_kafka.bootstrap,
            "feeds_dir": tmp_path,
            "seatgeek_url": site.url,
            "watchlist_file": tmp_path / "none.toml",
        }
        return Settings(_env_file=None, **{**usual, **given})  # type: ignore[call-arg]

    return made


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_source_that_gives_prices_and_all_else_in_order(make: Make, site: Site) -> None:
    site.play(answer(event("6109451")))
    findings = diagnose(make(seatgeek_api_key=KEY))
    found = named(findings)
    assert found["seatgeek"].says == "SeatGeek gives prices: Nora Vale from 95 USD"
    assert (found["seatgeek"].key, found["seatgeek"].answers, found["seatgeek"].prices) == (True, True, True)
    assert found["seatgeek"].calls_left == 1999
    assert found["kafka"].says == "raw_prices has 4 partitions"
    assert found["watchlist"].says == "1 entry, 0 events of sources linked"
    assert in_order(findings)
    assert len(site.asked) == 1, "the doctor is dear"


def test_what_is_not_set_up_is_told_with_its_variable_and_where_to_get_a_key(make: Make, site: Site) -> None:
    findings = diagnose(make())
    found = named(findings)
    assert "SEATGEEK_API_KEY" in found["seatgeek"].says
    assert "https://developer.ticketmaster.com" in found["ticketmaster"].says
    assert "STUBHUB_CLIENT_SECRET" in found["stubhub"].says
    assert not in_order(findings), "there is nothing to poll"
    assert site.asked == []


def test_a_source_that_answers_without_prices_is_told_why(make: Make, site: Site) -> None:
    site.play(answer(event("6109451", stats=dict.fromkeys(["lowest_price", "average_price"]))))
    findings = diagnose(make(seatgeek_api_key=KEY))
    said = named(findings)["seatgeek"]
    assert (said.answers, said.prices) == (True, False)
    assert said.says.startswith("SeatGeek answers, but the one event had no price")
    assert said.says.endswith("ordinary keys get none since May 2024; ask SeatGeek for a partner's key")
    assert not in_order(findings)


def test_without_watched_events_it_looks_at_what_a_search_finds(make: Make, site: Site, tables: Database) -> None:
    (entry,) = Watchlist(tables.dsn).entries()
    Watchlist(tables.dsn).remove(entry.id)
    Watchlist(tables.dsn).add(Entry(query=Query("Nora Vale")))
    site.play(answer(event("1"), event("2")))
    assert named(diagnose(make(seatgeek_api_key=KEY)))["seatgeek"].prices
    assert [asked.query.get("q") for asked in site.asked] == ["concert", None]


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (Page(403, {"status": 403, "message": f"bad {KEY}", "errors": [{"code": 40307}]}), "SEATGEEK_API_KEY"),
        (Page(406, "flood"), "406"),
        (Page(200, "<html>are you a robot?</html>", {"Content-Type": "text/html"}), "captcha"),
    ],
)
def test_a_source_that_turns_us_away_is_told_in_words(make: Make, site: Site, page: Page, words: str) -> None:
    site.play(page)
    findings = diagnose(make(seatgeek_api_key=KEY))
    said = named(findings)["seatgeek"]
    assert (said.key, said.answers, said.prices) == (True, False, None)
    assert words in said.says
    assert KEY not in repr(findings)
    assert not in_order(findings)


def test_a_feed_is_examined_too(make: Make, site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FEED.format(url=site.url))
    site.play(Page(body={"prices": [{"id": "e1", "price": "12.50"}]}))
    assert named(diagnose(make()))["mine"].says == "mine gives prices: e1 from 12.5 EUR"
    site.play(Page(body={"prices": []}))
    said = named(diagnose(make()))["mine"]
    assert (said.answers, said.prices) == (True, False)
    assert said.says.startswith("mine answers, but: 0 rows")


def test_a_feed_with_a_mistake_is_told(make: Make, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('name = "mine"\n')
    findings = diagnose(make(seatgeek_api_key=KEY))
    assert "url" in named(findings)["feeds"].says
    assert not in_order(findings)


def test_the_calls_that_ingestion_has_made_are_counted_and_its_trouble_is_told(
    make: Make, site: Site, connection: psycopg.Connection
) -> None:
    connection.execute(
        "INSERT INTO source_status VALUES ('seatgeek', 'held', 'taken for a flood', 1, 1, 0, 2000, 2000, 0, 0, NULL,"
        " NULL, now())"
    )
    findings = diagnose(make(seatgeek_api_key=KEY))
    said = named(findings)["seatgeek"]
    assert site.asked == [], "the budget is spent, and it asked all the same"
    assert "nothing was asked" in said.says
    assert "(ingestion: held, taken for a flood)" in said.says
    assert said.calls_left == 0


def test_kafka_and_postgres_out_of_reach_are_told_and_the_sources_asked_all_the_same(make: Make, site: Site) -> None:
    site.play(answer(event("1")))
    away = make(seatgeek_api_key=KEY, kafka_bootstrap_servers=f"127.0.0.1:{free_port()}", postgres_port=free_port())
    findings = diagnose(away)
    found = named(findings)
    assert (found["kafka"].answers, found["postgres"].answers) == (False, False)
    assert "KAFKA_BOOTSTRAP_SERVERS" in found["kafka"].says
    assert found["seatgeek"].prices
    assert not in_order(findings)


def test_missing_topics_and_tables_are_told_with_the_command_that_makes_them(
    make: Make, database: Database, site: Site
) -> None:
    found = named(diagnose(make(kafka_topic_prefix="other_", postgres_db=database.environment["POSTGRES_DB"])))
    assert "python -m connectors.topics" in found["kafka"].says
    assert "python -m sinks.schema" in found["postgres"].says
    assert "watchlist" not in found


def test_an_empty_watchlist_and_one_that_waits_in_its_file(make: Make, tables: Database, tmp_path: Path) -> None:
    (entry,) = Watchlist(tables.dsn).entries()
    Watchlist(tables.dsn).remove(entry.id)
    said = named(diagnose(make()))["watchlist"]
    assert (said.answers, "nothing is followed" in said.says) == (False, True)
    file = tmp_path / "list" / "watchlist.toml"
    file.parent.mkdir()
    file.write_text('[[follow]]\nartist = "Nora Vale"\n')
    assert "has 1 more" in named(diagnose(make(watchlist_file=file)))["watchlist"].says
    file.write_text('[[follow]]\nartits = "Nora Vale"\n')
    said = named(diagnose(make(watchlist_file=file)))["watchlist"]
    assert (said.answers, "artist" in said.says) == (False, True)


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_prints_a_table_or_json_and_no_secret(
    make: Make, site: Site, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.play(answer(event("6109451")))
    monkeypatch.setattr(doctor.configuration, "load", lambda: make(seatgeek_api_key=KEY))
    assert doctor.main(arguments) == 0
    said = capsys.readouterr().out
    assert KEY not in said
    if arguments:
        assert {one["name"] for one in json.loads(said)} >= {"kafka", "postgres", "watchlist", "seatgeek", "stubhub"}
    else:
        (line,) = [line for line in said.splitlines() if line.startswith("seatgeek")]
        assert line.split()[1:4] == ["✓", "✓", "✓"]
    site.play(Page(403, {"status": 403}))
    assert doctor.main(arguments) == 1
