"""A partner's listings and a crypto ticker, followed from their files alone, from HTTP to Postgres."""

from __future__ import annotations

import time
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from local.processes import Child
from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.pipeline import Pipeline, make_topics
from tests.support.serving import serving

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).parents[2] / "feeds" / "examples"
TOKEN = "made-up-token-of-a-partner"


class Sites:
    """A reseller and an exchange; each look finds prices a step on."""

    def __init__(self) -> None:
        self.looks = 0
        self.authorized = True

    def answer(self, path: str, headers: Message) -> dict[str, object]:
        if urlsplit(path).path == "/ticker":
            self.looks += 1
            now = int(time.time() * 1000)
            symbols = (("BTC", "usd", 67_000.5), ("ETH", "eur", 3_400.25), ("BTC", "eur", 62_000.0))
            return {
                "tickers": {
                    f"{base}-{quote.upper()}": {"base": base, "quote": quote, "last": last + self.looks, "time": now}
                    for base, quote, last in symbols
                }
            }
        self.authorized &= headers["Authorization"] == f"Bearer {TOKEN}"
        seats = {"section": "101", "row": "C", "seats": {"from": 1, "to": 2}, "quantity": 2}
        return {
            "event": {"name": "Nora Vale", "venue": "Grand Hall", "starts_local": "2030-06-01T20:00:00"},
            "listings": [
                {"id": 901, **seats, "all_in_cents": 29_900 + self.looks},
                {"id": 902, **seats, "all_in_cents": None},
            ],
            "meta": {"next": None},
        }


def follow(folder: Path, url: str) -> Path:
    """The two examples as a user would copy them, with the stand-ins' address, looked at every second."""
    feeds = folder / "feeds"
    feeds.mkdir()
    for name, host in (("partner", "https://api.partner.example"), ("ticker", "https://api.exchange.example")):
        text = (EXAMPLES / f"{name}.toml").read_text().replace(host, url)
        every = [line for line in text.splitlines() if line.startswith("every = ")]
        text = text.replace(every[0], "every = 1\nallow_private = true").replace(
            "calls_a_day = 1440", "calls_a_day = 86400"
        )
        (feeds / f"{name}.toml").write_text(text.replace("calls_a_day = 5000", "calls_a_day = 200000"))
    return feeds


def test_two_feeds_are_followed_from_their_files_alone_into_postgres(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    sites = Sites()
    prefix, _ = make_topics(kafka.bootstrap, "feeds")
    with (
        serving(sites.answer) as url,
        Pipeline(kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path) as pipeline,
    ):
        environment = {
            **pipeline.environment, "FEEDS_DIR": str(follow(tmp_path, url)), "FEED_PARTNER_TOKEN": TOKEN,
            "POLL_INTERVAL_SECONDS": "1", "WATCHLIST_FILE": str(tmp_path / "none.toml"),
        }  # fmt: skip
        pipeline.start(recovery=1)
        ingest = Child(["bytewax.run", "flows.ingest"], environment, tmp_path / "ingest.log", tmp_path)
        try:
            deadline = time.monotonic() + 90
            while True:
                assert ingest.running, f"ingestion ended by itself:\n{ingest.tail(30)}"
                assert time.monotonic() < deadline, f"after {sites.looks} looks no prices:\n{ingest.tail(30)}"
                time.sleep(1)
                if sites.looks >= 8 and enough(database.dsn):
                    break
        finally:
            ingest.stop()
        pipeline.settle()
        pipeline.drain()
        pipeline.check()
        log = (tmp_path / "ingest.log").read_text()
    with psycopg.connect(database.dsn) as connection:
        partner = connection.execute(
            "SELECT DISTINCT p.event_id, event_name, venue, section, row, seat, quantity, level, currency, listing_id, "
            "event_date::text FROM price_history p JOIN events USING (event_id) WHERE source = 'partner'"
        ).fetchall()
        ticker = connection.execute(
            "SELECT DISTINCT event_id, currency, level FROM price_history WHERE source = 'ticker' ORDER BY 1, 2"
        ).fetchall()
        steps = connection.execute(
            "SELECT source, currency, min(abs(change)), max(abs(change)) FROM price_changes GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        status = dict(connection.execute("SELECT source, priced FROM source_status").fetchall())
        everything = connection.execute("SELECT string_agg(s::text, ' ') FROM source_status s").fetchone()
    assert sites.authorized, "each call bears the token"
    assert {row[0] for row in partner} == {"partner-88311", "partner-88312"}
    [seats] = {row[1:] for row in partner}
    assert seats[:9] == ("Nora Vale", "Grand Hall", "101", "C", "1-2", 2, "listing", "USD", "901")
    assert seats[9].startswith("2030-06-02 01:00:00"), "eight in the evening in Chicago"
    assert [(currency, level) for _, currency, level in ticker] == [
        ("EUR", "event"),
        ("USD", "event"),
        ("EUR", "event"),
    ]
    # The exchange's prices go up by one a look. A euro price compared with a dollar price would be thousands away.
    assert {(source, currency) for source, currency, *_ in steps} == {
        ("partner", "USD"), ("ticker", "EUR"), ("ticker", "USD"),
    }  # fmt: skip
    assert all(most <= 10 for *_, most in steps), f"a price was compared with one of another currency: {steps}"
    assert set(status) == {"partner", "ticker"}
    assert TOKEN not in log
    assert TOKEN not in str(everything)


def enough(dsn: str) -> bool:
    """Whether both feeds have prices that changed."""
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT count(DISTINCT source) FROM price_changes").fetchone() == (2,)
