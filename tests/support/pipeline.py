"""The whole flow on real services, as an operator would run it: processes, signals, and the oracle at the end."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from connectors import topics
from local.processes import Child
from oracle.compare import Oracle, Result, report
from oracle.log import read

LATENESS = 2.0


def make_topics(bootstrap: str, name: str, partitions: int = 0) -> tuple[str, str]:
    """The contract's topics under a prefix of their own: (the prefix, the name of the raw one).

    `partitions`: of the raw one, when they shall be more than the contract's.
    """
    prefix = f"{name}_{uuid.uuid4().hex[:8]}_"
    admin, raw = AdminClient({"bootstrap.servers": bootstrap}), prefix + topics.RAW_PRICES
    if partitions:
        (contract,) = (topic for topic in topics.CONTRACT if topic.name == topics.RAW_PRICES)
        admin.create_topics([NewTopic(raw, partitions, 1, config=contract.settings)])[raw].result(30)
    topics.ensure(admin, 1, lambda _: None, prefix)
    return prefix, raw


def log_ends(bootstrap: str, topic: str) -> dict[int, int]:
    """The offset after the newest message of each partition; of a new topic as soon as it has its leaders."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return _log_ends(bootstrap, topic)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _log_ends(bootstrap: str, topic: str) -> dict[int, int]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "conscope-test-ends"})
    try:
        partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=15)[1] for p in partitions}
    finally:
        consumer.close()


class Pipeline:
    """A flow over one set of topics into one database and one lake.

    Args:
        bootstrap: the broker.
        prefix: of its topics.
        database: the POSTGRES_* variables and the DSN.
        folder: for the lake, the recovery store and the logs.
        settings: more environment variables.
    """

    def __init__(
        self, bootstrap: str, prefix: str, postgres: dict[str, str], dsn: str, folder: Path, **settings: object
    ) -> None:
        self.bootstrap, self.topic, self.dsn, self.folder = bootstrap, prefix + topics.RAW_PRICES, dsn, folder
        self.lake = folder / "lake"
        self.environment = {
            **postgres,
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_TOPIC_PREFIX": prefix,
            "LAKE_DIR": str(self.lake),
            "ALLOWED_LATENESS_SECONDS": str(LATENESS),
            "IDLE_AFTER_SECONDS": "1",
            "PYTHONFAULTHANDLER": "1",  # an abort in somebody's C says where each thread was
            **{name: str(value) for name, value in settings.items()},
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.flows: list[Child] = []
        self._stack = ExitStack()

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for flow in self.flows:
            if flow.running:
                flow.process.send_signal(signal.SIGCONT)
                flow.kill()

    def start(
        self, *arguments: str, recovery: int = 0, interval: int = 1, name: str = "flow",
        runner: Sequence[str] = ("bytewax.run",),
    ) -> Child:  # fmt: skip
        """Run the flow; with `recovery`, on a store of that many partitions, committed every `interval` seconds."""
        if recovery:
            store = self.folder / "recovery"
            if not store.exists():
                store.mkdir()
                made = Child(["bytewax.recovery", str(store), str(recovery)], {}, self.folder / "store.log")
                assert made.process.wait(60) == 0, made.tail()
            arguments = (*arguments, "-r", str(store), "-s", str(interval), "-b", "0")
        flow = Child([*runner, "flows.prices", *arguments], self.environment, self.folder / f"{name}.log", self.folder)
        self.flows.append(flow)
        return flow

    def progress(self) -> dict[int, int]:
        """The next offset of each partition, as committed to Postgres."""
        try:
            with psycopg.connect(self.dsn) as connection:
                return dict(connection.execute("SELECT partition, next_offset FROM pipeline_progress").fetchall())
        except psycopg.errors.UndefinedTable:
            return {}

    def await_caught_up(self, patience: float = 60.0) -> None:
        """Return when all that stands in the topic now has been committed."""
        ends = {partition: end for partition, end in log_ends(self.bootstrap, self.topic).items() if end}
        deadline = time.monotonic() + patience
        while any(self.progress().get(partition, 0) < end for partition, end in ends.items()):
            running = [flow for flow in self.flows if flow.running]
            assert running, f"the flow ended while it was to catch up:\n{self.flows[-1].tail(30)}"
            assert time.monotonic() < deadline, (
                f"not caught up in {patience:.0f} s: read {self.progress()} of {ends}\n{running[-1].tail(30)}"
            )
            time.sleep(0.1)

    def settle(self, patience: float = 120) -> None:
        """Wait until idle partitions have let the watermark pass the last prices: those without a key wait for it.

        No table tells when that is: rows that are judged once more, after a restart, stand there before.
        """
        self.await_caught_up(patience)
        time.sleep(LATENESS + 4)

    def drain(self, patience: float = 30.0) -> None:
        """Stop every flow with SIGTERM and see that each ends with a snapshot and status 0."""
        running = [flow for flow in self.flows if flow.running]
        for flow in running:
            os.kill(flow.process.pid, signal.SIGTERM)
        for flow in running:
            status = flow.process.wait(patience)
            assert status == 0, f"{flow.name} ended with status {status} on SIGTERM:\n{flow.tail(30)}"

    def results(self) -> list[Result]:
        """Every table and the lake, against the oracle."""
        log = read({"bootstrap.servers": self.bootstrap}, self.topic)
        with psycopg.connect(self.dsn) as connection:
            (stream,) = connection.execute("SELECT max(id) FROM streams").fetchone() or (1,)
        return Oracle(log, stream, LATENESS).compare(self.dsn, self.lake)

    def check(self) -> list[Result]:
        """The results, all equal.

        Raises:
            AssertionError: a table differs; the message shows the first differences.
        """
        results = self.results()
        assert all(result.equal for result in results), f"tables differ from the oracle\n{report(results)}"
        return results

    def peak_memory(self) -> int:
        """The most memory that the newest flow has held, in bytes (Linux)."""
        return self._status("VmHWM") * 1024

    def memory(self) -> int:
        """What the newest flow holds now, in bytes (Linux)."""
        return self._status("VmRSS") * 1024

    def _status(self, name: str) -> int:
        status = Path(f"/proc/{self.flows[-1].process.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0])

    def scalar(self, query: str) -> object:
        """The one value that a query gives."""
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]
