"""A webhook that hangs or fails slows no price, and its alerts arrive afterwards."""

from __future__ import annotations

import os
import signal
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.discord_stub import DiscordStub, fail, hang, lose, reset
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


def test_the_flow_is_as_fast_while_discord_fails_as_before(kafka: Kafka, database: Database, tmp_path: Path) -> None:
    """A backlog with thousands of alerts, read with Discord well and with Discord hanging or failing, in turns."""
    prefix, topic = make_topics(kafka.bootstrap, "throughput")
    load = Load(
        7, datetime.now(UTC) - timedelta(hours=1), step=0.005, unkeyed=0
    )  # whose order is the log's, however long the pauses
    rates: dict[bool, list[float]] = {False: [], True: []}
    with (
        DiscordStub() as discord,
        Pipeline(
            kafka.bootstrap, prefix, database.environment, database.dsn, tmp_path, **discord.environment
        ) as pipeline,
    ):
        flow = pipeline.start(recovery=1)
        publish(kafka.bootstrap, topic, load, 5_000)
        pipeline.await_caught_up()
        for turn in range(4):
            failing = turn % 2 == 1
            if failing:
                discord.faults.extend([hang(6, accept=True), lose(), reset(), fail(502), fail(500)])
            flow.process.send_signal(signal.SIGSTOP)  # so that the flow is what is measured, not the producer
            publish(kafka.bootstrap, topic, load, BACKLOG)
            flow.process.send_signal(signal.SIGCONT)
            began = time.monotonic()
            pipeline.await_caught_up(120)
            rates[failing].append(BACKLOG / (time.monotonic() - began))
            wait_for(pipeline, "SELECT count(*) = 0 FROM outbox WHERE state <> 'sent'")
        pipeline.settle()
        wait_for(pipeline, "SELECT count(*) = 0 FROM outbox WHERE state <> 'sent'")
        pipeline.drain()
        alerts = {result.table: result.actual for result in pipeline.check()}["price_drop_alerts"]
        repeats = pipeline.scalar("SELECT sum(maybe_repeats) FROM outbox")
        assert int(str(repeats)) > 0, "no answer was lost: the faults were not played"
        assert alerts < discord.alerts <= alerts + int(str(repeats))
    well, ill = (statistics.median(rates[failing]) for failing in (False, True))
    print(
        f"{well:,.0f} messages/s with Discord well, {ill:,.0f} while it fails; {alerts} alerts, {repeats} perhaps repeated"
    )
    assert ill > 0.5 * well, f"{ill:,.0f} messages/s while Discord fails, {well:,.0f} before"
