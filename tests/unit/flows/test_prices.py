"""The price flow as a whole: wired as it should be, silent until it runs, and right from one end to the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from bytewax.dataflow import Dataflow
from confluent_kafka import Consumer, TopicPartition

from flows import prices
from oracle.compare import Oracle, report
from settings import Settings
from tests.support import naive
from tests.support.inprocess import run_prices
from tests.support.logs import LATENESS, random_log

ROOT = Path(__file__).parents[3]
STEPS = {"prices.raw", "prices.clock.clock", "prices.track.track", "prices.metrics.meter",
         "prices.postgres", "prices.lake", "prices.kafka", "prices.delivery"}  # fmt: skip
"""Everything that keeps state in the recovery store, by its id. A renamed step starts from nothing: rename none."""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def leaves(step: Any) -> list[Any]:
    inner = getattr(step, "substeps", [])
    return [leaf for one in inner for leaf in leaves(one)] if inner else [step]


def test_importing_the_flow_connects_to_nothing_and_starts_no_thread() -> None:
    program = """
        import socket, sys, threading

        def refuse(*given, **named):
            raise AssertionError(f"connected: {given}")

        socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
        sys.addaudithook(lambda name, given: refuse(name, given) if name in ("socket.connect", "socket.bind") else None)
        import flows.prices
        assert flows.prices.flow.flow_id == "prices"
        names = [thread.name for thread in threading.enumerate()]
        assert names == ["MainThread"], names
        import signal
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "an importer keeps its own signals"
    """
    ran = python("-c", textwrap.dedent(program), KAFKA_BOOTSTRAP_SERVERS="192.0.2.1:1", POSTGRES_HOST="192.0.2.1")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_flow_can_be_drawn() -> None:
    ran = python("-m", "bytewax.visualize", "flows.prices", "-o", "mermaid")
    assert ran.returncode == 0, ran.stderr
    for name in ("raw (input)", "decode_prices", "watch_the_clock", "track_listings", "default_rule", "measure"):
        assert name in ran.stdout


def test_steps_that_keep_state_have_their_committed_ids() -> None:
    kinds = ("input", "stateful_batch", "output")
    assert {step.step_id for step in leaves(prices.flow) if type(step).__name__ in kinds} == STEPS
    assert isinstance(prices.flow, Dataflow)


def test_building_twice_gives_the_same_steps() -> None:
    one, other = prices.build(Settings(_env_file=None)), prices.build(Settings(_env_file=None))  # type: ignore[call-arg]
    assert [s.step_id for s in leaves(one)] == [s.step_id for s in leaves(other)]


def test_no_secret_is_shown_by_a_step() -> None:
    settings = Settings(_env_file=None, postgres_password="canary-7f3a")  # type: ignore[call-arg, arg-type]
    assert "canary-7f3a" not in repr([vars(step) for step in leaves(prices.build(settings))])


def read_topic(bootstrap: str, topic: str) -> list[Any]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "t", "auto.offset.reset": "earliest", "enable.partition.eof": True,
         "enable.auto.commit": False}
    )  # fmt: skip
    consumer.assign([TopicPartition(topic, number, 0) for number in range(4)])
    found, ends = [], set()
    while len(ends) < 4:
        if (message := consumer.poll(10)) is None:
            raise TimeoutError(topic)
        if message.error() is None:
            found.append(json.loads(message.value()))
        else:
            ends.add(message.partition())
    consumer.close()
    return found


@pytest.mark.parametrize("seed", [2, 11])
def test_a_log_goes_through_to_every_table_the_lake_and_kafka(
    seed: int, database: Any, mock_kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytewax, the sinks and Postgres are real; the oracle judges."""
    log = random_log(Random(seed), length=300)
    run_prices(log, database.environment, mock_kafka.bootstrap, tmp_path / "lake", monkeypatch)
    results = Oracle(log.frame()).compare(database.dsn, tmp_path / "lake")
    assert all(result.equal for result in results), report(results)

    expected = naive.tables(log, LATENESS)
    processed = read_topic(mock_kafka.bootstrap, "processed_prices")
    assert sorted(message["id"] for message in processed) == sorted(expected["history"])
    changes = {m["id"]: round(m["price_change"] * 1e6) for m in processed if m["price_change"]}
    assert changes == {id: change for id, (_, _, change, *_) in expected["changes"].items()}
    assert {message["alert_id"] for message in read_topic(mock_kafka.bootstrap, "price_alerts")} == set(
        expected["alerts"]
    )
    assert {message["id"] for message in read_topic(mock_kafka.bootstrap, "dead_letters")} == set(expected["dead"])
    with psycopg.connect(database.dsn) as connection:
        told = connection.execute("SELECT sum(accepted), sum(quarantined), sum(dead) FROM pipeline_progress").fetchone()
        open_windows = connection.execute("SELECT count(*) FROM price_windows WHERE NOT is_final").fetchone()
    assert sum(told[:2]) == len(expected["history"]) + len(expected["quarantine"])
    assert told[2] == len(expected["dead"])
    assert open_windows == (0,)


def test_running_a_log_again_changes_nothing(
    database: Any, mock_kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost recovery store: everything is read again from the start, and every table is as it was."""
    log = random_log(Random(5), length=200)
    for _ in range(2):
        run_prices(log, database.environment, mock_kafka.bootstrap, tmp_path / "lake", monkeypatch, shards=3)
    results = Oracle(log.frame()).compare(database.dsn, tmp_path / "lake")
    assert all(result.equal for result in results), report(results)
