"""A webhook that hangs or fails slows no price, and its alerts arrive afterwards."""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.discord_stub import DiscordStub, Fault, fail, hang, lose, reset
from tests.conftest import Database
from tests.support.kafka import Kafka
from tests.support.load import Load, Stream, publish
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(300)]

HANG = float(os.environ.get("CONSCOPE_HANG", "60"))
BACKLOG = 20_000


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


def wait_for(pipeline: Pipeline, query: str) -> None:
    deadline = time.monotonic() + 90
    while not pipeline.scalar(query):
        assert time.monotonic() < deadline, f"waited 90 s in vain: {query}"
        time.sleep(0.2)


def silent_until(answered: threading.Event) -> Fault:
    """Say nothing until then, and then take the message."""

    def play(_request: object) -> bool:
        answered.wait(240)
        return False

    return play


def test_a_backlog_is_read_while_discord_says_nothing_and_its_alerts_arrive_afterwards(
    kafka: Kafka, database: Database, tmp_path: Path
) -> None:
    """Thousands of alerts, all committed before Discord has taken one; then it loses, resets and fails."""
    prefix, topic = make_topics(kafka.bootstrap, "throughput")
    # Keyed, so that the order is the log's, however long the pauses.
    load = Load(7, datetime.now(UTC) - timedelta(hours=1), step=0.005, unkeyed=0)
    answered = threading.Event()
    with (
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path, **discord.environment
        ) as pipeline,
    ):
        pipeline.start(recovery=1)
        discord.faults.extend([silent_until(answered)] * 100)
        publish(kafka.bootstrap, topic, load, BACKLOG)
        pipeline.await_caught_up(180)
        assert discord.requests > 0, "no alert was posted: nothing was tried"
        assert not discord.received, "Discord was to say nothing before the backlog was read"
        discord.faults.clear()
        discord.faults.extend([lose(), reset(), fail(502), fail(500)])
        answered.set()
        publish(kafka.bootstrap, topic, load, BACKLOG)
        pipeline.settle()
        wait_for(pipeline, "SELECT count(*) = 0 FROM outbox WHERE state <> 'sent'")
        pipeline.drain()
        alerts = {result.table: result.actual for result in pipeline.check()}["price_drop_alerts"]
        repeats = pipeline.scalar("SELECT sum(maybe_repeats) FROM outbox")
        assert int(str(repeats)) > 0, "no answer was lost: the faults were not played"
        assert alerts < discord.alerts <= alerts + int(str(repeats))
