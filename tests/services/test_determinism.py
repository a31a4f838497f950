"""The content of every table is a function of the log alone."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.postgres import EmbeddedPostgres, free_port
from tests.conftest import new_database
from tests.support.kafka import Kafka
from tests.support.load import Load, publish
from tests.support.pipeline import Pipeline, make_topics

pytestmark = [pytest.mark.services, pytest.mark.timeout(600)]

MESSAGES = 30_000
STALL = 60.0


@pytest.fixture(scope="module")
def prefix(kafka: Kafka) -> str:
    """Of topics that hold a load of three hours ago."""
    prefix, topic = make_topics(kafka.bootstrap, "determinism")
    start = datetime.now(UTC) - timedelta(hours=3)
    publish(kafka.bootstrap, topic, Load(4, start, step=0.25, unkeyed=0.3, broken=0.02), MESSAGES)
    return prefix


@contextmanager
def pipeline(
    kafka: Kafka, prefix: str, server: EmbeddedPostgres, folder: Path, name: str, **settings: object
) -> Iterator[Pipeline]:
    with (
        new_database(server) as database,
        Pipeline(kafka.bootstrap, prefix, database.environment, database.dsn, folder / name, **settings) as running,
    ):
        yield running


def test_batches_shards_stalls_workers_and_processes_change_no_table(
    kafka: Kafka, prefix: str, postgres_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Runs that differ in all that must not matter give the same digest of every table, and the oracle's."""
    with ExitStack() as stack:

        def run(name: str, **settings: object) -> Pipeline:
            return stack.enter_context(pipeline(kafka, prefix, postgres_server, tmp_path, name, **settings))

        # A stall of a minute in the middle of the work; the others run meanwhile.
        stalled = run("stalled", BATCH_SIZE=100)
        sleeper = stalled.start(recovery=1)
        while sum(stalled.progress().values()) < MESSAGES // 10:
            assert sleeper.running, sleeper.tail(30)
            time.sleep(0.05)
        sleeper.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        assert sum(stalled.progress().values()) < MESSAGES, "the flow was done before it could be stalled"

        plain = run("plain")
        plain.start(recovery=1)
        plain.settle()
        plain.drain()
        digests = {result.table: result.digest for result in plain.check()}

        small = run("small", BATCH_SIZE=37, SHARDS=3)
        small.start(recovery=1)
        small.settle()
        small.drain()

        workers = run("workers", BATCH_SIZE=500, SHARDS=5)
        workers.start("-w", "2", recovery=2)
        workers.settle()
        workers.drain()

        processes = run("processes", BATCH_SIZE=500)
        addresses = f"127.0.0.1:{free_port()};127.0.0.1:{free_port()}"
        for number in ("0", "1"):
            processes.start("-i", number, "-a", addresses, recovery=2, name=f"flow-{number}")
        processes.settle()
        processes.drain()

        time.sleep(max(0.0, stopped + STALL - time.monotonic()))
        sleeper.process.send_signal(signal.SIGCONT)
        stalled.settle()
        stalled.drain()

        for other in (small, workers, processes, stalled):
            found = {result.table: result.digest for result in other.check()}
            assert found == digests, f"{other.folder.name} differs from plain"


def test_windows_are_all_final_once_every_partition_is_idle(
    kafka: Kafka, prefix: str, postgres_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """An idle topic's last windows close by processing time."""
    with pipeline(kafka, prefix, postgres_server, tmp_path, "idle") as running:
        running.start()
        running.settle()
        deadline = time.monotonic() + 30
        count = "SELECT count(*) FROM price_windows WHERE NOT is_final AND window_seconds = 60"
        while running.scalar(count) and time.monotonic() < deadline:
            time.sleep(0.3)
        assert running.scalar(count) == 0, "one-minute windows of three hours ago are still open"
        running.drain()
        running.check()
