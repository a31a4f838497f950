"""kill -9 of the flow at random moments, under load, on real Kafka and Postgres."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import psycopg
import pytest

from local.discord_stub import DiscordStub
from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.load import Stream
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("CONSCOPE_KILLS", "20"))
SEED = int(os.environ.get("CONSCOPE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


def test_twenty_kills_leave_every_table_and_the_lake_as_the_log_says(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    """No row is lost or doubled, in any table or the lake, and no alert."""
    print(f"kills {KILLS}, seed {SEED} (CONSCOPE_SEED={SEED} plays it again)")
    dice = random.Random(SEED)
    prefix, topic = make_topics(kafka.bootstrap, "kills")
    with (
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path, **discord.environment
        ) as pipeline,
    ):
        load = Stream(kafka.bootstrap, topic, SEED, rate=1500)
        load.start()
        for _ in range(KILLS):
            flow = pipeline.start(recovery=1)
            # Some die while they start or recover, most in the middle of their work.
            time.sleep(dice.uniform(0.3, 5.0))
            assert flow.running, f"the flow ended by itself:\n{flow.tail(30)}"
            flow.kill()
        load.stop()
        pipeline.start(recovery=1)
        pipeline.settle()
        deadline = time.monotonic() + 90
        while pipeline.scalar("SELECT count(*) FROM outbox WHERE state <> 'sent'") and time.monotonic() < deadline:
            time.sleep(0.5)
        pipeline.drain()
        results = {result.table: result for result in pipeline.check()}
        assert results["price_history"].actual > 5000, "the load was too thin to prove anything"
        with psycopg.connect(database.dsn) as connection:
            row = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE state = 'sent'), coalesce(sum(maybe_repeats), 0) FROM outbox"
            ).fetchone()
        assert row is not None
        queued, sent, maybe_repeated = row
        alerts = results["price_drop_alerts"].actual
        assert (queued, sent) == (alerts, alerts), f"{alerts} alerts, {queued} in the outbox, {sent} sent"
        assert alerts <= discord.alerts <= alerts + maybe_repeated, (
            f"{alerts} alerts arrived {discord.alerts} times; {maybe_repeated} may have been repeated"
        )
        print(
            f"{load.count} messages, {results['price_history'].actual} prices, {alerts} alerts, "
            f"{discord.alerts - alerts} repeated where a kill took the answer"
        )
