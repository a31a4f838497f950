"""The ingest flow as a whole: wired as it should be, and silent until it runs."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from analytics.decode import decode
from connectors.poller import Outcome, Status
from flows import ingest
from settings import Settings
from tests.support.polled import price
from tests.unit.flows.test_prices import leaves, python

STEPS = {"ingest.sources", "ingest.kafka", "ingest.status-rows"}
"""Everything that has a place in the recovery store, by its id. A renamed step starts from nothing: rename none."""

STATUS = Status("fake", "polling", None, 3, 2, 1, 5000, 100, 4900, 4000, 1, None, 1_700_000_000_000_000)


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


def test_importing_the_flow_connects_to_nothing_and_starts_no_thread() -> None:
    program = """
        import socket, sys, threading

        def refuse(*given, **named):
            raise AssertionError(f"connected: {given}")

        socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
        import flows.ingest
        assert flows.ingest.flow.flow_id == "ingest"
        names = [thread.name for thread in threading.enumerate()]
        assert names == ["MainThread"], names
        import signal
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "an importer keeps its own signals"
    """
    ran = python("-c", textwrap.dedent(program), SEATGEEK_API_KEY="k", POSTGRES_HOST="192.0.2.1")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_flow_can_be_drawn() -> None:
    ran = python("-m", "bytewax.visualize", "flows.ingest", "-o", "mermaid")
    assert ran.returncode == 0, ran.stderr
    for name in ("sources (input)", "prices", "metrics", "status"):
        assert name in ran.stdout


def test_steps_that_keep_state_have_their_committed_ids() -> None:
    kinds = ("input", "stateful_batch", "output")
    assert {step.step_id for step in leaves(ingest.flow) if type(step).__name__ in kinds} == STEPS


def test_no_secret_is_shown_by_a_step() -> None:
    flow = ingest.build(settings(postgres_password="canary-7f3a", seatgeek_api_key="canary-7f3a"))
    assert "canary-7f3a" not in repr([vars(step) for step in leaves(flow)])


def test_price_events_are_keyed_by_event_and_understood_by_the_price_flow() -> None:
    seen = Outcome([price("a", 12.5), price("b")], b"", STATUS, False)
    messages = ingest.raw_prices(settings(kafka_topic_prefix="x_"), seen)
    assert (messages.topic, messages.keys) == ("x_raw_prices", ["a", "b"])
    values = [value for value in messages.values if isinstance(value, bytes)]
    assert [json.loads(value)["price"] for value in values] == [12.5, 100.0]
    found = decode(values, [key.encode() for key in messages.keys], [-1, -1], [1, 2])
    assert not found.rejects
    assert found.rows["event_id"].to_list() == ["a", "b"]


def test_a_status_is_told_as_metrics_of_its_source() -> None:
    readings = {metric.metric_name: metric.metric_value for metric in ingest.readings(STATUS)}
    assert readings["source_calls_left.fake"] == 4900
    assert readings["source_calls_planned.fake"] == 4000
    assert (readings["source_priced.fake"], readings["source_unpriced.fake"]) == (2, 1)
    assert {metric.timestamp for metric in ingest.readings(STATUS)} == {STATUS.updated_at}
