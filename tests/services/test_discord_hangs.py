"""A webhook that hangs slows no price, and its alerts arrive afterwards."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from local.discord_stub import DiscordStub, hang
from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.load import Stream
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

HANG = float(os.environ.get("CONSCOPE_HANG", "60"))


def test_a_discord_that_hangs_for_a_minute_slows_nothing_and_loses_nothing(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    prefix, topic = make_topics(kafka.bootstrap, "hang")
    with (
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path, **discord.environment
        ) as pipeline,
    ):
        discord.faults.append(hang(HANG, accept=True))
        load = Stream(kafka.bootstrap, topic, seed=1, rate=300)
        pipeline.start(recovery=1)
        load.start()
        began = time.monotonic()
        slowest = 0
        while time.monotonic() - began < HANG - 5:
            time.sleep(1)
            slowest = max(slowest, load.count - sum(pipeline.progress().values()))
        assert discord.requests == 1, "the one post is still waiting for its answer"
        assert not discord.received
        waiting = pipeline.scalar("SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending')")
        assert isinstance(waiting, int)
        assert waiting > 100, "alerts gather meanwhile"
        load.stop()
        pipeline.settle()
        deadline = time.monotonic() + 60
        while pipeline.scalar("SELECT count(*) FROM outbox WHERE state <> 'sent'") and time.monotonic() < deadline:
            time.sleep(0.5)
        pipeline.drain()
        results = {result.table: result.actual for result in pipeline.check()}
        assert discord.alerts == results["price_drop_alerts"], "each alert arrived, once"
        print(f"at most {slowest} messages behind while Discord hung")
        assert slowest < 300 * 10, f"the flow fell {slowest} messages behind at 300/s"
