"""Ingestion as a process: sites on loopback, an imitated broker, a real Postgres."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from psycopg.rows import dict_row

from local.processes import Child
from tests.conftest import Database, MockKafka
from tests.support.sites import Page, Site, site, site_server
from tests.unit.connectors.sources.test_seatgeek import answer as seatgeek_page
from tests.unit.connectors.sources.test_seatgeek import event as seatgeek_event
from tests.unit.connectors.sources.test_ticketmaster import event as ticketmaster_event
from tests.unit.connectors.sources.test_ticketmaster import results as ticketmaster_page

__all__ = ["site", "site_server"]

PATIENCE = 60.0


class Ingestion:
    """`flows.ingest` on two sites, SeatGeek at /sg and Ticketmaster at /tm, with a watchlist and a store of its own."""

    def __init__(self, folder: Path, site: Site, database: Database, bootstrap: str) -> None:
        self.folder, self.site, self.database, self.bootstrap = folder, site, database, bootstrap
        self.store = folder / "recovery"
        self.store.mkdir()
        made = Child(["bytewax.recovery", str(self.store), "1"], {}, folder / "store.log")
        assert made.process.wait(60) == 0, made.tail()
        self.watchlist = folder / "watchlist.toml"
        self.watchlist.write_text('[[follow]]\nartist = "Nora Vale"\n')
        self.children: list[Child] = []

    def start(self, **environment: str) -> Child:
        settings = {
            **self.database.environment,
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "SEATGEEK_API_KEY": "canary-seatgeek-key",
            "SEATGEEK_URL": f"{self.site.url}/sg",
            "SEATGEEK_CALLS_A_DAY": "10000000",
            "TICKETMASTER_API_KEY": "canary-ticketmaster-key",
            "TICKETMASTER_URL": f"{self.site.url}/tm",
            "TICKETMASTER_CALLS_A_DAY": "10000000",
            "WATCHLIST_FILE": str(self.watchlist),
            "FEEDS_DIR": str(self.folder / "feeds"),
            "POLL_INTERVAL_SECONDS": "1",
            **environment,
        }
        arguments = ["bytewax.run", "flows.ingest", "-r", str(self.store), "-s", "1", "-b", "0"]
        self.children.append(Child(arguments, settings, self.folder / "ingest.log", self.folder))
        return self.children[-1]

    def until(self, what: str, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := condition()):
            child = self.children[-1]
            assert child.running, f"ingestion ended:\n{child.tail(30)}"
            assert time.monotonic() < deadline, f"waited {PATIENCE:.0f} s in vain: {what}\n{child.tail(30)}"
            time.sleep(0.1)
        return found

    def published(self) -> list[tuple[str, dict[str, Any]]]:
        """The price events of the topic, with their keys."""
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "t", "auto.offset.reset": "earliest", "log_level": 0}
        )
        try:
            partitions = consumer.list_topics("raw_prices", timeout=10).topics["raw_prices"].partitions
            ends = {
                p: consumer.get_watermark_offsets(TopicPartition("raw_prices", p), timeout=10)[1] for p in partitions
            }
            consumer.assign([TopicPartition("raw_prices", p, 0) for p in ends])
            found: list[tuple[str, dict[str, Any]]] = []
            deadline = time.monotonic() + PATIENCE
            while len(found) < sum(ends.values()) and time.monotonic() < deadline:
                for message in consumer.consume(500, 0.2):
                    found.append(((message.key() or b"").decode(), json.loads(message.value() or b"")))
            return found
        finally:
            consumer.close()

    def status(self) -> dict[str, dict[str, Any]]:
        with psycopg.connect(self.database.dsn, row_factory=dict_row) as connection:
            try:
                rows = connection.execute("SELECT * FROM source_status").fetchall()
            except psycopg.errors.UndefinedTable:
                return {}
        return {row["source"]: row for row in rows}

    def asked(self, path: str) -> int:
        return sum(asked.path.startswith(path) for asked in self.site.asked)


@pytest.fixture
def ingestion(tmp_path: Path, site: Site, database: Database, mock_kafka: MockKafka) -> Iterator[Ingestion]:
    site.play(seatgeek_page(seatgeek_event("6109451")), path="/sg/events")
    site.play(ticketmaster_page(ticketmaster_event("vvG1iZ")), path="/tm/events")
    site.play(Page(body=ticketmaster_event("vvG1iZ")), path="/tm/events/vvG1iZ")
    running = Ingestion(tmp_path, site, database, mock_kafka.bootstrap)
    yield running
    for child in running.children:
        if child.running:
            child.kill()


def test_two_sites_one_event_and_one_of_them_turns_us_away(ingestion: Ingestion) -> None:
    """From a query in the watchlist's file to prices under one event id; then SeatGeek takes us for a flood."""
    child = ingestion.start()
    sources = ingestion.until(
        "prices of both sites", lambda: {"seatgeek", "ticketmaster"} <= {e["source"] for _, e in ingestion.published()}
    )
    assert sources
    published = ingestion.published()
    assert len({event["event_id"] for _, event in published}) == 1, "the same show has two ids"
    assert all(key == event["event_id"] for key, event in published)
    assert {event["price"] for _, event in published if event["source"] == "seatgeek"} == {95}

    before = ingestion.asked("/tm")
    ingestion.site.play(Page(406, "flood"), path="/sg/events")
    ingestion.until("SeatGeek is held", lambda: ingestion.status().get("seatgeek", {}).get("state") == "held")
    refused = ingestion.asked("/sg")
    ingestion.until("Ticketmaster goes on", lambda: ingestion.asked("/tm") > before + 5)
    assert ingestion.asked("/sg") == refused, "a site that turned us away was asked again"
    status = ingestion.status()
    assert status["ticketmaster"]["state"] == "polling"
    assert (status["ticketmaster"]["watched"], status["ticketmaster"]["priced"]) == (1, 1)
    assert "406" in status["seatgeek"]["detail"]
    assert status["seatgeek"]["calls_spent"] == refused

    assert child.stop() == 0, child.tail(30)
    ingestion.start()
    ingestion.until("it runs again", lambda: ingestion.asked("/tm") > before + 10)
    assert ingestion.asked("/sg") == refused, "a restart forgot that SeatGeek holds us off"
    assert ingestion.children[-1].stop() == 0, ingestion.children[-1].tail(30)

    with psycopg.connect(ingestion.database.dsn) as connection:
        metrics = {name for (name,) in connection.execute("SELECT DISTINCT metric_name FROM system_metrics").fetchall()}
    assert {"source_calls_left.seatgeek", "source_priced.ticketmaster"} <= metrics
    log = (ingestion.folder / "ingest.log").read_text()
    assert "canary" not in log
    assert "canary" not in json.dumps(ingestion.status(), default=str)


def test_prices_flow_while_postgres_is_away_and_the_watchlist_is_heard_again_when_it_is_back(
    ingestion: Ingestion,
) -> None:
    """No price that is not asked for now can be asked for later."""
    child = ingestion.start()
    ingestion.until("Ticketmaster is polled", lambda: ingestion.status().get("ticketmaster", {}).get("priced") == 1)
    name = ingestion.database.environment["POSTGRES_DB"]
    with psycopg.connect(ingestion.database.dsn.replace(name, "postgres"), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        before, asked = len(ingestion.published()), ingestion.asked("/tm")
        ingestion.until("more prices", lambda: len(ingestion.published()) > before + 10)
        assert ingestion.asked("/tm") > asked
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    ingestion.watchlist.write_text("")
    ingestion.until("the list is empty", lambda: ingestion.status()["ticketmaster"]["state"] == "idle")
    assert child.stop() == 0, child.tail(30)


def test_without_any_source_it_says_what_to_set(ingestion: Ingestion) -> None:
    child = ingestion.start(SEATGEEK_API_KEY="", TICKETMASTER_API_KEY="")
    assert child.process.wait(30) == 1
    (sentence,) = child.log.read_text().splitlines()
    assert sentence.startswith("conscope: no source is configured. Set SEATGEEK_API_KEY")
